//! What the features for FastCGI, SCGI and uwsgi have in common: where their programs listen, the lines that name what a
//! program is told, and the request's body. Knows no protocol.

use std::path::Path;

use bytes::Bytes;

use super::params::{self, Param};
use super::passing::Passing;
use super::relay::{self, Payload, Relay};
use super::resolver::Names;
use super::upstream::Upstreams;
use super::upstream::finding::{self, Finding};
use crate::conf::args::{Args, Fault};
use crate::conf::codes::Code;
use crate::conf::value::Text;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Sink, Spool, Step};
use crate::exchange::trace::{Act, Told};
use crate::exchange::{Exchange, Received};
use crate::http::escape;
use crate::http::head::BodyLength;

/// What the steps must know of the settings of others.
pub struct Around<'a> {
    /// Whether `error_page` names a status.
    pub catches: &'a dyn Fn(u16) -> bool,
    /// The upstreams of the conf.
    pub upstreams: &'a Upstreams,
    /// Who looks up names that a request brings.
    pub names: &'a Names,
    /// Where a request's body is kept.
    pub spool: Spool<'a>,
}

impl Around<'_> {
    /// Takes a request on to its answer; `folder` is for what memory does not hold. Fields are passed on as they came.
    pub fn follow(
        &self,
        x: &mut Exchange,
        relay: Box<Relay>,
        folder: &str,
        state: &mut Passing,
    ) -> Result<Step, HttpError> {
        // As in nginx, hints come from HTTP alone.
        let beside = relay::Around { catches: self.catches, hints: &|_| false, folder: Path::new(folder) };
        relay.advance(x, &beside, &|_, _, _| None, state)
    }
}

/// Where a program listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// One of the conf's destinations, and whether it is spoken to in TLS.
    Fixed(usize, bool),
    /// What the text says when the request comes, behind one of the schemes or none.
    Text(Text, Schemes),
}

/// What may stand before an address, with `://` behind it, and whether TLS is meant by it.
pub type Schemes = &'static [(&'static str, bool)];

impl Door {
    /// Reads the word of a `_pass` directive, which may begin with one of the schemes.
    pub fn read(args: &mut Args<'_>, schemes: Schemes) -> Result<Door, Fault> {
        let word = args.word(0);
        let text = args.text(0)?;
        if text.constant().is_none() {
            return Ok(Door::Text(text, schemes));
        }
        let (bare, secure) = without_scheme(&word.text, schemes);
        if bare.first() == Some(&b'/') {
            let path = escape::error_log(bare);
            let text = format!("takes an address where a program listens, not the path `{path}`");
            let help = format!(
                "for a socket write `unix:{path}`; `cgi_extension .py {path};` starts a program for each request"
            );
            return Err(Fault::at(word, text).help(help));
        }
        if bare.is_empty() {
            return Err(Fault::at(word, "needs an address, such as `127.0.0.1:9000` or `unix:/path/of/socket`"));
        }
        let is_socket = bare.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"unix:"));
        if let Some(at) = bare.windows(3).position(|part| part == b"://").filter(|_| !is_socket) {
            let scheme = escape::error_log(&bare[..at]);
            let text = format!("speaks to no `{scheme}://` address: name host and port, or `unix:` and a path");
            return Err(Fault::at(word, text));
        }
        Ok(Door::Fixed(args.destination(0, bare, 0), secure))
    }

    /// Whether it may be that TLS is spoken there.
    pub fn may_be_secure(&self) -> bool {
        match self {
            Door::Fixed(_, secure) => *secure,
            Door::Text(_, schemes) => schemes.iter().any(|(_, secure)| *secure),
        }
    }

    /// Where nothing may be done, ends the request before anybody is asked. `params` and `with_fields` say what the program
    /// would be told.
    pub fn withhold(
        &self,
        x: &Exchange,
        by: &'static str,
        around: &Around<'_>,
        (params, with_fields): (&[Param], bool),
    ) -> Option<Step> {
        x.withhold(|| {
            let (to, upstream) = match self {
                Door::Fixed(index, _) => {
                    let upstream = around.upstreams.at(*index).cloned();
                    (upstream.as_ref().map_or(Vec::new(), |upstream| upstream.title().into_bytes()), upstream)
                }
                Door::Text(text, schemes) => {
                    let text = x.eval(text).into_owned();
                    let upstream = finding::known(around.upstreams, without_scheme(&text, schemes).0, 0);
                    (text, upstream)
                }
            };
            let told = params::pairs(x, params, with_fields).into_iter();
            let told = Told::Values(told.map(|(name, value)| (name.into_owned(), value.into_owned())).collect());
            Act::Pass { by, to, peers: upstream.map(|upstream| upstream.show(x)), told }
        })
    }

    /// Who listens there, and whether TLS is spoken with them; a host's name may have to be looked up first.
    pub fn find(&self, x: &Exchange, around: &Around<'_>, state: &mut Passing) -> Result<(Finding, bool), HttpError> {
        match self {
            Door::Fixed(index, secure) => {
                let upstream = around.upstreams.at(*index).cloned().ok_or_else(|| {
                    // The load has made one for each index that it gave out.
                    HttpError::new(500, "no-upstream").log(Level::Alert, "a program's upstream is not there")
                })?;
                Ok((Finding::Here(upstream), *secure))
            }
            Door::Text(text, schemes) => {
                let text = x.eval(text).into_owned();
                let (bare, secure) = without_scheme(&text, schemes);
                let found = finding::find(x, (around.upstreams, around.names), bare, 0, &mut state.lookup)?;
                Ok((found, secure))
            }
        }
    }
}

/// An address without the scheme before it, and whether TLS is meant by that.
fn without_scheme(text: &[u8], schemes: Schemes) -> (&[u8], bool) {
    for (scheme, secure) in schemes {
        let named = text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()));
        if named && let Some(bare) = text[scheme.len()..].strip_prefix(b"://") {
            return (bare, *secure);
        }
    }
    (text, false)
}

/// Reads a line that names something a program is told.
pub fn read_param(args: &mut Args<'_>) -> Result<Param, Fault> {
    let if_not_empty = args.len() > 2;
    if if_not_empty && args.word(2).text != b"if_not_empty" {
        let text = format!("takes nothing but `if_not_empty` behind the value, not `{}`", args.word(2).show());
        return Err(Fault::at(args.word(2), text));
    }
    let word = args.word(0);
    if word.text.contains(&0) {
        return Err(Fault::at(word, "takes a name without a zero byte"));
    }
    Ok(Param { name: Bytes::copy_from_slice(&word.text), value: args.text(1)?, if_not_empty })
}

/// How far ahead of the program a body is read that is passed on as it comes.
const AHEAD: usize = 64 << 10;

/// Asks for the request's body where it has to be read before the program hears of the request; `may_come` tells whether the
/// protocol can pass on a body that comes while it is sent.
pub fn ask_body(x: &Exchange, conf: &relay::Conf, around: &Around<'_>, may_come: bool) -> Option<Step> {
    if x.course.as_get {
        return None;
    }
    let coming = may_come && conf.pass_request_body && !conf.request_buffering;
    let is_missing = match x.received {
        // Another location wanted it piece by piece and did not come to that.
        Received::Coming(_) => !coming,
        _ => relay::expects_body(x, &around.spool),
    };
    if !is_missing {
        return None;
    }
    Some(Step::Body(if coming { Sink::Live { most: AHEAD } } else { around.spool.sink(&x.prefix) }))
}

/// The body that a program gets.
pub fn payload(x: &Exchange, conf: &relay::Conf) -> Payload {
    if conf.pass_request_body && !x.course.as_get { Payload::Received } else { Payload::Nothing }
}

/// The length of that body; one that comes in chunks has none yet.
pub fn length(x: &Exchange, conf: &relay::Conf) -> u64 {
    if !conf.pass_request_body || x.course.as_get {
        return 0;
    }
    match (&x.received, x.head.body_length) {
        (Received::Memory(bytes), _) => bytes.len() as u64,
        (Received::File(_, len), _) => *len,
        (Received::Coming(_), BodyLength::Length(len)) => len,
        _ => 0,
    }
}

/// Reads `proxy_cache` and its siblings: there is no cache, and `off` asks for none.
pub fn read_cache(args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    if word.text == b"off" {
        return Ok(());
    }
    let zone = word.show();
    if args.load.partial {
        args.note(0, format!("the cache `{zone}` is left out, since answers are not cached yet"));
        return Ok(());
    }
    Err(Fault::at(word, format!("names the zone `{zone}`, but answers are not cached yet"))
        .help("write `off`, or leave the line out; `--partial` starts all the same")
        .code(Code::NotBuilt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_stand_before_addresses() {
        const BOTH: Schemes = &[("uwsgi", false), ("suwsgi", true)];
        for (text, schemes, want) in [
            ("a:1", BOTH, ("a:1", false)),
            ("uwsgi://a:1", BOTH, ("a:1", false)),
            ("SUWSGI://a:1", BOTH, ("a:1", true)),
            ("suwsgi:/a", BOTH, ("suwsgi:/a", false)),
            ("uwsgi", BOTH, ("uwsgi", false)),
            ("uwsgi://a", &[], ("uwsgi://a", false)),
        ] {
            assert_eq!(without_scheme(text.as_bytes(), schemes), (want.0.as_bytes(), want.1), "{text}");
        }
    }
}
