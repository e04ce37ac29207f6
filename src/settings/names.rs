//! Variable names while a conf is loaded: each gets an index when first seen; at the end every name that
//! was used must be a built-in one or defined somewhere in the conf.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::rows::VariableRow;
use super::{Scope, VARIABLES};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::reference;
use crate::conf::source::Span;
use crate::conf::suggest;
use crate::conf::value::{Names, VarId};
use crate::exchange::variables::{Getter, Variables};
use crate::features::rewrite;

#[derive(Default)]
struct Table {
    index: HashMap<String, VarId>,
    names: Vec<Name>,
}

struct Name {
    name: String,
    used: Option<Span>,
    defined: bool,
    /// Where a directive gives it values, and whether reading it before is worth a warning.
    declared: Option<(Span, bool)>,
}

/// A handle on the table; clones share it.
#[derive(Clone, Default)]
pub struct NameTable(Rc<RefCell<Table>>);

impl NameTable {
    fn index(&self, name: &str) -> VarId {
        let mut table = self.0.borrow_mut();
        if let Some(id) = table.index.get(name) {
            return *id;
        }
        let id = VarId(table.names.len() as u32);
        table.index.insert(name.to_string(), id);
        table.names.push(Name { name: name.to_string(), used: None, defined: false, declared: None });
        id
    }

    /// The getters of all names, `made` those that the conf made; names that nobody knows become diagnostics.
    pub fn finish(&self, made: Vec<(VarId, Getter)>, diagnostics: &mut Vec<Diagnostic>) -> Variables {
        let table = self.0.borrow();
        let mut made: HashMap<VarId, Getter> = made.into_iter().collect();
        let mut variables = Variables::default();
        for (i, name) in table.names.iter().enumerate() {
            let id = VarId(i as u32);
            let own = built_in(&name.name, name.defined || made.contains_key(&id));
            let getter = match (own, name.declared) {
                (Some(_), Some((span, _))) if is_fixed(&name.name) => {
                    let message =
                        format!("the variable `${}` is built in and cannot be given another value", name.name);
                    diagnostics
                        .push(Diagnostic::error(span, message).code(Code::BuiltInVariable).help("choose another name"));
                    None
                }
                (Some(getter), _) => Some(getter),
                (None, declared) => {
                    if declared.is_none() && !name.defined {
                        diagnostics.push(unknown(&name.name, name.used.unwrap_or_default(), &table));
                    }
                    let warns = declared.is_some_and(|(_, warns)| warns);
                    made.remove(&id).or_else(|| warns.then(|| uninitialized(name.name.clone(), id)))
                }
            };
            variables.entries.push((name.name.clone(), getter));
        }
        variables
    }
}

impl Names for NameTable {
    fn refer(&mut self, name: &str, span: Span) -> VarId {
        let id = self.index(name);
        self.0.borrow_mut().names[id.0 as usize].used.get_or_insert(span);
        id
    }

    fn define(&mut self, name: &str) -> VarId {
        let id = self.index(name);
        self.0.borrow_mut().names[id.0 as usize].defined = true;
        id
    }

    fn declare(&mut self, name: &str, span: Span, warns: bool) -> VarId {
        let id = self.index(name);
        let known = &mut self.0.borrow_mut().names[id.0 as usize];
        // As in nginx, the first line that names a variable says what it is without a value.
        known.declared.get_or_insert((span, warns && !known.defined));
        id
    }
}

/// Whether a name is a built-in variable's, and not merely one of a family's.
fn is_fixed(name: &str) -> bool {
    VARIABLES.iter().any(|row| !row.family && row.name == name)
}

/// The getter of a built-in name. A conf may give a name of a family to a variable of its own.
fn built_in(name: &str, is_own: bool) -> Option<Getter> {
    let row = VARIABLES.iter().find(|row| !row.family && row.name == name);
    let in_family = |row: &&VariableRow| row.family && name.starts_with(row.name);
    let row = row.or_else(|| VARIABLES.iter().find(|row| !is_own && in_family(row)))?;
    if row.family && name.len() == row.name.len() {
        // `$arg_` alone names nothing, and is never found.
        return Some(Box::new(|_| None));
    }
    Some((row.make)(name[row.name.len()..].to_string()))
}

/// What a variable of `set` is until a line sets it.
fn uninitialized(name: String, id: VarId) -> Getter {
    Box::new(move |x| {
        let scope = x.settings::<Scope>()?;
        rewrite::uninitialized(x, &scope.rewrite, &name, id)
    })
}

fn unknown(name: &str, span: Span, table: &Table) -> Diagnostic {
    if let Some(module) = reference::variable(name) {
        return Diagnostic::error(span, format!("the variable `${name}` of {module} is not built yet"))
            .code(Code::NotBuilt);
    }
    let known = VARIABLES.iter().filter(|row| !row.family).map(|row| row.name);
    let defined =
        table.names.iter().filter(|name| name.defined || name.declared.is_some()).map(|name| name.name.as_str());
    let diagnostic = Diagnostic::error(span, format!("unknown variable `${name}`")).code(Code::UnknownVariable);
    match suggest::closest(name, known.chain(defined)) {
        // Not a variable of anybody's, though half of the web's confs have this line for it.
        _ if name == "connection_upgrade" => {
            diagnostic.help("write `map $http_upgrade $connection_upgrade { default upgrade; '' close; }` into `http`")
        }
        Some(near) => diagnostic.help(format!("did you mean `${near}`?")),
        None => match of_family(name) {
            Some(near) => diagnostic.help(format!("did you mean `${near}`?")),
            None => diagnostic,
        },
    }
}

/// The name of a family that may have been meant: `htpp_host` is `http_host`.
fn of_family(name: &str) -> Option<String> {
    let families = || VARIABLES.iter().filter(|row| row.family).map(|row| row.name);
    let heads = name.match_indices('_').map(|(at, _)| name.split_at(at + 1)).filter(|(_, rest)| !rest.is_empty());
    let mut near = heads.filter_map(|(head, rest)| Some(format!("{}{rest}", suggest::closest(head, families())?)));
    near.next()
}
