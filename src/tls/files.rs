//! From files to certificates, keys and lists of revoked ones, or to a phrase that says what is wrong with the file. Reads
//! through [`Outside`] alone.

use std::path::Path;
use std::sync::Arc;

use pkcs8::EncryptedPrivateKeyInfoOwned;
use pkcs8::der::Decode;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::sign::CertifiedKey;

use super::chain::public_key;
use super::trust::List;
use crate::conf::outside::{Outside, Unreadable};

/// No key and no bundle of certificates is larger.
const MOST: u64 = 16 << 20;

/// What is wrong with a file: a phrase behind the directive's name, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The phrase.
    pub what: String,
    /// The remedy.
    pub help: Option<String>,
}

impl Wrong {
    fn with(what: String, help: &str) -> Wrong {
        Wrong { what, help: Some(help.to_string()) }
    }
}

/// All bytes of a file, which may be a named pipe.
pub fn read(outside: &Outside, path: &Path) -> Result<Arc<[u8]>, Wrong> {
    outside.read_or_hear(path, MOST).map_err(|error| {
        let what = format!("cannot read `{}`: {error}", path.display());
        let help = match error {
            Unreadable::Absent => {
                "`longshore cert self-signed NAME` makes a certificate with its key; an authority gives both too"
            }
            Unreadable::System(_) => "keys are often for root alone: start as root, or give the file to this user",
            _ => return Wrong { what, help: None },
        };
        Wrong::with(what, help)
    })
}

/// The certificates in a file, in their order; at least one.
pub fn certificates(bytes: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let path = path.display();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found =
        found.map_err(|error| Wrong { what: format!("names `{path}`, which is no PEM: {error}"), help: None })?;
    if found.is_empty() {
        let what = format!("names `{path}`, which holds no certificate");
        return Err(Wrong::with(what, "a certificate begins with the line `-----BEGIN CERTIFICATE-----`"));
    }
    for der in &found {
        if let Err(error) = x509_cert::Certificate::from_der(der) {
            let what = format!("names `{path}`, where something calls itself a certificate and is none: {error}");
            return Err(Wrong { what, help: None });
        }
    }
    Ok(found)
}

/// When the first of these certificates ceases to be good, if that is in the past.
pub fn expired(chain: &[CertificateDer<'_>]) -> Option<String> {
    let found = x509_cert::Certificate::from_der(chain.first()?).ok()?;
    let end = found.tbs_certificate().validity().not_after;
    (end.to_unix_duration().as_secs() < UnixTime::now().as_secs()).then(|| end.to_string())
}

/// The lists of revoked certificates in a file.
pub fn revoked(bytes: &[u8], path: &Path) -> Result<Vec<List>, Wrong> {
    let path = path.display();
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    let found = match found {
        Ok(found) if !found.is_empty() => found,
        _ => {
            let what = format!("names `{path}`, which holds no list of revoked certificates");
            return Err(Wrong::with(what, "it begins with the line `-----BEGIN X509 CRL-----`"));
        }
    };
    let lists: Result<Vec<_>, _> = found.iter().map(|der| List::read(der)).collect();
    lists.map_err(|error| {
        let what =
            format!("names `{path}`, where something calls itself a list of revoked certificates and is none: {error}");
        Wrong { what, help: None }
    })
}

/// Passwords of keys.
#[derive(Debug, Clone, Copy)]
pub struct Passwords<'a> {
    /// The directive that names their file.
    pub directive: &'a str,
    /// The passwords, to be tried in turn.
    pub all: &'a [Vec<u8>],
}

/// The private key in a file; one under a password is opened by the first of these that fits.
pub fn key(bytes: &[u8], path: &Path, passwords: Passwords<'_>) -> Result<PrivateKeyDer<'static>, Wrong> {
    let path = path.display();
    if let Some(sealed) = encrypted(bytes) {
        return open_key(&sealed, &path.to_string(), passwords);
    }
    if has(bytes, b"Proc-Type: 4,ENCRYPTED") {
        let what = format!("names `{path}`, which is under a password in the old form that OpenSSL once wrote");
        let help = format!("write it anew: `openssl pkcs8 -topk8 -in OLD -out NEW`, then `{}`", passwords.directive);
        return Err(Wrong::with(what, &help));
    }
    match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => Ok(key),
        Err(_) if has(bytes, b"-----BEGIN CERTIFICATE-----") => {
            let what = format!("names `{path}`, which holds a certificate and no key");
            Err(Wrong::with(what, "the key is usually in a file of its own, `privkey.pem` or `NAME.key`"))
        }
        Err(_) => {
            let what = format!("names `{path}`, which holds no private key");
            Err(Wrong::with(what, "a key begins with the line `-----BEGIN PRIVATE KEY-----`"))
        }
    }
}

/// A certificate's chain with its key, which must be its own; what is wrong is said of the key's file.
pub fn pair(
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
    (certificate, key): (&Path, &Path),
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Wrong> {
    let Ok(signer) = provider.key_provider.load_private_key(secret) else {
        let what = format!("names `{}`, whose key is of a kind that cannot be used", key.display());
        return Err(Wrong::with(what, "keys are RSA from 2048 bits, ECDSA with P-256 or P-384, or Ed25519"));
    };
    if let (Some(public), Some(own)) = (signer.public_key(), public_key(&chain))
        && public.as_ref() != own
    {
        let what = format!("names `{}`, which is not the key of `{}`", key.display(), certificate.display());
        let help = "the file of the certificate begins with the server's own, behind it those that vouch for it";
        return Err(Wrong::with(what, help));
    }
    Ok(CertifiedKey::new(chain, signer))
}

/// Whether a key is under a password.
pub fn is_sealed(bytes: &[u8]) -> bool {
    has(bytes, b"ENCRYPTED")
}

/// What stands under a password in the form of PKCS#8, if that is what the file holds.
fn encrypted(bytes: &[u8]) -> Option<Vec<u8>> {
    if !has(bytes, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return None;
    }
    // The reader of PEM passes over sections it does not know; under a name that it knows the bytes are the same.
    let text = String::from_utf8_lossy(bytes).replace("ENCRYPTED PRIVATE KEY", "PRIVATE KEY");
    let (_, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(text.as_bytes()).ok()?;
    Some(der)
}

fn open_key(sealed: &[u8], path: &str, passwords: Passwords<'_>) -> Result<PrivateKeyDer<'static>, Wrong> {
    let directive = passwords.directive;
    if passwords.all.is_empty() {
        let what = format!("names `{path}`, which is under a password");
        let help = format!("write the password into a file of its own and name it with `{directive}`");
        return Err(Wrong::with(what, &help));
    }
    let info = EncryptedPrivateKeyInfoOwned::from_der(sealed).map_err(|error| Wrong {
        what: format!("names `{path}`, which is no key under a password: {error}"),
        help: None,
    })?;
    let opened = passwords.all.iter().find_map(|password| info.decrypt(password).ok());
    match opened {
        Some(document) => Ok(PrivatePkcs8KeyDer::from(document.as_bytes().to_vec()).into()),
        None => {
            let what = format!("names `{path}`, which no password of `{directive}` opens");
            Err(Wrong::with(what, "each line of that file is one password"))
        }
    }
}

/// The passwords in a file, one on each line.
pub fn passwords(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lines = bytes.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
}

fn has(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/etc/a.pem";
    const NONE: Passwords<'_> = Passwords { directive: "ssl_password_file", all: &[] };

    #[test]
    fn what_is_no_certificate_or_key_is_named() {
        let cert = rcgen::generate_simple_self_signed(["a.test".into()]).unwrap();
        let (pem, key_pem) = (cert.cert.pem(), cert.signing_key.serialize_pem());
        let path = Path::new(PATH);
        assert_eq!(certificates(pem.as_bytes(), path).unwrap().len(), 1);
        assert!(key(key_pem.as_bytes(), path, NONE).is_ok());
        let broken = pem.replace("MI", "AA");
        for (bytes, part) in [
            (key_pem.as_str(), "holds no certificate"),
            ("", "holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "is no PEM"),
            (broken.as_str(), "calls itself a certificate and is none"),
        ] {
            let wrong = certificates(bytes.as_bytes(), path).unwrap_err();
            assert!(wrong.what.contains(part) && wrong.what.contains(PATH), "{}", wrong.what);
        }
        for (bytes, part) in [
            (pem.as_str(), "holds a certificate and no key"),
            ("garbage", "holds no private key"),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", "in the old form"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "is under a password",
            ),
        ] {
            let wrong = key(bytes.as_bytes(), path, NONE).unwrap_err();
            assert!(wrong.what.contains(part), "{}", wrong.what);
        }
        assert!(revoked(b"", path).unwrap_err().what.contains("no list of revoked"));
    }

    #[test]
    fn lines_are_passwords() {
        assert_eq!(passwords(b"one\r\ntwo\n\nthree"), [&b"one"[..], b"two", b"three"]);
        assert!(passwords(b"\n").is_empty());
    }
}
