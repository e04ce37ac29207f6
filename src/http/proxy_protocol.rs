//! The PROXY protocol, versions 1 and 2: what a proxy says of its client before the first byte of a connection, and the extra
//! fields of version 2 (TLVs), which are looked at only when somebody asks for one.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bytes of the longest announcement that is read.
pub const LONGEST: usize = 4096;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What stands at the beginning of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// The beginning of one.
    Partial,
    /// All of one: its length, and where the client is and where it connected to, if the proxy says so.
    Whole(usize, Option<(SocketAddr, SocketAddr)>),
    /// Something else.
    Broken,
}

/// Reads what has come of a connection so far.
pub fn parse(bytes: &[u8]) -> Announcement {
    match () {
        () if bytes.starts_with(b"PROXY ") => parse_line(bytes),
        () if bytes.starts_with(SIGNATURE) => parse_binary(bytes),
        () if b"PROXY ".starts_with(bytes) || SIGNATURE.starts_with(bytes) => Announcement::Partial,
        () => Announcement::Broken,
    }
}

/// Version 1: a line of at most 107 bytes.
fn parse_line(bytes: &[u8]) -> Announcement {
    const LINE: usize = 107;
    let head = &bytes[..bytes.len().min(LINE)];
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE { Announcement::Partial } else { Announcement::Broken };
    };
    let Ok(line) = std::str::from_utf8(&head[..end]) else { return Announcement::Broken };
    let words: Vec<&str> = line.split(' ').collect();
    if words.get(1) == Some(&"UNKNOWN") {
        return Announcement::Whole(end + 2, None);
    }
    let ends = match words.as_slice() {
        ["PROXY", "TCP4" | "TCP6", source, destination, from, to] => {
            address(source, from).zip(address(destination, to))
        }
        _ => None,
    };
    let is_one_family = |(source, destination): &(SocketAddr, SocketAddr)| {
        source.is_ipv4() == destination.is_ipv4() && source.is_ipv4() == (words[1] == "TCP4")
    };
    match ends.filter(is_one_family) {
        Some(ends) => Announcement::Whole(end + 2, Some(ends)),
        None => Announcement::Broken,
    }
}

fn address(ip: &str, port: &str) -> Option<SocketAddr> {
    let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok().filter(|_| is_number)?))
}

/// Version 2: signature, version and command, family, length, addresses.
fn parse_binary(bytes: &[u8]) -> Announcement {
    let Some(&[command, family, high, low]) = bytes.get(12..16) else { return Announcement::Partial };
    let whole = 16 + usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || whole > LONGEST {
        return Announcement::Broken;
    }
    let Some(body) = bytes.get(16..whole) else { return Announcement::Partial };
    match (command & 15, family) {
        // The proxy speaks for itself: a check of health.
        (0, _) => Announcement::Whole(whole, None),
        (1, 0x11) => {
            ends::<4>(body, |ip| ip.into()).map_or(Announcement::Broken, |ends| Announcement::Whole(whole, Some(ends)))
        }
        (1, 0x21) => {
            let ip = |ip: [u8; 16]| IpAddr::V6(Ipv6Addr::from(ip));
            ends::<16>(body, ip).map_or(Announcement::Broken, |ends| Announcement::Whole(whole, Some(ends)))
        }
        // A family that has no address and port of TCP.
        (1, _) => Announcement::Whole(whole, None),
        _ => Announcement::Broken,
    }
}

fn ends<const N: usize>(body: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> Option<(SocketAddr, SocketAddr)> {
    let at = |from: usize| body.get(from..from + N)?.try_into().ok().map(&ip);
    let port = |from: usize| Some(u16::from_be_bytes(body.get(from..from + 2)?.try_into().ok()?));
    let source = SocketAddr::new(at(0)?, port(2 * N)?);
    Some((source, SocketAddr::new(at(N)?, port(2 * N + 2)?)))
}

/// The extra fields of a whole announcement; none where there are no addresses before them.
pub fn fields(announcement: &[u8]) -> &[u8] {
    let from = match announcement.get(12..14) {
        Some([0x21, 0x11]) => 28,
        Some([0x21, 0x21]) => 52,
        _ => usize::MAX,
    };
    if announcement.starts_with(SIGNATURE) { announcement.get(from..).unwrap_or_default() } else { b"" }
}

/// The fields that have names.
const NAMES: [(&str, u8); 5] =
    [("alpn", 0x01), ("authority", 0x02), ("unique_id", 0x05), ("ssl", 0x20), ("netns", 0x30)];
/// Those inside the field of TLS.
const OF_TLS: [(&str, u8); 5] =
    [("version", 0x21), ("cn", 0x22), ("cipher", 0x23), ("sig_alg", 0x24), ("key_alg", 0x25)];
/// The field of TLS.
const TLS: u8 = 0x20;

/// The extra field of a name or of a number (`0x05`); behind `ssl_` one inside the field of TLS, whose `verify` is the proxy's
/// verdict on the client's certificate: `0` if it is good.
pub fn field<'f>(fields: &'f [u8], name: &str) -> Option<Cow<'f, [u8]>> {
    let Some(inner) = name.strip_prefix("ssl_") else { return find(fields, number(name, &NAMES)?).map(Cow::Borrowed) };
    // A byte of what the client did, then the verdict in four.
    let (front, rest) = find(fields, TLS)?.split_at_checked(5)?;
    match inner {
        "verify" => Some(Cow::Owned(u32::from_be_bytes(front[1..].try_into().ok()?).to_string().into_bytes())),
        _ => find(rest, number(inner, &OF_TLS)?).map(Cow::Borrowed),
    }
}

fn number(name: &str, names: &[(&str, u8)]) -> Option<u8> {
    match name.strip_prefix("0x") {
        Some(digits) if digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u8::from_str_radix(digits, 16).ok()
        }
        _ => names.iter().find(|(known, _)| *known == name).map(|(_, number)| *number),
    }
}

/// The first field of this kind. Nothing behind one that is cut short counts.
fn find(mut fields: &[u8], kind: u8) -> Option<&[u8]> {
    while let [this, high, low, rest @ ..] = fields {
        let (value, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        if *this == kind {
            return Some(value);
        }
        fields = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_fields() {
        let tls = [&[1, 0, 0, 0, 7][..], &[0x21, 0, 7], b"TLSv1.3", &[0x22, 0, 1], b"c"].concat();
        let fields =
            [&[1, 0, 2][..], b"h2", &[4, 0, 0], &[0x20, 0, tls.len() as u8], &tls, &[0xea, 0, 1], b"v"].concat();
        for (name, want) in [
            ("alpn", Some("h2")),
            ("0x01", Some("h2")),
            ("0x04", Some("")),
            ("0xea", Some("v")),
            ("0xEA", Some("v")),
            ("ssl_version", Some("TLSv1.3")),
            ("ssl_0x22", Some("c")),
            ("ssl_verify", Some("7")),
            ("authority", None),
            ("ssl_cipher", None),
            ("ssl_", None),
            ("0x1", None),
            ("0x+1", None),
            ("verify", None),
            ("", None),
        ] {
            let found = field(&fields, name);
            assert_eq!(found.as_deref().map(String::from_utf8_lossy).as_deref(), want, "{name}");
        }
        for cut in 0..fields.len() {
            for name in ["alpn", "0xea", "ssl_cn", "ssl_verify"] {
                let found = field(&fields[..cut], name);
                assert!(found.is_none() || found == field(&fields, name), "{name} in {cut} bytes");
            }
        }
    }

    fn whole(len: usize, source: &str, destination: &str) -> Announcement {
        Announcement::Whole(len, Some((source.parse().unwrap(), destination.parse().unwrap())))
    }

    #[test]
    fn version_1() {
        for (text, want) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET", whole(36, "192.0.2.1:1", "192.0.2.2:2")),
            ("PROXY TCP6 ::1 ::2 65535 0\r\n", whole(28, "[::1]:65535", "[::2]:0")),
            ("PROXY UNKNOWN\r\n", Announcement::Whole(15, None)),
            ("PROXY UNKNOWN whatever it says\r\n", Announcement::Whole(32, None)),
            ("", Announcement::Partial),
            ("PRO", Announcement::Partial),
            ("PROXY TCP4 192.0.2.1", Announcement::Partial),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", Announcement::Partial),
            ("PROXY TCP4 ::1 ::2 1 2\r\n", Announcement::Broken),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", Announcement::Broken),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n", Announcement::Broken),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", Announcement::Broken),
            ("PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", Announcement::Broken),
            ("GET / HTTP/1.1\r\n", Announcement::Broken),
        ] {
            assert_eq!(parse(text.as_bytes()), want, "{text:?}");
        }
        let long = |n: usize| [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; n], b"\r\n".to_vec()].concat();
        assert_eq!(parse(&long(91)), Announcement::Whole(107, None));
        assert_eq!(parse(&long(92)), Announcement::Broken);
    }

    #[test]
    fn version_2() {
        let built = |command: u8, family: u8, body: &[u8]| {
            let len = (body.len() as u16).to_be_bytes();
            [SIGNATURE, &[command, family][..], &len, body].concat()
        };
        let four = [192, 0, 2, 1, 192, 0, 2, 2, 0, 80, 1, 0];
        let bytes = built(0x21, 0x11, &four);
        assert_eq!(parse(&bytes), whole(28, "192.0.2.1:80", "192.0.2.2:256"));
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut]), Announcement::Partial, "{cut} bytes");
        }
        let with_fields = built(0x21, 0x11, &[&four[..], &[1, 0, 1, 7]].concat());
        assert_eq!(parse(&with_fields), whole(32, "192.0.2.1:80", "192.0.2.2:256"));
        assert_eq!((super::fields(&with_fields), super::fields(&bytes)), (&[1, 0, 1, 7][..], &[][..]));
        assert_eq!(super::fields(b"PROXY UNKNOWN with many words behind it\r\n"), b"");
        let six = [[0; 15].as_slice(), &[1], &[0; 15], &[2], &[0, 1, 0, 2]].concat();
        assert_eq!(parse(&built(0x21, 0x21, &six)), whole(52, "[::1]:1", "[::2]:2"));
        assert_eq!(parse(&built(0x20, 0, &[])), Announcement::Whole(16, None));
        assert_eq!(parse(&built(0x21, 0x31, &[0; 216])), Announcement::Whole(232, None));
        for broken in [
            built(0x11, 0x11, &four),
            built(0x22, 0x11, &four),
            built(0x21, 0x11, &four[..11]),
            built(0x21, 0x21, &four),
        ] {
            assert_eq!(parse(&broken), Announcement::Broken);
        }
        let most = LONGEST - 16;
        assert_eq!(parse(&built(0x20, 0, &vec![0; most])), Announcement::Whole(LONGEST, None));
        assert_eq!(parse(&built(0x20, 0, &vec![0; most + 1])), Announcement::Broken);
    }
}
