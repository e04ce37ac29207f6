//! `add_header`, `add_trailer`, their inheritance, `expires`: fields that the conf adds before and behind the bodies of answers. As a
//! filter it stands behind the one that may turn an answer into 304, which has such fields too, and before those that change
//! bodies; trailers are worked out when the last byte of the body has gone out. Knows nothing of where an answer came from.

mod added;
mod expires;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::Level;
use crate::exchange::variables::Variable;
use crate::http::response::Response;
use crate::http::{date, framing};
use added::{Added, Inheritance, List};
use expires::Expires;

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    headers: List,
    trailers: List,
    expires: Expires,
}

impl Conf {
    /// Whether anything is added to a response.
    pub fn is_used(&self) -> bool {
        !(self.headers.is_empty() && self.trailers.is_empty() && self.expires == Expires::default())
    }

    /// Begins a block inside.
    fn descend(&mut self) {
        self.headers.descend();
        self.trailers.descend();
    }
}

const PLACES: Contexts = Contexts::SCOPES.or(Contexts::IF_LOCATION);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "add_header",
            syntax: &["name value [always]"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(2, 3),
            block: false,
            doc: "Adds a field to answers with the status 200, 201, 204, 206, 301, 302, 303, 304, 307 or 308, with `always` to all \
                  answers. The value may contain variables; an empty one adds nothing. `ETag` and `Last-Modified` take the place of \
                  the answer's own. A block with an `add_header` of its own gets none of those further out, unless \
                  `add_header_inherit merge` is set.",
        },
        repeat: Repeat::List { key: "add_header", clear: |conf| conf.headers.begin() },
        inherit: Inherit::Changed(Conf::descend),
        set: |conf, args| push(&mut conf.headers, args),
    },
    Directive {
        manual: Manual {
            name: "add_header_inherit",
            syntax: &["on | off | merge"],
            default: Some("on"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "What a block does with the `add_header` lines further out: takes them if it has none of its own (`on`), never (`off`), \
                  or adds them after its own (`merge`).",
        },
        repeat: Repeat::List { key: "add_header", clear: |conf| conf.headers.begin() },
        inherit: Inherit::Changed(Conf::descend),
        set: |conf, args| {
            conf.headers.inheritance = args.one_of(0, &INHERITANCES)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "add_trailer",
            syntax: &["name value [always]"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(2, 3),
            block: false,
            doc: "Adds a field behind the body of answers with the statuses of `add_header`, with `always` of all answers. The value is worked \
                  out when the body has been sent, so it may say how that went. The answer goes out in chunks then, whatever is known of \
                  its length; a client of HTTP/1.0, or one without chunks, gets no such fields.",
        },
        repeat: Repeat::List { key: "add_trailer", clear: |conf| conf.trailers.begin() },
        inherit: Inherit::Changed(Conf::descend),
        set: |conf, args| push(&mut conf.trailers, args),
    },
    Directive {
        manual: Manual {
            name: "add_trailer_inherit",
            syntax: &["on | off | merge"],
            default: Some("on"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "What a block does with the `add_trailer` lines further out, as `add_header_inherit` says it of `add_header`.",
        },
        repeat: Repeat::List { key: "add_trailer", clear: |conf| conf.trailers.begin() },
        inherit: Inherit::Changed(Conf::descend),
        set: |conf, args| {
            conf.trailers.inheritance = args.one_of(0, &INHERITANCES)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "expires",
            syntax: &["[modified] time", "epoch | max | off"],
            default: Some("off"),
            contexts: PLACES,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "Adds `Expires` and `Cache-Control` to successes and redirects: a time from now, with `modified` from the file's last \
                  change, `@15h30m` for a time of the day. A negative time, and `epoch`, say `no-cache`; `max` says ten years. The value \
                  may come from a variable.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_expires,
    },
];

const INHERITANCES: [(&str, Inheritance); 3] =
    [("on", Inheritance::On), ("off", Inheritance::Off), ("merge", Inheritance::Merge)];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// Reads `name value [always]`.
fn push(list: &mut List, args: &mut Args<'_>) -> Result<(), Fault> {
    let always = args.len() == 3;
    if always && args.word(2).text != b"always" {
        return Err(Fault::at(args.word(2), format!("takes `always` after its value, not `{}`", args.word(2).show())));
    }
    let name = args.word(0);
    if [b"content-length".as_slice(), b"transfer-encoding"].iter().any(|own| own.eq_ignore_ascii_case(&name.text)) {
        // A second opinion on where the body ends would let answers be smuggled (RFC 9112 section 6.3).
        args.warn_left_out(name, format!("names the field `{}`, which the server alone decides, ignored", name.show()));
        return Ok(());
    }
    list.own.push(Added { name: Bytes::copy_from_slice(&name.text), value: args.field_text(1)?, always });
    Ok(())
}

fn set_expires(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let modified = args.len() == 2;
    if modified && args.word(0).text != b"modified" {
        return Err(Fault::at(args.word(0), format!("takes `modified` before a time, not `{}`", args.word(0).show())));
    }
    let at = args.len() - 1;
    let text = args.text(at)?;
    conf.expires = match text.constant() {
        None => Expires::Computed(text, modified),
        Some(value) => expires::parse(value, modified).map_err(|message| Fault::at(args.word(at), message))?,
    };
    Ok(())
}

/// Adds the conf's fields to an answer.
pub fn filter(x: &mut Exchange, conf: &Conf, response: &mut Response) {
    // Texts may name fields of this very answer (`$sent_http_content_type`).
    x.sent.fields = response.fields_so_far();
    let safe = is_safe(response.status);
    if safe {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
        expires::expire(x, &conf.expires, now, response);
    }
    for added in conf.headers.fields().filter(|added| safe || added.always) {
        add(response, &added.name, x.eval_bytes(&added.value));
    }
    response.trailers = conf.trailers.fields().any(|added| safe || added.always);
}

/// The fields behind the body of an answer that has been sent.
pub fn trailers(x: &mut Exchange, conf: &Conf) {
    x.attempts.settle();
    let safe = is_safe(x.sent.status);
    for added in conf.trailers.fields().filter(|added| safe || added.always) {
        let value = x.eval_bytes(&added.value);
        if !framing::is_safe_value(&value) || !framing::is_safe_name(&added.name) {
            // The head has gone out: no status can say it any more.
            x.report(Level::Error, "a field behind the body was left out: its name or value holds what would end it");
        } else if !value.is_empty() {
            x.sent.trailers.push((added.name.clone(), value));
        }
    }
}

/// Whether an answer of this status gets fields without `always`.
fn is_safe(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}

fn add(response: &mut Response, name: &Bytes, value: Bytes) {
    let some = (!value.is_empty()).then(|| value.clone());
    if name.eq_ignore_ascii_case(b"etag") {
        (response.etag, response.nanos) = (some, None);
        return;
    }
    if name.eq_ignore_ascii_case(b"last-modified") {
        response.last_modified = date::parse(&value);
        if response.last_modified.is_some() {
            return;
        }
    }
    if let Some(value) = some {
        response.fields.push((name.clone(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_are_replaced() {
        let mut response = Response::new(200);
        response.etag = Some(Bytes::from_static(b"\"a\""));
        response.last_modified = Some(1);
        add(&mut response, &Bytes::from_static(b"ETag"), Bytes::new());
        add(&mut response, &Bytes::from_static(b"last-modified"), Bytes::from_static(b"Thu, 01 Jan 1970 00:00:02 GMT"));
        add(&mut response, &Bytes::from_static(b"X"), Bytes::new());
        assert_eq!((response.etag, response.last_modified, response.fields.len()), (None, Some(2), 0));
    }
}
