//! From a host name to a server, from a path to a location, by nginx's rules. Pure look-ups in
//! tables that were built at load.

use std::collections::HashMap;
use std::sync::Arc;

use crate::conf::pattern::{Failure, Groups, Pattern};
use crate::conf::source::Span;
use crate::conf::value::VarId;
use crate::exchange::Exchange;
use crate::features::server_name::Name;
use crate::features::ssl;
use crate::settings::Scope;

/// What is found by its name. The names are the conf's, so nobody else can choose them to collide.
type Table<T> = HashMap<Vec<u8>, Arc<T>, foldhash::fast::RandomState>;

/// One `server` block.
pub struct Server {
    /// Its settings outside any location.
    pub scope: Arc<Scope>,
    /// Its locations.
    pub locations: Locations,
    /// Its named locations, `@` included.
    pub named: HashMap<Vec<u8>, Arc<Location>>,
    /// What its handshakes need; none without a certificate.
    pub tls: Option<Arc<ssl::Context>>,
    /// The first name, for `$server_name`.
    pub name: bytes::Bytes,
    /// Where the block begins.
    pub span: Span,
}

/// The named groups of a regex: the variable each sets, and its number.
pub type NamedGroups = Vec<(VarId, usize)>;

/// How a location is matched.
#[derive(Debug)]
pub enum Matcher {
    /// `= /path`.
    Exact(Vec<u8>),
    /// `/path` or `^~ /path`.
    Prefix {
        /// The prefix.
        path: Vec<u8>,
        /// Whether regex locations are not asked (`^~`).
        final_: bool,
    },
    /// `~` or `~*`.
    Regex {
        /// The regex.
        pattern: Pattern,
        /// Its named groups and the variables they set.
        names: Vec<(VarId, usize)>,
    },
    /// `@name`.
    Named(Vec<u8>),
}

impl Matcher {
    /// Whether two are for the same path or name, so that one of them is too many.
    pub fn is_same(&self, other: &Matcher) -> bool {
        match (self, other) {
            (Matcher::Exact(one), Matcher::Exact(other)) | (Matcher::Named(one), Matcher::Named(other)) => one == other,
            (Matcher::Prefix { path: one, .. }, Matcher::Prefix { path: other, .. }) => one == other,
            _ => false,
        }
    }
}

impl Location {
    /// How it is written in the conf, for texts that tell locations apart.
    pub fn matcher_text(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match &self.matcher {
            Matcher::Exact(path) => format!("= {}", text(path)),
            Matcher::Prefix { path, .. } | Matcher::Named(path) => text(path),
            Matcher::Regex { pattern, .. } => format!("~ {pattern:?}"),
        }
    }
}

/// One `location` block.
pub struct Location {
    /// How it is matched.
    pub matcher: Matcher,
    /// Its settings.
    pub scope: Arc<Scope>,
    /// `limit_except`: the methods it excepts, as bits, and the settings for all others.
    pub limit_except: Option<(u32, Arc<Scope>)>,
    /// The settings of its `if` blocks, in order, each with the directive in it that makes content, if there is one.
    pub ifs: Vec<(Arc<Scope>, Option<&'static str>)>,
    /// Locations inside it.
    pub locations: Locations,
    /// Where the block begins.
    pub span: Span,
}

/// The locations of one block.
#[derive(Default)]
pub struct Locations {
    exact: Table<Location>,
    prefixes: Table<Location>,
    /// The lengths that occur among the prefixes, longest first.
    lengths: Vec<usize>,
    regexes: Vec<Arc<Location>>,
    /// All of them but the named ones, as they stand in the conf.
    all: Vec<Arc<Location>>,
    /// Whether here or further inside a path ends with a slash whose requests are passed on.
    passes_folders: bool,
}

impl Location {
    /// Tells what became of it in a search.
    fn tell(&self, x: &Exchange, verdict: &str) {
        x.tell("location", Some(self.span), || verdict.to_string());
    }

    /// Whether requests for a folder are passed to another server.
    fn passes_folder(&self) -> bool {
        let (Matcher::Prefix { path, .. } | Matcher::Exact(path)) = &self.matcher else { return false };
        let scope = &self.scope;
        let passes = scope.proxy.pass.is_some()
            || scope.fastcgi.pass.is_some()
            || scope.scgi.pass.is_some()
            || scope.uwsgi.pass.is_some();
        path.ends_with(b"/") && passes
    }
}

impl Locations {
    /// Adds a location; false if one with the same name is there (nginx: "duplicate location").
    pub fn add(&mut self, location: Arc<Location>) -> bool {
        self.passes_folders |= location.passes_folder() || location.locations.passes_folders;
        if !matches!(location.matcher, Matcher::Named(_)) {
            self.all.push(location.clone());
        }
        match &location.matcher {
            Matcher::Exact(path) => self.exact.insert(path.clone(), location.clone()).is_none(),
            Matcher::Prefix { path, .. } => {
                if let Err(at) = self.lengths.binary_search_by(|n| path.len().cmp(n)) {
                    self.lengths.insert(at, path.len());
                }
                self.prefixes.insert(path.clone(), location.clone()).is_none()
            }
            Matcher::Regex { .. } => {
                self.regexes.push(location.clone());
                true
            }
            Matcher::Named(_) => true,
        }
    }

    /// The location whose path is this one and a slash, where its requests are passed on and no other location is meant:
    /// the path without a slash is answered with a redirect then.
    pub fn folder(&self, path: &[u8]) -> Option<&Arc<Location>> {
        if !self.passes_folders || self.exact.contains_key(path) {
            return None;
        }
        if !self.prefixes.contains_key(path) {
            let folder = [path, b"/"].concat();
            let (exact, prefix) = (self.exact.get(&folder), self.prefixes.get(&folder));
            if [exact, prefix].iter().flatten().any(|location| location.passes_folder()) {
                return exact.or(prefix);
            }
        }
        let mut fits = self.lengths.iter().filter(|n| **n <= path.len()).filter_map(|n| self.prefixes.get(&path[..*n]));
        fits.next()?.locations.folder(path)
    }

    /// The location for a path: an exact one, else the longest prefix (looked into), else the first
    /// regex, unless the prefix forbids to ask them.
    pub fn find(&self, x: &mut Exchange) -> Result<Option<Arc<Location>>, Failure> {
        if let Some(location) = self.exact.get(x.uri.as_slice()) {
            location.tell(x, "is exactly this path: no other is asked");
            return Ok(Some(location.clone()));
        }
        let prefix = self.longest(&x.uri);
        self.tell_prefixes(x);
        let mut inner = None;
        if let Some(location) = &prefix {
            inner = location.locations.find(x)?;
            if let Some(found) = &inner
                && matches!(found.matcher, Matcher::Exact(_) | Matcher::Regex { .. })
            {
                location.tell(x, "holds the location that was found, so no regex beside it is asked");
                return Ok(inner);
            }
        }
        let refuses = |location: &Arc<Location>| matches!(location.matcher, Matcher::Prefix { final_: true, .. });
        if !prefix.as_ref().is_some_and(refuses)
            && let Some(location) = self.first_regex(x)?
        {
            return Ok(location.locations.find(x)?.or(Some(location)));
        }
        if let Some(location) = &prefix {
            location.tell(x, "stays, as no regex takes the path");
        }
        Ok(inner.or(prefix))
    }

    fn longest(&self, path: &[u8]) -> Option<Arc<Location>> {
        self.fitting(path).next().cloned()
    }

    /// The prefixes of a path, longest first.
    fn fitting<'l>(&'l self, path: &'l [u8]) -> impl Iterator<Item = &'l Arc<Location>> {
        let fits = self.lengths.iter().filter(|n| **n <= path.len());
        fits.filter_map(|n| self.prefixes.get(&path[..*n]))
    }

    fn tell_prefixes(&self, x: &Exchange) {
        if x.may_act() {
            return;
        }
        for (n, location) in self.fitting(&x.uri).enumerate() {
            location.tell(
                x,
                match (n, &location.matcher) {
                    (0, Matcher::Prefix { final_: true, .. }) => {
                        "is the longest prefix that fits, and `^~` keeps regexes from being asked"
                    }
                    (0, _) => "is the longest prefix that fits",
                    _ => "fits too, but a longer prefix does",
                },
            );
        }
    }

    fn first_regex(&self, x: &mut Exchange) -> Result<Option<Arc<Location>>, Failure> {
        for location in &self.regexes {
            let Matcher::Regex { pattern, names } = &location.matcher else { continue };
            if let Some(found) = pattern.captures(&x.uri)? {
                let subject = bytes::Bytes::copy_from_slice(&x.uri);
                x.capture(&subject, &found.groups, names);
                location.tell(x, "is the first regex that matches");
                return Ok(Some(location.clone()));
            }
            location.tell(x, "does not match");
        }
        Ok(None)
    }

    /// All locations directly in this block, for look-throughs, as they stand in the conf.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Location>> {
        self.all.iter()
    }
}

/// The servers of one address, by name.
#[derive(Default)]
pub struct Hosts {
    exact: Table<Server>,
    /// `*.example.com`, keyed by `.example.com`.
    leading: Table<Server>,
    /// `www.example.*`, keyed by `www.example.`.
    trailing: Table<Server>,
    /// The longest key of these two. Longer parts of a host need no look: with thousands of dots they would cost its square.
    longest: usize,
    regexes: Vec<(Pattern, NamedGroups, Arc<Server>)>,
}

impl Hosts {
    /// Adds a server under one of its names; false if the name was taken (it stays as it was).
    pub fn add(&mut self, name: &Name, server: &Arc<Server>) -> bool {
        let (table, key) = match name {
            Name::Exact(key) => (&mut self.exact, key),
            Name::Leading(key) => {
                self.longest = self.longest.max(key.len());
                (&mut self.leading, key)
            }
            Name::Trailing(key) => {
                self.longest = self.longest.max(key.len());
                (&mut self.trailing, key)
            }
            Name::Regex { pattern, names } => {
                self.regexes.push((pattern.clone(), names.clone(), server.clone()));
                return true;
            }
        };
        match table.contains_key(key) {
            true => false,
            false => table.insert(key.clone(), server.clone()).is_none(),
        }
    }

    /// Whether no name is known, so that the default server takes all.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.leading.is_empty() && self.trailing.is_empty() && self.regexes.is_empty()
    }

    /// The server for a host name (lower case, no port): exact, longest `*.x`, longest `x.*`, first
    /// regex; with what the regex captured.
    pub fn find(&self, host: &[u8]) -> Result<Option<Found<'_>>, Failure> {
        let plain = |server: &Arc<Server>| Found { server: server.clone(), regex: None };
        if let Some(server) = self.exact.get(host) {
            return Ok(Some(plain(server)));
        }
        let is_dot = |i: &usize| host[*i] == b'.';
        let ends = host.len().saturating_sub(self.longest)..host.len();
        if let Some(server) = ends.filter(is_dot).find_map(|i| self.leading.get(&host[i..])) {
            return Ok(Some(plain(server)));
        }
        let begins = 0..host.len().min(self.longest);
        if let Some(server) = begins.rev().filter(is_dot).find_map(|i| self.trailing.get(&host[..=i])) {
            return Ok(Some(plain(server)));
        }
        for (pattern, names, server) in &self.regexes {
            if let Some(found) = pattern.captures(host)? {
                return Ok(Some(Found { server: server.clone(), regex: Some((found.groups, names)) }));
            }
        }
        Ok(None)
    }
}

/// A server that was found by name.
pub struct Found<'h> {
    /// The server.
    pub server: Arc<Server>,
    /// What its regex captured, and which variables take the named groups.
    pub regex: Option<(Groups, &'h NamedGroups)>,
}
