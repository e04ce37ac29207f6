//! `early_hints`: whether a client hears the 103 responses of the server that its request is passed to. Whoever passes requests on asks here by
//! way of the pipeline, and knows what stands in such a response.

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::head::Version;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// One that is neither empty nor `0` is enough.
    conditions: Vec<Text>,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "early_hints",
        syntax: &["string ..."],
        default: None,
        contexts: Contexts::SCOPES,
        arity: Arity::AtLeast(1),
        block: false,
        doc: "Passes 103 (Early Hints) responses of the server in `proxy_pass` to the client, so that a browser can load what a page will need \
              while the page is still being made. That is done if at least one of the strings is neither empty nor `0`; they may hold \
              variables, so that only those get hints who are known to understand them: `map $http_sec_fetch_mode $hints { navigate 1; }` and \
              `early_hints $hints;`. A client of HTTP/1.0 gets none, and most servers send none but under `proxy_http_version 1.1`. Fields that belong to the connection, and those that `proxy_hide_header` \
              names, are left out; `proxy_redirect` and the `proxy_cookie_` directives hold. One server may send interim responses of \
              `proxy_buffer_size` bytes, and no more than 32; of those to one request the client gets 32 and 64k bytes at most, the rest is \
              dropped. Without this directive they all are.",
    },
    repeat: Repeat::List { key: "early_hints", clear: |conf| conf.conditions.clear() },
    inherit: Inherit::Yes,
    set: |conf, args| {
        for i in 0..args.len() {
            let text = args.text(i)?;
            conf.conditions.push(text);
        }
        Ok(())
    },
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// Whether the client is to hear them. RFC 9110 section 15.2: a client of HTTP/1.0 knows no interim responses.
pub fn are_wanted(x: &Exchange, conf: &Conf) -> bool {
    x.head.version == Version::Http11 && conf.conditions.iter().any(|text| !matches!(x.eval(text).as_ref(), b"" | b"0"))
}

/// Tells whoever looks on, where the conf has something to say.
pub fn tell(x: &Exchange, conf: &Conf) {
    if conf.conditions.is_empty() {
        return;
    }
    x.tell("early_hints", None, || match (are_wanted(x, conf), x.head.version) {
        (true, _) => "103 (Early Hints) responses are passed to this client".into(),
        (false, Version::Http11) => "103 (Early Hints) responses are dropped: each string is empty or `0`".into(),
        (false, _) => "103 (Early Hints) responses are dropped: the client does not speak HTTP/1.1".into(),
    });
}
