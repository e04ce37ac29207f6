//! What a server's own chain of certificates says of itself.

use rustls::pki_types::CertificateDer;
use x509_cert::der::{Decode, Encode};

/// The public key in a chain's first certificate, in DER.
pub fn public_key(chain: &[CertificateDer<'_>]) -> Option<Vec<u8>> {
    let found = x509_cert::Certificate::from_der(chain.first()?).ok()?;
    found.tbs_certificate().subject_public_key_info().to_der().ok()
}
