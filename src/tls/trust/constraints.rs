//! Name constraints (RFC 5280 section 4.2.1.10): the names that an authority may vouch for. A form that cannot be compared is refused.

use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier};
use x509_cert::der::{Encode, Tag, Tagged};
use x509_cert::ext::pkix::NameConstraints;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::Fault;
use super::certificate::Certificate;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");

/// A name in a form that can be compared.
#[derive(Debug)]
enum Form {
    Dns(String),
    Mail(String),
    Address(Vec<u8>),
    Site(String),
    Directory(Vec<String>),
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
    for name in names(certificate, is_last) {
        let mut of_kind = permitted.iter().filter(|tree| is_alike(&form(&tree.base), &name)).peekable();
        if of_kind.peek().is_some() && !any_holds(of_kind, &name)? {
            return Err(Fault::NOT_PERMITTED);
        }
        if any_holds(excluded.iter().filter(|tree| is_alike(&form(&tree.base), &name)), &name)? {
            return Err(Fault::EXCLUDED);
        }
    }
    Ok(())
}

fn any_holds<'a>(trees: impl Iterator<Item = &'a GeneralSubtree>, name: &Form) -> Result<bool, Fault> {
    for tree in trees {
        if holds(&form(&tree.base), name)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_alike(base: &Form, name: &Form) -> bool {
    match (base, name) {
        (Form::Other(base), Form::Other(name)) => base == name,
        _ => std::mem::discriminant(base) == std::mem::discriminant(name),
    }
}

/// Whether a subtree holds a name of its kind.
fn holds(base: &Form, name: &Form) -> Result<bool, Fault> {
    Ok(match (base, name) {
        (Form::Dns(base), Form::Dns(name)) => is_below(base, name),
        (Form::Mail(base), Form::Mail(name)) => {
            let host = name.rsplit_once('@').map_or(name.as_str(), |(_, host)| host);
            match base.contains('@') {
                true => base == name,
                false => is_host_of(base, host),
            }
        }
        (Form::Site(base), Form::Site(name)) => is_host_of(base, host_of(name).ok_or(Fault::UNSUPPORTED_CONSTRAINT)?),
        (Form::Address(base), Form::Address(name)) => {
            if base.len() != name.len() * 2 {
                // A mask of the other family holds none of these; one of no family is no mask.
                return match base.len() {
                    8 | 32 => Ok(false),
                    _ => Err(Fault::UNSUPPORTED_CONSTRAINT),
                };
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

fn host_of(site: &str) -> Option<&str> {
    let (_, rest) = site.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next()?;
    (!host.is_empty()).then_some(host)
}

fn names(certificate: &Certificate, is_last: bool) -> Vec<Form> {
    let mut found: Vec<Form> = certificate.extensions.names.iter().map(form).collect();
    let parts = || certificate.name.iter_rdn().flat_map(|rdn| rdn.iter());
    if !certificate.name.is_empty() {
        found.push(Form::Directory(canonical(&certificate.name)));
    }
    let mails = parts().filter(|part| part.oid == EMAIL_ADDRESS);
    found.extend(mails.map(|part| Form::Mail(folded_mail(&String::from_utf8_lossy(part.value.value())))));
    if is_last && !found.iter().any(|name| matches!(name, Form::Dns(_))) {
        let common = parts().filter(|part| part.oid == COMMON_NAME);
        let texts = common.map(|part| String::from_utf8_lossy(part.value.value()).to_ascii_lowercase());
        found.extend(texts.filter(|text| is_like_a_host(text)).map(Form::Dns));
    }
    found
}

fn is_like_a_host(text: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'*');
    text.trim_matches('.').contains('.') && text.bytes().all(is_letter)
}

fn form(name: &GeneralName) -> Form {
    match name {
        GeneralName::DnsName(text) => Form::Dns(folded(text.into())),
        GeneralName::Rfc822Name(text) => Form::Mail(folded_mail(&String::from_utf8_lossy(text.as_bytes()))),
        GeneralName::UniformResourceIdentifier(text) => Form::Site(folded(text.into())),
        GeneralName::IpAddress(bytes) => Form::Address(bytes.as_bytes().to_vec()),
        GeneralName::DirectoryName(name) => Form::Directory(canonical(name)),
        GeneralName::OtherName(_) => Form::Other(0),
        GeneralName::EdiPartyName(_) => Form::Other(5),
        GeneralName::RegisteredId(_) => Form::Other(8),
    }
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

/// A name part by part, so that two ways to write one part are the same: capitals and blanks do not count in texts.
fn canonical(name: &Name) -> Vec<String> {
    let part = |oid: ObjectIdentifier, tag: Tag, value: &[u8], der: Vec<u8>| {
        let is_text = matches!(tag, Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString);
        match std::str::from_utf8(value) {
            Ok(text) if is_text => {
                format!("{oid}={}", text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
            }
            _ => format!("{oid}#{der:02x?}"),
        }
    };
    let rdns = name.iter_rdn().map(|rdn| {
        let parts = rdn.iter();
        let mut parts: Vec<String> = parts
            .map(|one| part(one.oid, one.value.tag(), one.value.value(), one.value.to_der().unwrap_or_default()))
            .collect();
        parts.sort();
        parts.join("+")
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
            ("http://me@a.test:80", Some("a.test")),
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
        assert_eq!(holds(&Form::Address(vec![1]), &Form::Address(vec![1; 4])), Err(Fault::UNSUPPORTED_CONSTRAINT));
        assert_eq!(holds(&Form::Other(0), &Form::Other(0)), Err(Fault::UNSUPPORTED_CONSTRAINT));
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
