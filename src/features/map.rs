//! `map`: a variable whose value depends on that of a text. A map is read into hash tables once; a look-up costs the same
//! whatever its size, but for its regexes, which are asked one after the other.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::ast::Node;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::hostnames::{Hostnames, Refused};
use crate::conf::pattern::Pattern;
use crate::conf::value::{Text, VarId, compile, whole_name};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::variables::{Getter, Given, Value, Variable};

/// The settings: the maps of the conf, each with the variable it makes.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    maps: Vec<(VarId, Arc<Map>)>,
}

/// A regex, the variables its named groups set, and the value.
type Rule = (Pattern, Vec<(VarId, usize)>, Text);

/// One map.
#[derive(Debug, Default)]
struct Map {
    /// The variable's name, for the log.
    name: String,
    source: Text,
    /// Whether keys are host names.
    hostnames: bool,
    /// Whether the value is looked up anew each time it is asked for.
    volatile: bool,
    /// Keys in lower case.
    values: Hostnames<Text>,
    regexes: Vec<Rule>,
    default: Option<Text>,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "map",
        syntax: &["text $variable"],
        default: None,
        contexts: Contexts::HTTP,
        arity: Arity::Words(2, 2),
        block: true,
        doc: "Makes a variable from a text: each line of the block is a value that the text may have, in any case, and what the variable \
              is then; `~` or `~*` begins a regex, which is not asked about an empty text; `default` is for all else. With `hostnames;` before them, values may be `*.x`, `x.*` and \
              `.x`. Results may hold variables and captures. A result is worked out when it is first asked for and kept for the \
              request, unless the block says `volatile;`.",
    },
    repeat: Repeat::Allowed,
    inherit: Inherit::Yes,
    set,
}];

/// The variables: none but the conf's own.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// How many variables may wait for one another; nginx's number.
const DEEPEST: u8 = 100;

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let source = args.text(0)?;
    let (name, id) = variable(args, 1)?;
    let mut map = Map { name, source, ..Map::default() };
    let node = args.node;
    for line in node.block.as_deref().unwrap_or_default() {
        read_line(&mut map, line, args)?;
    }
    conf.maps.push((id, Arc::new(map)));
    Ok(())
}

/// The variable that a word names as the one to make.
fn variable(args: &mut Args<'_>, i: usize) -> Result<(String, VarId), Fault> {
    let word = args.word(i);
    let bad = || {
        Fault::at(word, format!("has an invalid variable name `{}`", word.show()))
            .help("a name is a `$`, then letters, digits and `_`")
    };
    let name = whole_name(&word.text).ok_or_else(bad)?;
    let id = args.load.names.declare(&name, word.span, false);
    Ok((name, id))
}

fn read_line(map: &mut Map, line: &Node, args: &mut Args<'_>) -> Result<(), Fault> {
    let key = &line.name;
    let value = match (line.args.as_slice(), &line.block, key.text.as_slice()) {
        ([], None, b"hostnames") => {
            map.hostnames = true;
            return Ok(());
        }
        ([], None, b"volatile") => {
            map.volatile = true;
            return Ok(());
        }
        ([value], None, _) => value,
        _ => {
            let help = "a line is a value and its result: `/old /new;`";
            return Err(Fault::at(key, format!("has a line that is no pair: `{}`", key.show())).help(help));
        }
    };
    let text = compile(&value.text, value.span, args.load.names.as_mut()).map_err(|what| Fault::at(value, what))?;
    if key.text == b"default" {
        return match map.default.replace(text) {
            None => Ok(()),
            Some(_) => Err(Fault::at(key, "has a duplicate `default`").help("keep one of the two lines")),
        };
    }
    if let Some(pattern) = key.text.strip_prefix(b"~") {
        let (pattern, caseless) = pattern.strip_prefix(b"*").map_or((pattern, false), |rest| (rest, true));
        let (pattern, names) = args.load.capturing(key, pattern, caseless)?;
        map.regexes.push((pattern, names, text));
        return Ok(());
    }
    // A backslash takes a special word or sign for itself.
    let plain = key.text.strip_prefix(b"\\").unwrap_or(&key.text).to_ascii_lowercase();
    let added = match map.hostnames {
        true => map.values.add(&plain, text),
        false => map.values.add_exact(&plain, text),
    };
    added.map_err(|why| match why {
        Refused::Twice => Fault::at(key, format!("has `{}` twice", key.show())).help("keep one of the two lines"),
        Refused::Invalid => Fault::at(key, format!("has an invalid host name or wildcard `{}`", key.show())),
    })
}

/// The getters of the variables that maps make.
pub fn getters(conf: &Conf) -> Vec<(VarId, Getter)> {
    let getter = |(id, map): &(VarId, Arc<Map>)| -> (VarId, Getter) {
        let (id, map) = (*id, map.clone());
        (id, Box::new(move |x| value(x, &map, id)))
    };
    conf.maps.iter().map(getter).collect()
}

fn value<'x>(x: &'x Exchange, map: &Map, id: VarId) -> Value<'x> {
    let Some((given, value)) = x.nested(DEEPEST, || {
        let found = x.as_it_is(|| map.find(x, &x.eval(&map.source)));
        let given = found.map_or(Given::default(), |text| x.eval_given(text));
        let value = x.choose(&given);
        (given, value)
    }) else {
        x.report(Level::Error, format!("cycle while evaluating variable \"{}\"", map.name));
        return None;
    };
    if !map.volatile {
        x.assign(id, given);
    }
    Some(Cow::Owned(value.into()))
}

impl Map {
    /// The result for a text. A regex that matches keeps its captures.
    fn find(&self, x: &Exchange, subject: &[u8]) -> Option<&Text> {
        let plain = if self.hostnames { subject.strip_suffix(b".").unwrap_or(subject) } else { subject };
        let folded = match plain.iter().any(u8::is_ascii_uppercase) {
            true => Cow::Owned(plain.to_ascii_lowercase()),
            false => Cow::Borrowed(plain),
        };
        self.values.find(&folded).or_else(|| self.find_regex(x, plain)).or(self.default.as_ref())
    }

    fn find_regex(&self, x: &Exchange, subject: &[u8]) -> Option<&Text> {
        // As in nginx, regexes are not asked about nothing: an empty key says what becomes of it.
        if subject.is_empty() {
            return None;
        }
        self.regexes.iter().find_map(|(pattern, names, text)| match pattern.captures(subject) {
            Ok(found) => {
                x.capture(&Bytes::copy_from_slice(subject), &found?.groups, names);
                Some(text)
            }
            Err(why) => {
                x.spoil(HttpError::regex(why, &format!("a regex of the map of \"{}\"", self.name), "this text"));
                None
            }
        })
    }
}
