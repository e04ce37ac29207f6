//! How files are opened: `open_file_cache` and its family, `disable_symlinks`.

use crate::conf::directive::Directive;
use crate::exchange::files::Policy;
use crate::exchange::variables::Variable;

/// The settings: the policy that files are opened by.
pub type Conf = Policy;

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];
