//! What clients see of a store: the page or JSON, for those who look and for those who have just uploaded. Must not know how files
//! come in.

use bytes::Bytes;

use super::receive::Stored;
use super::rows::Conf;
use super::{Around, closed, open, page};
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::http::head::Known;
use crate::http::response::{Body, ContentType, Response};
use crate::http::{escape, negotiate};

/// The answer to whoever looks at the location.
pub fn listing(x: &Exchange, conf: &Conf, around: &Around<'_>) -> Result<Response, HttpError> {
    let shown = shown(conf)?;
    let files: Vec<Stored> =
        shown.iter().map(|file| Stored { name: file.name.clone(), size: file.size, sha256: None }).collect();
    Ok(written(x, conf, &files, 200, || page::draw(conf, around.most, &shown, &[], &(around.line)(x))))
}

/// The answer to an upload.
pub fn stored(x: &Exchange, conf: &Conf, around: &Around<'_>, files: &[Stored]) -> Result<Response, HttpError> {
    let shown = shown(conf)?;
    let draw = || page::draw(conf, around.most, &shown, files, &(around.line)(x));
    let mut response = written(x, conf, files, if files.is_empty() { 200 } else { 201 }, draw);
    if let [file] = files {
        response.location = Some(url(conf, &file.name).into());
    }
    Ok(response)
}

/// The URI of a stored file.
pub fn url(conf: &Conf, name: &str) -> String {
    let prefix = conf.store.as_ref().map_or(&b""[..], |store| &store.prefix);
    let slash = if prefix.ends_with(b"/") { "" } else { "/" };
    format!("{}{slash}{}", escape::path(prefix), escape::component(name.as_bytes()))
}

/// What is stored, newest first, where that is to be shown.
fn shown(conf: &Conf) -> Result<Vec<page::File>, HttpError> {
    let Some(store) = conf.store.as_ref().filter(|_| conf.list) else { return Ok(Vec::new()) };
    let found = open(store)?.files().map_err(|error| closed(store, "readdir()", &error))?;
    let is_shown = |name: &[u8]| !name.starts_with(b".");
    let mut files: Vec<page::File> = found
        .into_iter()
        .filter(|(name, _)| is_shown(name))
        .filter_map(|(name, stat)| {
            // What is no UTF-8 was not stored by us, and has no URI that a page could hold.
            let name = String::from_utf8(name).ok()?;
            Some(page::File { name, size: stat.st_size as u64, modified: stat.st_mtime })
        })
        .collect();
    files.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.name.cmp(&b.name)));
    Ok(files)
}

fn written(x: &Exchange, conf: &Conf, files: &[Stored], status: u16, page: impl FnOnce() -> String) -> Response {
    let mut response = Response::new(status);
    let (kind, body) = match negotiate::prefers_json(x.head.known(Known::Accept)) {
        true => ("application/json", json(conf, files)),
        false => ("text/html; charset=utf-8", page().into_bytes()),
    };
    response.content_type = ContentType::Is(Bytes::from_static(kind.as_bytes()));
    response.body = Body::bytes(body);
    if kind.starts_with("text/html") {
        // Within a page of another site a visitor would press what that page lays its own words over. Old browsers know the first.
        response.push("X-Frame-Options", "DENY");
        response.push("Content-Security-Policy", "frame-ancestors 'none'");
    }
    // RFC 9110 section 12.5.5: the answer depends on what the client prefers.
    response.push("Vary", "Accept");
    response.push("Cache-Control", "no-store");
    response
}

fn json(conf: &Conf, files: &[Stored]) -> Vec<u8> {
    let mut out = b"{\"files\":[".to_vec();
    for (at, file) in files.iter().enumerate() {
        out.extend_from_slice(if at > 0 { b",\n{\"name\":\"" } else { b"\n{\"name\":\"" });
        escape::json(&mut out, file.name.as_bytes());
        out.extend_from_slice(format!("\",\"size\":{},\"url\":\"", file.size).as_bytes());
        escape::json(&mut out, url(conf, &file.name).as_bytes());
        out.push(b'"');
        if let Some(hash) = &file.sha256 {
            out.extend_from_slice(format!(",\"sha256\":\"{hash}\"").as_bytes());
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"\n]}\n");
    out
}
