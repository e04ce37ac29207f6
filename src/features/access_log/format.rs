//! A `log_format` as a short program. The variables that nearly every format has are written straight from
//! the exchange: a log line is part of the price of every request.

use std::cell::RefCell;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;

use crate::conf::args::Fault;
use crate::conf::ast::Word;
use crate::conf::value::{Names, Piece, VarId, compile};
use crate::exchange::Exchange;
use crate::http::date;
use crate::http::escape::{self, LogEscape};
use crate::http::head::Known;

/// The formats that need no definition: name, text, escape.
pub const BUILT_IN: [(&str, &str, LogEscape); 2] = [
    (
        "combined",
        "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \
         \"$http_user_agent\"",
        LogEscape::Default,
    ),
    (
        "json",
        "{\"time\":\"$time_iso8601\",\"client\":\"$remote_addr\",\"host\":\"$host\",\"method\":\"$request_method\",\
         \"uri\":\"$request_uri\",\"protocol\":\"$server_protocol\",\"status\":$status,\"bytes\":$body_bytes_sent,\
         \"seconds\":$request_time,\"referer\":\"$http_referer\",\"agent\":\"$http_user_agent\",\"id\":\"$request_id\"}",
        LogEscape::Json,
    ),
];

/// How one line is written.
#[derive(Debug, Clone, Default)]
pub struct Format {
    ops: Vec<Op>,
    escape: LogEscape,
}

#[derive(Debug, Clone)]
enum Op {
    Literal(Vec<u8>),
    RemoteAddr,
    RemoteUser(VarId),
    TimeLocal,
    TimeIso,
    Seconds,
    RequestTime,
    Request,
    Status,
    BodyBytes,
    Bytes,
    Field(Known),
    Variable(VarId),
    /// What a regex captured.
    Piece(Piece),
}

impl Format {
    /// Puts the words together and gives each variable its way of being written.
    pub fn compile(words: &[&Word], escape: LogEscape, names: &mut dyn Names) -> Result<Format, Fault> {
        let mut ops: Vec<Op> = Vec::new();
        for word in words {
            let mut seen = Seen { names, last: String::new() };
            // Each piece is compiled alone, so that the name of its variable is known.
            for part in parts(&word.text) {
                let text = compile(part, word.span, &mut seen).map_err(|message| Fault::at(word, message))?;
                ops.extend(text.pieces.into_iter().map(|piece| op(piece, &seen.last)));
            }
        }
        ops.push(Op::Literal(b"\n".to_vec()));
        Ok(Format { ops: joined(ops), escape })
    }

    /// Appends the line of a request, its end included.
    pub fn write(&self, x: &Exchange, line: &mut Vec<u8>) {
        for op in &self.ops {
            self.write_op(op, x, line);
        }
    }

    fn write_op(&self, op: &Op, x: &Exchange, line: &mut Vec<u8>) {
        // Writing to a Vec cannot fail, so the results of `write!` are dropped.
        match op {
            Op::Literal(text) => line.extend_from_slice(text),
            Op::RemoteAddr => match x.client.peer {
                Some(peer) => drop(write!(line, "{}", peer.ip())),
                None => line.extend_from_slice(b"unix:"),
            },
            Op::RemoteUser(_) if x.head.known(Known::Authorization).is_none() => self.value(None, line),
            Op::RemoteUser(id) | Op::Variable(id) => self.value(x.variable(*id).as_deref(), line),
            Op::TimeLocal => with_clock(|clock| line.extend_from_slice(clock.local.as_bytes())),
            Op::TimeIso => with_clock(|clock| line.extend_from_slice(clock.iso.as_bytes())),
            Op::Seconds => seconds(line, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            Op::RequestTime => seconds(line, x.origin.started.elapsed()),
            Op::Request => self.value(Some(x.head.request_line()), line),
            // A number of JSON begins with no zero.
            Op::Status if self.escape == LogEscape::Json => drop(write!(line, "{}", x.sent.status)),
            Op::Status => drop(write!(line, "{:03}", x.sent.status)),
            Op::BodyBytes => decimal(line, x.sent.body_bytes),
            Op::Bytes => decimal(line, x.sent.bytes),
            Op::Field(known) => self.value(x.head.known(*known), line),
            Op::Piece(piece) => self.value(x.piece(piece).as_deref(), line),
        }
    }

    fn value(&self, value: Option<&[u8]>, line: &mut Vec<u8>) {
        match value {
            None if self.escape == LogEscape::Default => line.push(b'-'),
            None => {}
            Some(text) => {
                let plain = |byte: &u8| matches!(byte, 0x20..0x7f) && !matches!(byte, b'"' | b'\\');
                if text.iter().all(plain) {
                    line.extend_from_slice(text);
                } else {
                    escape::log(line, text, self.escape);
                }
            }
        }
    }
}

/// Cuts a text before each `$`, so that every part holds at most one variable.
fn parts(text: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut start = 0;
    for at in (1..text.len()).filter(|at| text[*at] == b'$') {
        parts.push(&text[start..at]);
        start = at;
    }
    parts.push(&text[start..]);
    parts
}

/// Passes names on and remembers the last.
struct Seen<'a> {
    names: &'a mut dyn Names,
    last: String,
}

impl Names for Seen<'_> {
    fn refer(&mut self, name: &str, span: crate::conf::source::Span) -> VarId {
        self.last = name.to_string();
        self.names.refer(name, span)
    }

    fn define(&mut self, name: &str) -> VarId {
        self.names.define(name)
    }

    fn declare(&mut self, name: &str, span: crate::conf::source::Span, warns: bool) -> VarId {
        self.names.declare(name, span, warns)
    }
}

fn op(piece: Piece, name: &str) -> Op {
    let id = match piece {
        Piece::Literal(text) => return Op::Literal(text.to_vec()),
        Piece::Capture(_) => return Op::Piece(piece),
        Piece::Variable(id) => id,
    };
    match name {
        "remote_addr" => Op::RemoteAddr,
        "remote_user" => Op::RemoteUser(id),
        "time_local" => Op::TimeLocal,
        "time_iso8601" => Op::TimeIso,
        "msec" => Op::Seconds,
        "request_time" => Op::RequestTime,
        "request" => Op::Request,
        "status" => Op::Status,
        "body_bytes_sent" => Op::BodyBytes,
        "bytes_sent" => Op::Bytes,
        "http_referer" => Op::Field(Known::Referer),
        "http_user_agent" => Op::Field(Known::UserAgent),
        _ => Op::Variable(id),
    }
}

/// Neighbouring literals as one.
fn joined(ops: Vec<Op>) -> Vec<Op> {
    let mut out: Vec<Op> = Vec::with_capacity(ops.len());
    for op in ops {
        match (out.last_mut(), op) {
            (Some(Op::Literal(before)), Op::Literal(text)) => before.extend_from_slice(&text),
            (_, op) => out.push(op),
        }
    }
    out
}

fn decimal(line: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

fn seconds(line: &mut Vec<u8>, time: Duration) {
    // Writing to a Vec cannot fail.
    let _ = write!(line, "{}.{:03}", time.as_secs(), time.subsec_millis());
}

/// The present second as text, kept for as long as it lasts.
struct Clock {
    second: u64,
    local: String,
    iso: String,
}

fn with_clock(use_it: impl FnOnce(&Clock)) {
    thread_local! {
        static CLOCK: RefCell<Clock> = const { RefCell::new(Clock { second: u64::MAX, local: String::new(), iso: String::new() }) };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    CLOCK.with_borrow_mut(|clock| {
        if clock.second != now {
            let zone = TimeZone::system();
            *clock = Clock { second: now, local: date::common_log(now, &zone), iso: date::iso8601(now, &zone) };
        }
        use_it(clock);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct List(Vec<String>);

    impl Names for List {
        fn refer(&mut self, name: &str, _: crate::conf::source::Span) -> VarId {
            self.0.push(name.to_string());
            VarId(self.0.len() as u32 - 1)
        }

        fn define(&mut self, name: &str) -> VarId {
            self.refer(name, Default::default())
        }

        fn declare(&mut self, name: &str, span: crate::conf::source::Span, _: bool) -> VarId {
            self.refer(name, span)
        }
    }

    fn shape(text: &str) -> Result<String, String> {
        let word = Word { text: text.into(), span: Default::default(), quoted: true };
        let format =
            Format::compile(&[&word], LogEscape::Default, &mut List::default()).map_err(|fault| fault.message)?;
        let shape = |op: &Op| match op {
            Op::Literal(text) => String::from_utf8_lossy(text).into_owned(),
            op => format!("<{op:?}>"),
        };
        Ok(format.ops.iter().map(shape).collect())
    }

    #[test]
    fn programs() {
        for (text, want) in [
            ("", Ok("\n")),
            ("plain", Ok("plain\n")),
            ("$status", Ok("<Status>\n")),
            ("a $remote_addr${request}b", Ok("a <RemoteAddr><Request>b\n")),
            ("$http_referer $nothing", Ok("<Field(Referer)> <Variable(VarId(1))>\n")),
            ("$1", Ok("<Piece(Capture(1))>\n")),
            ("$", Err("has a `$` that no variable name follows")),
            ("5$ 6", Err("has a `$` that no variable name follows")),
        ] {
            assert_eq!(shape(text).as_deref().map_err(String::as_str), want, "{text}");
        }
    }

    #[test]
    fn numbers() {
        for (number, want) in [(0, "0"), (9, "9"), (10, "10"), (u64::MAX, "18446744073709551615")] {
            let mut line = Vec::new();
            decimal(&mut line, number);
            assert_eq!(line, want.as_bytes());
        }
        for (time, want) in [(0, "0.000"), (1, "0.001"), (61_020, "61.020")] {
            let mut line = Vec::new();
            seconds(&mut line, Duration::from_millis(time));
            assert_eq!(line, want.as_bytes());
        }
    }

    #[test]
    fn values_by_escape() {
        for (escape, value, want) in [
            (LogEscape::Default, None, "-"),
            (LogEscape::Json, None, ""),
            (LogEscape::None, None, ""),
            (LogEscape::Default, Some("a\"b"), "a\\x22b"),
            (LogEscape::Json, Some("a\"b"), "a\\\"b"),
            (LogEscape::None, Some("a\"b"), "a\"b"),
            (LogEscape::Default, Some("plain text"), "plain text"),
        ] {
            let mut line = Vec::new();
            Format { ops: Vec::new(), escape }.value(value.map(str::as_bytes), &mut line);
            assert_eq!(line, want.as_bytes(), "{escape:?} {value:?}");
        }
    }
}
