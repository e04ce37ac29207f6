//! What is believed and what is not, chain by chain; the numbers are OpenSSL's, found out by asking nginx.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, CustomExtension, DistinguishedName, DnType, GeneralSubtree, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, RevokedCertParams, SerialNumber,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::*;

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate that can sign others.
struct Made {
    params: CertificateParams,
    key: KeyPair,
    der: CertificateDer<'static>,
}

fn params(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(8_u64));
    let now = SystemTime::now();
    (params.not_before, params.not_after) = ((now - 10 * DAY).into(), (now + 10 * DAY).into());
    change(&mut params);
    params
}

fn make(name: &str, by: Option<&Made>, change: impl FnOnce(&mut CertificateParams)) -> Made {
    let (params, key) = (params(name, change), KeyPair::generate().unwrap());
    let made = match by {
        None => params.self_signed(&key),
        Some(by) => params.signed_by(&key, &Issuer::from_params(&by.params, &by.key)),
    };
    let der = made.unwrap().der().clone();
    Made { params, key, der }
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
}

/// An authority's certificate that can talk too.
fn talker(params: &mut CertificateParams) {
    authority(params);
    params.key_usages.push(KeyUsagePurpose::DigitalSignature);
}

fn judge(roots: &[&Made], lists: Vec<List>, shown: &[&Made]) -> Result<Kind, u32> {
    judge_to(roots, lists, shown, 5, Purpose::Client)
}

fn judge_to(roots: &[&Made], lists: Vec<List>, shown: &[&Made], depth: usize, purpose: Purpose) -> Result<Kind, u32> {
    let roots: Vec<_> = roots.iter().map(|root| root.der.clone()).collect();
    let (trust, bad) = Trust::new(&roots, lists.into(), depth, purpose, &ring::default_provider());
    assert_eq!(bad, None);
    let shown: Vec<_> = shown.iter().map(|one| one.der.clone()).collect();
    trust.judge(&shown, UnixTime::now()).map_err(|fault| fault.code)
}

fn list(by: &Made, revokes: &[u64], days: i32, change: impl FnOnce(&mut CertificateRevocationListParams)) -> List {
    let now = SystemTime::now();
    let entry = |number: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*number),
        revocation_time: (now - DAY).into(),
        reason_code: None,
        invalidity_date: None,
    };
    let from = now - DAY * u32::try_from(days).unwrap();
    let mut params = CertificateRevocationListParams {
        this_update: from.into(),
        next_update: (now + DAY).into(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revokes.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    change(&mut params);
    List::read(params.signed_by(&Issuer::from_params(&by.params, &by.key)).unwrap().der()).unwrap()
}

#[test]
fn a_chain_ends_in_a_root_that_the_conf_names() {
    let root = make("root", None, authority);
    let middle = make("middle", Some(&root), authority);
    let own = make("own", Some(&middle), |_| {});
    let twin = make("root", None, authority);
    let by_twin = make("own", Some(&twin), |_| {});
    let alone = make("alone", None, |_| {});
    assert_eq!(judge(&[&root], vec![], &[&own, &middle]), Ok(Kind::Plain));
    assert_eq!(judge(&[&root, &middle], vec![], &[&own]), Ok(Kind::Plain));
    assert_eq!(judge(&[&middle], vec![], &[&own]), Err(2), "nobody vouches for the middle one");
    assert_eq!(judge(&[&middle], vec![], &[&own, &root]), Err(19), "nor is a root believed that comes along");
    assert_eq!(judge(&[&root], vec![], &[&own]), Err(21));
    assert_eq!(judge(&[], vec![], &[&own, &middle, &root]), Err(19));
    assert_eq!(judge(&[&own], vec![], &[&own]), Err(21), "one that another signed is no root");
    assert_eq!(judge(&[&root], vec![], &[&by_twin]), Err(7), "a name is no signature");
    assert_eq!(judge(&[&root, &twin], vec![], &[&by_twin]), Ok(Kind::Plain), "the other one of the name is tried too");
    assert_eq!(judge(&[&root], vec![], &[&by_twin, &twin]), Err(7));
    assert_eq!(judge(&[&root], vec![], &[&alone]), Err(18));
    assert_eq!(judge(&[&alone], vec![], &[&alone]), Ok(Kind::Plain));
    assert_eq!(judge_to(&[&root], vec![], &[&own, &middle], 1, Purpose::Client), Ok(Kind::Plain));
    assert_eq!(judge_to(&[&root], vec![], &[&own, &middle], 0, Purpose::Client), Err(22));
    assert_eq!(judge_to(&[&root, &middle], vec![], &[&own], 0, Purpose::Client), Err(22), "the conf's own count too");
}

#[test]
fn that_nobody_is_known_hides_nothing_else() {
    let late = make("late", None, |params| params.not_after = (SystemTime::now() - DAY).into());
    let early = make("early", None, |params| params.not_before = (SystemTime::now() + DAY).into());
    let server = make("server", None, |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert_eq!(judge(&[], vec![], &[&late]), Err(10));
    assert_eq!(judge(&[], vec![], &[&early]), Err(9));
    assert_eq!(judge(&[], vec![], &[&server]), Err(26));
    assert_eq!(judge_to(&[&server], vec![], &[&server], 0, Purpose::Server), Ok(Kind::Plain));
    let client = make("client", None, |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(judge_to(&[&client], vec![], &[&client], 0, Purpose::Server), Err(26));
}

#[test]
fn who_vouches_is_an_authority() {
    let root = make("root", None, authority);
    let plain = make("plain", Some(&root), |_| {});
    let mut says_no = make("no", Some(&root), |params| params.is_ca = IsCa::ExplicitNoCa);
    let below_no = make("below", Some(&says_no), talker);
    assert_eq!(judge(&[&root], vec![], &[&make("own", Some(&plain), |_| {}), &plain]), Err(26));
    assert_eq!(judge(&[&root], vec![], &[&below_no, &says_no]), Err(26), "not for one that webpki leaves to us either");
    says_no.der = make("no", Some(&root), authority).der;
    assert_eq!(
        judge(&[&root], vec![], &[&below_no, &says_no]),
        Err(7),
        "a better certificate with another key does not help"
    );
    let mute = make("mute", None, |params| {
        authority(params);
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
    });
    assert_eq!(judge(&[&mute], vec![], &[&make("own", Some(&mute), talker)]), Err(32));
}

#[test]
fn one_that_says_nothing_vouches_as_a_root_alone() {
    // It may sign certificates, and says not that it is an authority.
    let signer = |params: &mut CertificateParams| params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let (root, alone) = (make("root", None, authority), make("alone", None, signer));
    let between = make("between", Some(&root), signer);
    assert_eq!(judge(&[&root], vec![], &[&make("own", Some(&between), talker), &between]), Err(26));
    assert_eq!(judge(&[&alone], vec![], &[&make("own", Some(&alone), talker)]), Ok(Kind::Unusual));
}

#[test]
fn a_new_key_that_an_old_one_vouches_for_is_no_root() {
    let old = make("root", None, authority);
    let new = make("root", Some(&old), |params| {
        authority(params);
        params.use_authority_key_identifier_extension = true;
    });
    let own = make("own", Some(&new), talker);
    assert_eq!(judge(&[&new], vec![], &[&own]), Err(2));
    assert_eq!(judge(&[&new, &old], vec![], &[&own]), Ok(Kind::Unusual));
}

#[test]
fn a_name_written_in_another_way_is_the_same_name() {
    use rcgen::{DnValue, string::BmpString};
    let wide = |text: &str| {
        let units = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        DnValue::BmpString(BmpString::from_utf16be(units).unwrap())
    };
    let root = |excluded: GeneralSubtree| {
        make("root", None, |params| {
            authority(params);
            let (permitted_subtrees, excluded_subtrees) = (vec![], vec![excluded]);
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees });
        })
    };
    let of = |root: &Made, name: DnValue| {
        let own = make("", Some(root), |params| {
            talker(params);
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
        });
        judge(&[root], vec![], &[&own])
    };
    let hosts = root(GeneralSubtree::DnsName("evil.test".into()));
    assert_eq!(of(&hosts, wide("www.evil.test")), Err(48));
    assert_eq!(of(&hosts, DnValue::Utf8String("evil.test\0".into())), Err(53));
    assert_eq!(of(&hosts, wide("www.good.test")), Ok(Kind::Unusual));
    let mut evil = DistinguishedName::new();
    evil.push(DnType::CommonName, "Evil");
    let named = root(GeneralSubtree::DirectoryName(evil));
    assert_eq!(of(&named, wide("Evil")), Err(48));
    assert_eq!(of(&named, wide("Good")), Ok(Kind::Unusual));
}

#[test]
fn what_must_be_understood_is() {
    let strange = |critical: bool| {
        move |params: &mut CertificateParams| {
            talker(params);
            let mut one = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
            one.set_criticality(critical);
            params.custom_extensions.push(one);
        }
    };
    let root = make("root", None, authority);
    assert_eq!(judge(&[&root], vec![], &[&make("own", Some(&root), strange(false))]), Ok(Kind::Unusual));
    assert_eq!(judge(&[&root], vec![], &[&make("own", Some(&root), strange(true))]), Err(34));
}

#[test]
fn names_outside_of_the_constraints_are_refused() {
    let directory = |name: &str| {
        let mut found = DistinguishedName::new();
        found.push(DnType::CommonName, name);
        GeneralSubtree::DirectoryName(found)
    };
    let root = |permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>| {
        make("root", None, |params| {
            authority(params);
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
        })
    };
    let of = |root: &Made, name: &str, hosts: &[&str]| {
        let own = make(name, Some(root), |params| {
            talker(params);
            let hosts = hosts.iter().map(|host| rcgen::SanType::DnsName((*host).try_into().unwrap()));
            params.subject_alt_names = hosts.collect();
        });
        judge(&[root], vec![], &[&own])
    };
    let hosts = root(vec![GeneralSubtree::DnsName("a.test".into())], vec![GeneralSubtree::DnsName("x.a.test".into())]);
    assert_eq!(of(&hosts, "own", &["b.a.test"]), Ok(Kind::Unusual));
    assert_eq!(of(&hosts, "own", &["b.a.test", "b.test"]), Err(47));
    assert_eq!(of(&hosts, "own", &["y.x.a.test"]), Err(48));
    assert_eq!(of(&hosts, "Some Body", &[]), Ok(Kind::Unusual));
    assert_eq!(of(&hosts, "b.test", &[]), Err(47), "a common name that looks like a host is one");
    let named = root(vec![directory("good")], vec![]);
    assert_eq!(of(&named, "good", &[]), Ok(Kind::Unusual));
    assert_eq!(of(&named, "bad", &[]), Err(47));
    let unnamed = root(vec![], vec![directory("bad")]);
    assert_eq!(of(&unnamed, "good", &[]), Ok(Kind::Unusual));
    assert_eq!(of(&unnamed, " BAD ", &[]), Err(48), "capitals and blanks make no other name");
}

#[test]
fn the_list_in_force_counts_and_of_several_the_youngest() {
    let root = make("root", None, authority);
    let seven = make("seven", Some(&root), |params| params.serial_number = Some(SerialNumber::from(7_u64)));
    let says = |lists: Vec<List>| judge(&[&root], lists, &[&seven]);
    let plain = |revokes: &[u64], days| list(&root, revokes, days, |_| {});
    assert_eq!(says(vec![plain(&[], 1)]), Ok(Kind::Plain));
    assert_eq!(says(vec![plain(&[7], 1)]), Err(23));
    assert_eq!(says(vec![plain(&[], 3), plain(&[7], 1)]), Err(23));
    assert_eq!(says(vec![plain(&[7], 1), plain(&[], 3)]), Err(23));
    assert_eq!(says(vec![plain(&[7], 3), plain(&[], 1)]), Ok(Kind::Plain), "it was taken back");
    let late =
        |revokes: &[u64]| list(&root, revokes, 9, |params| params.next_update = (SystemTime::now() - DAY).into());
    assert_eq!(says(vec![late(&[])]), Err(12));
    assert_eq!(says(vec![late(&[]), plain(&[7], 30)]), Err(23), "an old one in force before a younger one that is not");
    let stranger = make("root", None, authority);
    assert_eq!(says(vec![list(&stranger, &[], 1, |_| {})]), Err(3), "it names another key");
    let forged = list(&stranger, &[], 1, |params| {
        params.key_identifier_method = KeyIdMethod::PreSpecified(root.params.key_identifier(&root.key));
    });
    assert_eq!(says(vec![forged]), Err(8));
    assert_eq!(judge(&[&root], vec![plain(&[8], 1)], &[&seven]), Err(23), "a root that revokes itself");
}

#[test]
fn a_list_tells_of_those_that_it_is_for() {
    let root = make("root", None, authority);
    let point = |scope: Option<CrlScope>, place: &str| {
        let distribution_point = CrlDistributionPoint { uris: vec![place.to_string()] };
        list(&root, &[7], 1, |params| {
            params.issuing_distribution_point = Some(CrlIssuingDistributionPoint { distribution_point, scope });
        })
    };
    let own = |number: u64, place: &str, change: fn(&mut CertificateParams)| {
        make("own", Some(&root), |params| {
            change(params);
            params.serial_number = Some(SerialNumber::from(number));
            params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![place.to_string()] }];
        })
    };
    let says = |list: List, own: &Made| {
        // The root's own list has to be there as well, and tells of authorities alone.
        let roots = list_of_authorities(&root);
        judge(&[&root], vec![list, roots], &[own])
    };
    let users = Some(CrlScope::UserCertsOnly);
    assert_eq!(says(point(users, "http://a.test/1"), &own(8, "http://a.test/1", |_| {})), Err(44));
    assert_eq!(judge(&[&root], vec![point(None, "http://a.test/1")], &[&own(7, "http://a.test/1", |_| {})]), Err(23));
    assert_eq!(judge(&[&root], vec![point(None, "http://a.test/2")], &[&own(8, "http://a.test/1", |_| {})]), Err(44));
    assert_eq!(says(point(users, "http://a.test/1"), &own(7, "http://a.test/1", |_| {})), Err(23));
    assert_eq!(says(point(users, "http://a.test/1"), &own(7, "http://a.test/1", talker)), Err(44));
}

/// A list of authorities at a place that nobody names.
fn list_of_authorities(root: &Made) -> List {
    let distribution_point = CrlDistributionPoint { uris: vec!["http://a.test/authorities".into()] };
    list(root, &[], 1, |params| {
        params.issuing_distribution_point =
            Some(CrlIssuingDistributionPoint { distribution_point, scope: Some(CrlScope::CaCertsOnly) });
    })
}

#[test]
fn many_certificates_of_one_name_cost_little() {
    let root = make("root", None, authority);
    let own = make("own", Some(&root), |_| {});
    let mut shown: Vec<CertificateDer<'static>> = vec![own.der.clone()];
    shown.extend((0..100).map(|_| make("root", None, authority).der));
    let (trust, _) = Trust::new(&[], Arc::default(), 5, Purpose::Client, &ring::default_provider());
    assert_eq!(trust.judge(&shown, UnixTime::now()), Err(Fault::UNREADABLE));
    // A ring of two that vouch for each other, over and over.
    let one = make("one", None, authority);
    let two = make("two", Some(&one), authority);
    let back = Made {
        der: one.params.signed_by(&one.key, &Issuer::from_params(&two.params, &two.key)).unwrap().der().clone(),
        ..one
    };
    let own = make("own", Some(&two), |_| {});
    assert_eq!(judge(&[&root], vec![], &[&own, &two, &back]), Err(20));
}

#[test]
fn what_is_none_is_refused() {
    let (trust, bad) = Trust::new(
        &[CertificateDer::from(vec![0x30, 0])],
        Arc::default(),
        5,
        Purpose::Client,
        &ring::default_provider(),
    );
    assert_eq!(bad, Some(0));
    assert_eq!(trust.judge(&[], UnixTime::now()), Err(Fault::UNREADABLE));
    let own = make("own", None, talker);
    for len in 0..own.der.len() {
        assert_eq!(
            trust.judge(&[CertificateDer::from(own.der[..len].to_vec())], UnixTime::now()),
            Err(Fault::UNREADABLE)
        );
        assert!(List::read(&own.der[..len]).is_err());
    }
}
