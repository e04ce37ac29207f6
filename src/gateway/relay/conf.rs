//! The settings that all gateways share, each under its own prefix (`proxy_read_timeout`, `fastcgi_read_timeout`), with their
//! defaults and setters. The rows are made of them in `rows`. Knows no protocol.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::conf::args::{Args, Fault, parse_size};
use crate::conf::value::Text;

/// What may lead a request to the next server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cases(pub u16);

impl Cases {
    /// The connection failed, or broke before the answer's head was there.
    pub const ERROR: Cases = Cases(1);
    /// A time ran out.
    pub const TIMEOUT: Cases = Cases(1 << 1);
    /// The answer's head is none.
    pub const INVALID_HEADER: Cases = Cases(1 << 2);
    /// The request may be sent twice though its method does not promise that.
    pub const NON_IDEMPOTENT: Cases = Cases(1 << 3);

    /// Whether all of the other's cases are among these.
    pub const fn has(self, other: Cases) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets.
    pub const fn or(self, other: Cases) -> Cases {
        Cases(self.0 | other.0)
    }

    /// The case of an answer's status; none for a status that nobody can name.
    pub fn of_status(status: u16) -> Option<Cases> {
        let at = STATUSES.iter().position(|known| *known == status)?;
        Some(Cases(1 << (4 + at)))
    }
}

/// The statuses that may lead on.
const STATUSES: [u16; 7] = [500, 502, 503, 504, 403, 404, 429];

/// Fields of an answer that are not obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ignored(pub u16);

impl Ignored {
    const NAMES: [&'static str; 9] = [
        "X-Accel-Redirect",
        "X-Accel-Expires",
        "X-Accel-Limit-Rate",
        "X-Accel-Buffering",
        "X-Accel-Charset",
        "Expires",
        "Cache-Control",
        "Set-Cookie",
        "Vary",
    ];

    /// Whether the field of this name is ignored.
    pub fn has(self, name: &str) -> bool {
        Self::NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)).is_some_and(|at| self.0 & (1 << at) != 0)
    }
}

/// The address that connections come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// Always this one.
    Fixed(SocketAddr),
    /// What the text says when the request comes; an empty one leaves it to the system.
    Text(Text),
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// How long a connection may take to stand, its handshake of TLS included.
    pub connect_timeout: Duration,
    /// How long the server may take none of the request.
    pub send_timeout: Duration,
    /// How long the server may be silent.
    pub read_timeout: Duration,
    /// Whether an answer is taken off the server as fast as it comes, however slow the client is.
    pub buffering: bool,
    /// Whether the request's body is read before the server hears of the request.
    pub request_buffering: bool,
    /// The most bytes of an answer's head.
    pub buffer_size: usize,
    /// Bytes of an answer kept in memory beside those.
    pub buffers: usize,
    /// Bytes of an answer kept in a temporary file; 0 for none.
    pub max_temp_file: u64,
    /// The folder for it.
    pub temp_path: PathBuf,
    /// When the next server is asked.
    pub next: Cases,
    /// How many servers are asked at most; 0 for all.
    pub next_tries: u32,
    /// How long after the beginning another is asked; zero for ever.
    pub next_timeout: Duration,
    /// Whether answers of 300 and above go through `error_page`.
    pub intercept_errors: bool,
    /// Whether the request goes on when its client has left.
    pub ignore_client_abort: bool,
    /// Fields of answers that are not passed on, beside the usual ones.
    pub hide: Vec<Bytes>,
    /// Usually hidden fields that are.
    pub pass: Vec<Bytes>,
    /// Fields that are not obeyed.
    pub ignored: Ignored,
    /// Where connections come from.
    pub bind: Option<Bind>,
    /// Bytes a second that are read of an answer; 0 or empty for no limit.
    pub limit_rate: Text,
    /// Whether the system looks after silent connections.
    pub socket_keepalive: bool,
    /// Whether the client's body is passed on.
    pub pass_request_body: bool,
    /// Whether the client's fields are passed on.
    pub pass_request_headers: bool,
    /// Whether ranges are answered here, whatever the server says of them.
    pub force_ranges: bool,
}

impl Conf {
    /// The same for requests of our own whose response is judged as it comes: nothing in it is obeyed, and no other server is asked.
    pub fn take_as_it_is(&mut self) {
        (self.next, self.ignored) = (Cases::default(), Ignored(u16::MAX));
        (self.buffering, self.intercept_errors, self.force_ranges) = (false, false, false);
        self.limit_rate = Text::default();
        self.ignore_client_abort = true;
    }
}

impl Default for Conf {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Conf {
            connect_timeout: minute,
            send_timeout: minute,
            read_timeout: minute,
            buffering: true,
            request_buffering: true,
            buffer_size: 4 << 10,
            buffers: 8 * (4 << 10),
            max_temp_file: 1 << 30,
            temp_path: PathBuf::new(),
            next: Cases::ERROR.or(Cases::TIMEOUT),
            next_tries: 0,
            next_timeout: Duration::ZERO,
            intercept_errors: false,
            ignore_client_abort: false,
            hide: Vec::new(),
            pass: Vec::new(),
            ignored: Ignored::default(),
            bind: None,
            limit_rate: Text::default(),
            socket_keepalive: false,
            pass_request_body: true,
            pass_request_headers: true,
            force_ranges: false,
        }
    }
}

impl Conf {
    /// Reads a switch.
    pub fn flag(slot: &mut bool, args: &mut Args<'_>) -> Result<(), Fault> {
        *slot = args.flag(0)?;
        Ok(())
    }

    /// Reads a time.
    pub fn time(slot: &mut Duration, args: &mut Args<'_>) -> Result<(), Fault> {
        *slot = args.time(0)?;
        Ok(())
    }

    /// `buffer_size`.
    pub fn set_buffer_size(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.buffer_size = memory(args, 0)?;
        Ok(())
    }

    /// `buffers`: number and size.
    pub fn set_buffers(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        let (number, size) = (args.number(0, 2..=1 << 20)? as usize, memory(args, 1)?);
        self.buffers =
            number.checked_mul(size).ok_or_else(|| Fault::at(args.word(1), "is more than memory can hold"))?;
        Ok(())
    }

    /// `max_temp_file_size`.
    pub fn set_max_temp_file(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.max_temp_file = args.size(0)?;
        Ok(())
    }

    /// `temp_path`: the folder and up to three levels.
    pub fn set_temp_path(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        for i in 1..args.len() {
            args.number(i, 1..=3)?;
        }
        self.temp_path = args.path(0);
        Ok(())
    }

    /// `next_upstream`.
    pub fn set_next(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.next = Cases::default();
        for word in args.words() {
            let case = match word.text.as_slice() {
                b"error" => Some(Cases::ERROR),
                b"timeout" => Some(Cases::TIMEOUT),
                b"invalid_header" => Some(Cases::INVALID_HEADER),
                b"non_idempotent" => Some(Cases::NON_IDEMPOTENT),
                b"off" => {
                    self.next = Cases::default();
                    return Ok(());
                }
                text => text
                    .strip_prefix(b"http_")
                    .and_then(|code| std::str::from_utf8(code).ok()?.parse().ok())
                    .and_then(Cases::of_status),
            };
            let case = case.ok_or_else(|| {
                let text = format!(
                    "takes `error`, `timeout`, `invalid_header`, `non_idempotent`, `http_` with 500, 502, 503, 504, 403, 404 or 429, \
                     or `off`, not `{}`",
                    word.show()
                );
                Fault::at(word, text)
            })?;
            self.next = self.next.or(case);
        }
        Ok(())
    }

    /// `next_upstream_tries`.
    pub fn set_next_tries(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        self.next_tries = args.number(0, 0..=u64::from(u32::MAX))? as u32;
        Ok(())
    }

    /// `ignore_headers`.
    pub fn set_ignored(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        for word in args.words() {
            let known = Ignored::NAMES.iter().position(|name| word.text.eq_ignore_ascii_case(name.as_bytes()));
            let at = known.ok_or_else(|| {
                Fault::at(word, format!("takes {}, not `{}`", Ignored::NAMES.join(", "), word.show()))
            })?;
            self.ignored.0 |= 1 << at;
        }
        Ok(())
    }

    /// `bind`.
    pub fn set_bind(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        if let Some(second) = args.words().get(1) {
            let text = match second.text.as_slice() {
                b"transparent" => "cannot be `transparent`: that needs rights which this server gives up".to_string(),
                _ => format!("takes an address and nothing behind it, not `{}`", second.show()),
            };
            return Err(Fault::at(second, text));
        }
        let word = args.word(0);
        if word.text == b"off" {
            self.bind = None;
            return Ok(());
        }
        let text = args.text(0)?;
        self.bind = Some(match text.constant() {
            None => Bind::Text(text),
            Some(fixed) => Bind::Fixed(address(fixed).ok_or_else(|| {
                Fault::at(word, format!("takes an IP address, with a port or without, not `{}`", word.show()))
            })?),
        });
        Ok(())
    }

    /// `limit_rate`.
    pub fn set_limit_rate(&mut self, args: &mut Args<'_>) -> Result<(), Fault> {
        let text = args.text(0)?;
        if text.constant().is_some() {
            args.size(0)?;
        }
        self.limit_rate = text;
        Ok(())
    }

    /// Whether there is a `limit_rate`, or may be.
    pub fn is_paced(&self) -> bool {
        self.limit_rate.constant().is_none_or(|rate| parse_size(rate).is_some_and(|rate| rate > 0))
    }

    /// `store`: `off` asks for what is so anyway.
    pub fn read_store(args: &mut Args<'_>) -> Result<(), Fault> {
        let word = args.word(0);
        match word.text.as_slice() {
            b"off" => Ok(()),
            _ => Err(Fault::at(word, "stores answers in files, which is not built yet")
                .help("write `off`, or remove the line")),
        }
    }

    /// `hide_header` and `pass_header`.
    pub fn add_name(list: &mut Vec<Bytes>, args: &mut Args<'_>) -> Result<(), Fault> {
        list.push(Bytes::copy_from_slice(&args.word(0).text));
        Ok(())
    }
}

/// An address to bind to; without a port the system chooses one.
pub fn address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    text.parse().ok().or_else(|| Some(SocketAddr::new(bare.parse().ok()?, 0)))
}

fn memory(args: &Args<'_>, i: usize) -> Result<usize, Fault> {
    let size = args.size(i)?;
    match usize::try_from(size) {
        Ok(0) => Err(Fault::at(args.word(i), "takes a size of at least one byte")),
        Ok(size) => Ok(size),
        Err(_) => Err(Fault::at(args.word(i), "is more than memory can hold")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_bind_to() {
        for (text, want) in [
            ("127.0.0.1", Some("127.0.0.1:0")),
            ("127.0.0.1:81", Some("127.0.0.1:81")),
            ("::1", Some("[::1]:0")),
            ("[::1]", Some("[::1]:0")),
            ("[::1]:81", Some("[::1]:81")),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(address(text.as_bytes()), want.map(|want| want.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn cases_are_sets() {
        let some = Cases::ERROR.or(Cases::of_status(503).unwrap());
        assert!(some.has(Cases::ERROR) && !some.has(Cases::TIMEOUT) && !some.has(Cases::ERROR.or(Cases::TIMEOUT)));
        assert!(some.has(Cases::of_status(503).unwrap()) && Cases::of_status(501).is_none());
    }
}
