//! The arguments of one directive and the typed readers for them. Each reader answers with the
//! value or with a [`Fault`] that points at the wrong word and says what belongs there.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::ast::{Node, Word};
use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::outside::Outside;
use super::pattern::Limit;
use super::source::Span;
use super::value::{Names, Piece, Text, compile, on_one_line};
use super::zone::Zones;
use crate::http::media::MediaTypes;

/// Why a setter refused: a phrase that follows the directive's name, and the word it is about.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The word; none for the directive as a whole.
    pub span: Option<Span>,
    /// A phrase without the directive's name: "takes `on` or `off`, not `yes`".
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// A second place with a word on it.
    pub also: Option<(Span, String)>,
    /// What kind of fault it is; a value that is not taken unless another is given.
    pub code: Code,
}

impl Fault {
    /// A fault of the directive as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Fault { span: None, message: message.into(), help: None, also: None, code: Code::WrongValue }
    }

    /// A fault of one word.
    pub fn at(word: &Word, message: impl Into<String>) -> Self {
        Fault { span: Some(word.span), ..Fault::new(message) }
    }

    /// The same with a remedy.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same of another kind.
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }
}

/// What setters may know of the load they are part of.
pub struct Load {
    /// The folder that relative paths start from (`-p`).
    pub prefix: PathBuf,
    /// The folder of the main conf file.
    pub conf_dir: PathBuf,
    /// Files, folders and hosts: whoever reads one while a conf is loaded reads it here.
    pub outside: Arc<Outside>,
    /// This machine's name, for `$hostname`.
    pub hostname: String,
    /// Variable names and their indices.
    pub names: Box<dyn Names>,
    /// Zones, by name.
    pub zones: Zones,
    /// Warnings that setters raise.
    pub warnings: Vec<Diagnostic>,
    /// Log files named so far; a setter keeps the index.
    pub logs: Vec<PathBuf>,
    /// The error log that holds until the conf names one (`-e`).
    pub error_log: Option<PathBuf>,
    /// Whether what needs root is moved out of the way: low ports go up, logs go to standard error.
    pub rootless: bool,
    /// Whether what is known but not built yet is left out with a note.
    pub partial: bool,
    /// What one match of a regex may cost.
    pub regex_limit: Limit,
    /// The location whose block is being read; none outside.
    pub location: Option<Enclosing>,
    /// The blocks around what is being read, outermost first, each by what names it: a server by its addresses and host names,
    /// others by their words.
    pub around: Vec<String>,
    /// Servers that requests are passed to, as directives name them; a setter keeps the index.
    pub destinations: Vec<Destination>,
}

/// A server, or a name of several, that a directive passes requests to. What it means is found once all of the conf was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The directive, for messages.
    pub directive: String,
    /// `name`, `host:port`, `[v6]:port` or `unix:/path`.
    pub text: Vec<u8>,
    /// The port unless the text names one.
    pub default_port: u16,
    /// Where it stands.
    pub span: Span,
}

/// What a setter may know of the location around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enclosing {
    /// Its name: the prefix, the pattern, `@name`.
    pub name: Vec<u8>,
    /// Whether it is for this path alone.
    pub exact: bool,
    /// Whether it is a regex location.
    pub regex: bool,
    /// Whether it is a named one.
    pub named: bool,
}

impl Load {
    /// A name for this place of this conf that is the same after a reload, unless a block around it was given another name.
    pub fn key(&self) -> String {
        let paths = format!("{}\0{}", self.prefix.display(), self.conf_dir.display());
        std::iter::once(paths.as_str()).chain(self.around.iter().map(String::as_str)).collect::<Vec<_>>().join("\0")
    }

    /// The index of a log file, the same for the same path.
    pub fn log(&mut self, path: PathBuf) -> usize {
        let path = if self.rootless { PathBuf::from("/dev/stderr") } else { path };
        self.logs.iter().position(|p| *p == path).unwrap_or_else(|| {
            self.logs.push(path);
            self.logs.len() - 1
        })
    }
}

/// The arguments of one directive in front of its setter.
pub struct Args<'a> {
    /// The directive.
    pub node: &'a Node,
    /// The load around it.
    pub load: &'a mut Load,
    /// The set of contexts (one bit) that the directive stands in.
    pub context: super::directive::Contexts,
}

impl<'a> Args<'a> {
    /// How many words stand after the name.
    pub fn len(&self) -> usize {
        self.node.args.len()
    }

    /// Whether no word stands after the name.
    pub fn is_empty(&self) -> bool {
        self.node.args.is_empty()
    }

    /// Word `i`, counted from 0. The row's arity vouches that it is there.
    pub fn word(&self, i: usize) -> &'a Word {
        &self.node.args[i]
    }

    /// All words after the name.
    pub fn words(&self) -> &'a [Word] {
        &self.node.args
    }

    /// `on` or `off`, in any case, as nginx.
    pub fn flag(&self, i: usize) -> Result<bool, Fault> {
        match self.word(i).text.to_ascii_lowercase().as_slice() {
            b"on" => Ok(true),
            b"off" => Ok(false),
            _ => Err(Fault::at(self.word(i), format!("takes `on` or `off`, not `{}`", self.word(i).show()))),
        }
    }

    /// A size in bytes: `512`, `8k`, `1m`, `2g`.
    pub fn size(&self, i: usize) -> Result<u64, Fault> {
        let word = self.word(i);
        parse_size(&word.text).ok_or_else(|| {
            Fault::at(word, format!("takes a size such as `512`, `8k`, `1m` or `2g`, not `{}`", word.show()))
        })
    }

    /// A time to the millisecond: `30`, `30s`, `5m`, `1h30m`, `500ms`.
    pub fn time(&self, i: usize) -> Result<Duration, Fault> {
        let word = self.word(i);
        parse_time(&word.text).ok_or_else(|| {
            Fault::at(word, format!("takes a time such as `30s`, `5m`, `1h30m` or `500ms`, not `{}`", word.show()))
        })
    }

    /// A time to the second: `30`, `30s`, `1h30m`, `1y`.
    pub fn seconds(&self, i: usize) -> Result<Duration, Fault> {
        let word = self.word(i);
        parse_seconds(&word.text).ok_or_else(|| {
            Fault::at(word, format!("takes a time such as `30s`, `5m`, `1h30m` or `2d`, not `{}`", word.show()))
        })
    }

    /// A whole number within a range.
    pub fn number(&self, i: usize, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        let word = self.word(i);
        std::str::from_utf8(&word.text)
            .ok()
            .filter(|s| s.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|s| s.parse().ok())
            .filter(|n| range.contains(n) && *n <= i64::MAX as u64)
            .ok_or_else(|| {
                let bounds = match *range.end() {
                    u64::MAX => format!("of at least {}", range.start()),
                    end => format!("from {} to {end}", range.start()),
                };
                Fault::at(word, format!("takes a whole number {bounds}, not `{}`", word.show()))
            })
    }

    /// One of a few words, in any case, as nginx.
    pub fn one_of<T: Copy>(&self, i: usize, choices: &[(&str, T)]) -> Result<T, Fault> {
        let word = self.word(i);
        choices
            .iter()
            .find(|(name, _)| word.text.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
                Fault::at(word, format!("takes {}, not `{}`", names.join(", "), word.show()))
            })
    }

    /// A path made absolute from the prefix.
    pub fn path(&self, i: usize) -> PathBuf {
        self.load.prefix.join(bytes_to_path(&self.word(i).text))
    }

    /// A path made absolute from the main conf's folder.
    pub fn conf_path(&self, i: usize) -> PathBuf {
        self.load.conf_dir.join(bytes_to_path(&self.word(i).text))
    }

    /// Text with variables.
    pub fn text(&mut self, i: usize) -> Result<Text, Fault> {
        let word = self.word(i);
        compile(&word.text, word.span, self.load.names.as_mut()).map_err(|message| Fault::at(word, message))
    }

    /// Text with variables for the value of a field: a word of the conf may stand on several lines, a field does not, so that each
    /// line break is a space.
    pub fn field_text(&mut self, i: usize) -> Result<Text, Fault> {
        let mut text = self.text(i)?;
        text.is_field = true;
        for piece in &mut text.pieces {
            if let Piece::Literal(literal) = piece
                && let Cow::Owned(line) = on_one_line(literal)
            {
                *literal = line.into();
            }
        }
        Ok(text)
    }

    /// A word without variables for the value of a field.
    pub fn field_word(word: &Word) -> Bytes {
        Bytes::copy_from_slice(&on_one_line(&word.text))
    }

    /// Text with variables from part of a word, such as what follows `if=`.
    pub fn text_of(&mut self, i: usize, part: &[u8]) -> Result<Text, Fault> {
        let word = self.word(i);
        compile(part, word.span, self.load.names.as_mut()).map_err(|message| Fault::at(word, message))
    }

    /// Adds media types to a set; one that is there already is worth a warning.
    pub fn media_types(&mut self, set: &mut MediaTypes) {
        for i in 0..self.len() {
            if !set.add(&self.word(i).text) {
                self.warn(Some(i), format!("duplicate MIME type \"{}\"", self.word(i).show()));
            }
        }
    }

    /// A variable that word `i` refers to without writing it as text: the file it names does.
    pub fn refer(&mut self, i: usize, name: &str) -> Piece {
        Piece::Variable(self.load.names.refer(name, self.word(i).span))
    }

    /// The index of a server that this directive passes requests to; `text` is the part of word `i` that names it.
    pub fn destination(&mut self, i: usize, text: &[u8], default_port: u16) -> usize {
        let (directive, span) = (self.node.name.show(), self.word(i).span);
        self.load.destinations.push(Destination { directive, text: text.to_vec(), default_port, span });
        self.load.destinations.len() - 1
    }

    /// Says that word `i` is left out.
    pub fn note(&mut self, i: usize, message: impl Into<String>) {
        self.load.warnings.push(Diagnostic::note(self.word(i).span, message));
    }

    /// Raises a warning at a word inside the directive's block.
    pub fn warn_at(&mut self, word: &Word, message: impl Into<String>) {
        self.load.warnings.push(Diagnostic::warning(word.span, message));
    }

    /// Raises a warning: what a word asks for is not done, and the rest of the line is.
    pub fn warn_left_out(&mut self, word: &Word, message: impl Into<String>) {
        self.load.warnings.push(Diagnostic::warning(word.span, message).code(Code::LeftOut));
    }

    /// Raises a warning if others could change what a word names and the server believes.
    pub fn warn_if_loose(&mut self, word: &Word, path: &Path) {
        if let Some(how) = self.load.outside.loose(path) {
            let message = format!("`{}` names `{}`: {how}", self.node.name.show(), path.display());
            let warning = Diagnostic::warning(word.span, message).code(Code::Loose);
            self.load.warnings.push(warning.help("let the server's user and root alone write there"));
        }
    }

    /// Raises a warning at word `i` (or at the directive as a whole).
    pub fn warn(&mut self, i: Option<usize>, message: impl Into<String>) {
        let span = i.map_or(self.node.name.span, |i| self.word(i).span);
        self.load.warnings.push(Diagnostic::warning(span, message));
    }
}

/// The bytes of a conf word as a path.
pub fn bytes_to_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// A size in bytes with nginx's units (k, m, g, either case).
pub fn parse_size(text: &[u8]) -> Option<u64> {
    let (digits, unit) = match text.split_last()? {
        (b'k' | b'K', head) => (head, 1 << 10),
        (b'm' | b'M', head) => (head, 1 << 20),
        (b'g' | b'G', head) => (head, 1 << 30),
        _ => (text, 1),
    };
    decimal(digits)?.checked_mul(unit).filter(|n| *n <= i64::MAX as u64)
}

/// The units of times, largest first.
const UNITS: [(&[u8], u64); 8] = [
    (b"y", 365 * 86_400_000),
    (b"M", 30 * 86_400_000),
    (b"w", 7 * 86_400_000),
    (b"d", 86_400_000),
    (b"h", 3_600_000),
    (b"m", 60_000),
    (b"s", 1000),
    (b"ms", 1),
];

/// A time with nginx's units from weeks to milliseconds: `1d 2h`, `1h30m`, `90`, `500ms`. Months are none of them, or
/// `1M` for a minute would go unseen.
pub fn parse_time(text: &[u8]) -> Option<Duration> {
    time_in(&UNITS[2..], text)
}

/// A time with nginx's units from years to seconds: `1y`, `30d`, `90`.
pub fn parse_seconds(text: &[u8]) -> Option<Duration> {
    time_in(&UNITS[..7], text)
}

/// A time with these units, largest first, each at most once.
fn time_in(units: &[(&[u8], u64)], text: &[u8]) -> Option<Duration> {
    let (mut rest, mut next, mut total) = (text, 0, 0u64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let value = decimal(&rest[..digits])?;
        rest = &rest[digits..];
        let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let unit = if letters == 0 { b"s".as_slice() } else { &rest[..letters] };
        let at = units.iter().position(|(name, _)| *name == unit).filter(|at| *at >= next)?;
        total = total.checked_add(value.checked_mul(units[at].1)?)?;
        next = at + 1;
        rest = &rest[letters..];
        rest = &rest[rest.iter().take_while(|b| **b == b' ').count()..];
    }
    (total <= i64::MAX as u64).then(|| Duration::from_millis(total))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, want) in [
            ("0", Some(0)),
            ("1k", Some(1024)),
            ("2M", Some(2 << 20)),
            ("1g", Some(1 << 30)),
            ("", None),
            ("k", None),
            ("1kb", None),
            ("-1", None),
            ("99999999999g", None),
        ] {
            assert_eq!(parse_size(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, want) in [
            ("60", Some(60_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1d 2h", Some(93_600_000)),
            ("1m1h", None),
            ("1x", None),
            ("", None),
            ("s", None),
            ("1m1m", None),
            ("1M", None),
            ("1y", None),
        ] {
            assert_eq!(parse_time(text.as_bytes()), want.map(Duration::from_millis), "{text}");
        }
        for (text, want) in [("60", Some(60)), ("1y1M", Some(395 * 86_400)), ("1h30m", Some(5400)), ("5ms", None)] {
            assert_eq!(parse_seconds(text.as_bytes()), want.map(Duration::from_secs), "{text}");
        }
    }
}
