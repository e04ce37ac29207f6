//! Certificates that a case asks for, made when it runs: keys never lie in the repository.

use super::old;
use pkcs8::pkcs5::pbes2;
use pkcs8::{LineEnding, PrivateKeyInfoRef};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, RevokedCertParams, SerialNumber,
};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// One `certificate` section: `NAME.pem` and `NAME.key` below the case's folder.
#[derive(Debug, Default)]
pub struct Certificate {
    pub name: String,
    /// Names and addresses it is for.
    pub hosts: Vec<String>,
    /// Who signs it; itself where none is named.
    pub by: Option<String>,
    pub is_authority: bool,
    /// `p256`, `p384` or `ed25519`.
    pub kind: String,
    /// The parts of its name: `CN` and the like.
    pub parts: Vec<(String, String)>,
    pub serial: Option<u64>,
    /// How long it is good; it has expired if that is below zero.
    pub days: i64,
    /// Numbers that it revokes in `NAME.crl`.
    pub revokes: Option<Vec<u64>>,
    /// What its list is like: `old` (version 1), `expired`, `forged`.
    pub lists: Vec<String>,
    /// Whether it is of version 1.
    pub is_old: bool,
    /// Whether another key than its issuer's signs it in the issuer's name.
    pub is_forged: bool,
    /// How many authorities may stand below it.
    pub path: Option<u8>,
    /// What its key may do: `sign` certificates, sign `lists`, `talk`; what is usual where nothing is named.
    pub usage: Vec<String>,
    /// What it is for: `server`, `client`; both where nothing is named.
    pub purpose: Vec<String>,
    /// Whether the certificates that vouch for it stand behind it in its file.
    pub chain: bool,
    /// The password that its key is under.
    pub sealed: Option<String>,
}

const DAY: Duration = Duration::from_secs(86_400);

/// Makes the files of all sections, in their order.
pub fn make(certificates: &[Certificate], dir: &Path) -> Result<(), String> {
    let mut made: HashMap<&str, (CertificateParams, String, String)> = HashMap::new();
    for certificate in certificates {
        let params = params(certificate).map_err(text)?;
        let kind = match certificate.kind.as_str() {
            "p384" => &PKCS_ECDSA_P384_SHA384,
            "ed25519" => &PKCS_ED25519,
            _ => &PKCS_ECDSA_P256_SHA256,
        };
        let key = KeyPair::generate_for(kind).map_err(text)?;
        let (pem, behind) = match &certificate.by {
            None => (signed(certificate, &params, &key, &params, &key)?, String::new()),
            Some(by) => {
                let (above, key_above, pem_above) =
                    made.get(by.as_str()).ok_or(format!("no certificate {by} above"))?;
                let key_above = KeyPair::from_pem(key_above).map_err(text)?;
                (signed(certificate, &params, &key, above, &key_above)?, pem_above.clone())
            }
        };
        let all = if certificate.chain { format!("{pem}{behind}") } else { pem };
        write(dir, &format!("{}.pem", certificate.name), &all)?;
        let secret = match &certificate.sealed {
            None => key.serialize_pem(),
            Some(word) => sealed(&key.serialize_der(), word).map_err(|error| format!("sealed: {error}"))?,
        };
        write(dir, &format!("{}.key", certificate.name), &secret)?;
        if let Some(numbers) = &certificate.revokes {
            let list = revoked(certificate, numbers, &params, &key).map_err(text)?;
            write(dir, &format!("{}.crl", certificate.name), &list)?;
        }
        made.insert(&certificate.name, (params, key.serialize_pem(), all));
    }
    Ok(())
}

/// The certificate in PEM, by this issuer.
fn signed(
    certificate: &Certificate,
    params: &CertificateParams,
    key: &KeyPair,
    above: &CertificateParams,
    key_above: &KeyPair,
) -> Result<String, String> {
    let other = KeyPair::generate_for(key_above.algorithm()).map_err(text)?;
    let signer = if certificate.is_forged { &other } else { key_above };
    let made = params.signed_by(key, &Issuer::from_params(above, signer)).map_err(text)?;
    match certificate.is_old {
        true => Ok(old::pem(&old::certificate(made.der(), signer).map_err(text)?, "CERTIFICATE")),
        false => Ok(made.pem()),
    }
}

fn params(certificate: &Certificate) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(certificate.hosts.clone())?;
    let mut name = DistinguishedName::new();
    for (key, value) in &certificate.parts {
        let kind = match key.as_str() {
            "C" => DnType::CountryName,
            "O" => DnType::OrganizationName,
            "OU" => DnType::OrganizationalUnitName,
            _ => DnType::CommonName,
        };
        name.push(kind, value.as_str());
    }
    if certificate.parts.is_empty() {
        name.push(DnType::CommonName, certificate.name.as_str());
    }
    params.distinguished_name = name;
    params.serial_number = certificate.serial.map(SerialNumber::from);
    let now = SystemTime::now();
    let days = DAY * u32::try_from(certificate.days.unsigned_abs()).unwrap_or(1);
    params.not_before = (now - 400 * DAY).into();
    params.not_after = if certificate.days < 0 { now - days } else { now + days }.into();
    if certificate.is_authority {
        params.is_ca =
            IsCa::Ca(certificate.path.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        if !certificate.hosts.is_empty() {
            // It is a server's own as well.
            params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        }
    } else {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    }
    if !certificate.usage.is_empty() {
        let has = |word: &str| certificate.usage.iter().any(|one| one == word);
        let all = [
            ("sign", KeyUsagePurpose::KeyCertSign),
            ("lists", KeyUsagePurpose::CrlSign),
            ("talk", KeyUsagePurpose::DigitalSignature),
        ];
        params.key_usages = all.into_iter().filter(|(word, _)| has(word)).map(|(_, usage)| usage).collect();
    }
    if !certificate.purpose.is_empty() {
        let has = |word: &str| certificate.purpose.iter().any(|one| one == word);
        let all = [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)];
        params.extended_key_usages =
            all.into_iter().filter(|(word, _)| has(word)).map(|(_, purpose)| purpose).collect();
    }
    Ok(params)
}

fn revoked(
    certificate: &Certificate,
    numbers: &[u64],
    params: &CertificateParams,
    key: &KeyPair,
) -> Result<String, rcgen::Error> {
    let has = |word: &str| certificate.lists.iter().any(|one| one == word);
    let now = SystemTime::now();
    let entry = |number: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*number),
        revocation_time: (now - DAY).into(),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: (now - 30 * DAY).into(),
        next_update: if has("expired") { now - DAY } else { now + 30 * DAY }.into(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: numbers.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let other = KeyPair::generate_for(key.algorithm())?;
    let signer = if has("forged") { &other } else { key };
    let made = list.signed_by(&Issuer::from_params(params, signer))?;
    match has("old") {
        true => Ok(old::pem(&old::list(made.der(), signer)?, "X509 CRL")),
        false => made.pem(),
    }
}

/// A key under a password. Salt and start are fixed: nobody has to be kept out.
fn sealed(der: &[u8], word: &str) -> Result<String, pkcs8::Error> {
    let params = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, &[7; 16], [7; 16])?;
    let document = PrivateKeyInfoRef::try_from(der)?.encrypt_with_params(params, word)?;
    Ok(document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)?.to_string())
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), String> {
    std::fs::write(dir.join(name), text).map_err(|e| format!("{name}: {e}"))
}

fn text(error: rcgen::Error) -> String {
    error.to_string()
}
