//! `limit_conn`: how many requests of one key may be under way at once. A place is taken before the request is worked on
//! and given back when its answer is out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::conf::zone::{self, Identity, Zone};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::keys;
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
use crate::exchange::{Decided, Exchange};
use crate::http::escape;

/// A zone as its line declares it.
#[derive(Debug)]
pub struct Declared {
    name: String,
    key: Text,
    table: Arc<Table>,
}

/// How many are under way, by key.
#[derive(Debug)]
struct Table {
    counts: Mutex<Counts>,
    room: u64,
}

#[derive(Debug, Default)]
struct Counts {
    by_key: HashMap<Box<[u8]>, u32>,
    /// Bytes.
    used: u64,
}

/// One that is under way; the place is free again when it is dropped.
pub struct Place {
    table: Arc<Table>,
    key: Vec<u8>,
}

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    rules: Vec<(Zone<Declared>, u32)>,
    dry_run: bool,
    status: u16,
    level: Level,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { rules: Vec::new(), dry_run: false, status: 503, level: Level::Error }
    }
}

impl Conf {
    /// Whether anything is limited.
    pub fn is_used(&self) -> bool {
        !self.rules.is_empty()
    }
}

const ZONE: &str = "limit_conn_zone";

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: ZONE,
            syntax: &["key zone=name:size"],
            default: None,
            contexts: Contexts::HTTP,
            arity: Arity::Words(2, 2),
            block: false,
            doc: "Declares a zone for `limit_conn`: what requests are counted by (`$binary_remote_addr`, `$server_name`), and the table's name \
                  and size. A megabyte holds about 16,000 addresses that have a request under way; when it is full, further keys are \
                  refused. A request whose key is empty is not counted; one longer than 255 bytes is counted by its hash. The table outlives a reload that changes neither name, key nor size.",
        },
        repeat: Repeat::Allowed,
        inherit: Inherit::Yes,
        set: declare,
    },
    Directive {
        manual: Manual {
            name: "limit_conn",
            syntax: &["zone number"],
            default: None,
            contexts: Contexts::SCOPES,
            arity: Arity::Words(2, 2),
            block: false,
            doc: "How many requests of one key of the zone may be under way at once, from the end of their heads to the last byte of their \
                  answers; an idle connection does not count. One more is refused with `limit_conn_status`. Several lines hold \
                  together. A block with a line of its own gets none of those further out.",
        },
        repeat: Repeat::List { key: "rules", clear: |conf| conf.rules.clear() },
        inherit: Inherit::Yes,
        set: add,
    },
    Directive {
        manual: Manual {
            name: "limit_conn_dry_run",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether `limit_conn` only counts and logs what it would refuse.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.dry_run = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "limit_conn_status",
            syntax: &["code"],
            default: Some("503"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The status of requests that `limit_conn` refuses, from 400 to 599.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.status = args.number(0, 400..=599)? as u16;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "limit_conn_log_level",
            syntax: &["info | notice | warn | error"],
            default: Some("error"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The level at which refused requests are logged.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.level = args.one_of(
                0,
                &[("info", Level::Info), ("notice", Level::Notice), ("warn", Level::Warn), ("error", Level::Error)],
            )?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[Variable {
    name: "limit_conn_status",
    family: false,
    doc: "What `limit_conn` did: `PASSED`, `REJECTED` or `REJECTED_DRY_RUN`; nothing if it was not asked.",
    get: |x, _, _| x.limits.connections.map(|decided| decided.name().as_bytes().into()),
}];

fn declare(_: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let key = args.text(0)?;
    let word = args.word(1);
    let Some(text) = word.text.strip_prefix(b"zone=") else {
        return Err(
            Fault::at(word, format!("has an invalid parameter `{}`", word.show())).help("write `zone=NAME:10m`")
        );
    };
    let (name, size) = zone::name_and_size(word, text)?;
    let identity = Identity { kind: ZONE, name: name.clone(), key: args.word(0).text.clone(), size };
    args.load.zones.note(identity.clone(), word);
    let table = zone::contents(identity, || Table::new(size));
    args.load.zones.declare(ZONE, &name.clone(), word, Declared { name, key, table })
}

fn add(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let most = args.number(1, 1..=65535)? as u32;
    let zone = args.load.zones.refer(ZONE, &word.show(), word)?;
    if conf.rules.iter().any(|(other, _)| other.is(&zone)) {
        return Err(Fault::at(word, "is duplicate: another line of this block has the same zone"));
    }
    conf.rules.push((zone, most));
    Ok(())
}

/// Takes the request's places, or refuses it. It is asked once for each request; they are given back when what it has
/// `taken` is dropped.
pub fn step(x: &mut Exchange, conf: &Conf, taken: &mut Vec<Place>) -> Result<Step, HttpError> {
    if conf.rules.is_empty() || x.limits.connections.is_some() {
        return Ok(Step::Next);
    }
    let mut places: Vec<Place> = Vec::new();
    let mut asked = false;
    for (zone, most) in &conf.rules {
        let Some(zone) = zone.get() else { continue };
        let value = x.eval(&zone.key);
        if value.is_empty() {
            continue;
        }
        asked = true;
        if !x.may_act() {
            x.tell("limit_conn", None, || {
                let (name, key) = (&zone.name, escape::error_log(&value));
                format!("would take one of {most} places in the zone `{name}` under `{key}`")
            });
            continue;
        }
        let Some(place) = Table::enter(&zone.table, keys::of(value), *most) else {
            let dry = if conf.dry_run { ", dry run," } else { "" };
            let line = format!("limiting connections{dry} by zone \"{}\"", zone.name);
            if conf.dry_run {
                x.report(conf.level, line);
                x.limits.connections = Some(Decided::RejectedDryRun);
                return Ok(Step::Next);
            }
            x.limits.connections = Some(Decided::Rejected);
            return Err(HttpError::new(conf.status, "limit-conn").log(conf.level, line));
        };
        places.push(place);
    }
    if asked {
        x.limits.connections = Some(Decided::Passed);
        taken.append(&mut places);
    }
    Ok(Step::Next)
}

impl Table {
    fn new(size: u64) -> Self {
        /// What of a zone's size is not for entries.
        const OVERHEAD: u64 = 2 * 4096;
        Table { counts: Mutex::default(), room: size.saturating_sub(OVERHEAD) }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing that can panic runs under this lock.
        self.counts.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A place among `most` of this key; none if they are taken, or if the table has no room for the key.
    fn enter(table: &Arc<Table>, key: Vec<u8>, most: u32) -> Option<Place> {
        let mut guard = table.counts();
        let counts = &mut *guard;
        match counts.by_key.get_mut(key.as_slice()) {
            Some(count) if *count >= most => return None,
            Some(count) => *count += 1,
            None if counts.used + weight(&key) > table.room => return None,
            None => {
                counts.used += weight(&key);
                counts.by_key.insert(key.as_slice().into(), 1);
            }
        }
        drop(guard);
        Some(Place { table: table.clone(), key })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.table.counts();
        let Some(count) = counts.by_key.get_mut(self.key.as_slice()) else { return };
        *count -= 1;
        if *count == 0 {
            counts.by_key.remove(self.key.as_slice());
            counts.used -= weight(&self.key);
        }
    }
}

/// What an entry takes of a zone: as in nginx the next power of two, so that a conf's sizes mean the same.
fn weight(key: &[u8]) -> u64 {
    (36 + key.len() as u64).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_key() {
        let table = Arc::new(Table::new(1 << 20));
        let enter = |key: &str| Table::enter(&table, key.into(), 2);
        let (first, second) = (enter("a"), enter("a"));
        assert!(first.is_some() && second.is_some() && enter("a").is_none() && enter("b").is_some());
        drop(first);
        assert!(enter("a").is_some(), "a place came free");
        drop(second);
        assert!(table.counts().by_key.is_empty() && table.counts().used == 0);
    }

    #[test]
    fn a_full_table_takes_no_further_key() {
        let table = Arc::new(Table::new(32 << 10));
        let enter = |n: u32| Table::enter(&table, n.to_be_bytes().to_vec(), 2);
        let places: Vec<_> = (0..1000).map_while(enter).collect();
        assert_eq!(places.len(), (24 << 10) / 64);
        assert!(enter(0).is_some() && enter(1000).is_none());
        drop(places);
        assert!(enter(1000).is_some());
    }

    #[test]
    fn a_crowd_gets_in_by_the_number() {
        let table = Arc::new(Table::new(1 << 20));
        let most = std::sync::Mutex::new((0, 0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Some(place) = Table::enter(&table, b"k".to_vec(), 3) else { continue };
                        {
                            let mut inside = most.lock().unwrap();
                            inside.0 += 1;
                            inside.1 = inside.1.max(inside.0);
                        }
                        std::thread::yield_now();
                        most.lock().unwrap().0 -= 1;
                        drop(place);
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner().unwrap().1));
        assert_eq!(table.counts().used, 0);
    }
}
