//! What nginx's documentation knows and we may not honour: names, modules, contexts, and whether
//! leaving a directive out would change what is served or who may see it. Data only, read once;
//! must not know which directives are honoured.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::ast::Word;
use super::directive::Contexts;

const DIRECTIVES: &str = include_str!("data/nginx-directives.tsv");
const VARIABLES: &str = include_str!("data/nginx-variables.tsv");

/// Whether a directive that is left out would be missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes neither what is served nor who may see it. Settings of TLS are among these, since the port that
    /// would need them is refused at its `listen`; who is let in by a certificate is not.
    None,
    /// It does, unless it has this value, by which it is off.
    Unless(&'static str),
    /// It does.
    Matters,
}

impl Effect {
    /// What a row says.
    fn parse(text: &'static str) -> Effect {
        match (text, text.strip_prefix("unless ")) {
            ("none", _) => Effect::None,
            (_, Some("\"\"")) => Effect::Unless(""),
            (_, Some(value)) => Effect::Unless(value),
            _ => Effect::Matters,
        }
    }

    /// Whether a directive with these words may be left out.
    pub fn is_none(self, words: &[Word]) -> bool {
        match self {
            Effect::None => true,
            Effect::Unless(value) => matches!(words, [word] if word.text == value.as_bytes()),
            Effect::Matters => false,
        }
    }

    /// That of a name which two modules have.
    fn or(self, other: Effect) -> Effect {
        match (self, other) {
            (Effect::None, other) | (other, Effect::None) => other,
            (Effect::Unless(one), Effect::Unless(other)) if one == other => self,
            _ => Effect::Matters,
        }
    }
}

/// A directive that nginx's documentation lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The first module that has it, those of http before those of stream and mail.
    pub module: &'static str,
    /// Where http, events and main may hold it; empty for a name of stream or mail alone.
    pub contexts: Contexts,
    /// Whether it may be left out.
    pub effect: Effect,
    /// Whether it takes a block.
    pub block: bool,
}

/// A directive of nginx's documentation.
pub fn lookup(name: &str) -> Option<Known> {
    static TABLE: OnceLock<HashMap<&'static str, Known>> = OnceLock::new();
    TABLE.get_or_init(directives).get(name).copied()
}

/// The module of a variable of nginx's documentation; `name` without its `$`.
pub fn variable(name: &str) -> Option<&'static str> {
    rows(VARIABLES).find_map(|[known, module, prefix, ..]| {
        let hit = if prefix.is_empty() { name == known } else { name.len() > known.len() && name.starts_with(known) };
        hit.then_some(module)
    })
}

/// All directives that nginx's documentation lists, in the order of their names.
pub fn names() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    rows(DIRECTIVES).map(|[name, ..]| name).filter(move |name| std::mem::replace(&mut last, name) != *name)
}

/// The first five columns of a table.
fn rows(table: &'static str) -> impl Iterator<Item = [&'static str; 5]> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        std::array::from_fn(|_| columns.next().unwrap_or(""))
    })
}

fn directives() -> HashMap<&'static str, Known> {
    let mut table: HashMap<&str, Known> = HashMap::new();
    let foreign = |module: &str, places: &str| is_foreign(module) || contexts(places) == Contexts(0);
    let (ours, others): (Vec<_>, Vec<_>) = rows(DIRECTIVES).partition(|[_, module, at, ..]| !foreign(module, at));
    for [name, module, places, block, effect] in ours.into_iter().chain(others) {
        let foreign = foreign(module, places);
        let contexts = if foreign { main_only(places) } else { contexts(places) };
        let effect = Effect::parse(effect);
        let row = Known { module, contexts, effect, block: block == "block" };
        table
            .entry(name)
            .and_modify(|known| {
                // A foreign row says nothing about a name that http has as well.
                known.contexts = known.contexts.or(contexts);
                if !foreign {
                    known.block |= row.block;
                    known.effect = known.effect.or(effect);
                }
            })
            .or_insert(row);
    }
    table
}

/// Whether a module's directives stand in blocks that we have no word for.
fn is_foreign(module: &str) -> bool {
    ["ngx_stream_", "ngx_mail_", "ngx_mgmt_"].iter().any(|prefix| module.starts_with(prefix))
}

/// `stream`, `mail` and `mgmt` themselves stand at the top; what is within them does not.
fn main_only(places: &str) -> Contexts {
    if places == "main" { Contexts::MAIN } else { Contexts(0) }
}

fn contexts(places: &str) -> Contexts {
    let one = |place: &str| match place {
        "main" => Contexts::MAIN,
        "events" => Contexts::EVENTS,
        "http" => Contexts::HTTP,
        "server" => Contexts::SERVER,
        "location" => Contexts::LOCATION,
        "if in location" => Contexts::IF_LOCATION,
        "if" => Contexts::IF_SERVER.or(Contexts::IF_LOCATION),
        "limit_except" => Contexts::LIMIT_EXCEPT,
        "upstream" => Contexts::UPSTREAM,
        "any" => Contexts(u16::MAX),
        _ => Contexts(0),
    };
    places.split('|').map(one).fold(Contexts(0), Contexts::or)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuning_may_be_left_out_and_guards_may_not() {
        for (name, want) in [
            ("tcp_nopush", Some((Contexts::SCOPES, Effect::None, false))),
            ("multi_accept", Some((Contexts::EVENTS, Effect::None, false))),
            ("auth_basic", Some((Contexts::SCOPES.or(Contexts::LIMIT_EXCEPT), Effect::Matters, false))),
            ("deny", Some((Contexts::SCOPES.or(Contexts::LIMIT_EXCEPT), Effect::Matters, false))),
            ("ssl_verify_client", Some((Contexts::HTTP.or(Contexts::SERVER), Effect::Matters, false))),
            ("map", Some((Contexts::HTTP, Effect::Matters, true))),
            ("stream", Some((Contexts::MAIN, Effect::Matters, true))),
            ("preread_timeout", Some((Contexts(0), Effect::Matters, false))),
            ("mirror", Some((Contexts::SCOPES, Effect::Unless("off"), false))),
            ("proxy_cache_path", Some((Contexts::HTTP, Effect::None, false))),
            ("rootfs", None),
        ] {
            assert_eq!(lookup(name).map(|k| (k.contexts, k.effect, k.block)), want, "{name}");
        }
    }

    #[test]
    fn every_row_is_whole() {
        for [name, module, contexts, block, effect] in rows(DIRECTIVES) {
            assert!(!name.is_empty() && module.starts_with("ngx_") && !contexts.is_empty(), "{name}");
            let is_known = matches!(effect, "none" | "matters") || effect.starts_with("unless ");
            assert!(matches!(block, "" | "block") && is_known, "{name}");
        }
        assert!(names().count() > 650 && names().all(|name| lookup(name).is_some()));
    }

    #[test]
    fn variables_by_name_and_by_prefix() {
        for (name, want) in [
            ("request_time", Some("ngx_http_core_module")),
            ("http_x_forwarded_for", Some("ngx_http_core_module")),
            ("http_", None),
            ("nothing_like_it", None),
        ] {
            assert_eq!(variable(name), want, "{name}");
        }
    }
}
