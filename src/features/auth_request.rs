//! `auth_request`: whether a request may come in is asked of another location, by a request of our own; `auth_request_set`: what its
//! response says, for variables. Knows what a response means, not how it is come by.

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::source::Span;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::settable::Settable;
use crate::exchange::step::Verdict;
use crate::exchange::subrequest::Reply;
use crate::exchange::variables::Variable;
use crate::http::escape;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The path that is asked, and where the line stands.
    pub uri: Option<(Bytes, Span)>,
    /// What gets a value when it was answered, in order.
    set: Vec<(Settable, Text)>,
}

impl Conf {
    /// Whether anybody is asked.
    pub fn asks(&self) -> bool {
        self.uri.is_some()
    }

    /// Whether variables are set from the response.
    pub fn sets(&self) -> bool {
        !self.set.is_empty()
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "auth_request",
            syntax: &["URI | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Asks another location, by a GET from inside, whether a request may come in: a status of 2xx lets it in, 401 (with its `WWW-Authenticate`) \
                  and 403 refuse it, and everything else is answered 500. It is asked after `allow`, `deny` and `auth_basic`, before the body is \
                  read, and goes by `satisfy`. What is sent has neither the body of the request nor the fields that are about it or about a part of the \
                  response (`Content-Length`, `Transfer-Encoding`, `Expect`, `Range`, `If-...`), so the location needs no line for \
                  that; variables there still tell of the client's request. Access rules of the asked location are not asked again.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_uri,
    },
    Directive {
        manual: Manual {
            name: "auth_request_set",
            syntax: &["$variable value"],
            default: None,
            contexts: Contexts::SCOPES,
            arity: Arity::Words(2, 2),
            block: false,
            doc: "Gives a variable a value once `auth_request` was answered, whatever the answer. Variables in the value are those of the \
                  asked request: `$upstream_http_NAME` is a field of its response. A block with a line of its own gets none of those further out.",
        },
        repeat: Repeat::List { key: "auth_request_set", clear: |conf| conf.set.clear() },
        inherit: Inherit::Yes,
        set,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_uri(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    if word.text == b"off" {
        conf.uri = None;
        return Ok(());
    }
    conf.uri = Some((Bytes::copy_from_slice(&word.text), args.node.span));
    let shown = word.show();
    // As in nginx all of these are paths, word for word.
    if !word.text.starts_with(b"/") {
        args.warn(Some(0), format!("`{shown}` does not begin with a slash: no location fits, and nobody is let in"));
    } else if word.text.contains(&b'$') {
        args.warn(Some(0), format!("no variable is filled in here: the path `{shown}` is asked as it stands"));
    } else if word.text.contains(&b'?') {
        args.warn(Some(0), format!("`?` is a part of the path here: `{shown}` is asked without a query"));
    }
    Ok(())
}

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let place = Settable::read(args, 0)?;
    conf.set.push((place, args.text(1)?));
    Ok(())
}

/// Gives the variables their values. Each is known to the lines below it, and what they are made of is worked out once for both requests.
/// A failure is a value that has no answer (a regex that is too hard).
pub fn assign(x: &mut Exchange, conf: &Conf, reply: &mut Reply) -> Result<(), HttpError> {
    x.swap_values(&mut reply.x);
    for (place, text) in &conf.set {
        let given = reply.x.eval_given(text);
        let value = || escape::error_log(&x.as_it_is(|| x.choose(&given)));
        x.tell("auth_request_set", None, || format!("the value is `{}`", value()));
        match place {
            Settable::Variable(id) => reply.x.assign(*id, given),
            place => place.set(x, given),
        }
    }
    x.swap_values(&mut reply.x);
    reply.x.unspoiled()
}

/// What the answer means for the request.
pub fn judge(conf: &Conf, reply: &Reply) -> Result<Verdict, HttpError> {
    let Some((uri, span)) = &conf.uri else { return Ok(Verdict::Silent) };
    let status = reply.status;
    let said = || format!("auth request to \"{}\" was answered {status}", escape::error_log(uri));
    match status {
        200..300 => Ok(Verdict::Granted),
        401 | 403 => {
            let mut error = HttpError::new(status, "auth-request-refused").at(*span).log(Level::Info, said());
            if status == 401 {
                for value in reply.challenges() {
                    error = error.field("WWW-Authenticate", value);
                }
            }
            Err(error)
        }
        // As in nginx the whole request ends without a response.
        408 | 444 | 499 => Err(HttpError::new(status, "auth-request-closed").at(*span).log(Level::Info, said())),
        _ => {
            let from = reply.x.attempts.url().map_or(String::new(), |url| format!(" of \"{url}\""));
            let why = reply.x.failure.as_ref().and_then(|failure| failure.why());
            let why = why.map_or(String::new(), |why| format!(" ({why})"));
            let shown = escape::error_log(uri);
            let text = format!("auth request unexpected status: {status} from \"{shown}\"{from}{why}");
            Err(HttpError::new(500, "auth-request-status").at(*span).log(Level::Error, text))
        }
    }
}
