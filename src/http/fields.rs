//! The field lines of a request's head (RFC 9110 section 5, RFC 9112 section 5): which are taken,
//! which are dropped, and where the well-known ones stand. Judges no value.

use httparse::{EMPTY_HEADER, Header, Status};

use super::head_error::HeadError;
use super::scanner::Limits;

/// Names that are asked for in most requests, found without a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Known {
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Expect,
    Range,
    IfRange,
    IfModifiedSince,
    IfUnmodifiedSince,
    IfMatch,
    IfNoneMatch,
    UserAgent,
    Referer,
    Cookie,
    Authorization,
    ContentType,
    Accept,
    AcceptEncoding,
    XForwardedFor,
    KeepAlive,
    ContentRange,
}

const KNOWN: usize = Known::ContentRange as usize + 1;

/// As many fields as most clients send: a longer head costs one more look and an allocation.
const USUAL: usize = 32;

impl Known {
    /// Whether a second one of it makes the head ambiguous. nginx refuses the same, and If-Match and If-None-Match, which are lists.
    fn is_single(self) -> bool {
        use Known::*;
        matches!(
            self,
            ContentLength
                | TransferEncoding
                | Expect
                | IfRange
                | IfModifiedSince
                | IfUnmodifiedSince
                | Authorization
                | ContentRange
        )
    }
}

/// The well-known name that this is, in any case of letters.
pub fn recognise(name: &[u8]) -> Option<Known> {
    use Known::*;
    let candidates: &[(&str, Known)] = match name.len() {
        4 => &[("host", Host)],
        5 => &[("range", Range)],
        6 => &[("accept", Accept), ("cookie", Cookie), ("expect", Expect)],
        7 => &[("referer", Referer)],
        8 => &[("if-range", IfRange), ("if-match", IfMatch)],
        10 => &[("user-agent", UserAgent), ("connection", Connection), ("keep-alive", KeepAlive)],
        12 => &[("content-type", ContentType)],
        13 => &[("if-none-match", IfNoneMatch), ("authorization", Authorization), ("content-range", ContentRange)],
        14 => &[("content-length", ContentLength)],
        15 => &[("accept-encoding", AcceptEncoding), ("x-forwarded-for", XForwardedFor)],
        17 => &[("if-modified-since", IfModifiedSince), ("transfer-encoding", TransferEncoding)],
        19 => &[("if-unmodified-since", IfUnmodifiedSince)],
        _ => &[],
    };
    candidates.iter().find(|(text, _)| name.eq_ignore_ascii_case(text.as_bytes())).map(|&(_, known)| known)
}

/// Whether a field of this name is kept. Every token is a legal name; nginx's `ignore_invalid_headers` and
/// `underscores_in_headers` drop the odd ones, because programs behind a server confuse `a_b` with `a-b`.
pub fn is_kept(name: &[u8], limits: &Limits) -> bool {
    !limits.ignore_invalid
        || name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-' || (b == b'_' && limits.underscores))
}

/// tchar of RFC 9110 section 5.6.2: what names of fields are made of.
pub fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

const TOKEN: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let (others, mut at) = (b"!#$%&'*+-.^_`|~", 0);
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

/// A field's name in lower case, to be compared with names we know. A longer one than those is none of them: it counts as empty.
#[derive(Debug, Clone, Copy)]
pub struct Lower {
    bytes: [u8; Lower::MOST],
    len: usize,
}

impl Lower {
    const MOST: usize = 32;

    /// That of this name.
    pub fn of(name: &[u8]) -> Lower {
        let mut lower = Lower { bytes: [0; Lower::MOST], len: 0 };
        if let Some(place) = lower.bytes.get_mut(..name.len()) {
            place.copy_from_slice(name);
            place.make_ascii_lowercase();
            lower.len = name.len();
        }
        lower
    }
}

impl AsRef<[u8]> for Lower {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Where the fields stand in the bytes of their head.
#[derive(Debug, Clone)]
pub struct List {
    places: Vec<Place>,
    /// The first field of each well-known name, counted from one; zero: there is none.
    known: [u32; KNOWN],
    /// Where the lines begin that were dropped for their names.
    dropped: Vec<u32>,
    /// How many requests the one of this head is asked inside of, by which some fields are withheld.
    pub(super) depth: u8,
    /// Whether that one is a copy of the request it is asked for, with all that it says of the body.
    pub(super) is_copy: bool,
}

/// Set in the length of a name that is withheld.
const WITHHELD: u32 = 1 << 31;

/// Name and value of one field, as offsets that a head of less than 2 GiB can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    name: u32,
    name_len: u32,
    value: u32,
    value_len: u32,
}

impl Default for List {
    fn default() -> Self {
        List { places: Vec::new(), known: [0; KNOWN], dropped: Vec::new(), depth: 0, is_copy: false }
    }
}

impl List {
    /// Forgets the fields but keeps the memory.
    pub fn clear(&mut self) {
        self.places.clear();
        self.known = [0; KNOWN];
        self.dropped.clear();
        (self.depth, self.is_copy) = (0, false);
    }

    /// Reads the field lines of `raw` from `start` up to the blank line. `raw` is shorter than 4 GiB.
    pub fn parse(&mut self, raw: &[u8], start: usize, limits: &Limits) -> Result<(), HeadError> {
        let lines = &raw[start..];
        let mut usual = [EMPTY_HEADER; USUAL];
        match httparse::parse_headers(lines, &mut usual) {
            Ok(Status::Complete((_, headers))) => self.collect(raw, headers, limits),
            Err(httparse::Error::TooManyHeaders) => {
                let count = lines.iter().filter(|&&b| b == b'\n').count().min(limits.max_headers);
                let mut many = vec![EMPTY_HEADER; count];
                match httparse::parse_headers(lines, &mut many) {
                    Ok(Status::Complete((_, headers))) => self.collect(raw, headers, limits),
                    Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyFields),
                    _ => Err(HeadError::BadField),
                }
            }
            // Field lines without a colon or with white space before it, folded lines (RFC 9112 section 5.2),
            // names that are no token, CR, NUL and other controls in values (RFC 9110 section 5.5).
            _ => Err(HeadError::BadField),
        }
    }

    fn collect(&mut self, raw: &[u8], headers: &[Header<'_>], limits: &Limits) -> Result<(), HeadError> {
        if headers.len() > limits.max_headers {
            return Err(HeadError::TooManyFields);
        }
        headers.iter().try_for_each(|header| self.add(raw, header.name.as_bytes(), header.value, limits))
    }

    /// Adds a field whose name and value are parts of `raw`, unless its name has it dropped.
    #[inline]
    pub(super) fn add(&mut self, raw: &[u8], name: &[u8], value: &[u8], limits: &Limits) -> Result<(), HeadError> {
        if !is_kept(name, limits) {
            self.dropped.push(Place::within(raw, name, b"").name);
            return Ok(());
        }
        if let Some(known) = recognise(name) {
            let first = &mut self.known[known as usize];
            match known {
                _ if *first == 0 => *first = self.places.len() as u32 + 1,
                Known::Host => return Err(HeadError::TwoHosts),
                _ if known.is_single() => return Err(HeadError::DuplicateField),
                _ => {}
            }
        }
        self.places.push(Place::within(raw, name, value));
        Ok(())
    }

    /// The value of the first field of a well-known name.
    pub fn known<'a>(&self, raw: &'a [u8], name: Known) -> Option<&'a [u8]> {
        let place = (self.known[name as usize] as usize).checked_sub(1)?;
        self.places.get(place).map(|place| place.value(raw))
    }

    /// The lines that were dropped for their names, without their ends.
    pub fn dropped<'a>(&'a self, raw: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.dropped.iter().map(|&start| {
            let rest = raw.get(start as usize..).unwrap_or_default();
            rest.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default()
        })
    }

    /// Drops the fields whose names fit, unless they are well-known.
    pub fn forget(&mut self, raw: &[u8], fits: impl Fn(&[u8]) -> bool) {
        let known = self.known;
        for (i, place) in self.places.iter_mut().enumerate() {
            if fits(place.name(raw)) && !known.contains(&(i as u32 + 1)) {
                // The places of the others are known by their numbers.
                place.name_len = 0;
            }
        }
    }

    /// Withholds the fields of these well-known names: they stand apart from the others.
    pub fn withhold(&mut self, raw: &[u8], names: &[Known]) {
        if !names.iter().any(|name| self.known[*name as usize] != 0) {
            return;
        }
        for place in &mut self.places {
            if recognise(place.name(raw)).is_some_and(|known| names.contains(&known)) {
                place.name_len |= WITHHELD;
            }
        }
        names.iter().for_each(|name| self.known[*name as usize] = 0);
    }

    /// What was withheld, in order.
    pub fn withheld<'a>(&'a self, raw: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let withheld = self.places.iter().filter(|place| place.name_len & WITHHELD != 0);
        withheld.map(|place| (place.name(raw), place.value(raw)))
    }

    /// The value of the first field of a well-known name is what stands in `raw` from `start` on.
    pub fn replace(&mut self, raw: &[u8], name: Known, start: usize) {
        let place = (self.known[name as usize] as usize).checked_sub(1).and_then(|place| self.places.get_mut(place));
        if let Some(place) = place {
            (place.value, place.value_len) = (start as u32, (raw.len() - start) as u32);
        }
    }

    /// All fields in order.
    pub fn iter<'a>(&'a self, raw: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let there = self.places.iter().filter(|place| (1..WITHHELD).contains(&place.name_len));
        there.map(|place| (place.name(raw), place.value(raw)))
    }
}

impl Place {
    /// That of a name and a value which are parts of `raw`; where an empty value is does not matter.
    pub(super) fn within(raw: &[u8], name: &[u8], value: &[u8]) -> Place {
        let at = |part: &[u8]| if part.is_empty() { 0 } else { (part.as_ptr().addr() - raw.as_ptr().addr()) as u32 };
        Place { name: at(name), name_len: name.len() as u32, value: at(value), value_len: value.len() as u32 }
    }

    pub(super) fn name(self, raw: &[u8]) -> &[u8] {
        slice(raw, self.name, self.name_len & !WITHHELD)
    }

    pub(super) fn value(self, raw: &[u8]) -> &[u8] {
        slice(raw, self.value, self.value_len)
    }
}

fn slice(raw: &[u8], start: u32, len: u32) -> &[u8] {
    raw.get(start as usize..start as usize + len as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[u8], limits: &Limits) -> Result<Vec<(String, String)>, HeadError> {
        let mut list = List::default();
        list.parse(lines, 0, limits)?;
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        Ok(list.iter(lines).map(|(name, value)| (text(name), text(value))).collect())
    }

    #[test]
    fn values_lose_the_white_space_around_them() {
        for line in ["X:1\r\n\r\n", "X: 1\n\n", "X:\t 1 \t\r\n\r\n", "X: 1\n\r\n", "X:  1  \n\n"] {
            let fields = parse(line.as_bytes(), &Limits::default()).unwrap();
            assert_eq!(fields, [("X".to_owned(), "1".to_owned())], "{line:?}");
        }
        assert_eq!(parse(b"X: \xff\xc3\xa9 a\tb\r\n\r\n", &Limits::default()).unwrap()[0].1, "\\xff\\xc3\\xa9 a\\tb");
        assert_eq!(parse(b"X:\r\n\r\n", &Limits::default()).unwrap()[0].1, "");
        assert_eq!(parse(b"\r\n", &Limits::default()), Ok(vec![]));
    }

    #[test]
    fn lines_that_are_no_field() {
        let table: &[&[u8]] = &[
            b"X\r\n\r\n",
            b": 1\r\n\r\n",
            b":\r\n\r\n",
            b"X : 1\r\n\r\n",
            b"X\t: 1\r\n\r\n",
            b" X: 1\r\n\r\n",
            b"\tX: 1\r\n\r\n",
            b"X: a\r\n b\r\n\r\n",
            b"X: a\r\n\tb: c\r\n\r\n",
            b"X Y: 1\r\n\r\n",
            b"X(: 1\r\n\r\n",
            b"X/: 1\r\n\r\n",
            b"X\x80: 1\r\n\r\n",
            b"X\0: 1\r\n\r\n",
            b"X\x7f: 1\r\n\r\n",
            b"X: a\0b\r\n\r\n",
            b"X: a\x01b\r\n\r\n",
            b"X: a\x7fb\r\n\r\n",
            b"X: a\rb\r\n\r\n",
            b"X: a\r\r\n\r\n",
            b"X\r: a\r\n\r\n",
            b"X: a\r\n\rb: c\r\n\r\n",
            b"X: a\r\n",
            b"X: a",
            b"",
        ];
        for lines in table {
            assert_eq!(parse(lines, &Limits::default()), Err(HeadError::BadField), "{}", lines.escape_ascii());
        }
    }

    #[test]
    fn odd_names_follow_the_limits() {
        let lines = b"A_B: 1\r\nA.B: 2\r\nA!: 3\r\nA-B9: 4\r\n\r\n";
        let table = [(true, false, "4"), (true, true, "14"), (false, false, "1234"), (false, true, "1234")];
        for (ignore_invalid, underscores, expected) in table {
            let limits = Limits { ignore_invalid, underscores, ..Limits::default() };
            let values: String = parse(lines, &limits).unwrap().into_iter().map(|(_, value)| value).collect();
            assert_eq!(values, expected, "{ignore_invalid} {underscores}");
            let mut list = List::default();
            list.parse(lines, 0, &limits).unwrap();
            let dropped: Vec<_> = list.dropped(lines).collect();
            let wanted: &[&[u8]] = &[b"A_B: 1", b"A.B: 2", b"A!: 3"];
            let wanted: Vec<&[u8]> =
                wanted.iter().filter(|line| !expected.as_bytes().contains(&line[line.len() - 1])).copied().collect();
            assert_eq!(dropped, wanted, "{ignore_invalid} {underscores}");
        }
    }

    #[test]
    fn counts_one_below_and_one_above() {
        let lines = |count: usize| ["X: 1\r\n".repeat(count), "\r\n".to_owned()].concat().into_bytes();
        for most in [1, 31, 32, 33, 34, 1000] {
            let limits = Limits { max_headers: most, ..Limits::default() };
            assert_eq!(parse(&lines(most), &limits).unwrap().len(), most);
            assert_eq!(parse(&lines(most + 1), &limits), Err(HeadError::TooManyFields), "{most}");
        }
    }

    #[test]
    fn repeats_are_refused_where_they_are_ambiguous() {
        let table = [
            ("Host", Err(HeadError::TwoHosts)),
            ("Content-Length", Err(HeadError::DuplicateField)),
            ("Transfer-Encoding", Err(HeadError::DuplicateField)),
            ("If-Modified-Since", Err(HeadError::DuplicateField)),
            ("If-None-Match", Ok(2)),
            ("If-Range", Err(HeadError::DuplicateField)),
            ("Authorization", Err(HeadError::DuplicateField)),
            ("Expect", Err(HeadError::DuplicateField)),
            ("Cookie", Ok(2)),
            ("Accept", Ok(2)),
            ("Connection", Ok(2)),
            ("User-Agent", Ok(2)),
            ("X-Other", Ok(2)),
        ];
        for (name, expected) in table {
            let lines = format!("{name}: 1\r\n{}: 1\r\n\r\n", name.to_lowercase());
            assert_eq!(parse(lines.as_bytes(), &Limits::default()).map(|f| f.len()), expected, "{name}");
        }
    }
}
