//! `mirror`: copies of requests that go to other locations as requests of our own, whose responses nobody hears;
//! `mirror_request_body`: whether they have the body. Knows what is copied, not how a copy is sent.

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::source::Span;
use crate::exchange::variables::Variable;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// The paths that get a copy, and where their lines stand.
    pub uris: Vec<(Bytes, Span)>,
    /// Whether a line of this block says `off`.
    is_off: bool,
    /// Whether the copies have the body.
    pub body: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { uris: Vec::new(), is_off: false, body: true }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "mirror",
            syntax: &["URI | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Sends a copy of each request to another location, from inside, with its method, fields, query and body, and throws the response away. Several \
                  lines send several copies; a block with lines of its own has none of those further out. The copy is sent once the request was let in and \
                  `try_files` has found its way, not where a `return` answers. Unlike in nginx it never delays the client, nor the next request on its \
                  connection, and goes on when the client has left. `errands` of `thread_pool` says how many copies there may be at once; a copy ends after ten \
                  minutes at the latest, and five seconds after a graceful stop has answered the last client. `log_subrequest` in the other location logs it.",
        },
        repeat: Repeat::List { key: "mirror", clear: |conf| (conf.uris, conf.is_off) = (Vec::new(), false) },
        inherit: Inherit::Yes,
        set: set_uri,
    },
    Directive {
        manual: Manual {
            name: "mirror_request_body",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether the copies that `mirror` sends have the request's body. With it the body is read before the request goes on, into memory or a \
                  file as `client_body_buffer_size` says, even where `proxy_request_buffering` is off. Without it a copy has no `Content-Length` either.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.body = args.flag(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_uri(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let is_off = word.text == b"off";
    if conf.is_off || is_off && !conf.uris.is_empty() {
        return Err(Fault::at(word, "stands beside `mirror off`: one of the lines has to go"));
    }
    if is_off {
        conf.is_off = true;
        return Ok(());
    }
    conf.uris.push((Bytes::copy_from_slice(&word.text), args.node.span));
    let shown = word.show();
    // As in nginx all of these are paths, word for word.
    if !word.text.starts_with(b"/") {
        args.warn(Some(0), format!("`{shown}` does not begin with a slash: no location fits, and no copy is sent"));
    } else if word.text.contains(&b'$') {
        args.warn(Some(0), format!("no variable is filled in here: the copy goes to the path `{shown}` as it stands"));
    } else if word.text.contains(&b'?') {
        args.warn(Some(0), "`?` is a part of the path here: a copy has the query of its request");
    }
    Ok(())
}
