//! Name constraints (RFC 5280 section 4.2.1.10): the names that an authority may vouch for. A form that cannot be compared is refused.

use x509_cert::der::asn1::{Any, Ia5StringRef, ObjectIdentifier};
use x509_cert::der::{Encode, Tag, Tagged};
use x509_cert::ext::pkix::NameConstraints;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::Fault;
use super::certificate::Certificate;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// SmtpUTF8Mailbox.
const MAILBOX: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.9");
/// The kind of names that have a kind of their own.
const OTHER_NAME: u8 = 0;
const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// A name in a form that can be compared.
#[derive(Debug)]
enum Form {
    Dns(String),
    Mail(String),
    Address(Vec<u8>),
    Site(String),
    Directory(Vec<String>),
    /// An address of mail in a form of its own (RFC 9598), which is compared with none.
    Mailbox,
    /// By the number of its kind.
    Other(u8),
}

/// Whether a certificate has only names that the constraints allow. The common name of one at the chain's end is a host's where
/// it looks like one and nothing else names a host, as in OpenSSL.
pub fn check(constraints: &NameConstraints, certificate: &Certificate, is_last: bool) -> Result<(), Fault> {
    let permitted = constraints.permitted_subtrees.as_deref().unwrap_or_default();
    let excluded = constraints.excluded_subtrees.as_deref().unwrap_or_default();
    if permitted.iter().chain(excluded).any(|tree| tree.minimum != 0 || tree.maximum.is_some()) {
        return Err(Fault::CONSTRAINED_IN_NUMBER);
    }
    let (permitted, excluded) = (forms(permitted)?, forms(excluded)?);
    for name in names(certificate, is_last)? {
        let is_mail = |base: &Form| matches!(base, Form::Mail(_));
        if matches!(name, Form::Mailbox) && permitted.iter().chain(&excluded).any(is_mail) {
            return Err(Fault::UNSUPPORTED_CONSTRAINT);
        }
        let mut of_kind = permitted.iter().filter(|base| is_alike(base, &name)).peekable();
        if of_kind.peek().is_some() && !any_holds(of_kind, &name)? {
            return Err(Fault::NOT_PERMITTED);
        }
        if any_holds(excluded.iter().filter(|base| is_alike(base, &name)), &name)? {
            return Err(Fault::EXCLUDED);
        }
    }
    Ok(())
}

fn forms(trees: &[GeneralSubtree]) -> Result<Vec<Form>, Fault> {
    trees.iter().map(|tree| form(&tree.base)).collect()
}

fn any_holds<'a>(bases: impl Iterator<Item = &'a Form>, name: &Form) -> Result<bool, Fault> {
    for base in bases {
        if holds(base, name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_alike(base: &Form, name: &Form) -> bool {
    match (base, name) {
        (Form::Other(base), Form::Other(name)) => base == name,
        (Form::Other(OTHER_NAME), Form::Mailbox) | (Form::Mailbox, Form::Other(OTHER_NAME)) => true,
        _ => std::mem::discriminant(base) == std::mem::discriminant(name),
    }
}

/// Whether a subtree holds a name of its kind.
fn holds(base: &Form, name: &Form) -> Result<bool, Fault> {
    Ok(match (base, name) {
        (Form::Dns(base), Form::Dns(name)) => is_below(base, name),
        (Form::Mail(base), Form::Mail(name)) => {
            let (_, host) = name.rsplit_once('@').ok_or(Fault::UNSUPPORTED_NAME)?;
            match base.strip_prefix('@') {
                Some(base) => base == host,
                None if base.contains('@') => base == name,
                None => is_host_of(base, host),
            }
        }
        (Form::Site(base), Form::Site(name)) => is_host_of(base, host_of(name).ok_or(Fault::UNSUPPORTED_NAME)?),
        (Form::Address(base), Form::Address(name)) => {
            if !matches!(base.len(), 8 | 32) || !matches!(name.len(), 4 | 16) {
                return Err(Fault::UNSUPPORTED_NAME);
            }
            if base.len() != name.len() * 2 {
                // A mask of the other family holds none of these.
                return Ok(false);
            }
            let (net, mask) = base.split_at(name.len());
            net.iter().zip(mask).zip(name).all(|((net, mask), byte)| net & mask == byte & mask)
        }
        (Form::Directory(base), Form::Directory(name)) => name.starts_with(base),
        _ => return Err(Fault::UNSUPPORTED_CONSTRAINT),
    })
}

/// Whether a host is the base or below it; all are below an empty one, and only what is below counts where it begins with a dot.
fn is_below(base: &str, host: &str) -> bool {
    if base.is_empty() {
        return true;
    }
    match host.strip_suffix(base) {
        Some("") => true,
        Some(front) => base.starts_with('.') || front.ends_with('.'),
        None => false,
    }
}

/// In addresses of mail and of sites a host means itself alone, and one that begins with a dot all that is below.
fn is_host_of(base: &str, host: &str) -> bool {
    match base.starts_with('.') {
        true => host.ends_with(base),
        false => host == base,
    }
}

/// The host as OpenSSL has it: up to a colon, else up to a slash. What stands before an `@` makes it none that is permitted.
fn host_of(site: &str) -> Option<&str> {
    let (_, rest) = site.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    let host = rest.split_once(':').or_else(|| rest.split_once('/')).map_or(rest, |(host, _)| host);
    (!host.is_empty()).then_some(host)
}

fn names(certificate: &Certificate, is_last: bool) -> Result<Vec<Form>, Fault> {
    let mut found: Vec<Form> = certificate.extensions.names.iter().map(form).collect::<Result<_, _>>()?;
    let parts = || certificate.name.iter_rdn().flat_map(|rdn| rdn.iter());
    if !certificate.name.is_empty() {
        found.push(Form::Directory(canonical(&certificate.name)?));
    }
    for mail in parts().filter(|part| part.oid == EMAIL_ADDRESS) {
        // The only way in which it may be written (RFC 5280 appendix A.1).
        if mail.value.tag() != Tag::Ia5String {
            return Err(Fault::UNSUPPORTED_NAME);
        }
        found.push(Form::Mail(folded_mail(&text_of(mail.value.tag(), mail.value.value())?)));
    }
    if is_last && !found.iter().any(|name| matches!(name, Form::Dns(_))) {
        for common in parts().filter(|part| part.oid == COMMON_NAME) {
            let text = text_of(common.value.tag(), common.value.value())?.to_ascii_lowercase();
            if is_like_a_host(&text) {
                found.push(Form::Dns(text));
            }
        }
    }
    Ok(found)
}

/// A text in whichever of the ways it is written; a NUL in it is nobody's name.
fn text_of(tag: Tag, value: &[u8]) -> Result<String, Fault> {
    let text = match tag {
        Tag::Utf8String => String::from_utf8(value.to_vec()).ok(),
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            value.is_ascii().then(|| String::from_utf8_lossy(value).into_owned())
        }
        // Read as Latin-1 everywhere.
        Tag::TeletexString => Some(value.iter().map(|&byte| char::from(byte)).collect()),
        Tag::BmpString if value.len().is_multiple_of(2) => {
            let units: Vec<u16> = value.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    };
    text.filter(|text| !text.contains('\0')).ok_or(Fault::UNSUPPORTED_NAME)
}

fn is_like_a_host(text: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*');
    text.trim_matches('.').contains('.') && text.bytes().all(is_letter)
}

fn form(name: &GeneralName) -> Result<Form, Fault> {
    Ok(match name {
        GeneralName::DnsName(text) => Form::Dns(folded(text.into())),
        GeneralName::Rfc822Name(text) => Form::Mail(folded_mail(&String::from_utf8_lossy(text.as_bytes()))),
        GeneralName::UniformResourceIdentifier(text) => Form::Site(folded(text.into())),
        GeneralName::IpAddress(bytes) => Form::Address(bytes.as_bytes().to_vec()),
        GeneralName::DirectoryName(name) => Form::Directory(canonical(name)?),
        GeneralName::OtherName(other) if other.type_id == MAILBOX => Form::Mailbox,
        GeneralName::OtherName(_) => Form::Other(OTHER_NAME),
        GeneralName::EdiPartyName(_) => Form::Other(5),
        GeneralName::RegisteredId(_) => Form::Other(8),
    })
}

fn folded(text: Ia5StringRef<'_>) -> String {
    String::from_utf8_lossy(text.as_bytes()).to_ascii_lowercase()
}

/// The host of an address of mail does not know capitals.
fn folded_mail(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((own, host)) => format!("{own}@{}", host.to_ascii_lowercase()),
        None => text.to_ascii_lowercase(),
    }
}

/// A name part by part, so that two ways to write one part are the same: ASCII's capitals and blanks do not count in texts.
fn canonical(name: &Name) -> Result<Vec<String>, Fault> {
    let is_text = |tag| {
        matches!(
            tag,
            Tag::Utf8String
                | Tag::PrintableString
                | Tag::Ia5String
                | Tag::NumericString
                | Tag::VisibleString
                | Tag::TeletexString
                | Tag::BmpString
        )
    };
    let part = |oid: ObjectIdentifier, value: &Any| match is_text(value.tag()) {
        true => {
            let text = text_of(value.tag(), value.value())?;
            let words: Vec<&str> = text.split_ascii_whitespace().collect();
            Ok(format!("{oid}={}", words.join(" ").to_ascii_lowercase()))
        }
        false => Ok(format!("{oid}#{:02x?}", value.to_der().unwrap_or_default())),
    };
    let rdns = name.iter_rdn().map(|rdn| {
        let mut parts = rdn.iter().map(|one| part(one.oid, &one.value)).collect::<Result<Vec<String>, Fault>>()?;
        parts.sort();
        Ok(parts.join("+"))
    });
    rdns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_from_the_right_and_by_labels() {
        for (base, host, want) in [
            ("a.test", "a.test", true),
            ("a.test", "x.a.test", true),
            ("a.test", "xa.test", false),
            ("a.test", "test", false),
            (".a.test", "x.a.test", true),
            (".a.test", "a.test", false),
            ("", "any", true),
        ] {
            assert_eq!(is_below(base, host), want, "{base} {host}");
        }
        assert!(
            is_host_of("a.test", "a.test") && !is_host_of("a.test", "x.a.test") && is_host_of(".a.test", "x.a.test")
        );
    }

    #[test]
    fn what_is_a_host_in_a_site() {
        for (site, want) in [
            ("http://a.test/x", Some("a.test")),
            ("http://me@a.test:80", Some("me@a.test")),
            ("http://b.test:x@a.test/", Some("b.test")),
            ("http://a.test?x", Some("a.test?x")),
            ("x:y://a.test/", None),
            ("http://b.test/@a.test", Some("b.test")),
            ("urn:a", None),
            ("http:///x", None),
        ] {
            assert_eq!(host_of(site), want, "{site}");
        }
    }

    #[test]
    fn addresses_are_compared_under_their_mask() {
        let net = Form::Address(vec![10, 0, 0, 0, 255, 0, 0, 0]);
        assert_eq!(holds(&net, &Form::Address(vec![10, 1, 2, 3])), Ok(true));
        assert_eq!(holds(&net, &Form::Address(vec![11, 1, 2, 3])), Ok(false));
        assert_eq!(holds(&net, &Form::Address(vec![0; 16])), Ok(false));
        assert_eq!(holds(&Form::Address(vec![1]), &Form::Address(vec![1; 4])), Err(Fault::UNSUPPORTED_NAME));
        assert_eq!(holds(&Form::Address(vec![1; 8]), &Form::Address(vec![1; 5])), Err(Fault::UNSUPPORTED_NAME));
        assert_eq!(holds(&Form::Other(0), &Form::Other(0)), Err(Fault::UNSUPPORTED_CONSTRAINT));
    }

    #[test]
    fn however_a_text_is_written_it_is_the_same() {
        for (tag, value, want) in [
            (Tag::Utf8String, "é".as_bytes(), Ok("é")),
            (Tag::TeletexString, b"\xe9", Ok("é")),
            (Tag::BmpString, b"\0\xe9", Ok("é")),
            (Tag::PrintableString, b"a", Ok("a")),
            (Tag::Utf8String, b"evil.test\0", Err(Fault::UNSUPPORTED_NAME)),
            (Tag::BmpString, b"a", Err(Fault::UNSUPPORTED_NAME)),
            (Tag::Utf8String, b"\xe9", Err(Fault::UNSUPPORTED_NAME)),
            (Tag::Ia5String, b"\xe9", Err(Fault::UNSUPPORTED_NAME)),
        ] {
            assert_eq!(text_of(tag, value), want.map(str::to_string), "{tag} {value:?}");
        }
    }

    #[test]
    fn addresses_of_mail_have_a_host() {
        let holds = |base: &str, name: &str| holds(&Form::Mail(base.into()), &Form::Mail(name.into()));
        for (base, name, want) in [
            ("evil.test", "a@evil.test", Ok(true)),
            ("@evil.test", "a@evil.test", Ok(true)),
            ("@evil.test", "a@x.evil.test", Ok(false)),
            ("a@evil.test", "b@evil.test", Ok(false)),
            ("good.test", "good.test", Err(Fault::UNSUPPORTED_NAME)),
        ] {
            assert_eq!(holds(base, name), want, "{base} {name}");
        }
    }

    #[test]
    fn a_common_name_may_look_like_a_host() {
        for (text, want) in
            [("a.test", true), ("some body", false), ("localhost", false), (".test", false), ("*.a.test", true)]
        {
            assert_eq!(is_like_a_host(text), want, "{text}");
        }
    }
}
