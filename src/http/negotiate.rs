//! Content negotiation (RFC 9110 12.4.2, 12.5): lists with q values, and whether a client would rather read JSON
//! than HTML. Lists come from clients: what is malformed counts as little as it can.

/// One element of a list with its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighted<'a> {
    /// The element without its parameters.
    pub item: &'a [u8],
    /// The weight in thousandths: 1000 when none is given, 0 for "not acceptable" and for a weight that is none.
    pub weight: u16,
}

/// The elements of a list such as Accept or Accept-Encoding, in the client's order, empty ones left out.
pub fn list(value: &[u8]) -> impl Iterator<Item = Weighted<'_>> {
    value.split(|&b| b == b',').filter_map(|element| {
        let mut parts = element.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let item = parts.next().filter(|item| !item.is_empty())?;
        let weight = parts.find_map(|part| match part {
            [b'q' | b'Q', b'=', weight @ ..] => Some(parse_weight(weight).unwrap_or(0)),
            _ => None,
        });
        Some(Weighted { item, weight: weight.unwrap_or(1000) })
    })
}

/// `0`, `1`, `0.5`, `1.000`: up to three decimals (RFC 9110 12.4.2).
fn parse_weight(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut weight = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return None,
    };
    for (digit, place) in decimals.iter().zip([100, 10, 1]) {
        weight += digit.is_ascii_digit().then(|| u16::from(digit - b'0') * place)?;
    }
    (weight <= 1000).then_some(weight)
}

/// Whether an Accept field asks for JSON rather than HTML. No field and `*/*` do not; between equal weights the
/// more exact one wins, then the earlier.
pub fn prefers_json(accept: Option<&[u8]>) -> bool {
    let Some(accept) = accept else { return false };
    let json = best(accept, &[b"application/json", b"application/problem+json"], b"application/*");
    let html = best(accept, &[b"text/html", b"application/xhtml+xml"], b"text/*");
    json.0 > 0 && json > html
}

/// Whether an Accept field asks for HTML by its name, as browsers do and programs do not.
pub fn names_html(accept: Option<&[u8]>) -> bool {
    let html = accept.map(|accept| best(accept, &[b"text/html", b"application/xhtml+xml"], b"text/*"));
    html.is_some_and(|(weight, exactness, _)| weight > 0 && exactness > 1)
}

/// The best (weight, exactness, earliness) with which a list names one of these types. An exact mention silences
/// a wider one, so that `text/html;q=0, */*` refuses HTML.
fn best(accept: &[u8], types: &[&[u8]], family: &[u8]) -> (u16, u8, isize) {
    let mut best = (0, 0, isize::MIN);
    for (at, element) in list(accept).enumerate() {
        let exactness = if types.iter().any(|known| known.eq_ignore_ascii_case(element.item)) {
            3
        } else if family.eq_ignore_ascii_case(element.item) {
            2
        } else if element.item == b"*/*" {
            1
        } else {
            continue;
        };
        // A list has fewer elements than an isize counts: each takes at least a byte.
        let candidate = (element.weight, exactness, -(at as isize));
        if exactness > best.1 || (exactness == best.1 && candidate > best) {
            best = candidate;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights() {
        let table = [
            ("gzip", 1000),
            ("gzip;q=0", 0),
            ("gzip; q=0.5", 500),
            ("gzip;Q=0.123", 123),
            ("gzip;q=1.000", 1000),
            ("gzip;level=9;q=0.7", 700),
            ("gzip;q=1.001", 0),
            ("gzip;q=0.1234", 0),
            ("gzip;q=", 0),
            ("gzip;q=2", 0),
            ("gzip;q=-1", 0),
            ("gzip;q=0.x", 0),
        ];
        for (text, weight) in table {
            let all: Vec<_> = list(text.as_bytes()).collect();
            assert_eq!(all, [Weighted { item: b"gzip", weight }], "{text}");
        }
        let items: Vec<_> = list(b" a , ,;q=1, b ").map(|element| element.item).collect();
        assert_eq!(items, [b"a", b"b"]);
    }

    #[test]
    fn json_or_html() {
        let table = [
            ("application/json", true),
            ("APPLICATION/JSON", true),
            ("application/json, text/plain, */*", true),
            ("application/json;q=0.9, text/html", false),
            ("text/html, application/json", false),
            ("application/json, text/html", true),
            ("text/html;q=0.8, application/json", true),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false),
            ("*/*", false),
            ("application/*", true),
            ("text/html;q=0, */*", true),
            ("application/json;q=0", false),
            ("application/problem+json", true),
            ("text/plain", false),
            ("", false),
            (",;=", false),
        ];
        for (accept, expected) in table {
            assert_eq!(prefers_json(Some(accept.as_bytes())), expected, "{accept}");
        }
        assert!(!prefers_json(None));
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("text/*", true),
            ("*/*", false),
            ("text/html;q=0, */*", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(names_html(Some(accept.as_bytes())), expected, "{accept}");
        }
        assert!(!names_html(None));
    }
}
