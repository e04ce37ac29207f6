//! How a connection is closed while the client still sends.

use crate::conf::directive::Directive;
use crate::exchange::variables::Variable;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];
