//! Interim responses (RFC 9110 section 15.2): what a client hears before the response to its request. A value, and how HTTP/1.1 writes it.

use bytes::Bytes;

use super::framing::{is_safe_name, is_safe_value, push_all, push_status};
use super::status;

/// An interim response. It has no body and says nothing of its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interim {
    /// 100, or 103.
    pub status: u16,
    /// Its fields.
    pub fields: Vec<(Bytes, Bytes)>,
}

impl Interim {
    /// 100 (Continue): the client may send the body that it holds back (RFC 9110 section 10.1.1).
    pub fn go_ahead() -> Box<Interim> {
        Box::new(Interim { status: 100, fields: Vec::new() })
    }

    /// How many bytes it has as HTTP/1.1 writes it, with the shortest reason.
    pub fn size(&self) -> usize {
        let fields: usize = self.fields.iter().map(|(name, value)| name.len() + value.len() + ": \r\n".len()).sum();
        "HTTP/1.1 103 Early Hints\r\n\r\n".len() + fields
    }

    /// Appends it as HTTP/1.1 has it (RFC 9112 section 4). Fields that would break the head are left out.
    pub fn write(&self, out: &mut Vec<u8>) {
        push_status(out, self.status);
        let reason = if self.status == 103 { "Early Hints" } else { status::reason(self.status) };
        push_all(out, &[reason.as_bytes(), b"\r\n"]);
        for (name, value) in self.fields.iter().filter(|(name, value)| is_safe_name(name) && is_safe_value(value)) {
            push_all(out, &[name, b": ", value, b"\r\n"]);
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(interim: &Interim) -> String {
        let mut out = Vec::new();
        interim.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn on_the_wire() {
        assert_eq!(written(&Interim::go_ahead()), "HTTP/1.1 100 Continue\r\n\r\n");
        let field = |name: &'static str, value: &'static str| (Bytes::from(name), Bytes::from(value));
        let fields = vec![
            field("Link", "</a>; rel=preload"),
            field("Bad", "a\r\nSet-Cookie: b"),
            field("Nul", "a\0b"),
            field("No token", "c"),
            field("", "d"),
        ];
        let hints = Interim { status: 103, fields };
        assert_eq!(written(&hints), "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n");
    }
}
