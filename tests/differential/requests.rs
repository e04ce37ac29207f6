//! Random requests: heads that are almost right, paths in many spellings, ranges, conditions and chunked bodies. Sends nothing.

use super::confs::WORDS;
use super::random::Random;

/// A request as bytes, and what is needed to read the response.
pub struct Request {
    pub bytes: Vec<u8>,
    pub is_head: bool,
}

/// Comes after each request on its connection: whether it is answered tells where a server thinks that the request ended.
pub const LAST: &[u8] = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

const METHODS: [&str; 16] = [
    "POST", "PUT", "DELETE", "PATCH", "PROPFIND", "MKCOL", "LOCK", "FOO", "get", "Get", "G-T", "G_T", "GETS", "TRACE",
    "OPTIONS", "M",
];
const HOSTS: &[&str] = &[
    "a.test",
    "A.TEST",
    "a.test.",
    "b.test",
    "x.b.test",
    "www.test",
    "h:80",
    "h:",
    "h:x",
    "127.0.0.1",
    "[::1]",
    "[::1]:80",
    "",
    "a.test:%PORT%",
    "none",
    "-",
    "a..test",
];
const RANGES: [&str; 22] = [
    "bytes=0-0",
    "bytes=0-",
    "bytes=-1",
    "bytes=-0",
    "bytes=2-1",
    "bytes=5-100000",
    "bytes=0-1,3-4",
    "bytes=0-1, 3-4",
    "bytes=3-4,0-1",
    "bytes=0-,0-,0-",
    "bytes=a-b",
    "bytes=",
    "bytes",
    "Bytes=0-1",
    "items=0-1",
    "bytes=0-1,",
    "bytes= 0-1",
    "bytes=0 - 1",
    "bytes=100000-",
    "bytes=-100000",
    "bytes=0-1,200000-",
    "bytes=0-0,-1",
];
const DATES: [&str; 7] = [
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 22:13:21 GMT",
    "Tue, 14 Nov 2023 22:13:19 GMT",
    "Tuesday, 14-Nov-23 22:13:20 GMT",
    "Tue Nov 14 22:13:20 2023",
    "yesterday",
    "",
];
const TAGS: [&str; 9] = [
    "\"6553f100-a\"",
    "W/\"6553f100-a\"",
    "\"x\"",
    "*",
    "\"x\", \"6553f100-a\"",
    "W/\"x\",W/\"6553f100-a\"",
    "6553f100-a",
    "\"6553f100-a",
    "",
];
const CODINGS: &[&str] = &["chunked", "Chunked", "identity", "gzip, chunked", "xchunked", "chunked;a=b", ""];
const LENGTHS: [&str; 12] = ["0", "5", "05", "+5", "-1", "0x5", "5, 5", "5,6", "99999999999999999999", "", "5 5", "11"];
const ODD: &[&str] = &[
    "X-Odd: 1",
    "X_Odd: 1",
    "X-Odd:1",
    "X-Odd:",
    "X-Odd: a\tb",
    "X-Odd: \u{e9}",
    "x-ODD: 2",
    "X.Odd: 1",
    "X-Odd:   spaces   ",
    "Upgrade: h2c",
    "Via: 1.0 x",
    "TE: trailers",
    "X-Odd: 1\r\nX-Odd: 2",
];
const CHUNKED: &[&str] = &[
    "0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n00\r\n\r\n",
    "005\r\nhello\r\n0\r\n\r\n",
    "B\r\nhello world\r\n0\r\n\r\n",
    "b\r\nhello world\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0\r\n\r\n",
    "5;a=\"b;\"\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    "5\r\nhello\r\n0\r\nX-T: 1\r\nContent-Length: 3\r\n\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n",
    "5\r\nhell\r\n0\r\n\r\n",
    "-1\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "7fffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "\r\n5\r\nhello\r\n0\r\n\r\n",
    "1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n",
];

/// The next one.
pub fn request(random: &mut Random) -> Request {
    let method = match random.below(100) {
        0..60 => "GET",
        60..70 => "HEAD",
        70..82 => "POST",
        _ => random.one_of(&METHODS),
    };
    let end = if random.chance(4) { "\n" } else { "\r\n" };
    let version = match random.below(100) {
        0..88 => "HTTP/1.1",
        88..95 => "HTTP/1.0",
        _ => random.one_of(&[
            "HTTP/1.2",
            "HTTP/2.0",
            "http/1.1",
            "HTTP/1.10",
            "HTTP/01.1",
            "HTTP/1.",
            "HTTP/1.1 ",
            "HTP/1.1",
            "HTTP/0.9",
            "HTTP/1.x",
        ]),
    };
    let target = target(random);
    let gap = if random.chance(2) { "  " } else { " " };
    let mut bytes = format!("{method}{gap}").into_bytes();
    bytes.extend(target);
    bytes.extend(format!(" {version}{end}").bytes());
    let (fields, body) = fields(random, method);
    for field in fields {
        bytes.extend(field.bytes());
        bytes.extend(end.bytes());
    }
    bytes.extend(end.bytes());
    bytes.extend(body.bytes());
    if random.chance(2) {
        // One byte of it is another.
        let at = random.below(bytes.len());
        bytes[at] = random.one_of(b"\0\x01\t\r\n :;/%?#.AZaz09\x7f\x80\xff");
    }
    Request { bytes, is_head: method == "HEAD" }
}

fn target(random: &mut Random) -> Vec<u8> {
    let mut path = String::new();
    for _ in 0..random.below(4) {
        path.push('/');
        path += &spelled(random);
    }
    if path.is_empty() || random.chance(20) {
        path.push('/');
    }
    if random.chance(30) {
        path += random.one_of(&[
            "?",
            "?a=b",
            "?key=open",
            "?key=open&key=shut",
            "?a?b",
            "?%00",
            "?a=/../",
            "??",
            "?a#b",
            "#",
            "#a?b",
            "?a b",
        ]);
    }
    match random.below(100) {
        0..3 => format!("http://{}{path}", random.one_of(HOSTS)).into_bytes(),
        3 => random
            .one_of(&[
                "*",
                "h:80",
                "a",
                "",
                "HTTP://h/",
                "http:/",
                "http://",
                "//",
                "/",
                "https://h/a.txt",
                "http://h",
                "http://h?a",
                "ftp://h/",
                "/\u{e9}",
                "?",
                ".",
                "\\",
                "/a.txt/",
            ])
            .into(),
        _ => path.into_bytes(),
    }
}

/// A word in one of the spellings of it.
fn spelled(random: &mut Random) -> String {
    let word = random.one_of(&WORDS).replace(' ', "%20");
    match random.below(30) {
        0 => word.to_uppercase(),
        1 => format!("%{:02x}{}", word.as_bytes()[0], &word[1..]),
        2 => format!("%{:02X}{}", word.as_bytes()[0], &word[1..]),
        3 => format!("./{word}"),
        4 => format!("{word}/.."),
        5 => format!("/{word}"),
        6 => format!("{word}/"),
        7 => format!("%2e%2e/{word}"),
        8 => format!("{word}%2f..%2f{word}"),
        9 => format!("%2e/{word}"),
        10 => format!("{word}%00"),
        11 => format!("{word}%20"),
        12 => format!("{word}."),
        13 => format!("{word};a=b"),
        14 => format!("{word}%3f"),
        15 => format!("{word}%zz"),
        16 => format!("{word}%"),
        17 => format!("{word}\\"),
        18 => format!("..\\{word}"),
        19 => format!("{word}%2f"),
        20 => format!("%252e%252e/{word}"),
        21 => "..".into(),
        22 => format!("{word}/."),
        23 => format!("{word}+"),
        _ => word,
    }
}

fn fields(random: &mut Random, method: &str) -> (Vec<String>, String) {
    let mut fields = Vec::new();
    if !random.chance(4) {
        let host = if random.chance(25) { random.one_of(HOSTS) } else { "h" };
        fields.push(format!("Host: {host}"));
    }
    let mut some = |percent, field: &dyn Fn(&mut Random) -> String| {
        if random.chance(percent) {
            let field = field(random);
            fields.push(field);
        }
    };
    some(2, &|random| format!("Host: {}", random.one_of(HOSTS)));
    some(15, &|random| format!("Range: {}", random.one_of(&RANGES)));
    some(8, &|random| format!("If-Modified-Since: {}", random.one_of(&DATES)));
    some(6, &|random| format!("If-None-Match: {}", random.one_of(&TAGS)));
    some(4, &|random| format!("If-Match: {}", random.one_of(&TAGS)));
    some(3, &|random| format!("If-Unmodified-Since: {}", random.one_of(&DATES)));
    some(5, &|random| {
        format!("If-Range: {}", if random.chance(50) { random.one_of(&DATES) } else { random.one_of(&TAGS) })
    });
    some(10, &|random| {
        format!(
            "Connection: {}",
            random.one_of(&["close", "keep-alive", "Close", "x, close", "upgrade", "keep-alive, close", "", "x-key"])
        )
    });
    some(10, &|random| {
        format!(
            "Accept-Encoding: {}",
            random.one_of(&[
                "gzip",
                "gzip;q=0",
                "*",
                "x-gzip",
                "deflate, gzip;q=0.5",
                "identity",
                "GZIP",
                "gzip; q=0.000"
            ])
        )
    });
    some(15, &|random| format!("X-Key: {}", random.one_of(&["open", "Open", "open ", "shut", "", "op en"])));
    some(15, &|random| {
        // ann:open, bob:shut, and what is almost one.
        let token = random.one_of(&[
            "YW5uOm9wZW4=",
            "YW5uOm9wZW4",
            "Ym9iOnNodXQ=",
            "YW5uOm9wZW4AAA==",
            "YW5u",
            "",
            "!!!",
            "OnBsYWlu",
            "YW5uOm9wZW46",
        ]);
        let scheme = random.one_of(&["Basic ", "basic ", "Basic  ", "Basic", "Bearer ", "BASIC "]);
        format!("Authorization: {scheme}{token}")
    });
    some(10, &|random| {
        format!(
            "X-Forwarded-For: {}",
            random.one_of(&[
                "10.1.2.3",
                "127.0.0.1",
                "10.1.2.3, 127.0.0.1",
                "1.2.3.4, 10.9.9.9",
                "x",
                "",
                "::1",
                "10.1.2.3:80",
                "[::1]:80",
                "10.1.2.3,",
                ",10.1.2.3",
                "unix:"
            ])
        )
    });
    some(8, &|random| {
        format!(
            "Referer: {}",
            random.one_of(&[
                "http://x.good.test/",
                "http://bad.test/",
                "http://h/",
                "good",
                "",
                "https://GOOD.test",
                "http://x.good.test:80/a",
                "ftp://x.good.test/"
            ])
        )
    });
    some(12, &|random| random.one_of(ODD).to_string());
    some(4, &|random| format!("Expect: {}", random.one_of(&["100-continue", "100-Continue", "x", ""])));
    some(3, &|_| format!("X-Long: {}", "x".repeat(900)));
    let mut body = String::new();
    let has_body = if matches!(method, "POST" | "PUT" | "PATCH") { 85 } else { 6 };
    if random.chance(has_body) {
        match random.below(10) {
            0..5 => {
                fields.push("Content-Length: 5".into());
                body = "hello".into();
            }
            5..8 => {
                fields.push("Transfer-Encoding: chunked".into());
                body = random.one_of(CHUNKED).into();
            }
            8 => {
                fields.push(format!("Content-Length: {}", random.one_of(&LENGTHS)));
                body = "hello".into();
            }
            _ => {
                fields.push(format!("Transfer-Encoding: {}", random.one_of(CODINGS)));
                body = random.one_of(CHUNKED).into();
                if random.chance(30) {
                    fields.push(format!("Content-Length: {}", random.one_of(&LENGTHS)));
                }
            }
        }
    }
    (fields, body)
}
