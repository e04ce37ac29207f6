//! The lists of fields that `add_header` and `add_trailer` make, and what a block takes of those around it.

use bytes::Bytes;

use crate::conf::value::Text;

/// One `add_header` or `add_trailer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The field's name.
    pub name: Bytes,
    /// Its value; an empty one adds nothing.
    pub value: Text,
    /// Whether it is added to every answer rather than to successes and redirects.
    pub always: bool,
}

/// What a block does with the fields of the block around it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Inheritance {
    /// It takes them where it has none of its own.
    #[default]
    On,
    /// It never takes them.
    Off,
    /// It adds them after its own.
    Merge,
}

/// The fields of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// Those of the block itself.
    pub own: Vec<Added>,
    /// Those of the blocks around it.
    pub outer: Vec<Added>,
    /// Which of these count.
    pub inheritance: Inheritance,
}

impl List {
    /// The fields in force.
    pub fn fields(&self) -> impl Iterator<Item = &Added> {
        let outer = match self.inheritance {
            Inheritance::On => self.own.is_empty(),
            Inheritance::Off => false,
            Inheritance::Merge => true,
        };
        self.own.iter().chain(self.outer.iter().filter(move |_| outer))
    }

    /// Whether there is none, in force or not.
    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.outer.is_empty()
    }

    /// Begins a block's own list: what was in force becomes what is around it.
    pub fn begin(&mut self) {
        self.outer = self.fields().cloned().collect();
        self.own.clear();
    }

    /// Begins a block inside: with `off` it gets nothing.
    pub fn descend(&mut self) {
        if self.inheritance == Inheritance::Off {
            self.own.clear();
            self.outer.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_block_inside() {
        let added = |name: &'static str| Added {
            name: Bytes::from_static(name.as_bytes()),
            value: Text::literal("1"),
            always: false,
        };
        let names = |list: &List| list.fields().map(|a| a.name[0] as char).collect::<String>();
        for (inheritance, own, expected) in [
            (Inheritance::On, true, "B"),
            (Inheritance::On, false, "A"),
            (Inheritance::Off, true, "B"),
            (Inheritance::Off, false, ""),
            (Inheritance::Merge, true, "BA"),
            (Inheritance::Merge, false, "A"),
        ] {
            let mut list = List { own: vec![added("A")], ..List::default() };
            list.begin();
            list.inheritance = inheritance;
            list.own.extend(own.then(|| added("B")));
            assert_eq!(names(&list), expected, "{inheritance:?}");
        }
    }
}
