//! `empty_gif`: a picture of one transparent pixel, as an answer from memory.

use bytes::Bytes;

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
use crate::http::method::Method;
use crate::http::response::{Body, ContentType, Response};

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// Whether it is here.
    pub on: bool,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "empty_gif",
        syntax: &[""],
        default: None,
        contexts: Contexts::LOCATION,
        arity: Arity::Words(0, 0),
        block: false,
        doc: "Answers with a GIF of one transparent pixel.",
    },
    repeat: Repeat::Allowed,
    inherit: Inherit::IntoIf(|conf| conf.on = false),
    set: |conf, _| {
        conf.on = true;
        Ok(())
    },
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// One pixel of the first of two colours, which is the transparent one.
const PIXEL: &[u8] = &[
    b'G', b'I', b'F', b'8', b'9', b'a', // the version
    1, 0, 1, 0, 0x80, 0, 0, // one by one, a table of two colours
    0xff, 0xff, 0xff, 0, 0, 0, // white and black
    0x21, 0xf9, 4, 1, 0, 0, 0, 0, // colour 0 is transparent
    0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, // the picture's place
    2, 2, 0x44, 1, 0, // codes of three bits: clear, colour 0, end
    0x3b,
];

/// Its date: the one that nginx's has, so that a client that knows it from there asks in vain no more.
const CHANGED: u64 = 23_349_600;

/// Answers with the picture.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    if !conf.on {
        return Ok(Step::Next);
    }
    if !matches!(x.method(), Method::Get | Method::Head) {
        return Err(HttpError::new(405, "method").field("Allow", "GET, HEAD"));
    }
    let mut response = Response::new(200);
    response.content_type = ContentType::Is(Bytes::from_static(b"image/gif"));
    response.last_modified = Some(CHANGED);
    response.body = Body::bytes(PIXEL);
    Ok(Step::done(response))
}
