//! Request methods as a small value that can stand in a set. Owns the names; must not know
//! which methods a location allows.

/// A request method. What is no method of ours is `Other`; its text stands in the request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Mkcol,
    Copy,
    Move,
    Options,
    Propfind,
    Proppatch,
    Lock,
    Unlock,
    Patch,
    Trace,
    Connect,
    #[default]
    Other,
}

/// Every method with a name, in the order of the enum.
const NAMED: [(Method, &str); 16] = [
    (Method::Get, "GET"),
    (Method::Head, "HEAD"),
    (Method::Post, "POST"),
    (Method::Put, "PUT"),
    (Method::Delete, "DELETE"),
    (Method::Mkcol, "MKCOL"),
    (Method::Copy, "COPY"),
    (Method::Move, "MOVE"),
    (Method::Options, "OPTIONS"),
    (Method::Propfind, "PROPFIND"),
    (Method::Proppatch, "PROPPATCH"),
    (Method::Lock, "LOCK"),
    (Method::Unlock, "UNLOCK"),
    (Method::Patch, "PATCH"),
    (Method::Trace, "TRACE"),
    (Method::Connect, "CONNECT"),
];

/// Methods of which the registry says that a request sent twice means the same as one (RFC 9110 sections 9.2.2 and 18.2).
const IDEMPOTENT: [&str; 35] = [
    "GET",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "UNLOCK",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "LABEL",
    "LINK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "ORDERPATCH",
    "REBIND",
    "REPORT",
    "SEARCH",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
    "PRI",
];

/// Whether a request of this method may be sent twice. One that nobody has heard of may not: it may be another POST.
pub fn is_idempotent(text: &[u8]) -> bool {
    IDEMPOTENT.iter().any(|known| known.as_bytes() == text)
}

impl Method {
    /// The method of this text. Methods are case-sensitive (RFC 9110 section 9.1).
    pub fn parse(text: &[u8]) -> Method {
        match text {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            _ => NAMED.iter().find(|(_, name)| name.as_bytes() == text).map_or(Method::Other, |&(method, _)| method),
        }
    }

    /// The method of this name in any case, as conf files spell them; `None` when we know none.
    pub fn by_name(name: &str) -> Option<Method> {
        NAMED.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|&(method, _)| method)
    }

    /// The method's name; empty for `Other`, whose text only the request line has.
    pub fn as_str(self) -> &'static str {
        NAMED.get(self as usize).map_or("", |&(_, name)| name)
    }

    /// This method as one bit of a set. Each method has its own, `Other` too.
    pub fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Every method that has a name, in a fixed order: for the Allow field.
    pub fn all() -> impl Iterator<Item = Method> {
        NAMED.iter().map(|&(method, _)| method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_twice() {
        for (method, may) in [
            ("GET", true),
            ("MKCOL", true),
            ("REPORT", true),
            ("POST", false),
            ("LOCK", false),
            ("PATCH", false),
            ("CONNECT", false),
            ("CHARGE", false),
            ("get", false),
            ("", false),
        ] {
            assert_eq!(is_idempotent(method.as_bytes()), may, "{method}");
        }
    }

    #[test]
    fn names_lead_back_to_their_method() {
        let mut bits = Method::Other.bit();
        for (place, (method, name)) in NAMED.iter().enumerate() {
            assert_eq!(*method as usize, place);
            assert_eq!(Method::parse(name.as_bytes()), *method);
            assert_eq!(Method::by_name(&name.to_lowercase()), Some(*method));
            assert_eq!(method.as_str(), *name);
            assert_eq!(bits & method.bit(), 0, "{name} shares its bit");
            bits |= method.bit();
        }
    }

    #[test]
    fn what_is_no_method_of_ours_is_other() {
        for text in ["", "get", "GETT", "GE", "LINK", "Post"] {
            assert_eq!(Method::parse(text.as_bytes()), Method::Other, "{text}");
        }
        assert_eq!(Method::Other.as_str(), "");
        assert_eq!(Method::by_name("LINK"), None);
    }
}
