//! A certificate's parts as nginx's variables write them, which is as OpenSSL prints them. Pure.

use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::{DateTime, Encode, Tag, Tagged};
use x509_cert::name::Name;
use x509_cert::time::Time;

/// The short names of OpenSSL.
const SHORT: [(&str, &str); 24] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.13", "description"),
    ("2.5.4.15", "businessCategory"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.41", "name"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
    ("1.2.840.113549.1.9.2", "unstructuredName"),
];

/// A name as RFC 2253 writes it: the last part first, `CN=a,O=b`.
pub fn rfc2253(name: &Name) -> String {
    let mut rdns: Vec<String> =
        name.iter_rdn().map(|rdn| rdn.iter().map(part_2253).collect::<Vec<_>>().join("+")).collect();
    rdns.reverse();
    rdns.join(",")
}

fn part_2253(part: &AttributeTypeAndValue) -> String {
    let text = text_of(part);
    match (short(part), text) {
        (Some(name), Some(text)) => format!("{name}={}", escaped(&text)),
        (name, _) => {
            let oid = part.oid.to_string();
            let der = part.value.to_der().unwrap_or_default();
            format!("{}=#{}", name.unwrap_or(&oid), hex(&der, true))
        }
    }
}

/// A name as OpenSSL once wrote it on one line: `/O=b/CN=a`.
pub fn one_line(name: &Name) -> String {
    let mut out = String::new();
    for part in name.iter_rdn().flat_map(|rdn| rdn.iter()) {
        let oid = part.oid.to_string();
        out.push_str(&format!("/{}=", short(part).unwrap_or(&oid)));
        for &byte in part.value.value() {
            match byte {
                b' '..=b'~' => out.push(byte as char),
                _ => out.push_str(&format!("\\x{byte:02X}")),
            }
        }
    }
    out
}

fn short(part: &AttributeTypeAndValue) -> Option<&'static str> {
    let oid = part.oid.to_string();
    SHORT.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name)
}

/// A value as UTF-8; none if it is no text.
fn text_of(part: &AttributeTypeAndValue) -> Option<Vec<u8>> {
    let bytes = part.value.value();
    match part.value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            Some(bytes.to_vec())
        }
        Tag::TeletexString => Some(bytes.iter().map(|&byte| byte as char).collect::<String>().into_bytes()),
        Tag::BmpString => {
            let units: Vec<u16> = bytes.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
            Some(String::from_utf16_lossy(&units).into_bytes())
        }
        _ => None,
    }
}

/// RFC 2253 section 2.4, and everything that is not ASCII as `\HH`.
fn escaped(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, &byte) in text.iter().enumerate() {
        let at_edge = (at == 0 && matches!(byte, b' ' | b'#')) || (at + 1 == text.len() && byte == b' ');
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend(['\\', byte as char]),
            _ if at_edge => out.extend(['\\', byte as char]),
            b' '..=b'~' => out.push(byte as char),
            _ => out.push_str(&format!("\\{byte:02X}")),
        }
    }
    out
}

/// The serial number in hexadecimal.
pub fn serial(certificate: &Certificate) -> String {
    let bytes = certificate.tbs_certificate().serial_number().as_bytes();
    // A leading zero only says that the number is positive.
    let bytes = bytes.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(bytes);
    hex(bytes, true)
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8], upper: bool) -> String {
    bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
}

/// A time as OpenSSL prints it: `Nov 23 02:57:55 2026 GMT`.
pub fn time(time: &Time) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at: DateTime = time.to_date_time();
    let month = MONTHS.get(usize::from(at.month()).wrapping_sub(1)).unwrap_or(&"");
    format!("{month} {:>2} {:02}:{:02}:{:02} {} GMT", at.day(), at.hour(), at.minutes(), at.seconds(), at.year())
}

/// A certificate in PEM.
pub fn pem(der: &[u8]) -> String {
    use x509_cert::der::pem::{LineEnding, encode_string};
    encode_string("CERTIFICATE", LineEnding::LF, der).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair, SerialNumber};
    use x509_cert::der::Decode;

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::from_der(made.der()).unwrap()
    }

    #[test]
    fn names_as_openssl_writes_them() {
        let made = certificate(|params| {
            let name = &mut params.distinguished_name;
            name.push(DnType::CountryName, "DE");
            name.push(DnType::OrganizationName, "A, B + \"C\" <d>; \\");
            name.push(DnType::OrganizationalUnitName, " e ");
            name.push(DnType::CommonName, DnValue::Utf8String("Zoë #1".into()));
            name.push(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99999, 1]), "odd");
        });
        let name = made.tbs_certificate().subject();
        assert_eq!(
            rfc2253(name),
            "1.3.6.1.4.1.99999.1=#0C036F6464,CN=Zo\\C3\\AB #1,OU=\\ e\\ ,O=A\\, B \\+ \\\"C\\\" \\<d\\>\\; \\\\,C=DE"
        );
        assert_eq!(one_line(name), "/C=DE/O=A, B + \"C\" <d>; \\/OU= e /CN=Zo\\xC3\\xAB #1/1.3.6.1.4.1.99999.1=odd");
    }

    #[test]
    fn numbers_and_times() {
        let made = certificate(|params| {
            params.serial_number = Some(SerialNumber::from_slice(&[0xab, 0x01]));
            params.not_before = rcgen::date_time_ymd(2026, 3, 4);
            params.not_after = rcgen::date_time_ymd(2061, 11, 23);
        });
        assert_eq!(serial(&made), "AB01");
        let dates = made.tbs_certificate().validity();
        assert_eq!(time(&dates.not_before), "Mar  4 00:00:00 2026 GMT");
        assert_eq!(time(&dates.not_after), "Nov 23 00:00:00 2061 GMT");
    }
}
