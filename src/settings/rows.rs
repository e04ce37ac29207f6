//! The one table of directives and the one of variables: the rows of all features, each with the way
//! to its feature's settings.

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::{Getter, Variable};

use super::Scope;

type Set = Box<dyn Fn(&mut Scope, &mut Args<'_>) -> Result<(), Fault> + Send + Sync>;
type Clear = Box<dyn Fn(&mut Scope) + Send + Sync>;
type Make = Box<dyn Fn(String) -> Getter + Send + Sync>;

/// What a second use in one block means, once the settings' type is out of the way.
pub enum Repeats {
    /// An error.
    Refused,
    /// Fine.
    Allowed,
    /// Adds to a list that the first use in a block empties.
    List {
        /// The list, unique over all features.
        key: (&'static str, &'static str),
        /// Empties it.
        clear: Clear,
    },
}

/// What a block inside gets.
pub enum Inherits {
    /// The value.
    Yes,
    /// What the function leaves, usually the default.
    No(Clear),
    /// The value, and with it what the function changes.
    Changed(Clear),
    /// The default, but in `if` and `limit_except` the value.
    IntoIf(Clear),
}

/// One directive with the way to its settings.
pub struct Row {
    /// Name, syntax, contexts, text.
    pub manual: &'static Manual,
    /// The feature's file, for the documentation.
    pub feature: &'static str,
    /// What a second use means.
    pub repeats: Repeats,
    /// What blocks inside get.
    pub inherits: Inherits,
    /// Reads the arguments.
    pub set: Set,
}

impl Row {
    /// Joins a feature's row with the way to the feature's settings.
    pub fn new<C: 'static>(feature: &'static str, row: &'static Directive<C>, lens: fn(&mut Scope) -> &mut C) -> Row {
        let reset = |clear: fn(&mut C)| -> Clear { Box::new(move |scope| clear(lens(scope))) };
        Row {
            manual: &row.manual,
            feature,
            repeats: match &row.repeat {
                Repeat::Refused => Repeats::Refused,
                Repeat::Allowed => Repeats::Allowed,
                Repeat::List { key, clear } => Repeats::List { key: (feature, key), clear: reset(*clear) },
            },
            inherits: match &row.inherit {
                Inherit::Yes => Inherits::Yes,
                Inherit::Changed(change) => Inherits::Changed(reset(*change)),
                Inherit::No(clear) => Inherits::No(reset(*clear)),
                Inherit::IntoIf(clear) => Inherits::IntoIf(reset(*clear)),
            },
            set: Box::new(move |scope, args| (row.set)(lens(scope), args)),
        }
    }
}

/// One variable with the way to its settings.
pub struct VariableRow {
    /// The name, or the start of a family's names.
    pub name: &'static str,
    /// Whether it is a family.
    pub family: bool,
    /// The feature's file, for the documentation.
    pub feature: &'static str,
    /// The text.
    pub doc: &'static str,
    /// Makes the getter for a name with this suffix.
    pub make: Make,
}

impl VariableRow {
    /// Joins a feature's variable with the way to the feature's settings.
    pub fn new<C: 'static>(
        feature: &'static str,
        row: &'static Variable<C>,
        lens: for<'a> fn(&'a Scope) -> &'a C,
    ) -> VariableRow {
        VariableRow {
            name: row.name,
            family: row.family,
            feature,
            doc: row.doc,
            make: Box::new(move |suffix| Box::new(move |x| (row.get)(x, lens(x.settings::<Scope>()?), &suffix))),
        }
    }
}
