//! Chains of certificates: who stands between one and those that vouch for it. Signatures are checked elsewhere.

use rustls::pki_types::{CertificateDer, UnixTime};
use x509_cert::der::{Decode, Encode};

/// How many certificates stand between the first of a chain and a root, along the names of issuers.
pub fn links(chain: &[CertificateDer<'_>], roots: &[CertificateDer<'_>]) -> usize {
    let names = |der: &CertificateDer<'_>| {
        let found = x509_cert::Certificate::from_der(der).ok()?;
        let tbs = found.tbs_certificate();
        Some((tbs.subject().to_der().ok()?, tbs.issuer().to_der().ok()?))
    };
    let roots: Vec<_> = roots.iter().filter_map(names).map(|(subject, _)| subject).collect();
    let others: Vec<_> = chain.iter().skip(1).filter_map(names).collect();
    let Some((_, mut issuer)) = chain.first().and_then(names) else { return 0 };
    for links in 0..=others.len() {
        if roots.contains(&issuer) {
            return links;
        }
        match others.iter().find(|(subject, _)| *subject == issuer) {
            Some((_, next)) => issuer = next.clone(),
            None => return links,
        }
    }
    others.len()
}

/// Whether now lies within the certificate's dates.
pub fn is_current(der: &CertificateDer<'_>) -> bool {
    let Ok(found) = x509_cert::Certificate::from_der(der) else { return false };
    let (dates, now) = (found.tbs_certificate().validity(), UnixTime::now().as_secs());
    (dates.not_before.to_unix_duration().as_secs()..=dates.not_after.to_unix_duration().as_secs()).contains(&now)
}

/// The public key in a chain's first certificate, in DER.
pub fn public_key(chain: &[CertificateDer<'_>]) -> Option<Vec<u8>> {
    let found = x509_cert::Certificate::from_der(chain.first()?).ok()?;
    found.tbs_certificate().subject_public_key_info().to_der().ok()
}
