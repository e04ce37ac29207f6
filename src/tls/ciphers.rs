//! The language of `ssl_ciphers` (OpenSSL's cipher lists), of `ssl_ecdh_curve`, and the names of OpenSSL for what goes
//! over the wire as numbers. Pure; what is chosen here is a choice among what rustls has.

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite, kx_group};

/// One cipher suite of TLS 1.2 that rustls has.
struct Row {
    suite: &'static SupportedCipherSuite,
    name: &'static str,
    /// The words of a cipher list that mean it.
    words: &'static [&'static str],
}

/// Words that mean all of them: each exchanges keys by ECDHE, is of TLS 1.2 and strong.
const ALL: [&str; 9] = ["ALL", "DEFAULT", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDH"];

/// In the order of OpenSSL's default list.
const TLS12: [Row; 6] = [
    Row {
        suite: &cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        words: &["ECDSA", "aECDSA", "AES", "AES256", "AESGCM", "FIPS", "SUITEB192", "SUITEB128"],
    },
    Row {
        suite: &cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        words: &["aRSA", "AES", "AES256", "AESGCM", "FIPS"],
    },
    Row {
        suite: &cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        words: &["ECDSA", "aECDSA", "CHACHA20"],
    },
    Row {
        suite: &cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        words: &["aRSA", "CHACHA20"],
    },
    Row {
        suite: &cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        words: &["ECDSA", "aECDSA", "AES", "AES128", "AESGCM", "FIPS", "SUITEB128"],
    },
    Row {
        suite: &cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        words: &["aRSA", "AES", "AES128", "AESGCM", "FIPS"],
    },
];

/// The suites of TLS 1.3, which a cipher list does not touch.
const TLS13: [(&str, &SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", &cipher_suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", &cipher_suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", &cipher_suite::TLS13_AES_128_GCM_SHA256),
];

/// What the names and words of OpenSSL are made of. A name made of these is one that rustls leaves out on purpose; any other
/// is a slip.
const PARTS: &str = " DHE EDH DH ADH AECDH ECDHE EECDH ECDH PSK RSA ECDSA DSS AES AES128 AES256 GCM CCM CCM8 CBC CBC3 \
    SHA SHA1 SHA256 SHA384 MD5 RC4 RC2 IDEA DES 3DES SEED CAMELLIA CAMELLIA128 CAMELLIA256 ARIA ARIAGCM ARIA128 ARIA256 \
    CHACHA20 POLY1305 KRB5 SRP EXP EXP1024 EXPORT EXPORT40 EXPORT56 NULL eNULL aNULL LOW MEDIUM HIGH kRSA kDHE kEDH kDH kDHr kDHd \
    kECDH kECDHr kECDHe kECDHE kEECDH aDSS aDH aECDH aRSA aECDSA kPSK kECDHEPSK kDHEPSK kRSAPSK aPSK kSRP aSRP kGOST aGOST aGOST01 GOST94 \
    GOST89MAC GOST2012 SSLv2 SSLv3 TLSv1 TLSv1.0 TLSv1.2 AESCCM AESCCM8 AESGCM CBC FIPS ALL DEFAULT COMPLEMENTOFALL \
    COMPLEMENTOFDEFAULT SUITEB128 SUITEB192 SUITEB128ONLY SUITEB128C2 STRENGTH FZA EDH-RSA TLS13 ";

/// What became of a cipher list.
#[derive(Debug, Default, PartialEq)]
pub struct Chosen {
    /// The suites that are had, in the list's order.
    pub suites: Vec<&'static SupportedCipherSuite>,
    /// Names of suites that OpenSSL has and rustls does not.
    pub lacking: Vec<String>,
    /// Words that nobody knows.
    pub unknown: Vec<String>,
}

/// All suites of TLS 1.2, in OpenSSL's order.
pub fn all12() -> Vec<&'static SupportedCipherSuite> {
    TLS12.iter().map(|row| row.suite).collect()
}

/// All suites of TLS 1.3, in OpenSSL's order.
pub fn all13() -> Vec<&'static SupportedCipherSuite> {
    TLS13.iter().map(|(_, suite)| *suite).collect()
}

/// Reads a cipher list: `HIGH:!aNULL:!MD5`, `EECDH+AESGCM`, names one after the other.
pub fn choose(text: &str) -> Chosen {
    let (mut list, mut killed, mut chosen) = (Vec::new(), Vec::new(), Chosen::default());
    for item in text.split([':', ',', ' ', ';']).filter(|item| !item.is_empty()) {
        if item.starts_with('@') || TLS13.iter().any(|(name, _)| *name == item) {
            continue;
        }
        let (order, word) = match item.split_at(1) {
            (order @ ("!" | "-" | "+"), word) => (order, word),
            _ => ("", item),
        };
        let Some(found) = meant_by(word) else {
            chosen.unknown.push(word.to_string());
            continue;
        };
        if found.is_empty() && order.is_empty() && word.contains('-') {
            chosen.lacking.push(word.to_string());
        }
        match order {
            "!" | "-" => {
                list.retain(|at| !found.contains(at));
                if order == "!" {
                    killed.extend(found);
                }
            }
            "+" => {
                let (moved, rest): (Vec<usize>, Vec<usize>) = list.iter().partition(|at| found.contains(at));
                list = rest.into_iter().chain(moved).collect();
            }
            _ => {
                let more: Vec<usize> =
                    found.into_iter().filter(|at| !list.contains(at) && !killed.contains(at)).collect();
                list.extend(more);
            }
        }
    }
    chosen.suites = list.into_iter().map(|at| TLS12[at].suite).collect();
    chosen
}

/// Which suites a word means, those of all its parts joined by `+`; none if OpenSSL does not know it either.
fn meant_by(word: &str) -> Option<Vec<usize>> {
    let mut found: Vec<usize> = (0..TLS12.len()).collect();
    for part in word.split('+') {
        let means = |row: &Row| {
            row.name == part || ALL.contains(&part) || row.words.contains(&part) || iana(row.suite) == Some(part)
        };
        let is_known = || part.split('-').all(|piece| !piece.is_empty() && PARTS.contains(&format!(" {piece} ")));
        if !TLS12.iter().any(means) && !is_known() && !part.starts_with("TLS_") {
            return None;
        }
        found.retain(|at| means(&TLS12[*at]));
    }
    Some(found)
}

/// The name in the registry of IANA.
fn iana(suite: &SupportedCipherSuite) -> Option<&'static str> {
    suite.suite().as_str()
}

/// A suite of TLS 1.3 by its name.
pub fn suite13(name: &str) -> Option<&'static SupportedCipherSuite> {
    TLS13.iter().find(|(known, _)| *known == name).map(|(_, suite)| *suite)
}

/// The name of a suite as OpenSSL writes it.
pub fn name_of(suite: SupportedCipherSuite) -> &'static str {
    let old = TLS12.iter().find(|row| row.suite.suite() == suite.suite()).map(|row| row.name);
    old.or_else(|| TLS13.iter().find(|(_, known)| known.suite() == suite.suite()).map(|(name, _)| *name))
        .unwrap_or_default()
}

/// The curves that are had: their name, other names for them, and their number.
const CURVES: [(&str, &[&str], &'static dyn SupportedKxGroup); 3] = [
    ("X25519", &["x25519"], kx_group::X25519),
    ("prime256v1", &["P-256", "secp256r1", "p256"], kx_group::SECP256R1),
    ("secp384r1", &["P-384", "p384"], kx_group::SECP384R1),
];

/// All curves.
pub fn all_curves() -> Vec<&'static dyn SupportedKxGroup> {
    CURVES.iter().map(|(_, _, curve)| *curve).collect()
}

/// Reads a list of curves; behind it, those that are not had.
pub fn curves(text: &str) -> (Vec<&'static dyn SupportedKxGroup>, Vec<&str>) {
    if text == "auto" {
        return (all_curves(), Vec::new());
    }
    let (mut found, mut lacking): (Vec<&'static dyn SupportedKxGroup>, _) = (Vec::new(), Vec::new());
    for word in text.split(':').filter(|word| !word.is_empty()) {
        match CURVES.iter().find(|(name, others, _)| *name == word || others.contains(&word)) {
            Some((_, _, curve)) if found.iter().any(|other| other.name() == curve.name()) => {}
            Some((_, _, curve)) => found.push(*curve),
            None => lacking.push(word),
        }
    }
    (found, lacking)
}

/// The name of a curve as OpenSSL writes it.
pub fn curve_name(curve: &dyn SupportedKxGroup) -> &'static str {
    CURVES.iter().find(|(_, _, known)| known.name() == curve.name()).map_or("", |(name, ..)| *name)
}

/// The curve of this number as OpenSSL names it, else the number.
pub fn curve_of(number: u16) -> String {
    const NAMES: [(u16, &str); 12] = [
        (0x0017, "prime256v1"),
        (0x0018, "secp384r1"),
        (0x0019, "secp521r1"),
        (0x001a, "brainpoolP256r1"),
        (0x001b, "brainpoolP384r1"),
        (0x001c, "brainpoolP512r1"),
        (0x001d, "X25519"),
        (0x001e, "X448"),
        (0x0100, "ffdhe2048"),
        (0x0101, "ffdhe3072"),
        (0x0102, "ffdhe4096"),
        (0x0016, "secp256k1"),
    ];
    match NAMES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => (*name).to_string(),
        None => format!("0x{number:04x}"),
    }
}

/// The cipher suite of this number as OpenSSL names it, else the number.
pub fn cipher_of(number: u16) -> String {
    match OFFERED.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => (*name).to_string(),
        None => format!("0x{number:04x}"),
    }
}

/// The suites that clients of today offer.
const OFFERED: [(u16, &str); 46] = [
    (0x1301, "TLS_AES_128_GCM_SHA256"),
    (0x1302, "TLS_AES_256_GCM_SHA384"),
    (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
    (0x1304, "TLS_AES_128_CCM_SHA256"),
    (0x1305, "TLS_AES_128_CCM_8_SHA256"),
    (0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256"),
    (0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (0xc02f, "ECDHE-RSA-AES128-GCM-SHA256"),
    (0xc030, "ECDHE-RSA-AES256-GCM-SHA384"),
    (0xcca8, "ECDHE-RSA-CHACHA20-POLY1305"),
    (0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305"),
    (0xccaa, "DHE-RSA-CHACHA20-POLY1305"),
    (0x009e, "DHE-RSA-AES128-GCM-SHA256"),
    (0x009f, "DHE-RSA-AES256-GCM-SHA384"),
    (0xc023, "ECDHE-ECDSA-AES128-SHA256"),
    (0xc024, "ECDHE-ECDSA-AES256-SHA384"),
    (0xc027, "ECDHE-RSA-AES128-SHA256"),
    (0xc028, "ECDHE-RSA-AES256-SHA384"),
    (0xc009, "ECDHE-ECDSA-AES128-SHA"),
    (0xc00a, "ECDHE-ECDSA-AES256-SHA"),
    (0xc013, "ECDHE-RSA-AES128-SHA"),
    (0xc014, "ECDHE-RSA-AES256-SHA"),
    (0x0067, "DHE-RSA-AES128-SHA256"),
    (0x006b, "DHE-RSA-AES256-SHA256"),
    (0x0033, "DHE-RSA-AES128-SHA"),
    (0x0039, "DHE-RSA-AES256-SHA"),
    (0x009c, "AES128-GCM-SHA256"),
    (0x009d, "AES256-GCM-SHA384"),
    (0x003c, "AES128-SHA256"),
    (0x003d, "AES256-SHA256"),
    (0x002f, "AES128-SHA"),
    (0x0035, "AES256-SHA"),
    (0x000a, "DES-CBC3-SHA"),
    (0xc008, "ECDHE-ECDSA-DES-CBC3-SHA"),
    (0xc012, "ECDHE-RSA-DES-CBC3-SHA"),
    (0xc0ac, "ECDHE-ECDSA-AES128-CCM"),
    (0xc0ad, "ECDHE-ECDSA-AES256-CCM"),
    (0xc0ae, "ECDHE-ECDSA-AES128-CCM8"),
    (0xc0af, "ECDHE-ECDSA-AES256-CCM8"),
    (0xc09e, "DHE-RSA-AES128-CCM"),
    (0xc09f, "DHE-RSA-AES256-CCM"),
    (0xc0a2, "DHE-RSA-AES128-CCM8"),
    (0xc0a3, "DHE-RSA-AES256-CCM8"),
    (0x00ff, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"),
    (0x0004, "RC4-MD5"),
    (0x0005, "RC4-SHA"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        choose(text).suites.into_iter().map(|suite| name_of(*suite)).collect()
    }

    #[test]
    fn cipher_lists() {
        const E: &str = "ECDHE-ECDSA-";
        const R: &str = "ECDHE-RSA-";
        let all = ["AES256-GCM-SHA384", "CHACHA20-POLY1305", "AES128-GCM-SHA256"];
        let six: Vec<String> = all.iter().flat_map(|end| [format!("{E}{end}"), format!("{R}{end}")]).collect();
        for text in ["HIGH:!aNULL:!MD5", "ALL", "DEFAULT", "EECDH", "ECDHE+HIGH", "HIGH:!RC4:!3DES:@STRENGTH"] {
            assert_eq!(names(text), six, "{text}");
        }
        for (text, want) in [
            ("ECDHE-RSA-AES128-GCM-SHA256", vec!["ECDHE-RSA-AES128-GCM-SHA256"]),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", vec!["ECDHE-RSA-AES128-GCM-SHA256"]),
            ("EECDH+CHACHA20", vec!["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"]),
            ("AES128:+aECDSA", vec!["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
            ("AES128:-aECDSA:AES128", vec!["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"]),
            ("!aECDSA:AES128", vec!["ECDHE-RSA-AES128-GCM-SHA256"]),
            ("AES128-SHA:RSA+AES:kRSA:SHA:MEDIUM", vec![]),
            ("EECDH+ECDSA+SHA384", vec![]),
            ("TLS_AES_128_GCM_SHA256", vec![]),
        ] {
            assert_eq!(names(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_not_had_is_told_apart_from_slips() {
        let chosen = choose("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:HIHG:!eNULL:EDH+aRSA:-WHAT");
        assert_eq!(chosen.lacking, ["DHE-RSA-AES256-GCM-SHA384"]);
        assert_eq!(chosen.unknown, ["HIHG", "WHAT"]);
    }

    #[test]
    fn lists_of_curves() {
        let list = |text| {
            let (found, lacking) = curves(text);
            (found.into_iter().map(curve_name).collect::<Vec<_>>().join(" "), lacking.join(" "))
        };
        for (text, found, lacking) in [
            ("auto", "X25519 prime256v1 secp384r1", ""),
            ("secp384r1", "secp384r1", ""),
            ("P-256:prime256v1:X25519", "prime256v1 X25519", ""),
            ("X448:X25519MLKEM768:X25519", "X25519", "X448 X25519MLKEM768"),
            ("secp521r1", "", "secp521r1"),
        ] {
            assert_eq!(list(text), (found.to_string(), lacking.to_string()), "{text}");
        }
        assert_eq!((curve_of(29), curve_of(0x2a2a)), ("X25519".into(), "0x2a2a".into()));
        assert_eq!((cipher_of(0x1301), cipher_of(0x1a1a)), ("TLS_AES_128_GCM_SHA256".into(), "0x1a1a".into()));
    }
}
