//! `gzip` and its family: compresses answers while they are sent. As a filter it stands behind those that change the text
//! (`sub_filter`, `charset`), since compressed bytes say nothing to them, and before ranges, which a body made on the way does not have.

mod coder;
mod rows;

pub use rows::{Conf, DIRECTIVES, Proxied, VARIABLES};

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::http::head::{Known, Version};
use crate::http::response::{Body, Response};
use crate::http::transform::{Tally, through};
use crate::http::{date, negotiate};
use coder::Coder;

/// Compresses an answer where the settings and the client allow it.
pub fn filter(x: &mut Exchange, conf: &Conf, response: &mut Response) {
    let length = response.length.or(response.body.known_len());
    if !matches!(response.status, 200 | 403 | 404)
        || response.field("Content-Encoding").is_some()
        || length.is_some_and(|length| length < conf.min_length)
        || !conf.types.has(response.content_type.value())
    {
        return;
    }
    response.varies = true;
    if accepts(x) && is_allowed(x, conf, response) {
        // Another server's word for ranges held for the bytes that it sent.
        response.remove(&["Accept-Ranges"]);
        response.push("Content-Encoding", "gzip");
        let tally = Arc::new(Tally::default());
        x.sent.compressed = Some(tally.clone());
        let body = std::mem::take(&mut response.body);
        // An answer to HEAD has no body: it says only that GET's would be of this kind.
        response.change(match x.is_head() {
            true => Body::unknown(),
            false => through(body, Coder::new(conf.level), Some(tally)),
        });
    }
}

/// Whether the client takes gzip. As in nginx `*` does not count: who means gzip names it.
pub fn accepts(x: &Exchange) -> bool {
    let list = x.head.known(Known::AcceptEncoding).unwrap_or_default();
    negotiate::list(list).any(|coding| coding.weight > 0 && coding.item.eq_ignore_ascii_case(b"gzip"))
}

/// Whether the settings let this client have compressed answers, whatever it says it takes.
pub fn is_allowed(x: &Exchange, conf: &Conf, response: &Response) -> bool {
    let version = match conf.version_10 {
        true => matches!(x.head.version, Version::Http10 | Version::Http11),
        false => x.head.version == Version::Http11,
    };
    version && !is_disabled(x, conf) && (x.head.field(b"via").is_none() || is_for_proxies(x, conf, response))
}

fn is_disabled(x: &Exchange, conf: &Conf) -> bool {
    let agent = x.head.known(Known::UserAgent).unwrap_or_default();
    if agent.is_empty() {
        return false;
    }
    let matches = conf.disabled.iter().any(|pattern| {
        pattern.is_match(agent).unwrap_or_else(|why| {
            x.keep(HttpError::regex(why, "a regex of gzip_disable", "this User-Agent").report.map(|report| *report));
            true
        })
    });
    matches || (conf.msie6 && is_old_explorer(agent))
}

/// Internet Explorer 4 to 6, but not the one of Windows XP's second service pack, which can do it.
fn is_old_explorer(agent: &[u8]) -> bool {
    let at = |word: &[u8]| agent.windows(word.len()).position(|part| part == word);
    let version = at(b"MSIE ").and_then(|at| agent.get(at + 5..at + 7));
    match version {
        Some([b'4' | b'5', b'.']) => true,
        Some([b'6', b'.']) => at(b"SV1").is_none(),
        _ => false,
    }
}

/// Whether a request that came through a proxy gets compressed answers: whether the proxy would hand them on to others
/// decides.
fn is_for_proxies(x: &Exchange, conf: &Conf, response: &Response) -> bool {
    let wants = |which: Proxied| conf.proxied.contains(&which);
    if conf.proxied.is_empty() || wants(Proxied::Off) {
        return false;
    }
    if wants(Proxied::Any) || (wants(Proxied::Auth) && x.head.known(Known::Authorization).is_some()) {
        return true;
    }
    if let Some(expires) = response.field("Expires") {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if wants(Proxied::Expired) && date::parse(expires).is_some_and(|expires| expires < now) {
            return true;
        }
        return false;
    }
    let mut controls = response.fields_named("Cache-Control").peekable();
    if controls.peek().is_some() {
        let says = |value: &Bytes, word: &[u8]| value.split(|&b| b == b',').any(|part| part.trim_ascii() == word);
        let words =
            [(Proxied::NoCache, &b"no-cache"[..]), (Proxied::NoStore, b"no-store"), (Proxied::Private, b"private")];
        return controls.any(|value| words.iter().any(|(which, word)| wants(*which) && says(value, word)));
    }
    // As in nginx an answer without any of these fields is compressed, whichever word stands there.
    let has_date = wants(Proxied::NoLastModified) && response.last_modified.is_some();
    let has_tag = wants(Proxied::NoEtag) && response.etag.is_some();
    !has_date && !has_tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_explorers() {
        for (agent, want) in [
            ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", true),
            ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)", false),
            ("Mozilla/4.0 (compatible; MSIE 5.5; Windows 98)", true),
            ("Mozilla/4.0 (compatible; MSIE 7.0)", false),
            ("Mozilla/5.0", false),
            ("MSIE ", false),
        ] {
            assert_eq!(is_old_explorer(agent.as_bytes()), want, "{agent}");
        }
    }
}
