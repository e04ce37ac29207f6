//! Variable names while a conf is loaded: each gets an index when first seen; at the end every name that
//! was used must be a built-in one or defined somewhere in the conf.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::VARIABLES;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::reference;
use crate::conf::source::Span;
use crate::conf::suggest;
use crate::conf::value::{Names, VarId};
use crate::exchange::variables::{Getter, Variables};

#[derive(Default)]
struct Table {
    index: HashMap<String, VarId>,
    names: Vec<Name>,
}

struct Name {
    name: String,
    used: Option<Span>,
    defined: bool,
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
        table.names.push(Name { name: name.to_string(), used: None, defined: false });
        id
    }

    /// The getters of all names; names that nobody knows become diagnostics.
    pub fn finish(&self, diagnostics: &mut Vec<Diagnostic>) -> Variables {
        let table = self.0.borrow();
        let mut variables = Variables::default();
        for name in &table.names {
            let getter = built_in(&name.name);
            if getter.is_none() && !name.defined {
                let span = name.used.unwrap_or_default();
                diagnostics.push(unknown(&name.name, span, &table));
            }
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
}

fn built_in(name: &str) -> Option<Getter> {
    let row = VARIABLES.iter().find(|row| !row.family && row.name == name);
    let row = row.or_else(|| {
        VARIABLES.iter().find(|row| row.family && name.len() > row.name.len() && name.starts_with(row.name))
    })?;
    Some((row.make)(name[row.name.len()..].to_string()))
}

fn unknown(name: &str, span: Span, table: &Table) -> Diagnostic {
    if let Some(module) = reference::variable(name) {
        return Diagnostic::error(span, format!("the variable `${name}` of {module} is not built yet"));
    }
    let known = VARIABLES.iter().filter(|row| !row.family).map(|row| row.name);
    let defined = table.names.iter().filter(|name| name.defined).map(|name| name.name.as_str());
    let diagnostic = Diagnostic::error(span, format!("unknown variable `${name}`"));
    match suggest::closest(name, known.chain(defined)) {
        Some(near) => diagnostic.help(format!("did you mean `${near}`?")),
        None => diagnostic,
    }
}
