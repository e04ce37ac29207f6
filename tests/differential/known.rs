//! Where the two differ on purpose: each rule names the case that shows it, and so the reason that docs/differences.md gives.

use super::pair::Difference;
use super::requests::Request;
use super::support::wire::Answer;

/// A rule: the case, and whether a difference is of its kind.
type Rule = (&'static str, fn(&Facts) -> bool);

/// What differs in the response itself.
const RULES: [Rule; 23] = [
    ("header/no_colon", |f| f.ours == 400 && f.lines.iter().any(|line| !line.contains(&b':'))),
    ("header/name_is_no_token", |f| f.ours == 400 && f.lines.iter().any(|line| !has_token(line))),
    ("header/control_in_value", |f| f.ours == 400 && f.lines.iter().any(|line| line.iter().any(|b| is_control(*b)))),
    ("host/not_a_name", |f| f.ours == 400 && f.hosts().any(|host| !is_host(&host))),
    ("body/last_coding", |f| f.ours == 400 && f.theirs == 501),
    ("body/chunk_size_with_lf", |f| f.is_chunked() && !is_whole(&f.body)),
    ("body/chunk_size_with_space", |f| f.is_chunked() && f.body.contains(&b' ')),
    ("request/http2_preface", |f| f.ours == 505 && f.request_line.ends_with(b"HTTP/2.0")),
    ("conditional/goes_on_after_412", |f| {
        f.is_second && f.theirs == 0 && (f.has("if-match") || f.has("if-unmodified-since"))
    }),
    ("conditional/other_methods", |f| !f.is_read() && matches!(f.theirs, 304 | 412)),
    ("body/malformed_without_reader", |f| f.is_chunked() && f.ours == 400),
    ("header/repeated", |f| f.values("x-odd").count() > 1 || f.values("x-key").count() > 1),
    ("request/trace_through_a_proxy", |f| f.request_line.starts_with(b"TRACE ") && f.has("x-forwarded-for")),
    ("auth_basic/password_with_nul", |f| {
        f.ours == 401 && f.values("authorization").any(|value| value.ends_with(b"AAA=="))
    }),
    ("disable_symlinks/on", |f| {
        (f.ours, f.theirs) == (403, 404) && f.request_line.windows(4).any(|four| four == b"link")
    }),
    ("request/connection_option_prefix", |f| f.values("connection").any(|value| hides_an_option(&value))),
    ("header/tabs_around_value", |f| f.lines.iter().any(|line| line.contains(&b'\t'))),
    ("request/asterisk", |f| f.request_line.starts_with(b"OPTIONS * ")),
    ("ranges/head", |f| !f.request_line.starts_with(b"GET ") && f.has("range") && matches!(f.theirs, 206 | 416)),
    ("ranges/empty_elements", |f| f.values("range").any(|range| has_empty_element(&range))),
    ("conditional/if_none_match_wins", |f| f.has("if-none-match") && f.has("if-modified-since")),
    ("conditional/if_match_wins", |f| f.has("if-match") && f.has("if-unmodified-since")),
    ("conditional/if_unmodified_since", |f| f.has("if-unmodified-since") && f.theirs == 412),
];

/// A request's lines, and what was said to it.
struct Facts {
    request_line: Vec<u8>,
    lines: Vec<Vec<u8>>,
    body: Vec<u8>,
    ours: u16,
    theirs: u16,
    /// The first response was the same.
    is_second: bool,
}

/// The case that shows this difference.
pub fn case(request: &Request, difference: &Difference) -> Option<&'static str> {
    let status = |answer: &Option<Answer>| answer.as_ref().map_or(0, |answer| answer.status);
    let mut facts = Facts::new(request, status(&difference.ours), status(&difference.theirs));
    facts.is_second = difference.at == 1;
    RULES.iter().find(|(_, holds)| holds(&facts)).map(|(case, _)| *case)
}

/// The names of the cases.
pub fn cases() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(case, _)| *case).chain([
        "alias/methods",
        "body/expect_without_reading",
        "ranges/416_says_it_once",
    ])
}

/// Takes away what is said otherwise on purpose in responses that must be the same but for that.
pub fn settle(ours: &mut [Answer], theirs: &mut Vec<Answer>) {
    // body/expect_without_reading
    if ours.first().is_some_and(|answer| answer.status >= 200) {
        theirs.retain(|answer| answer.status >= 200);
    }
    for (ours, theirs) in ours.iter_mut().zip(theirs) {
        // alias/methods
        if (ours.status, theirs.status) == (405, 405) {
            ours.headers.retain(|(name, _)| name != "Allow");
        }
        // auth_basic/asks_once
        theirs.headers.dedup_by(|a, b| a.0 == "WWW-Authenticate" && a == b);
        // ranges/416_says_it_once
        if (ours.status, theirs.status) == (416, 416) {
            theirs.headers.retain(|(name, _)| !matches!(name.as_str(), "Expires" | "Cache-Control"));
            let seen = theirs.headers.iter().position(|(name, _)| name == "X-Seen");
            seen.map(|at| theirs.headers.remove(at));
        }
    }
}

impl Facts {
    fn new(request: &Request, ours: u16, theirs: u16) -> Facts {
        let mut rest = &request.bytes[..];
        let mut lines = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            lines.push(line.to_vec());
        }
        let request_line = if lines.is_empty() { Vec::new() } else { lines.remove(0) };
        Facts { request_line, lines, body: rest.to_vec(), ours, theirs, is_second: false }
    }

    /// The values of a field.
    fn values(&self, name: &str) -> impl Iterator<Item = Vec<u8>> {
        self.lines.iter().filter_map(move |line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let is_it = line[..colon].eq_ignore_ascii_case(name.as_bytes());
            is_it.then(|| line[colon + 1..].trim_ascii().to_vec())
        })
    }

    fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// Whether the method is GET or HEAD.
    fn is_read(&self) -> bool {
        self.request_line.starts_with(b"GET ") || self.request_line.starts_with(b"HEAD ")
    }

    fn is_chunked(&self) -> bool {
        self.has("transfer-encoding")
    }

    /// The hosts that it names, in the target too.
    fn hosts(&self) -> impl Iterator<Item = Vec<u8>> {
        let target = self.request_line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let absolute = target.windows(3).position(|three| three == b"://").map(|at| &target[at + 3..]);
        let end = |host: &[u8]| host.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(host.len());
        let absolute = absolute.map(|host| host[..end(host)].to_vec());
        self.values("host").chain(absolute)
    }
}

fn has_token(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_token)
}

/// Whether a chunked body comes to its end by the letter of RFC 9112, section 7.1.
fn is_whole(mut rest: &[u8]) -> bool {
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return false };
        let size = rest[..end].split(|byte| *byte == b';').next().unwrap_or_default();
        let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        rest = &rest[end + 2..];
        match size {
            Some(0) => return rest.windows(2).any(|two| two == b"\r\n"),
            Some(size) if rest.get(size..).is_some_and(|rest| rest.starts_with(b"\r\n")) => rest = &rest[size + 2..],
            _ => return false,
        }
    }
}

/// A part of it is an option that its commas do not part from the rest.
fn hides_an_option(connection: &[u8]) -> bool {
    let text = String::from_utf8_lossy(connection).to_ascii_lowercase();
    let is_listed = |option: &str| text.split(',').any(|listed| listed.trim() == option);
    ["close", "keep-alive"].iter().any(|option| text.contains(option) && !is_listed(option))
}

/// An element between commas that is empty: the first follows the unit.
fn has_empty_element(range: &[u8]) -> bool {
    let elements = range.split(|byte| *byte == b'=').nth(1).unwrap_or_default();
    elements.split(|byte| *byte == b',').any(|element| element.trim_ascii().is_empty())
}

fn is_control(byte: u8) -> bool {
    byte != b'\t' && (byte < b' ' || byte == 0x7f)
}

/// Whether it is a name or address, and perhaps a port.
fn is_host(host: &[u8]) -> bool {
    let text = String::from_utf8_lossy(host);
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port),
        _ => (&*text, ""),
    };
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~[]:!$&'()*+,;=".contains(&byte));
    is_name && !name.is_empty() && !name.contains("..") && port.bytes().all(|byte| byte.is_ascii_digit())
}
