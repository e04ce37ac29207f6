//! The names of fields in other servers' answers that mean something to us.

/// A name. The first ten are those of which only the first field counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Name {
    Status,
    ContentType,
    Location,
    Refresh,
    LastModified,
    Etag,
    Expires,
    Date,
    Server,
    AccelRedirect,
    /// Another of the family `X-Accel`.
    Accel,
    AcceptRanges,
    SetCookie,
    ContentLength,
    TransferEncoding,
    Connection,
    KeepAlive,
    ProxyConnection,
    Trailer,
    Upgrade,
    /// None of them.
    Other,
}

impl Name {
    /// Which one this is, in any case of letters.
    pub fn of(name: &[u8]) -> Name {
        use Name::*;
        let candidates: &[(&str, Name)] = match name.len() {
            4 => &[("Date", Date), ("ETag", Etag)],
            6 => &[("Server", Server), ("Status", Status)],
            7 => &[("Expires", Expires), ("Refresh", Refresh), ("Upgrade", Upgrade), ("Trailer", Trailer)],
            8 => &[("Location", Location)],
            10 => &[("Connection", Connection), ("Set-Cookie", SetCookie), ("Keep-Alive", KeepAlive)],
            12 => &[("Content-Type", ContentType)],
            13 => &[("Last-Modified", LastModified), ("Accept-Ranges", AcceptRanges)],
            14 => &[("Content-Length", ContentLength)],
            15 => &[("X-Accel-Expires", Accel), ("X-Accel-Charset", Accel)],
            16 => &[("X-Accel-Redirect", AccelRedirect), ("Proxy-Connection", ProxyConnection)],
            17 => &[("Transfer-Encoding", TransferEncoding), ("X-Accel-Buffering", Accel)],
            18 => &[("X-Accel-Limit-Rate", Accel)],
            _ => &[],
        };
        let is_one = |text: &str| {
            // Most servers write them like this, and that is seen sooner.
            name == text.as_bytes() || name.eq_ignore_ascii_case(text.as_bytes())
        };
        candidates.iter().find(|(text, _)| is_one(text)).map_or(Other, |&(_, name)| name)
    }

    /// A bit for a name of which only the first field counts; 0 for any other.
    pub fn single(self) -> u16 {
        if self as u16 <= Name::AccelRedirect as u16 { 1 << self as u16 } else { 0 }
    }

    /// Whether the field of an answer of this status belongs to the connection it came by, or is worked out anew. Upgrade says
    /// something to the client where it switches (101) or is told to (426); what Trailer announces is not passed on.
    pub fn is_framing(self, status: u16) -> bool {
        match self {
            Name::Connection | Name::KeepAlive | Name::ProxyConnection => true,
            Name::ContentLength | Name::TransferEncoding | Name::Trailer => true,
            Name::Upgrade => !matches!(status, 101 | 426),
            _ => false,
        }
    }

    /// Whether the field is a word to us.
    pub fn is_accel(self) -> bool {
        matches!(self, Name::AccelRedirect | Name::Accel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (text, want, single) in [
            ("DATE", Name::Date, true),
            ("Status", Name::Status, true),
            ("X-Accel-Redirect", Name::AccelRedirect, true),
            ("x-accel-Buffering", Name::Accel, false),
            ("Set-Cookie", Name::SetCookie, false),
            ("Keep-Alive", Name::KeepAlive, false),
            ("proxy-connection", Name::ProxyConnection, false),
            ("trailer", Name::Trailer, false),
            ("UPGRADE", Name::Upgrade, false),
            ("x", Name::Other, false),
            ("", Name::Other, false),
        ] {
            assert_eq!((Name::of(text.as_bytes()), want.single() != 0), (want, single), "{text}");
        }
        for (name, status, is_framing) in [
            (Name::Trailer, 200, true),
            (Name::ProxyConnection, 101, true),
            (Name::Upgrade, 200, true),
            (Name::Upgrade, 101, false),
            (Name::Upgrade, 426, false),
            (Name::Server, 200, false),
        ] {
            assert_eq!(name.is_framing(status), is_framing, "{name:?} {status}");
        }
    }
}
