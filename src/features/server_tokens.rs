//! `server_tokens`: what answers and built-in pages say of the server. Knows neither where the
//! Server field is written nor what a page looks like.

use std::borrow::Cow;

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::escape;

/// How much is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Tokens {
    /// Name and version.
    #[default]
    On,
    /// The name alone.
    Off,
    /// A text of the conf; where it is empty, nothing.
    Text(Text),
}

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// How much is said.
    pub tokens: Tokens,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "server_tokens",
        syntax: &["on | off | build | string"],
        default: Some("on"),
        contexts: Contexts::SCOPES,
        arity: Arity::Words(1, 1),
        block: false,
        doc: "What the `Server` field and the foot of built-in pages say: name and version (`on`, `build`), the name alone \
              (`off`), or a text of your own in quotes, which may contain variables. With an empty text there is no `Server` field.",
    },
    repeat: Repeat::Refused,
    inherit: Inherit::Yes,
    set,
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

const FULL: &str = concat!("Longshore/", env!("CARGO_PKG_VERSION"));
const NAME: &str = "Longshore";

fn set(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.tokens = match args.word(0).text.as_slice() {
        b"on" | b"build" => Tokens::On,
        b"off" => Tokens::Off,
        text if args.word(0).quoted || text.contains(&b'$') => Tokens::Text(args.field_text(0)?),
        // A slip of the pen would tell the world what it was meant to keep back.
        _ => {
            let fault = Fault::at(args.word(0), format!("takes `on`, `off` or `build`, not `{}`", args.word(0).show()));
            return Err(fault.help("a text of your own stands in quotes"));
        }
    };
    Ok(())
}

/// The value of the Server field; empty for none.
pub fn field(x: &Exchange, conf: &Conf) -> Bytes {
    match &conf.tokens {
        Tokens::On => Bytes::from_static(FULL.as_bytes()),
        Tokens::Off => Bytes::from_static(NAME.as_bytes()),
        Tokens::Text(text) => x.eval_bytes(text),
    }
}

/// The line at the foot of built-in pages, safe to stand in HTML.
pub fn page_line(x: &Exchange, conf: &Conf) -> Cow<'static, str> {
    match &conf.tokens {
        Tokens::On => Cow::Borrowed(concat!("longshore/", env!("CARGO_PKG_VERSION"))),
        Tokens::Off => Cow::Borrowed("longshore"),
        Tokens::Text(text) => String::from_utf8_lossy(&escape::html(&x.eval(text))).into_owned().into(),
    }
}
