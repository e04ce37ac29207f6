//! Certificates that a case asks for, made when it runs: keys never lie in the repository.

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
            None => (params.self_signed(&key).map_err(text)?.pem(), String::new()),
            Some(by) => {
                let (above, key_above, pem_above) =
                    made.get(by.as_str()).ok_or(format!("no certificate {by} above"))?;
                let issuer = Issuer::from_params(above, KeyPair::from_pem(key_above).map_err(text)?);
                (params.signed_by(&key, &issuer).map_err(text)?.pem(), pem_above.clone())
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
            let list = revoked(numbers, &params, &key).map_err(text)?;
            write(dir, &format!("{}.crl", certificate.name), &list)?;
        }
        made.insert(&certificate.name, (params, key.serialize_pem(), all));
    }
    Ok(())
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
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        if !certificate.hosts.is_empty() {
            // It is a server's own as well.
            params.key_usages.push(KeyUsagePurpose::DigitalSignature);
        }
    } else {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    }
    Ok(params)
}

fn revoked(numbers: &[u64], params: &CertificateParams, key: &KeyPair) -> Result<String, rcgen::Error> {
    let now = SystemTime::now();
    let entry = |number: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*number),
        revocation_time: (now - DAY).into(),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: (now - DAY).into(),
        next_update: (now + 30 * DAY).into(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: numbers.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&Issuer::from_params(params, key))?.pem()
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
