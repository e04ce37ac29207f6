//! Zones: tables in memory that a directive declares by name and size and others use by name. Lines may use one before it
//! is declared. What is in a table outlives a reload that declares it the same way. Must not know what tables hold.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use super::args::{Fault, parse_size};
use super::ast::Word;
use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::source::Span;

type Anything = Arc<dyn Any + Send + Sync>;

/// A zone as the lines that use it hold it.
#[derive(Debug)]
pub struct Zone<T> {
    cell: Arc<OnceLock<Anything>>,
    holds: PhantomData<fn() -> T>,
}

impl<T> Clone for Zone<T> {
    fn clone(&self) -> Self {
        Zone { cell: self.cell.clone(), holds: PhantomData }
    }
}

impl<T: Send + Sync + 'static> Zone<T> {
    /// What was declared under the name; none only while the conf is being read.
    pub fn get(&self) -> Option<&T> {
        self.cell.get()?.downcast_ref()
    }

    /// Whether both are the zone of one name.
    pub fn is(&self, other: &Zone<T>) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell)
    }
}

/// The zones of one conf while it is read.
#[derive(Debug, Default)]
pub struct Zones {
    named: Vec<Named>,
    identities: Vec<(Identity, Span)>,
}

#[derive(Debug)]
struct Named {
    name: String,
    /// The directive that declares zones of this kind.
    kind: &'static str,
    used: Option<Span>,
    declared: Option<Span>,
    cell: Arc<OnceLock<Anything>>,
}

impl Zones {
    /// The zone of a name that a line uses; `kind` is the directive that declares such zones.
    pub fn refer<T>(&mut self, kind: &'static str, name: &str, word: &Word) -> Result<Zone<T>, Fault> {
        let named = self.named(kind, name, word)?;
        named.used.get_or_insert(word.span);
        Ok(Zone { cell: named.cell.clone(), holds: PhantomData })
    }

    /// Declares a zone.
    pub fn declare<T>(&mut self, kind: &'static str, name: &str, word: &Word, zone: T) -> Result<(), Fault>
    where
        T: Send + Sync + 'static,
    {
        let named = self.named(kind, name, word)?;
        if let Some(first) = named.declared.replace(word.span) {
            let mut fault = Fault::at(word, format!("declares the zone `{name}` twice"));
            fault.also = Some((first, "declared here first".into()));
            return Err(fault.help("give one of the two another name"));
        }
        // Only a second declaration would find it taken.
        let _ = named.cell.set(Arc::new(zone));
        Ok(())
    }

    /// Notes by what a zone is known again, where a reload must not change its key.
    pub fn note(&mut self, identity: Identity, word: &Word) {
        self.identities.push((identity, word.span));
    }

    /// The zones whose key a reload must not change.
    pub fn identities(&self) -> &[(Identity, Span)] {
        &self.identities
    }

    /// Says which zones are used and never declared.
    pub fn undeclared(&self) -> impl Iterator<Item = Diagnostic> {
        self.named.iter().filter(|named| named.declared.is_none()).map(|named| {
            let message = format!("no `{}` declares the zone `{}`", named.kind, named.name);
            let help = format!("write `{} ... zone={}:10m ...;` in http", named.kind, named.name);
            Diagnostic::error(named.used.unwrap_or_default(), message).code(Code::UnknownZone).help(help)
        })
    }

    fn named(&mut self, kind: &'static str, name: &str, word: &Word) -> Result<&mut Named, Fault> {
        let at = match self.named.iter().position(|named| named.name == name) {
            Some(at) => at,
            None => {
                let cell = Arc::default();
                self.named.push(Named { name: name.into(), kind, used: None, declared: None, cell });
                self.named.len() - 1
            }
        };
        let named = &mut self.named[at];
        if named.kind != kind {
            let mut fault = Fault::at(word, format!("names the zone `{name}`, which is one of `{}`", named.kind));
            fault.also = named.declared.or(named.used).map(|span| (span, "named here first".into()));
            return Err(fault.help("zones of different directives need different names"));
        }
        Ok(named)
    }
}

/// Name and size in bytes from `name:size`, the value of `zone=`.
pub fn name_and_size(word: &Word, text: &[u8]) -> Result<(String, u64), Fault> {
    /// What nginx asks for at least: eight pages.
    const LEAST: u64 = 8 * 4096;
    let colon = text.iter().position(|&b| b == b':');
    let (name, size) = colon.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let size = size.and_then(parse_size);
    let Some(size) = size.filter(|_| !name.is_empty()) else {
        return Err(
            Fault::at(word, format!("takes a name and a size, not `{}`", word.show())).help("write `zone=NAME:10m`")
        );
    };
    let name = String::from_utf8_lossy(name).into_owned();
    if size < LEAST {
        return Err(Fault::at(word, format!("makes the zone `{name}` too small")).help("a zone has 32k at least"));
    }
    Ok((name, size))
}

/// By what the contents of a zone are known again after a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The directive that declares it.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Its key as it stands in the conf.
    pub key: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
}

/// What forbids a reload: as in nginx, a zone whose name, kind and size stay has other contents under another key, and nobody
/// can tell whether they are meant to be lost.
pub fn conflicts(before: &[(Identity, Span)], after: &[(Identity, Span)]) -> Vec<Diagnostic> {
    let same = |old: &Identity, new: &Identity| (old.kind, &old.name, old.size) == (new.kind, &new.name, new.size);
    let conflict = |(new, span): &(Identity, Span)| {
        let (old, _) = before.iter().find(|(old, _)| same(old, new) && old.key != new.key)?;
        let (name, kind) = (&new.name, new.kind);
        let [old, new] = [old, new].map(|identity| String::from_utf8_lossy(&identity.key));
        let message = format!("`{kind}` gives the zone `{name}` the key `{new}`, and it had the key `{old}` until now");
        Some(Diagnostic::error(*span, message).help("give the zone another name or size, so that it begins anew"))
    };
    after.iter().filter_map(conflict).collect()
}

static KEPT: Mutex<Vec<(Identity, Weak<dyn Any + Send + Sync>)>> = Mutex::new(Vec::new());

/// The contents of a zone: those that a conf in force has under this identity, else new ones.
pub fn contents<T: Send + Sync + 'static>(identity: Identity, new: impl FnOnce() -> T) -> Arc<T> {
    // Nothing that can panic runs under this lock but `new`, before anything was changed.
    let mut kept = KEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    kept.retain(|(_, contents)| contents.strong_count() > 0);
    let known = kept.iter().find(|(known, _)| *known == identity).and_then(|(_, contents)| contents.upgrade());
    if let Some(contents) = known.and_then(|contents| contents.downcast::<T>().ok()) {
        return contents;
    }
    let contents = Arc::new(new());
    let weak: Weak<T> = Arc::downgrade(&contents);
    kept.push((identity, weak));
    contents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Word {
        Word { text: text.into(), span: Span::default(), quoted: false }
    }

    #[test]
    fn a_zone_may_be_used_before_it_is_declared() {
        let mut zones = Zones::default();
        let used: Zone<u32> = zones.refer("a_zone", "one", &word("one")).unwrap();
        assert_eq!((used.get(), zones.undeclared().count()), (None, 1));
        zones.declare("a_zone", "one", &word("one"), 7u32).unwrap();
        assert_eq!((used.get(), zones.undeclared().count()), (Some(&7), 0));
        assert!(zones.declare("a_zone", "one", &word("one"), 8u32).is_err());
        assert!(zones.refer::<u32>("b_zone", "one", &word("one")).is_err());
    }

    #[test]
    fn names_and_sizes() {
        for (text, want) in [
            ("one:32k", Some(("one", 32 << 10))),
            ("one:1m", Some(("one", 1 << 20))),
            ("one:32767", None),
            ("one", None),
            (":1m", None),
            ("one:", None),
            ("one:x", None),
        ] {
            let got = name_and_size(&word(text), text.as_bytes()).ok();
            assert_eq!(got, want.map(|(name, size)| (name.to_string(), size)), "{text}");
        }
    }

    #[test]
    fn contents_stay_as_long_as_somebody_has_them() {
        let identity = |size| Identity { kind: "test", name: "stay".into(), key: b"$k".to_vec(), size };
        let first = contents(identity(1), || 1u32);
        assert_eq!(*contents(identity(1), || 2u32), 1);
        assert_eq!(*contents(identity(2), || 2u32), 2);
        drop(first);
        assert_eq!(*contents(identity(1), || 3u32), 3);
    }
}
