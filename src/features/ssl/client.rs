//! Clients' certificates: what is asked of them in the handshake, and the verdict on what they sent. As in nginx a bad
//! certificate does not break the handshake; the request is answered with 400 and says why.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use crate::exchange::tls::Verdict;
use crate::tls::trust::{Fault, Kind, List, Purpose, Trust, proof};

/// Who is let in.
#[derive(Debug)]
pub struct Clients {
    trust: Trust,
    /// None where there are no roots: nobody is known then.
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Clients {
    /// Clients that these roots vouch for, over no more than so many others, and that no list revokes.
    pub fn new(
        roots: &[CertificateDer<'static>],
        lists: Arc<Vec<List>>,
        depth: usize,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Clients, String> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(root.clone()).map_err(|error| format!("holds a certificate that cannot be read: {error}"))?;
        }
        let (trust, bad) = Trust::new(roots, lists, depth, Purpose::Client, provider);
        if let Some(at) = bad {
            return Err(format!("holds a certificate that cannot be read: number {} of it", at + 1));
        }
        let verifier = match roots.is_empty() {
            true => None,
            false => {
                let built = WebPkiClientVerifier::builder_with_provider(store.into(), provider.clone()).build();
                Some(built.map_err(|error| format!("holds what cannot be used: {error}"))?)
            }
        };
        Ok(Clients { trust, verifier })
    }

    /// What is wrong with a client's certificates, its own first. Two judge it, and both must call it good; webpki cannot read all
    /// that OpenSSL lets in.
    pub fn judge(&self, shown: &[Vec<u8>]) -> Verdict {
        let all: Vec<CertificateDer<'_>> = shown.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let Some((own, others)) = all.split_first() else { return Verdict::GOOD };
        let now = UnixTime::now();
        match (self.trust.judge(&all, now), &self.verifier) {
            (Ok(Kind::Unusual), _) => Verdict::GOOD,
            (Ok(Kind::Plain), Some(verifier)) => match verifier.verify_client_cert(own, others, now) {
                Ok(_) => Verdict::GOOD,
                Err(error) => verdict_of(fault_of(&error)),
            },
            (Ok(Kind::Plain), None) => verdict_of(Fault::UNKNOWN),
            (Err(fault), _) => verdict_of(fault),
        }
    }
}

fn verdict_of(fault: Fault) -> Verdict {
    Verdict { code: fault.code, words: fault.words }
}

/// What OpenSSL would say of what webpki found.
fn fault_of(error: &Error) -> Fault {
    use CertificateError as E;
    let Error::InvalidCertificate(error) = error else { return Fault::UNREADABLE };
    match error {
        E::Expired | E::ExpiredContext { .. } => Fault::EXPIRED,
        E::NotValidYet | E::NotValidYetContext { .. } => Fault::TOO_EARLY,
        // The chain is there, so that a name or a signature in it is not to webpki's liking: nothing that may be let pass.
        E::UnknownIssuer | E::BadSignature => Fault::FORGED,
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => Fault::PURPOSE,
        _ => Fault::UNREADABLE,
    }
}

/// Whether `optional_no_ca` lets this pass: only nobody is known who vouches for it, as in nginx.
pub fn is_only_unknown(verdict: Verdict) -> bool {
    matches!(verdict.code, 18..=21)
}

/// The part that takes part in the handshake: asks for a certificate and has the client prove that it holds the key.
#[derive(Debug)]
pub struct Asks {
    /// Names that tell the client which of its certificates is meant.
    pub hints: Vec<DistinguishedName>,
    /// What signatures are checked with.
    pub provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Asks {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // Who signed it is judged for each request: see `Clients`.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        proof::signed12(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        proof::signed13(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
