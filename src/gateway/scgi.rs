//! SCGI on the wire: a request's head is one netstring of names and values, its body follows as it is, and the answer
//! is a program's as in CGI. Pure.

use super::params::Pairs;

/// Writes the head of a request. The length of the body comes first, as the protocol demands.
pub fn head(out: &mut Vec<u8>, body: u64, pairs: &Pairs<'_>) {
    let mut names = format!("CONTENT_LENGTH\0{body}\0").into_bytes();
    for (name, value) in pairs {
        for text in [name, value] {
            names.extend_from_slice(text);
            names.push(0);
        }
    }
    out.extend_from_slice(format!("{}:", names.len()).as_bytes());
    out.append(&mut names);
    out.push(b',');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head() {
        let pairs = vec![(b"SCGI"[..].into(), b"1"[..].into()), (b"E"[..].into(), b""[..].into())];
        let mut out = Vec::new();
        head(&mut out, 27, &pairs);
        assert_eq!(out, b"28:CONTENT_LENGTH\x0027\0SCGI\x001\0E\0\0,");
    }
}
