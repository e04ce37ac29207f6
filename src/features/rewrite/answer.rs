//! `return`: an answer written in the conf. Knows nothing of what a page for an error looks like.

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::source::Span;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::http::framing;
use crate::http::response::{Body, Response};

/// One `return` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body, or the URL of a redirect.
    pub text: Option<Text>,
    /// Where the line stands.
    pub span: Span,
}

/// Reads the words of `return`.
pub fn read(args: &mut Args<'_>) -> Result<Answer, Fault> {
    let span = args.node.span;
    Ok(match (status(&args.word(0).text), args.len()) {
        (Some(status), 1) => Answer { status, text: None, span },
        (Some(status), _) if is_redirect(status) => Answer { status, text: Some(args.field_text(1)?), span },
        (Some(status), _) => Answer { status, text: Some(args.text(1)?), span },
        (None, 1) if is_url(&args.word(0).text) => Answer { status: 302, text: Some(args.field_text(0)?), span },
        (None, n) => {
            let word = args.word(0);
            let help = match n {
                1 if word.text.first() == Some(&b'/') => format!("to send clients there write `return 302 {};`", word.show()),
                1 if word.text.iter().all(u8::is_ascii_digit) => {
                    "a code is a number from 200 to 999: write `return 404;`, or `return 444;` to close without a response".into()
                }
                1 => "a URL begins with `http://`, `https://` or `$scheme`; for another text write `return 200 \"text\";`".into(),
                _ => "a code is a number from 200 to 999".into(),
            };
            return Err(Fault::at(word, format!("has an invalid code `{}`", word.show())).help(help));
        }
    })
}

/// 1xx are left out: they are no final answers (RFC 9110 section 15.2).
fn status(word: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(word).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    text.parse().ok().filter(|status| (200..=999).contains(status))
}

/// Whether the text of such an answer is where the client goes.
fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

fn is_url(word: &[u8]) -> bool {
    let starts = |head: &[u8]| word.get(..head.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(head));
    starts(b"http://") || starts(b"https://") || word.starts_with(b"$scheme")
}

/// Answers as the conf says.
pub fn give(x: &mut Exchange, answer: &Answer) -> Result<Step, HttpError> {
    // The text may show it.
    x.sent.status = answer.status;
    let text = answer.text.as_ref().map(|text| x.eval_bytes(text));
    match (answer.status, text) {
        (status, url) if is_redirect(status) => Err(redirect(status, url.unwrap_or_default())),
        (status @ 400.., None) => Err(HttpError::new(status, "return").at(answer.span)),
        (status, text) => {
            // A text of its own is no error page, and is an error all the same.
            x.blamed = (status >= 400).then(|| Box::new(("return", answer.span)));
            Ok(Step::done(page(status, text.unwrap_or_default())))
        }
    }
}

/// A redirect to a URL that may hold anything a client sent.
pub fn redirect(status: u16, url: Bytes) -> HttpError {
    if !framing::is_safe_value(&url) {
        let text = "a line break or a zero byte stands in a redirect's URL";
        return HttpError::new(500, "unsafe-field").log(Level::Error, text);
    }
    HttpError::redirect(status, url)
}

fn page(status: u16, text: Bytes) -> Response {
    let mut response = Response::new(status);
    if !text.is_empty() {
        response.body = Body::bytes(text);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_urls() {
        for (word, code, url) in [
            ("200", Some(200), false),
            ("999", Some(999), false),
            ("1000", None, false),
            ("100", None, false),
            ("+200", None, false),
            ("", None, false),
            ("http://a", None, true),
            ("HTTPS://a", None, true),
            ("$scheme://a", None, true),
            ("/a", None, false),
            ("httpx", None, false),
        ] {
            assert_eq!((status(word.as_bytes()), is_url(word.as_bytes())), (code, url), "{word}");
        }
    }
}
