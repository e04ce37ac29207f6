//! Lists of revoked certificates (CRLs) of version 1 and 2 (RFC 5280 section 5), and what they say of a chain. A list that cannot be
//! understood in full vouches for nobody.

use std::collections::HashSet;

use rustls::crypto::WebPkiSupportedAlgorithms;
use x509_cert::der::asn1::{AnyRef, ContextSpecific, ObjectIdentifier};
use x509_cert::der::{self, Decode, ErrorKind, Reader, SliceReader, Tag, TagNumber};
use x509_cert::ext::pkix::crl::dp::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralNames};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::time::Time;

use super::Fault;
use super::certificate::{Certificate, ISSUER_KEY, IssuerId, Signed, plain_number};

const DELTA: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const ISSUING_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
/// The version of a list that has one, as it is encoded: RFC 5280 section 5.1.2.1.
const SECOND: [u8; 1] = [1];

/// One list.
#[derive(Debug)]
pub struct List {
    signed: Signed,
    content: Content,
}

/// What stands in it.
#[derive(Debug, Default)]
struct Content {
    issuer: Vec<u8>,
    /// With which of its keys it was signed.
    signer: IssuerId,
    from: u64,
    until: Option<u64>,
    revoked: HashSet<Vec<u8>>,
    scope: Scope,
    /// Whether it or a line of it has an extension that must be understood and is not.
    has_unknown_critical: bool,
}

/// Which of its issuer's certificates a list tells of.
#[derive(Debug, Default)]
enum Scope {
    #[default]
    All,
    /// Users or authorities alone, or those that name one of these places.
    Some { users: bool, authorities: bool, places: Option<GeneralNames> },
    /// Changes since another list, certain reasons, other issuers: not enough to call a certificate good.
    Other,
}

impl Content {
    /// Reads what was signed; `outer` is the algorithm that stands behind it, which has to be the one that it names.
    fn read(r: &mut SliceReader<'_>, outer: &[u8]) -> Result<Content, der::Error> {
        let mut content = Content::default();
        let bad = || der::Error::from(ErrorKind::Failed);
        // Version 1 says nothing of its version.
        let is_second = Tag::peek(r)? == Tag::Integer;
        if is_second && AnyRef::decode(r)?.value() != SECOND {
            return Err(bad());
        }
        if AnyRef::decode(r)?.value() != outer {
            return Err(bad());
        }
        content.issuer = r.tlv_bytes()?.to_vec();
        content.from = seconds(Time::decode(r)?);
        let is_time = |tag| matches!(tag, Tag::UtcTime | Tag::GeneralizedTime);
        if !r.is_finished() && is_time(Tag::peek(r)?) {
            content.until = Some(seconds(Time::decode(r)?));
        }
        if !r.is_finished() && Tag::peek(r)? == Tag::Sequence {
            r.sequence(|lines| {
                while !lines.is_finished() {
                    lines.sequence(|line| content.note(line))?;
                }
                Ok::<_, der::Error>(())
            })?;
        }
        if !r.is_finished() {
            let found = ContextSpecific::<Extensions>::decode_explicit(r, TagNumber(0))?.ok_or_else(bad)?;
            if !is_second {
                return Err(bad());
            }
            content.understand(&found.value)?;
        }
        match r.is_finished() {
            true => Ok(content),
            false => Err(bad()),
        }
    }

    /// Reads a line: a number, when it was revoked, and what else there is to say.
    fn note(&mut self, line: &mut SliceReader<'_>) -> Result<(), der::Error> {
        let number = AnyRef::decode(line)?;
        self.revoked.insert(plain_number(number.value()).to_vec());
        Time::decode(line)?;
        if !line.is_finished() {
            // Reason and date change nothing here; a line for another issuer's certificate is critical.
            self.has_unknown_critical |= Extensions::decode(line)?.iter().any(|one| one.critical);
        }
        Ok(())
    }

    fn understand(&mut self, all: &[Extension]) -> Result<(), der::Error> {
        for one in all {
            match one.extn_id {
                ISSUER_KEY => self.signer = IssuerId::read(one.extn_value.as_bytes())?,
                DELTA => self.scope = Scope::Other,
                ISSUING_POINT if !matches!(self.scope, Scope::Other) => {
                    self.scope = scope(IssuingDistributionPoint::from_der(one.extn_value.as_bytes())?);
                }
                ISSUING_POINT => {}
                _ => self.has_unknown_critical |= one.critical,
            }
        }
        Ok(())
    }

    fn tells_of(&self, certificate: &Certificate) -> bool {
        match &self.scope {
            Scope::All => true,
            Scope::Other => false,
            Scope::Some { users, authorities, places } => {
                let is_meant = match certificate.says_authority() {
                    true => !users,
                    false => !authorities,
                };
                let has = |name| certificate.extensions.points.contains(name);
                is_meant && places.as_ref().is_none_or(|places| places.iter().any(has))
            }
        }
    }

    fn is_current(&self, now: u64) -> bool {
        self.from <= now && self.until.is_none_or(|until| now <= until)
    }
}

impl List {
    /// Reads a list.
    pub fn read(der: &[u8]) -> Result<List, der::Error> {
        let signed = Signed::read(der)?;
        let mut reader = SliceReader::new(signed.bytes())?;
        let content = reader.sequence(|r| Content::read(r, signed.algorithm()))?;
        reader.finish()?;
        Ok(List { signed, content })
    }

    /// What it says of a certificate that this issuer signed.
    fn judge(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        now: u64,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Fault> {
        let content = &self.content;
        if content.has_unknown_critical {
            return Err(Fault::UNKNOWN_IN_LIST);
        }
        if issuer.extensions.usage.is_some_and(|usage| !usage.crl_sign()) {
            return Err(Fault::MAY_NOT_LIST);
        }
        if !self.signed.is_by(&issuer.key, algorithms) {
            return Err(Fault::LIST_FORGED);
        }
        if content.revoked.contains(&certificate.serial) {
            return Err(Fault::REVOKED);
        }
        match content.is_current(now) {
            true => Ok(()),
            false if content.from > now => Err(Fault::LIST_TOO_EARLY),
            false => Err(Fault::LIST_EXPIRED),
        }
    }
}

fn seconds(time: Time) -> u64 {
    time.to_unix_duration().as_secs()
}

fn scope(point: IssuingDistributionPoint) -> Scope {
    if point.indirect_crl || point.only_contains_attribute_certs || point.only_some_reasons.is_some() {
        return Scope::Other;
    }
    let places = match point.distribution_point {
        None => None,
        Some(DistributionPointName::FullName(names)) => Some(names),
        Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => return Scope::Other,
    };
    Scope::Some { users: point.only_contains_user_certs, authorities: point.only_contains_ca_certs, places }
}

/// Whether the lists call each certificate of a chain good, the root's own among them; the first is the one in question. Each needs a
/// list of its issuer's. As in OpenSSL the one that is in force counts, and of several the youngest.
pub fn check(
    chain: &[&Certificate],
    lists: &[List],
    now: u64,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Fault> {
    for (at, certificate) in chain.iter().enumerate() {
        let issuer = chain.get(at + 1).unwrap_or(certificate);
        let is_own = |list: &&List| list.content.issuer == certificate.issuer && list.content.signer.fits(issuer);
        let mut own = lists.iter().filter(is_own).peekable();
        if own.peek().is_none() {
            return Err(Fault::NO_LIST);
        }
        let meant = own.filter(|list| list.content.tells_of(certificate));
        let list =
            meant.max_by_key(|list| (list.content.is_current(now), list.content.from)).ok_or(Fault::OTHER_LIST)?;
        list.judge(certificate, issuer, now, algorithms)?;
    }
    Ok(())
}
