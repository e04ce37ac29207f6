//! A table from host names to values, with nginx's wildcards: exact names first, then the longest `*.` name, then the
//! longest `.*` name. Keys are in lower case.

use std::collections::HashMap;

/// The table.
#[derive(Debug, Clone)]
pub struct Hostnames<T> {
    exact: HashMap<Box<[u8]>, T>,
    /// `*.example.com`, keyed by `.example.com`.
    leading: HashMap<Box<[u8]>, T>,
    /// `www.example.*`, keyed by `www.example.`.
    trailing: HashMap<Box<[u8]>, T>,
    /// The longest key of a wildcard. Longer parts of a host need no look: with thousands of dots they would cost its square.
    longest: usize,
}

/// Why a name was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is no name and no wildcard.
    Invalid,
    /// It is there already.
    Twice,
}

impl<T> Default for Hostnames<T> {
    fn default() -> Self {
        Hostnames { exact: HashMap::new(), leading: HashMap::new(), trailing: HashMap::new(), longest: 0 }
    }
}

impl<T: Clone> Hostnames<T> {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.leading.is_empty() && self.trailing.is_empty()
    }

    /// Adds a name that is taken as it is, stars and all.
    pub fn add_exact(&mut self, key: &[u8], value: T) -> Result<(), Refused> {
        add(&mut self.exact, key, value)
    }

    /// Adds a name or a wildcard: `*.x`, `x.*`, or `.x` for both `x` and `*.x`.
    pub fn add(&mut self, key: &[u8], value: T) -> Result<(), Refused> {
        let stars = key.iter().filter(|b| **b == b'*').count();
        if stars > 1 || key.windows(2).any(|pair| pair == b"..") || key.contains(&0) {
            return Err(Refused::Invalid);
        }
        if key.len() > 1 && key.starts_with(b".") {
            add(&mut self.exact, &key[1..], value.clone())?;
            self.longest = self.longest.max(key.len());
            return add(&mut self.leading, key, value);
        }
        if key.len() > 2 && stars == 1 {
            self.longest = self.longest.max(key.len() - 1);
        }
        if key.len() > 2 && key.starts_with(b"*.") {
            return add(&mut self.leading, &key[1..], value);
        }
        if key.len() > 2 && key.ends_with(b".*") {
            return add(&mut self.trailing, &key[..key.len() - 1], value);
        }
        match stars {
            0 => add(&mut self.exact, key, value),
            _ => Err(Refused::Invalid),
        }
    }

    /// The value for a host.
    pub fn find(&self, host: &[u8]) -> Option<&T> {
        if let Some(value) = self.exact.get(host) {
            return Some(value);
        }
        if self.leading.is_empty() && self.trailing.is_empty() {
            return None;
        }
        let ends = host.len().saturating_sub(self.longest)..host.len();
        let begins = 0..host.len().min(self.longest);
        let is_dot = |i: &usize| host[*i] == b'.';
        let leading = ends.filter(is_dot).find_map(|i| self.leading.get(&host[i..]));
        leading.or_else(|| begins.rev().filter(is_dot).find_map(|i| self.trailing.get(&host[..=i])))
    }
}

fn add<T>(table: &mut HashMap<Box<[u8]>, T>, key: &[u8], value: T) -> Result<(), Refused> {
    table.insert(key.into(), value).map_or(Ok(()), |_| Err(Refused::Twice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_by_the_closest_name() {
        let mut table = Hostnames::default();
        for key in ["a.b.c", "*.b.c", "*.x.b.c", ".e.f", "g.h.*", "g.*", "", "."] {
            table.add(key.as_bytes(), key).unwrap();
        }
        for (host, key) in [
            ("a.b.c", Some("a.b.c")),
            ("z.b.c", Some("*.b.c")),
            ("y.x.b.c", Some("*.x.b.c")),
            ("b.c", None),
            ("e.f", Some(".e.f")),
            ("d.e.f", Some(".e.f")),
            ("g.h.i", Some("g.h.*")),
            ("g.i", Some("g.*")),
            ("", Some("")),
            ("a.very.long.name.with.many.dots.x.b.c", Some("*.x.b.c")),
            ("g.h.with.many.dots.behind.it", Some("g.h.*")),
        ] {
            assert_eq!(table.find(host.as_bytes()), key.as_ref(), "{host}");
        }
        for (key, why) in [
            ("a.b.c", Refused::Twice),
            ("e.f", Refused::Twice),
            ("*.b.c", Refused::Twice),
            ("a*b", Refused::Invalid),
            ("*.*", Refused::Invalid),
            ("a..b", Refused::Invalid),
            ("*", Refused::Invalid),
        ] {
            assert_eq!(table.add(key.as_bytes(), ""), Err(why), "{key}");
        }
    }
}
