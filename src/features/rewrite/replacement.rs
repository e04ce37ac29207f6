//! What a `rewrite` puts in the place of the URI, and how captures are escaped on the way. nginx matches decoded paths,
//! so a capture that goes into a query or a redirect is escaped again, but only if the client had escaped something.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::conf::value::{Piece, Text};
use crate::exchange::Exchange;

/// What is escaped in a capture.
const CAPTURE: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'%').add(b'&').add(b'+').add(b';').add(b'?');

/// Texts grow no further. A rewritten path that holds a capture several times and is searched again grows by powers.
pub const LONGEST: usize = 16 << 20;

/// Fills in texts while a program runs.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// Whether the client's path held `%` or `+`, so that what was captured from it is not what was sent.
    escaped: bool,
    /// Whether captures are escaped anyway: until the first `rewrite` that matched, and in redirects.
    pub quote: bool,
}

impl Writer {
    /// One for a request with this target.
    pub fn new(target: &[u8]) -> Writer {
        let path = target.split(|b| matches!(b, b'?' | b'#')).next().unwrap_or_default();
        Writer { escaped: path.iter().any(|b| matches!(b, b'%' | b'+')), quote: true }
    }

    /// A text with its variables filled in.
    pub fn text<'t>(&self, x: &'t Exchange, text: &'t Text) -> Cow<'t, [u8]> {
        if let Some(constant) = text.constant() {
            return x.own_text(constant);
        }
        let mut out = Vec::new();
        self.append(x, text, self.quote, &mut out);
        Cow::Owned(out)
    }

    fn append(&self, x: &Exchange, text: &Text, escape: bool, out: &mut Vec<u8>) {
        for piece in &text.pieces {
            // Whoever keeps the text sees that it is too long.
            if out.len() > LONGEST {
                return;
            }
            let Some(value) = x.piece(piece) else { continue };
            match piece {
                Piece::Capture(_) if escape && self.escaped => {
                    out.extend(percent_encode(&value, CAPTURE).flat_map(str::bytes));
                }
                _ => out.extend_from_slice(&value),
            }
        }
    }

    /// A new path, and a new query if the replacement has one.
    pub fn uri(&self, x: &Exchange, uri: &Uri) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut path = Vec::new();
        self.append(x, &uri.path, false, &mut path);
        let args = uri.args.as_ref().map(|text| {
            let mut args = Vec::new();
            self.append(x, text, true, &mut args);
            args
        });
        (path, args)
    }

    /// The URL of a redirect, without the client's query.
    pub fn url(&self, x: &Exchange, text: &Text) -> Vec<u8> {
        let mut out = Vec::new();
        x.as_field(|| self.append(x, text, true, &mut out));
        decode_redirect(&out)
    }
}

/// A replacement that is a URI of this server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uri {
    pub(super) path: Text,
    /// What stands behind the question mark.
    args: Option<Text>,
}

impl Uri {
    /// Cuts a text at its first question mark; those inside variables do not count.
    pub fn new(text: Text) -> Uri {
        let mut uri = Uri::default();
        for piece in text.pieces {
            let at = match (&piece, &uri.args) {
                (Piece::Literal(literal), None) => literal.iter().position(|b| *b == b'?'),
                _ => None,
            };
            match (piece, at, &mut uri.args) {
                (Piece::Literal(mut literal), Some(at), _) => {
                    let args = literal.split_off(at + 1);
                    literal.truncate(at);
                    push(&mut uri.path, Piece::Literal(literal));
                    push(uri.args.insert(Text::default()), Piece::Literal(args));
                }
                (piece, _, Some(args)) => push(args, piece),
                (piece, _, None) => push(&mut uri.path, piece),
            }
        }
        uri
    }
}

fn push(text: &mut Text, piece: Piece) {
    if !matches!(&piece, Piece::Literal(literal) if literal.is_empty()) {
        text.pieces.push(piece);
    }
}

/// Undoes escapes that a redirect does not need, up to its query. A `%` that begins no escape is lost, as in nginx.
fn decode_redirect(text: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'?', _) => {
                out.push(b'?');
                break;
            }
            (b'%', [high, low, tail @ ..]) if digit(*high).is_some() => {
                rest = tail;
                let (Some(h), Some(l)) = (digit(*high), digit(*low)) else { continue };
                match (h * 16 + l) as u8 {
                    b'?' => {
                        out.push(b'?');
                        break;
                    }
                    plain @ b'&'..=b'~' => out.push(plain),
                    _ => out.extend([b'%', *high, *low]),
                }
            }
            (b'%', [high]) if digit(*high).is_some() => rest = &[],
            (b'%', [other, tail @ ..]) => {
                out.push(*other);
                rest = tail;
            }
            (b'%', []) => {}
            (plain, _) => out.push(*plain),
        }
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_keep_what_they_need() {
        for (text, expected) in [
            ("/a b", "/a b"),
            ("/%41%2f%7e%7f", "/A/~%7f"),
            ("/%20%25%26", "/%20%25&"),
            ("/a%3fb%41", "/a?b%41"),
            ("/a?%41", "/a?%41"),
            ("/%zz%4z%4", "/zz"),
            ("/%", "/"),
        ] {
            assert_eq!(decode_redirect(text.as_bytes()).escape_ascii().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn only_the_path_says_whether_something_was_escaped() {
        for (target, escaped) in [("/a", false), ("/%20", true), ("/a+b", true), ("/a?b=%20", false)] {
            assert_eq!(Writer::new(target.as_bytes()).escaped, escaped, "{target}");
        }
    }

    #[test]
    fn the_query_begins_at_a_question_mark_of_the_conf() {
        for (text, path, args) in [("/a", "/a", None), ("/a?b", "/a", Some("b")), ("?a?", "", Some("a?"))] {
            let uri = Uri::new(Text::literal(text.to_owned()));
            assert_eq!(uri.path.constant(), Some(path.as_bytes()), "{text}");
            assert_eq!(uri.args.as_ref().and_then(Text::constant), args.map(str::as_bytes), "{text}");
        }
    }
}
