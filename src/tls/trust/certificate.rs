//! A certificate as the checks of a chain need it, read once, and what was signed of it: the very bytes, never an encoding of our
//! own. Decides nothing.

use rustls::crypto::WebPkiSupportedAlgorithms;
use x509_cert::Version;
use x509_cert::der::asn1::{AnyRef, BitString, ObjectIdentifier};
use x509_cert::der::{self, Decode, Encode, ErrorKind, Reader, SliceReader, Tag};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::crl::CrlDistributionPoints;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName, GeneralNames};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::name::Name;

const SUBJECT_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
/// The issuer's key, in certificates and in lists.
pub const ISSUER_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const NETSCAPE_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113730.1.1");
/// Policies, their mappings and constraints: they count where policies are asked for, which nobody does here.
const POLICIES: [ObjectIdentifier; 4] = [
    ObjectIdentifier::new_unwrap("2.5.29.32"),
    ObjectIdentifier::new_unwrap("2.5.29.33"),
    ObjectIdentifier::new_unwrap("2.5.29.36"),
    ObjectIdentifier::new_unwrap("2.5.29.54"),
];

/// Something signed (RFC 5280 section 4.1.1): what, how, and the signature.
#[derive(Debug)]
pub struct Signed {
    bytes: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
}

/// A public key with its kind.
#[derive(Debug)]
pub struct Key {
    algorithm: Vec<u8>,
    bits: Vec<u8>,
}

/// Which of the certificates of one name is the issuer's, as far as that is said (RFC 5280 section 4.2.1.1).
#[derive(Debug, Default)]
pub struct IssuerId {
    key: Option<Vec<u8>>,
    serial: Option<Vec<u8>>,
}

impl IssuerId {
    /// Reads an extension.
    pub fn read(value: &[u8]) -> Result<IssuerId, der::Error> {
        let found = AuthorityKeyIdentifier::from_der(value)?;
        let serial = found.authority_cert_serial_number.map(|serial| plain_number(serial.as_bytes()).to_vec());
        Ok(IssuerId { key: found.key_identifier.map(|key| key.as_bytes().to_vec()), serial })
    }

    /// Whether a certificate may be the one that is meant.
    pub fn fits(&self, issuer: &Certificate) -> bool {
        let key = self.key.as_ref().zip(issuer.extensions.key.as_ref()).is_none_or(|(meant, has)| meant == has);
        key && self.serial.as_ref().is_none_or(|meant| *meant == issuer.serial)
    }
}

/// The extensions that are understood.
#[derive(Debug, Default)]
pub struct Extensions {
    /// What its key is called.
    pub key: Option<Vec<u8>>,
    /// Who signed it.
    pub issuer: IssuerId,
    /// Whether it is an authority, and over how many others below it.
    pub basic: Option<BasicConstraints>,
    /// What its key is for.
    pub usage: Option<KeyUsage>,
    /// What it is for.
    pub purposes: Option<ExtendedKeyUsage>,
    /// What it is for, as Netscape once wrote it.
    pub netscape: Option<u8>,
    /// The names that those below it may have.
    pub constraints: Option<NameConstraints>,
    /// Its names.
    pub names: GeneralNames,
    /// Where lists of revoked certificates are had.
    pub points: GeneralNames,
    /// Whether it has one that must be understood and is not.
    pub has_unknown_critical: bool,
}

/// A certificate.
#[derive(Debug)]
pub struct Certificate {
    /// All of its bytes.
    pub der: Vec<u8>,
    /// What was signed, and how.
    pub signed: Signed,
    /// Its public key.
    pub key: Key,
    /// Whether it is older than version 3, so that nothing in it says what it is for.
    pub is_old: bool,
    /// Whether it is of version 1.
    pub is_first: bool,
    /// Its number.
    pub serial: Vec<u8>,
    /// The name of the one who signed it, as it is encoded.
    pub issuer: Vec<u8>,
    /// Its own name, as it is encoded.
    pub subject: Vec<u8>,
    /// Its own name.
    pub name: Name,
    /// The second from which it is good.
    pub from: u64,
    /// The last second in which it is good.
    pub until: u64,
    /// What it says of itself.
    pub extensions: Extensions,
}

impl Signed {
    /// Takes apart what is signed.
    pub fn read(der: &[u8]) -> Result<Signed, der::Error> {
        let mut reader = SliceReader::new(der)?;
        let signed = reader.sequence(|r| {
            let bytes = r.tlv_bytes()?.to_vec();
            let algorithm = AnyRef::decode(r)?.value().to_vec();
            Ok::<_, der::Error>(Signed { bytes, algorithm, signature: whole_bytes(&BitString::decode(r)?)? })
        })?;
        reader.finish()?;
        Ok(signed)
    }

    /// The bytes that were signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How it was signed: what stands in the identifier of the algorithm.
    pub fn algorithm(&self) -> &[u8] {
        &self.algorithm
    }

    /// Whether the owner of this key signed it.
    pub fn is_by(&self, key: &Key, algorithms: &WebPkiSupportedAlgorithms) -> bool {
        algorithms.all.iter().any(|algorithm| {
            algorithm.signature_alg_id().as_ref() == self.algorithm
                && algorithm.public_key_alg_id().as_ref() == key.algorithm
                && algorithm.verify_signature(&key.bits, &self.bytes, &self.signature).is_ok()
        })
    }
}

impl Key {
    /// Reads a SubjectPublicKeyInfo.
    pub fn read(der: &[u8]) -> Result<Key, der::Error> {
        let mut reader = SliceReader::new(der)?;
        let key = reader.sequence(|r| {
            let algorithm = AnyRef::decode(r)?.value().to_vec();
            Ok::<_, der::Error>(Key { algorithm, bits: whole_bytes(&BitString::decode(r)?)? })
        })?;
        reader.finish()?;
        Ok(key)
    }

    /// The kind: what stands in the identifier of the algorithm.
    pub fn algorithm(&self) -> &[u8] {
        &self.algorithm
    }

    /// The key itself.
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }
}

fn whole_bytes(bits: &BitString) -> Result<Vec<u8>, der::Error> {
    bits.as_bytes().map(<[u8]>::to_vec).ok_or_else(|| ErrorKind::Value { tag: Tag::BitString }.into())
}

impl Certificate {
    /// Reads one.
    pub fn read(der: &[u8]) -> Result<Certificate, der::Error> {
        let found = x509_cert::Certificate::from_der(der)?;
        let tbs = found.tbs_certificate();
        let is_old = tbs.version() != Version::V3;
        let has_extensions = tbs.extensions().is_some_and(|extensions| !extensions.is_empty());
        // The algorithm stands twice, and only the inner one is signed (RFC 5280 section 4.1.1.2).
        if tbs.signature() != found.signature_algorithm() || (is_old && has_extensions) {
            return Err(ErrorKind::Failed.into());
        }
        Ok(Certificate {
            der: der.to_vec(),
            signed: Signed::read(der)?,
            key: Key::read(&tbs.subject_public_key_info().to_der()?)?,
            is_old,
            is_first: tbs.version() == Version::V1,
            serial: plain_number(tbs.serial_number().as_bytes()).to_vec(),
            issuer: tbs.issuer().to_der()?,
            subject: tbs.subject().to_der()?,
            name: tbs.subject().clone(),
            from: tbs.validity().not_before.to_unix_duration().as_secs(),
            until: tbs.validity().not_after.to_unix_duration().as_secs(),
            extensions: Extensions::read(tbs.extensions().map_or(&[], Vec::as_slice))?,
        })
    }

    /// Whether it bears its own name as that of its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether that one may have signed this one: by its name, and by what this one says of its issuer's key.
    pub fn may_be_by(&self, other: &Certificate) -> bool {
        self.issuer == other.subject && self.extensions.issuer.fits(other)
    }

    /// Whether it says that it has signed itself. One that bears its own name over another key has not.
    pub fn is_self_signed(&self) -> bool {
        self.may_be_by(self)
    }

    /// Whether it says that it is an authority.
    pub fn says_authority(&self) -> bool {
        self.extensions.basic.as_ref().is_some_and(|basic| basic.ca)
    }
}

impl Extensions {
    fn read(all: &[Extension]) -> Result<Extensions, der::Error> {
        let mut found = Extensions::default();
        for (at, one) in all.iter().enumerate() {
            // No certificate may have two of a kind (RFC 5280 section 4.2).
            if all[..at].iter().any(|other| other.extn_id == one.extn_id) {
                return Err(ErrorKind::Failed.into());
            }
            let value = one.extn_value.as_bytes();
            match one.extn_id {
                SUBJECT_KEY => found.key = Some(SubjectKeyIdentifier::from_der(value)?.0.as_bytes().to_vec()),
                ISSUER_KEY => found.issuer = IssuerId::read(value)?,
                KEY_USAGE => found.usage = Some(KeyUsage::from_der(value)?),
                SUBJECT_ALT_NAME => found.names = SubjectAltName::from_der(value)?.0,
                BASIC_CONSTRAINTS => found.basic = Some(BasicConstraints::from_der(value)?),
                NAME_CONSTRAINTS => found.constraints = Some(NameConstraints::from_der(value)?),
                CRL_DISTRIBUTION_POINTS => found.points = points(CrlDistributionPoints::from_der(value)?),
                EXTENDED_KEY_USAGE => found.purposes = Some(ExtendedKeyUsage::from_der(value)?),
                NETSCAPE_TYPE => found.netscape = Some(first_bits(value)?),
                id if POLICIES.contains(&id) => {}
                _ => found.has_unknown_critical |= one.critical,
            }
        }
        Ok(found)
    }
}

/// A number without the zeros that some write in front of it.
pub fn plain_number(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..]
}

/// The first eight bits of a BIT STRING, the first one highest.
fn first_bits(der: &[u8]) -> Result<u8, der::Error> {
    Ok(BitString::from_der(der)?.raw_bytes().first().copied().unwrap_or(0))
}

fn points(found: CrlDistributionPoints) -> GeneralNames {
    let names = found.0.into_iter().filter_map(|point| point.distribution_point);
    let full = names.filter_map(|name| match name {
        DistributionPointName::FullName(names) => Some(names),
        DistributionPointName::NameRelativeToCRLIssuer(_) => None,
    });
    full.flatten().collect::<Vec<GeneralName>>()
}
