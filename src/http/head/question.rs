//! The head of a request that this server makes itself on behalf of a client's: a copy, or a question: a GET without a body, which says nothing of the client's
//! body, conditions or ranges. What the client said of them is still known, for variables.

use super::{BodyLength, Head, Method};
use crate::http::fields::Known;

/// Fields that are about the client's own request alone.
const WITHHELD: [Known; 10] = [
    Known::ContentLength,
    Known::TransferEncoding,
    Known::Expect,
    Known::Range,
    Known::IfRange,
    Known::IfModifiedSince,
    Known::IfUnmodifiedSince,
    Known::IfMatch,
    Known::IfNoneMatch,
    Known::ContentRange,
];

/// Whether a field of this name is about the client's own request alone, so that no question says it.
pub fn is_withheld(name: &[u8]) -> bool {
    crate::http::fields::recognise(name).is_some_and(|known| WITHHELD.contains(&known))
}

impl Head {
    /// The head of a question that is asked on behalf of this request.
    pub fn question(&self) -> Head {
        let mut head = self.clone();
        head.fields.depth = head.fields.depth.saturating_add(1);
        head.method = Method::Get;
        head.body_length = BodyLength::None;
        head.expects_continue = false;
        head.fields.withhold(&head.raw, &WITHHELD);
        head
    }

    /// The head of a copy of this request, which has its method and, if there is one to be had, its body of this length.
    pub fn copy(&self, body: Option<u64>) -> Head {
        // A client that says that its body is empty is repeated.
        let body = body.or_else(|| (self.known(Known::ContentLength) == Some(b"0")).then_some(0));
        let mut head = self.clone();
        head.fields.depth = head.fields.depth.saturating_add(1);
        head.fields.is_copy = true;
        head.expects_continue = false;
        head.fields.withhold(&head.raw, &[Known::Expect]);
        head.body_length = body.map_or(BodyLength::None, BodyLength::Length);
        if body.is_none() {
            head.fields.withhold(&head.raw, &[Known::ContentLength, Known::TransferEncoding]);
        }
        head
    }

    /// Whether this is the head of a question.
    pub fn is_question(&self) -> bool {
        self.fields.depth > 0 && !self.fields.is_copy
    }

    /// How many requests it was made for, each for the one before: 0 for a client's own.
    pub fn depth(&self) -> u8 {
        self.fields.depth
    }

    /// The method that the client wrote.
    pub fn client_method_text(&self) -> &[u8] {
        self.method_text.of(&self.raw)
    }

    /// All fields that the client sent and that were kept, those that a question does not say behind the others.
    pub fn client_fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields().chain(self.fields.withheld(&self.raw))
    }

    /// The length of the body that the client announced, as it was written.
    pub fn client_length(&self) -> Option<&[u8]> {
        let is_length = |name: &[u8]| name.eq_ignore_ascii_case(b"content-length");
        let withheld = || self.fields.withheld(&self.raw).find(|(name, _)| is_length(name)).map(|(_, value)| value);
        self.known(Known::ContentLength).or_else(withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::scanner::Limits;

    #[test]
    fn a_question_says_nothing_of_the_body() {
        let text = b"PUT /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX-A: 1\r\nExpect: 100-continue\r\nRange: bytes=0-1\r\n\
            If-Match: \"x\"\r\nIf-Match: \"y\"\r\nCookie: c\r\n\r\n";
        let mut head = Head::default();
        head.parse(text, &Limits::default()).unwrap();
        let question = head.question();
        let names = |fields: &mut dyn Iterator<Item = (&[u8], &[u8])>| {
            fields.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&mut question.fields()), "Host X-A Cookie");
        assert_eq!(
            names(&mut question.client_fields()),
            "Host X-A Cookie Content-Length Expect Range If-Match If-Match"
        );
        assert_eq!((question.method, question.method_text()), (Method::Get, &b"GET"[..]));
        assert_eq!((question.client_method_text(), question.client_length()), (&b"PUT"[..], Some(&b"5"[..])));
        assert_eq!((question.body_length, question.expects_continue), (BodyLength::None, false));
        assert_eq!((question.known(Known::Range), question.field(b"if-match")), (None, None));
        assert_eq!((question.known(Known::Cookie), question.host()), (Some(&b"c"[..]), Some(&b"h"[..])));
        assert_eq!((question.request_line(), question.target()), (&b"PUT /a?b HTTP/1.1"[..], &b"/a?b"[..]));
        assert!(question.is_question() && !head.is_question());
        assert_eq!((head.client_method_text(), head.client_length()), (&b"PUT"[..], Some(&b"5"[..])));
        let copies = [None, Some(5)].map(|body| head.copy(body));
        assert_eq!(names(&mut copies[0].fields()), "Host X-A Range If-Match If-Match Cookie");
        assert_eq!(names(&mut copies[1].fields()), "Host Content-Length X-A Range If-Match If-Match Cookie");
        let lengths = copies.each_ref().map(|copy| copy.body_length);
        assert_eq!(lengths, [BodyLength::None, BodyLength::Length(5)]);
        assert_eq!(
            (copies[1].method_text(), copies[1].expects_continue, copies[1].is_question()),
            (&b"PUT"[..], false, false)
        );
        assert_eq!((copies[1].depth(), head.depth()), (1, 0));
        assert_eq!(copies.each_ref().map(Head::client_length), [Some(&b"5"[..]); 2]);
        head.parse(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", &Limits::default()).unwrap();
        let copy = head.copy(None);
        assert_eq!(
            (names(&mut copy.fields()).as_str(), copy.body_length),
            ("Host Content-Length", BodyLength::Length(0))
        );
        // One of a question is one too.
        assert_eq!(question.question().client_method_text(), b"PUT");
    }
}
