//! What is a head, what is none, and what of it is told.

use super::*;

fn parse(text: impl AsRef<[u8]>) -> Result<Head, HeadError> {
    let mut head = Head::default();
    head.parse(text.as_ref(), &Limits::default()).map(|()| head)
}

/// A GET of HTTP/1.1 with Host and these further lines.
fn with(lines: &str) -> Result<Head, HeadError> {
    parse(format!("GET /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
}

#[test]
fn lines_of_a_list_are_one() {
    let list =
        |lines: &str| with(lines).unwrap().list(Known::IfMatch).map(|list| String::from_utf8(list.into()).unwrap());
    assert_eq!(list(""), None);
    assert_eq!(list("If-Match: \"a\"\r\n").unwrap(), "\"a\"");
    assert_eq!(
        list("If-Match: \"a\"\r\nX: y\r\nif-match:\r\nIF-MATCH: W/\"b\", \"c\"\r\n").unwrap(),
        "\"a\", , W/\"b\", \"c\""
    );
}

#[test]
fn all_parts_of_a_head() {
    let head = parse("\r\nPOST /a?b HTTP/1.1 \r\nhOST: A.b.:80\r\nX-One: 1\r\nx-one:\t2 \nEmpty:\r\n\r\n").unwrap();
    assert_eq!(head.method, Method::Post);
    assert_eq!(head.method_text(), b"POST");
    assert_eq!(head.target(), b"/a?b");
    assert_eq!(head.protocol(), b"HTTP/1.1");
    assert_eq!(head.request_line(), b"POST /a?b HTTP/1.1 ");
    assert_eq!(head.field(b"host"), Some(&b"A.b.:80"[..]));
    assert_eq!(head.host(), Some(&b"a.b"[..]));
    assert_eq!(head.field(b"x-one"), Some(&b"1"[..]));
    assert_eq!(head.fields_named(b"x-one").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(head.field(b"empty"), Some(&b""[..]));
    assert_eq!(head.field(b"cookie"), None);
    assert_eq!(head.fields().count(), 4);
    assert_eq!(head.fields().next(), Some((&b"hOST"[..], &b"A.b.:80"[..])));
}

#[test]
fn a_head_is_reused_without_a_trace() {
    let mut head = with("Cookie: a\r\nConnection: close\r\nContent-Length: 3\r\n").unwrap();
    head.parse(b"GET / HTTP/1.0\r\n\r\n", &Limits::default()).unwrap();
    assert_eq!((head.field(b"cookie"), head.host(), head.fields().count()), (None, None, 0));
    assert_eq!(head.body_length, BodyLength::None);
    assert_eq!(head.parse(b"GET x\r\n", &Limits::default()), Err(HeadError::BadRequestLine));
    assert_eq!(head.request_line(), b"GET x");
    assert_eq!(head.target(), b"");
}

#[test]
fn a_value_is_replaced() {
    let mut head = with("Content-Type: a\r\nX: 1\r\ncontent-type: b\r\n").unwrap();
    let raw = head.raw().to_vec();
    head.forget(|name| name.eq_ignore_ascii_case(b"content-type"));
    head.replace(Known::ContentType, b"longer");
    head.replace(Known::Cookie, b"there is none");
    assert_eq!((head.known(Known::ContentType), head.known(Known::Cookie)), (Some(&b"longer"[..]), None));
    let fields: Vec<_> = head.fields().skip(1).collect();
    assert_eq!(fields, [(&b"Content-Type"[..], &b"longer"[..]), (b"X", b"1")]);
    assert_eq!(head.raw(), raw);
}

#[test]
fn hosts() {
    let table: &[(&str, Result<Option<&str>, HeadError>)] = &[
        ("GET / HTTP/1.1\r\n\r\n", Err(HeadError::NoHost)),
        ("GET / HTTP/1.7\r\n\r\n", Err(HeadError::NoHost)),
        ("GET / HTTP/1.0\r\n\r\n", Ok(None)),
        ("GET /\r\n", Ok(None)),
        ("GET / HTTP/1.0\r\nHost: a b\r\n\r\n", Err(HeadError::BadHost)),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Err(HeadError::BadHost)),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Err(HeadError::TwoHosts)),
        ("GET http://B:1/ HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some("b"))),
        ("GET http://b HTTP/1.1\r\n\r\n", Err(HeadError::NoHost)),
        ("GET http://b HTTP/1.1\r\nHost: a b\r\n\r\n", Err(HeadError::BadHost)),
        ("GET http://b HTTP/1.0\r\n\r\n", Ok(Some("b"))),
        ("GET http://b/\r\n", Ok(Some("b"))),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some("a"))),
    ];
    for (text, expected) in table {
        let found = parse(text).map(|head| head.host().map(|h| String::from_utf8_lossy(h).into_owned()));
        assert_eq!(found, expected.map(|host| host.map(str::to_owned)), "{text:?}");
    }
}

#[test]
fn body_lengths() {
    use BodyLength::*;
    let table: &[(&str, Result<BodyLength, HeadError>)] = &[
        ("", Ok(None)),
        ("Content-Length: 0\r\n", Ok(Length(0))),
        ("content-length: 003 \r\n", Ok(Length(3))),
        ("Content-Length: 9223372036854775807\r\n", Ok(Length(i64::MAX as u64))),
        ("Content-Length: 9223372036854775808\r\n", Err(HeadError::BadLength)),
        ("Content-Length: 99999999999999999999999\r\n", Err(HeadError::BadLength)),
        ("Content-Length:\r\n", Err(HeadError::BadLength)),
        ("Content-Length: +3\r\n", Err(HeadError::BadLength)),
        ("Content-Length: -3\r\n", Err(HeadError::BadLength)),
        ("Content-Length: 3, 3\r\n", Err(HeadError::BadLength)),
        ("Content-Length: 3 3\r\n", Err(HeadError::BadLength)),
        ("Content-Length: 0x3\r\n", Err(HeadError::BadLength)),
        ("Content-Length: 3\r\nContent-Length: 3\r\n", Err(HeadError::DuplicateField)),
        ("Content-Length: 3\r\nContent-Length: 4\r\n", Err(HeadError::DuplicateField)),
        ("Transfer-Encoding: CHUNKED\r\n", Ok(Chunked)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", Err(HeadError::LengthAndEncoding)),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::LengthAndEncoding)),
        ("Content-Length: 3\r\nTransfer-Encoding: gzip\r\n", Err(HeadError::BadEncoding)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::DuplicateField)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(HeadError::UnknownEncoding)),
        ("Transfer-Encoding: a,b;c=\"d\" ,\tCHUNKED\r\n", Err(HeadError::UnknownEncoding)),
        ("Transfer-Encoding: chunked, gzip\r\n", Err(HeadError::BadEncoding)),
        ("Transfer-Encoding: chunked, chunked\r\n", Err(HeadError::BadEncoding)),
        ("Transfer-Encoding: chunked,\r\n", Err(HeadError::BadEncoding)),
        ("Transfer-Encoding: chunked;a=b\r\n", Err(HeadError::BadEncoding)),
        ("Transfer-Encoding: xchunked\r\n", Err(HeadError::BadEncoding)),
        ("Transfer-Encoding: identity\r\n", Err(HeadError::BadEncoding)),
        ("Transfer-Encoding:\r\n", Err(HeadError::BadEncoding)),
        ("Transfer-Encoding: \u{b}chunked\r\n", Err(HeadError::BadField)),
        ("Transfer-Encoding : chunked\r\n", Err(HeadError::BadField)),
    ];
    for (lines, expected) in table {
        assert_eq!(with(lines).map(|head| head.body_length), *expected, "{lines:?}");
    }
    let old = parse("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(old.map(|head| head.body_length), Err(HeadError::EncodingIn10));
}

#[test]
fn connections() {
    let table = [
        ("", true, false),
        ("Connection: close\r\n", false, false),
        ("Connection: Close\r\n", false, false),
        ("Connection: keep-alive\r\n", true, true),
        ("Connection: closed\r\n", true, false),
        ("Connection: xclose\r\n", true, false),
        ("Connection: keep-alivex\r\n", true, false),
        ("Connection: upgrade ,close\r\n", false, false),
        ("Connection: close, keep-alive\r\n", false, false),
        ("Connection: keep-alive, te\r\n", true, true),
        ("Connection: close\r\nConnection: keep-alive\r\n", false, false),
        ("Connection: te\r\nConnection: keep-alive\r\n", true, true),
        ("Connection:\r\n", true, false),
    ];
    for (lines, modern, old) in table {
        assert_eq!(with(lines).unwrap().keep_alive, modern, "{lines:?}");
        let head = parse(format!("GET / HTTP/1.0\r\n{lines}\r\n")).unwrap();
        assert_eq!(head.keep_alive, old, "HTTP/1.0 {lines:?}");
    }
    assert!(!parse("GET /\n").unwrap().keep_alive);
}

#[test]
fn expectations() {
    let table = [
        ("Expect: 100-Continue\r\nContent-Length: 1\r\n", true),
        ("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", true),
        ("Expect: 100-continue\r\nContent-Length: 0\r\n", false),
        ("Expect: 100-continue\r\n", false),
        ("Expect: something\r\nContent-Length: 1\r\n", false),
    ];
    for (lines, expected) in table {
        assert_eq!(with(lines).unwrap().expects_continue, expected, "{lines:?}");
    }
    let old = parse("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").unwrap();
    assert!(!old.expects_continue);
}
