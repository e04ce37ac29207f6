//! The variables of TLS: what was agreed on, and what stands in the client's certificate. Empty without TLS.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::{Digest, Sha1};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::{Conf, names};
use crate::exchange::Exchange;
use crate::exchange::tls::Session;
use crate::exchange::variables::{Value, Variable};
use crate::tls::ciphers;

type Get = for<'a> fn(&'a Exchange, &'a Conf, &str) -> Value<'a>;

const fn one(name: &'static str, doc: &'static str, get: Get) -> Variable<Conf> {
    Variable { name, family: false, doc, get }
}

/// What stays as it is in `$ssl_client_escaped_cert`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    one("ssl_protocol", "The version of TLS: `TLSv1.2` or `TLSv1.3`.", |x, _, _| {
        text(x.client.security.session()?.protocol)
    }),
    one("ssl_cipher", "The cipher suite, as OpenSSL names it.", |x, _, _| text(x.client.security.session()?.cipher)),
    one("ssl_ciphers", "The cipher suites that the client offered; unknown ones as numbers.", |x, _, _| {
        list(&x.client.security.session()?.ciphers, ciphers::cipher_of)
    }),
    one("ssl_curve", "The curve of the key exchange.", |x, _, _| text(x.client.security.session()?.curve)),
    one("ssl_curves", "The curves that the client offered; unknown ones as numbers.", |x, _, _| {
        list(&x.client.security.session()?.curves, ciphers::curve_of)
    }),
    one("ssl_server_name", "The server name that the client asked for in the handshake (SNI).", |x, _, _| {
        x.client.security.session()?.name.as_deref().map(Cow::Borrowed)
    }),
    one("ssl_alpn_protocol", "The protocol that was agreed on in the handshake (ALPN).", |x, _, _| {
        x.client.security.session()?.alpn.as_deref().map(Cow::Borrowed)
    }),
    one("ssl_session_reused", "`r` if an earlier session was taken up again, else `.`.", |x, _, _| {
        text(if x.client.security.session()?.reused { "r" } else { "." })
    }),
    one("ssl_session_id", "Always empty: sessions have no number that a conf could use.", |_, _, _| None),
    one("ssl_early_data", "Always empty: data that comes before the handshake is whole is not taken.", |_, _, _| None),
    one("ssl_client_verify", "`SUCCESS`, `NONE` without a certificate, or `FAILED:` and why.", verify),
    one("ssl_client_s_dn", "Whom the client's certificate names, as RFC 2253 writes it: `CN=a,O=b`.", |x, _, _| {
        of_client(x, |found| names::rfc2253(found.tbs_certificate().subject()))
    }),
    one("ssl_client_i_dn", "Who issued the client's certificate, as RFC 2253 writes it.", |x, _, _| {
        of_client(x, |found| names::rfc2253(found.tbs_certificate().issuer()))
    }),
    one("ssl_client_s_dn_legacy", "Whom the client's certificate names, on one line: `/O=b/CN=a`.", |x, _, _| {
        of_client(x, |found| names::one_line(found.tbs_certificate().subject()))
    }),
    one("ssl_client_i_dn_legacy", "Who issued the client's certificate, on one line.", |x, _, _| {
        of_client(x, |found| names::one_line(found.tbs_certificate().issuer()))
    }),
    one("ssl_client_serial", "The number of the client's certificate in hexadecimal.", |x, _, _| {
        of_client(x, names::serial)
    }),
    one("ssl_client_fingerprint", "The SHA-1 of the client's certificate in hexadecimal.", |x, _, _| {
        owned(names::hex(&Sha1::digest(own(x)?), false))
    }),
    one("ssl_client_v_start", "From when the client's certificate is good.", |x, _, _| {
        of_client(x, |found| names::time(&found.tbs_certificate().validity().not_before))
    }),
    one("ssl_client_v_end", "Until when the client's certificate is good.", |x, _, _| {
        of_client(x, |found| names::time(&found.tbs_certificate().validity().not_after))
    }),
    one("ssl_client_v_remain", "How many days the client's certificate is still good.", |x, _, _| {
        of_client(x, |found| {
            let end = found.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            (end.saturating_sub(now) / 86_400).to_string()
        })
    }),
    one("ssl_client_raw_cert", "The client's certificate in PEM.", |x, _, _| {
        let pem = names::pem(own(x)?);
        owned(if x.makes_field() { lines(x, &pem, "") } else { pem })
    }),
    one(
        "ssl_client_cert",
        "The client's certificate in PEM, each line but the first behind a tab; in a header field all on one line.",
        |x, _, _| owned(lines(x, &names::pem(own(x)?), "\n\t")),
    ),
    one("ssl_client_escaped_cert", "The client's certificate in PEM, escaped as in a URL.", |x, _, _| {
        owned(utf8_percent_encode(&names::pem(own(x)?), ESCAPED).to_string())
    }),
];

fn text(text: &'static str) -> Value<'static> {
    (!text.is_empty()).then_some(Cow::Borrowed(text.as_bytes()))
}

fn owned(text: String) -> Value<'static> {
    (!text.is_empty()).then(|| Cow::Owned(text.into_bytes()))
}

/// The lines of a PEM text; in a field they stand behind one another.
fn lines(x: &Exchange, pem: &str, between: &str) -> String {
    pem.trim_end().replace('\n', if x.makes_field() { " " } else { between })
}

fn list(numbers: &[u16], name: fn(u16) -> String) -> Value<'static> {
    owned(numbers.iter().map(|number| name(*number)).collect::<Vec<_>>().join(":"))
}

/// The client's own certificate in DER.
fn own(x: &Exchange) -> Option<&[u8]> {
    x.client.security.session()?.chain.first().map(Vec::as_slice)
}

fn of_client<'a>(x: &'a Exchange, part: impl Fn(&Certificate) -> String) -> Value<'a> {
    owned(part(&Certificate::from_der(own(x)?).ok()?))
}

fn verify<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    let session: &Session = x.client.security.session()?;
    if session.chain.is_empty() {
        return text("NONE");
    }
    match session.verdict() {
        Some(verdict) if verdict.code == 0 => text("SUCCESS"),
        Some(verdict) => owned(format!("FAILED:{}", verdict.words)),
        None => text("NONE"),
    }
}
