//! What each certificate of a chain must and may be (RFC 5280 section 6.1, and where OpenSSL asks for more, as OpenSSL has it): in
//! force, understood, made for this, and an authority where it vouches for another.

use x509_cert::der::asn1::ObjectIdentifier;

use super::certificate::Certificate;
use super::{Fault, Purpose, constraints};

const CLIENT: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// Bits of Netscape's type, the first one highest.
const NETSCAPE_CLIENT: u8 = 0x80;
const NETSCAPE_SERVER: u8 = 0x40;
const NETSCAPE_AUTHORITY: u8 = 0x04;
const NETSCAPE_ANY_AUTHORITY: u8 = 0x07;

/// Whether a whole chain is as it has to be; the first certificate is the one in question, the last its root.
pub fn check(chain: &[&Certificate], purpose: Purpose, now: u64) -> Result<(), Fault> {
    check_each(chain, purpose, now)?;
    // What stands between is no root, whatever name it bears.
    if chain.iter().skip(1).rev().skip(1).any(|between| between.is_first) {
        return Err(Fault::PURPOSE);
    }
    let mut between: usize = 0;
    for (at, certificate) in chain.iter().enumerate().skip(1) {
        let most = certificate.extensions.basic.as_ref().and_then(|basic| basic.path_len_constraint);
        if most.is_some_and(|most| between > usize::from(most)) {
            return Err(Fault::PATH_TOO_LONG);
        }
        if let Some(constraints) = &certificate.extensions.constraints {
            for (below, other) in chain[..at].iter().enumerate() {
                // An authority's certificate for itself is no new name.
                if below == 0 || !other.is_self_issued() {
                    constraints::check(constraints, other, below == 0)?;
                }
            }
        }
        between += usize::from(!certificate.is_self_issued());
    }
    Ok(())
}

/// What can be said of certificates though nobody is known who vouches for the last.
pub fn check_each(chain: &[&Certificate], purpose: Purpose, now: u64) -> Result<(), Fault> {
    for (at, certificate) in chain.iter().enumerate() {
        if now < certificate.from {
            return Err(Fault::TOO_EARLY);
        }
        if now > certificate.until {
            return Err(Fault::EXPIRED);
        }
        if certificate.extensions.has_unknown_critical {
            return Err(Fault::UNKNOWN_CRITICAL);
        }
        match at {
            0 => check_own(certificate, purpose)?,
            _ => check_authority(certificate, purpose, at + 1 == chain.len())?,
        }
    }
    Ok(())
}

/// What the one in question is for. One that says nothing is for everything.
fn check_own(certificate: &Certificate, purpose: Purpose) -> Result<(), Fault> {
    let usage = certificate.extensions.usage.is_none_or(|usage| {
        let signs = usage.digital_signature() || usage.key_agreement();
        signs || (purpose == Purpose::Server && usage.key_encipherment())
    });
    let bit = match purpose {
        Purpose::Client => NETSCAPE_CLIENT,
        Purpose::Server => NETSCAPE_SERVER,
    };
    let netscape = certificate.extensions.netscape.is_none_or(|kinds| kinds & bit != 0);
    match usage && netscape && is_for(certificate, purpose) {
        true => Ok(()),
        false => Err(Fault::PURPOSE),
    }
}

/// Whether it may vouch for others. One that does not say that it is an authority is believed only as a root, which the conf names.
fn check_authority(certificate: &Certificate, purpose: Purpose, is_root: bool) -> Result<(), Fault> {
    let extensions = &certificate.extensions;
    if extensions.usage.is_some_and(|usage| !usage.key_cert_sign()) {
        return Err(Fault::MAY_NOT_SIGN);
    }
    let kinds = extensions.netscape.unwrap_or(0);
    let is_authority = match &extensions.basic {
        Some(basic) => basic.ca && extensions.netscape.is_none_or(|kinds| kinds & NETSCAPE_AUTHORITY != 0),
        None if certificate.is_first => certificate.is_self_issued(),
        None if !is_root => false,
        None => extensions.usage.is_some() || kinds & NETSCAPE_ANY_AUTHORITY != 0,
    };
    match is_authority && is_for(certificate, purpose) {
        true => Ok(()),
        false => Err(Fault::PURPOSE),
    }
}

fn is_for(certificate: &Certificate, purpose: Purpose) -> bool {
    let meant = match purpose {
        Purpose::Client => CLIENT,
        Purpose::Server => SERVER,
    };
    certificate.extensions.purposes.as_ref().is_none_or(|purposes| purposes.0.contains(&meant))
}
