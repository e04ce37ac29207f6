//! `post_action`: a location that hears of each request once its response is out, by a request of our own. Knows what is
//! asked, not how that is sent.

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The path that is asked, or a named location with its `@`.
    pub target: Option<Bytes>,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "post_action",
        syntax: &["URI | @name | off"],
        default: Some("off"),
        contexts: Contexts::SCOPES.or(Contexts::IF_LOCATION),
        arity: Arity::Words(1, 1),
        block: false,
        doc: "Asks another location, from inside, once the response to a request is out or has broken off: with its method, fields and body, and without its \
              query. `$status`, `$bytes_sent`, `$body_bytes_sent` and `$request_completion` there tell what became of the request. The response is thrown \
              away. Unlike in nginx the next request on the connection does not wait for it, and the request keeps its own line in the access log; \
              `log_subrequest` in the other location logs what it was asked. `errands` of `thread_pool` bounds how many are under way.",
    },
    repeat: Repeat::Refused,
    inherit: Inherit::Yes,
    set: set_target,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_target(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    conf.target = (word.text != b"off").then(|| Bytes::copy_from_slice(&word.text));
    if let Some(target) = &conf.target
        && !target.starts_with(b"/")
        && !target.starts_with(b"@")
    {
        args.warn(Some(0), format!("`{}` begins with neither a slash nor `@`: no location fits", word.show()));
    }
    Ok(())
}
