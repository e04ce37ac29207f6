//! `autoindex`: a listing for a folder without an index file.

use crate::conf::directive::Directive;
use crate::exchange::variables::Variable;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];
