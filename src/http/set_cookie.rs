//! Set-Cookie fields (RFC 6265 section 4.1 and its revision): what stands in one, and which combinations browsers throw
//! away. Knows neither who sets a cookie nor why.

use bytes::Bytes;

/// When a cookie goes along with requests that another site caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// Only when somebody follows a link.
    Lax,
    /// Always.
    None,
}

impl SameSite {
    /// The names that confs and fields use.
    pub const NAMES: [(&'static str, SameSite); 3] =
        [("Strict", SameSite::Strict), ("Lax", SameSite::Lax), ("None", SameSite::None)];

    /// The name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// Whether a cookie travels over TLS only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Secure {
    /// No.
    #[default]
    Off,
    /// Yes.
    On,
    /// If it was set over TLS.
    Auto,
}

impl Secure {
    /// Whether an answer over this scheme says so.
    pub fn holds(self, https: bool) -> bool {
        self == Secure::On || (self == Secure::Auto && https)
    }
}

/// What follows a cookie's value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Below which path it is sent back.
    pub path: Option<Bytes>,
    /// To which hosts; without it only to the one that set it.
    pub domain: Option<Bytes>,
    /// For how many seconds; without it until the browser ends. Zero takes the cookie away.
    pub max_age: Option<u64>,
    /// Over TLS only.
    pub secure: Secure,
    /// Hidden from the page's scripts.
    pub http_only: bool,
    /// With requests of other sites.
    pub same_site: Option<SameSite>,
    /// Kept apart for each site around it.
    pub partitioned: bool,
}

/// What browsers keep of a name and its value together.
pub const LONGEST: usize = 4096;
/// What browsers keep of one attribute's value.
pub const LONGEST_ATTRIBUTE: usize = 1024;

/// Why browsers would throw a cookie of this name away, and what to do about it; none if they keep it.
pub fn refusal(name: &[u8], attributes: &Attributes) -> Option<(String, &'static str)> {
    let begins = |prefix: &[u8]| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let secure = attributes.secure == Secure::On;
    let refused = |why: &str, help| Some((format!("sets a cookie that browsers refuse: {why}"), help));
    match () {
        () if attributes.same_site == Some(SameSite::None) && !secure => {
            refused("`SameSite=None` needs `Secure`", "add `Secure`, or write `SameSite=Lax`")
        }
        () if attributes.partitioned && !secure => refused("`Partitioned` needs `Secure`", "add `Secure`"),
        () if (begins(b"__Secure-") || begins(b"__Host-")) && !secure => {
            refused("a name that begins with `__Secure-` or `__Host-` needs `Secure`", "add `Secure`")
        }
        () if begins(b"__Host-") && attributes.domain.is_some() => {
            refused("a name that begins with `__Host-` allows no `Domain`", "take `Domain` away")
        }
        () if begins(b"__Host-") && attributes.path.as_deref() != Some(b"/") => {
            refused("a name that begins with `__Host-` needs `Path=/`", "write `Path=/`")
        }
        () => None,
    }
}

/// Whether a text can be a cookie's name: a token (RFC 6265 section 4.1.1).
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| super::fields::is_token_byte(b))
}

/// Whether a byte may stand in a value (cookie-octet of RFC 6265 section 4.1.1).
pub fn is_value_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// Whether a byte may stand in the value of an attribute.
pub fn is_attribute_byte(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b';'
}

/// A field's value. What may not stand in a cookie's value is percent-encoded, so that no value becomes an attribute.
pub fn write(name: &[u8], value: &[u8], attributes: &Attributes, https: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + value.len() + 64);
    out.extend_from_slice(name);
    out.push(b'=');
    for &byte in value {
        match byte {
            _ if is_value_byte(byte) => out.push(byte),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    let mut add = |text: &[u8], value: &[u8]| {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(text);
        out.extend_from_slice(value);
    };
    if let Some(path) = &attributes.path {
        add(b"Path=", path);
    }
    if let Some(domain) = &attributes.domain {
        add(b"Domain=", domain);
    }
    if let Some(age) = attributes.max_age {
        add(b"Max-Age=", age.to_string().as_bytes());
    }
    flags(attributes, https, &mut add);
    out
}

fn flags(attributes: &Attributes, https: bool, add: &mut impl FnMut(&[u8], &[u8])) {
    if attributes.secure.holds(https) {
        add(b"Secure", b"");
    }
    if attributes.http_only {
        add(b"HttpOnly", b"");
    }
    if let Some(same_site) = attributes.same_site {
        add(b"SameSite=", same_site.name().as_bytes());
    }
    if attributes.partitioned {
        add(b"Partitioned", b"");
    }
}

/// The name of the cookie that a field sets: what stands before the first `=`, without spaces around it.
pub fn name_of(field: &[u8]) -> &[u8] {
    let pair = field.split(|&b| b == b';').next().unwrap_or_default();
    pair.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii()
}

/// The same field with these flags: those that are named take the place of its own, the others stay.
pub fn reflag(field: &[u8], attributes: &Attributes, https: bool) -> Vec<u8> {
    let mut parts = field.split(|&b| b == b';');
    let mut out = parts.next().unwrap_or_default().trim_ascii_end().to_vec();
    for part in parts.map(<[u8]>::trim_ascii).filter(|part| !part.is_empty()) {
        let name = part.split(|&b| b == b'=').next().unwrap_or_default().trim_ascii();
        let is = |text: &str| name.eq_ignore_ascii_case(text.as_bytes());
        let replaced = (is("secure") && attributes.secure.holds(https))
            || (is("httponly") && attributes.http_only)
            || (is("samesite") && attributes.same_site.is_some())
            || (is("partitioned") && attributes.partitioned);
        if !replaced {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(part);
        }
    }
    flags(attributes, https, &mut |text, value| {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(text);
        out.extend_from_slice(value);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_refuse() {
        let on = |secure| Attributes { secure, ..Attributes::default() };
        let none = |secure| Attributes { same_site: Some(SameSite::None), ..on(secure) };
        let root = |path| Attributes { path: Some(Bytes::from_static(path)), ..on(Secure::On) };
        let domain = Attributes { domain: Some(Bytes::from_static(b"h")), ..root(b"/") };
        for (name, attributes, refused) in [
            ("a", none(Secure::Off), true),
            ("a", none(Secure::Auto), true),
            ("a", none(Secure::On), false),
            ("a", Attributes { partitioned: true, ..on(Secure::Off) }, true),
            ("__Secure-a", on(Secure::Off), true),
            ("__secure-a", on(Secure::Off), true),
            ("__Secure-a", on(Secure::On), false),
            ("__Host-a", root(b"/"), false),
            ("__Host-a", root(b"/b"), true),
            ("__Host-a", on(Secure::On), true),
            ("__HOST-a", domain.clone(), true),
            ("__Hos", Attributes::default(), false),
            ("a", domain, false),
        ] {
            assert_eq!(refusal(name.as_bytes(), &attributes).is_some(), refused, "{name} {attributes:?}");
        }
    }

    #[test]
    fn values_stay_values() {
        let attributes =
            Attributes { path: Some(Bytes::from_static(b"/")), secure: Secure::Auto, ..Attributes::default() };
        let text = |value: &[u8], https| String::from_utf8(write(b"a", value, &attributes, https)).unwrap();
        assert_eq!(text(b"b; Domain=evil", false), "a=b%3B%20Domain=evil; Path=/");
        assert_eq!(text(b"\r\n\"\\,\xff", true), "a=%0D%0A%22%5C%2C%FF; Path=/; Secure");
    }

    #[test]
    fn flags_are_added_once() {
        let attributes =
            Attributes { secure: Secure::On, http_only: true, same_site: Some(SameSite::Lax), ..Attributes::default() };
        for (field, want) in [
            ("a=b", "a=b; Secure; HttpOnly; SameSite=Lax"),
            ("a=b; Path=/x; secure;httponly ; samesite=None", "a=b; Path=/x; Secure; HttpOnly; SameSite=Lax"),
            ("a=b;; ;Max-Age=1", "a=b; Max-Age=1; Secure; HttpOnly; SameSite=Lax"),
            ("", "; Secure; HttpOnly; SameSite=Lax"),
        ] {
            assert_eq!(String::from_utf8(reflag(field.as_bytes(), &attributes, false)).unwrap(), want, "{field}");
        }
        assert_eq!(reflag(b"a=b; Secure; HttpOnly", &Attributes::default(), true), b"a=b; Secure; HttpOnly");
        assert_eq!(name_of(b" a = b; c=d"), b"a");
    }
}
