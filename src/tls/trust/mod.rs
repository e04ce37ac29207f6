//! Whether somebody vouches for a certificate, by OpenSSL's rules: a chain from it to a self-signed certificate that the conf names.
//! webpki is asked as well where it can be; it knows no certificates of version 1, and no authority that speaks for itself. Who holds
//! a certificate's key, and which host it is for, is checked elsewhere.

mod certificate;
mod constraints;
pub mod proof;
mod revocation;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, UnixTime};

use certificate::Certificate;

pub use revocation::List;

/// Signatures that are looked at for one chain: nobody can keep the server busy with certificates that all bear one name.
const MOST_SIGNATURES: u32 = 64;
/// Certificates of a chain, the first and the root among them; webpki has the same bound.
const MOST_CERTIFICATES: usize = 8;

/// What a certificate is shown for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To say who a client is.
    Client,
    /// To say who a server is.
    Server,
}

/// What a good certificate is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it should be: webpki can judge it too.
    Plain,
    /// Of a version before 3, or an authority: webpki takes none of these.
    Unusual,
}

/// Why a certificate is not good: OpenSSL's number and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The number.
    pub code: u32,
    /// The words.
    pub words: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}:{})", self.code, self.words)
    }
}

impl std::error::Error for Fault {}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $code:literal $words:literal;)*) => {
        impl Fault {
            $($(#[$doc])* pub const $name: Fault = Fault { code: $code, words: $words };)*
        }
    };
}

faults! {
    /// It cannot be read.
    UNREADABLE = 1 "unspecified certificate verification error";
    /// The chain ends with an authority of the conf that another one vouches for, who is not named there.
    NO_ROOT = 2 "unable to get issuer certificate";
    /// No list of the issuer's.
    NO_LIST = 3 "unable to get certificate CRL";
    /// Somebody else signed it.
    FORGED = 7 "certificate signature failure";
    /// Somebody else signed the list.
    LIST_FORGED = 8 "CRL signature failure";
    /// Its time has not come.
    TOO_EARLY = 9 "certificate is not yet valid";
    /// Its time is over.
    EXPIRED = 10 "certificate has expired";
    /// The list's time has not come.
    LIST_TOO_EARLY = 11 "CRL is not yet valid";
    /// The list's time is over.
    LIST_EXPIRED = 12 "CRL has expired";
    /// It vouches for itself, and nobody named it.
    SELF_SIGNED = 18 "self-signed certificate";
    /// One above it vouches for itself, and nobody named that one.
    SELF_SIGNED_ABOVE = 19 "self-signed certificate in certificate chain";
    /// The issuer of one above it is unknown.
    UNKNOWN_ABOVE = 20 "unable to get local issuer certificate";
    /// Its issuer is unknown.
    UNKNOWN = 21 "unable to verify the first certificate";
    /// More stand between than may.
    CHAIN_TOO_LONG = 22 "certificate chain too long";
    /// It was revoked.
    REVOKED = 23 "certificate revoked";
    /// An authority allows fewer below it.
    PATH_TOO_LONG = 25 "path length constraint exceeded";
    /// It is for something else.
    PURPOSE = 26 "unsuitable certificate purpose";
    /// The issuer may not sign certificates.
    MAY_NOT_SIGN = 32 "key usage does not include certificate signing";
    /// It has something that must be understood and is not.
    UNKNOWN_CRITICAL = 34 "unhandled critical extension";
    /// The issuer may not sign lists.
    MAY_NOT_LIST = 35 "key usage does not include CRL signing";
    /// The list has something that must be understood and is not.
    UNKNOWN_IN_LIST = 36 "unhandled critical CRL extension";
    /// The lists of the issuer's are of other certificates.
    OTHER_LIST = 44 "different CRL scope";
    /// It has a name outside of those that are permitted.
    NOT_PERMITTED = 47 "permitted subtree violation";
    /// It has a name among those that are excluded.
    EXCLUDED = 48 "excluded subtree violation";
    /// Constraints of a form that nobody uses.
    CONSTRAINED_IN_NUMBER = 49 "name constraints minimum and maximum not supported";
    /// A name that cannot be compared with them.
    UNSUPPORTED_NAME = 53 "unsupported or invalid name syntax";
    /// Constraints that cannot be compared.
    UNSUPPORTED_CONSTRAINT = 51 "unsupported name constraint type";
}

impl Fault {
    /// Whether it says that nobody is known who vouches.
    pub fn is_of_a_stranger(self) -> bool {
        self.weight() == 0
    }

    /// How much it says: that nobody is known who vouches counts least, since that alone may be let pass.
    fn weight(self) -> u8 {
        match self.code {
            2 | 18..=21 => 0,
            7 => 1,
            _ => 2,
        }
    }
}

/// Whom to believe.
#[derive(Debug)]
pub struct Trust {
    roots: Vec<Certificate>,
    lists: Arc<Vec<List>>,
    depth: usize,
    purpose: Purpose,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    /// Certificates of this purpose for which no more than `depth` others stand between them and a self-signed one of `roots`, and
    /// which no list revokes. Of roots that cannot be read the first is named, by its place.
    pub fn new(
        roots: &[CertificateDer<'_>],
        lists: Arc<Vec<List>>,
        depth: usize,
        purpose: Purpose,
        provider: &CryptoProvider,
    ) -> (Trust, Option<usize>) {
        let read: Vec<_> = roots.iter().map(|der| Certificate::read(der)).collect();
        let bad = read.iter().position(Result::is_err);
        let roots = read.into_iter().flatten().collect();
        (Trust { roots, lists, depth, purpose, algorithms: provider.signature_verification_algorithms }, bad)
    }

    /// Whether the first of these certificates is good, with the help of the others.
    pub fn judge(&self, shown: &[CertificateDer<'_>], now: UnixTime) -> Result<Kind, Fault> {
        let (own, others) = shown.split_first().ok_or(Fault::UNREADABLE)?;
        let own = Certificate::read(own).map_err(|_| Fault::UNREADABLE)?;
        // What cannot be read vouches for nobody.
        let others: Vec<Certificate> = others.iter().filter_map(|der| Certificate::read(der).ok()).collect();
        let mut search =
            Search { trust: self, others: &others, now: now.as_secs(), left: MOST_SIGNATURES, fault: None };
        match search.grow(&mut vec![&own]) {
            true if own.is_old || own.says_authority() => Ok(Kind::Unusual),
            true => Ok(Kind::Plain),
            false => Err(search.fault.unwrap_or(Fault::UNREADABLE)),
        }
    }

    fn is_root(&self, certificate: &Certificate) -> bool {
        certificate.is_self_signed() && self.is_named(certificate)
    }

    fn is_named(&self, certificate: &Certificate) -> bool {
        self.roots.iter().any(|root| root.der == certificate.der)
    }

    /// Whether a chain that ends in a root is good.
    fn check(&self, chain: &[&Certificate], now: u64) -> Result<(), Fault> {
        rules::check(chain, self.purpose, now)?;
        if chain.len().saturating_sub(2) > self.depth {
            return Err(Fault::CHAIN_TOO_LONG);
        }
        match self.lists.is_empty() {
            true => Ok(()),
            false => revocation::check(chain, &self.lists, now, &self.algorithms),
        }
    }
}

/// The search for a chain.
struct Search<'a> {
    trust: &'a Trust,
    others: &'a [Certificate],
    now: u64,
    /// Signatures that may still be looked at.
    left: u32,
    /// What says most of why there is none.
    fault: Option<Fault>,
}

impl<'a> Search<'a> {
    /// Whether a good chain goes on from this one. The conf's certificates are tried before those that were shown.
    fn grow(&mut self, chain: &mut Vec<&'a Certificate>) -> bool {
        let Some(&head) = chain.last() else { return false };
        if self.trust.is_root(head) {
            let checked = self.trust.check(chain, self.now);
            checked.map_err(|fault| self.note(fault)).is_ok()
        } else {
            self.go_on(chain, head)
        }
    }

    fn go_on(&mut self, chain: &mut Vec<&'a Certificate>, head: &'a Certificate) -> bool {
        let (trust, others) = (self.trust, self.others);
        let mut is_known = false;
        for above in trust.roots.iter().chain(others).filter(|above| !head.is_self_signed() && head.may_be_by(above)) {
            if chain.iter().any(|below| below.der == above.der) {
                continue;
            }
            if chain.len() == MOST_CERTIFICATES {
                self.note(Fault::CHAIN_TOO_LONG);
                return false;
            }
            if self.left == 0 {
                self.note(Fault::UNREADABLE);
                return false;
            }
            self.left -= 1;
            if !head.signed.is_by(&above.key, &trust.algorithms) {
                self.note(Fault::FORGED);
                continue;
            }
            is_known = true;
            chain.push(above);
            if self.grow(chain) {
                return true;
            }
            chain.pop();
        }
        if !is_known {
            let each = rules::check_each(chain, trust.purpose, self.now);
            self.note(each.err().unwrap_or_else(|| unknown(chain, trust.is_named(head))));
        }
        false
    }

    fn note(&mut self, fault: Fault) {
        if self.fault.is_none_or(|known| known.weight() < fault.weight()) {
            self.fault = Some(fault);
        }
    }
}

/// What is said where nobody is known who vouches for the last of a chain.
fn unknown(chain: &[&Certificate], is_named: bool) -> Fault {
    let is_own = chain.last().is_some_and(|head| head.is_self_signed());
    match (chain.len(), is_own) {
        (1, true) => Fault::SELF_SIGNED,
        (1, false) => Fault::UNKNOWN,
        (_, true) => Fault::SELF_SIGNED_ABOVE,
        (_, false) if is_named => Fault::NO_ROOT,
        (_, false) => Fault::UNKNOWN_ABOVE,
    }
}
