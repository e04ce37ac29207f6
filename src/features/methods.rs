//! `allow_methods`, and the methods that no server of ours takes.

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
use crate::http::method::Method;
use crate::http::response::{ContentType, Response};

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// The methods as bits, and as the Allow field names them; none for all.
    pub allowed: Option<(u32, Bytes)>,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "allow_methods",
        syntax: &["method ..."],
        default: None,
        contexts: Contexts::SCOPES,
        arity: Arity::AtLeast(1),
        block: false,
        doc: "The methods that are taken here; all others are answered 405 with an `Allow` field that names these, before a body is \
              read. `GET` includes `HEAD`. To answer 403, or to allow methods by address, use `limit_except`.",
    },
    repeat: Repeat::Refused,
    inherit: Inherit::Yes,
    set,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let mut bits = 0;
    for word in args.words() {
        bits |= match Method::by_name(&word.show()) {
            Some(Method::Get) => Method::Get.bit() | Method::Head.bit(),
            Some(method) => method.bit(),
            None => return Err(Fault::at(word, format!("names an unknown method `{}`", word.show()))),
        };
    }
    conf.allowed = Some((bits, allow(bits)));
    Ok(())
}

/// The value of Allow.
fn allow(bits: u32) -> Bytes {
    let names: Vec<_> = Method::all().filter(|method| method.bit() & bits != 0).map(Method::as_str).collect();
    names.join(", ").into()
}

/// Refuses what is refused everywhere, before any location is looked for.
pub fn refuse(x: &mut Exchange) -> Result<Step, HttpError> {
    let method = x.method();
    if matches!(method, Method::Trace | Method::Connect) {
        // TRACE would show cookies to scripts; CONNECT is for proxies.
        let text = format!("client sent {} method while reading client request headers", method.as_str());
        let error = HttpError::new(405, "method").field("Allow", "GET, HEAD").log(Level::Info, text);
        return Err(HttpError { close: true, ..error });
    }
    if x.uri.first() != Some(&b'/') {
        // `OPTIONS *` asks about the server as a whole (RFC 9110 section 9.3.7): whether it lives, and what it can do.
        let mut response = Response::new(200);
        response.content_type = ContentType::None;
        response.push("Allow", "GET, HEAD, POST, OPTIONS");
        return Ok(Step::done(response));
    }
    Ok(Step::Next)
}

/// Refuses what `allow_methods` does not name.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    match &conf.allowed {
        Some((bits, allow)) if bits & x.method().bit() == 0 => {
            Err(HttpError::new(405, "method").field("Allow", allow.clone()))
        }
        _ => Ok(Step::Next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allow_field_names_each_method_once() {
        let bits = Method::Post.bit() | Method::Head.bit() | Method::Get.bit();
        assert_eq!(allow(bits), "GET, HEAD, POST");
        assert_eq!(allow(0), "");
    }
}
