//! A request as bytes: line, fields that every client sends, body in one piece, in chunks or as a form. Sends nothing.

use std::path::Path;

use super::script::{Content, Part, Piece, Request, Url};

/// What else goes into a request.
pub struct Around<'a> {
    /// Where it goes.
    pub url: &'a Url,
    /// The Host field.
    pub host: &'a str,
    /// The cookies that are kept.
    pub cookies: Option<&'a [u8]>,
    /// Whether the connection is needed again.
    pub is_kept: bool,
    /// The folder of `@FILE`.
    pub folder: &'a Path,
}

/// Stands between the parts of a form; no content of a test is like it.
const BOUNDARY: &str = "----longshore-expect-5f1d7a84b2c3";

/// The request as it goes out, with its pauses.
pub fn pieces(request: &Request, around: &Around<'_>) -> Result<Vec<Piece>, String> {
    let Some(method) = &request.method else { return Ok(request.raw.clone()) };
    let body = match (&request.body, request.form.as_slice()) {
        (Some(body), _) => Some(load(body, around.folder)?),
        (None, []) => None,
        (None, parts) => Some(form(parts, around.folder)?),
    };
    let version = if request.is_old { "1.0" } else { "1.1" };
    let mut head = format!("{method} {} HTTP/{version}\r\n", around.url.path).into_bytes();
    for (name, value) in usual(request, around, body.as_deref().map(<[u8]>::len)) {
        let given = request.fields.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        if !given && !request.without.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            add(&mut head, name, &value);
        }
    }
    request.fields.iter().for_each(|(name, value)| add(&mut head, name, value));
    head.extend(b"\r\n");
    match body {
        Some(body) if request.chunked => chunks(&mut head, &body),
        body => head.extend(body.unwrap_or_default()),
    }
    Ok(vec![Piece::Bytes(head)])
}

fn add(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
}

/// The fields that are sent unless the line says otherwise.
fn usual(request: &Request, around: &Around<'_>, body: Option<usize>) -> Vec<(&'static str, Vec<u8>)> {
    let mut fields = vec![("Host", around.host.as_bytes().to_vec())];
    // What is not said is `close` to HTTP/1.0 and `keep-alive` to 1.1 (RFC 9112, section 9.3).
    match (request.is_old, around.is_kept) {
        (true, true) => fields.push(("Connection", b"keep-alive".to_vec())),
        (false, false) => fields.push(("Connection", b"close".to_vec())),
        _ => {}
    }
    fields.extend(around.cookies.map(|cookies| ("Cookie", cookies.to_vec())));
    if !request.form.is_empty() {
        fields.push(("Content-Type", format!("multipart/form-data; boundary={BOUNDARY}").into_bytes()));
    }
    match body {
        Some(_) if request.chunked => fields.push(("Transfer-Encoding", b"chunked".to_vec())),
        Some(length) => fields.push(("Content-Length", length.to_string().into_bytes())),
        None => {}
    }
    fields
}

fn chunks(out: &mut Vec<u8>, body: &[u8]) {
    for piece in body.chunks(8192) {
        out.extend(format!("{:x}\r\n", piece.len()).bytes());
        out.extend(piece);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\n\r\n");
}

/// A form as browsers send it (RFC 7578); the input of files is called `file`.
fn form(parts: &[Part], folder: &Path) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    for part in parts {
        let name = &part.name;
        let head = match part.is_file {
            true => format!("name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream"),
            false => format!("name=\"{name}\""),
        };
        out.extend(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n").bytes());
        out.extend(load(&part.content, folder)?);
        out.extend(b"\r\n");
    }
    out.extend(format!("--{BOUNDARY}--\r\n").bytes());
    Ok(out)
}

/// The bytes that a line names.
pub fn load(content: &Content, folder: &Path) -> Result<Vec<u8>, String> {
    match content {
        Content::Text(text) => Ok(text.clone()),
        Content::Size(size) => Ok(vec![b'x'; *size]),
        Content::File(name) => {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Line, Variables, read};
    use super::*;

    fn sent(line: &str, is_kept: bool) -> String {
        let (lines, faults) = read(format!("{line} -> 200").as_bytes(), &mut Variables::default());
        assert!(faults.is_empty(), "{faults:?}");
        let [Line::Check(exchange)] = lines.as_slice() else { panic!("one line is one check") };
        let url = &exchange.request.url;
        let around = Around { url, host: "a.test", cookies: Some(b"c=d"), is_kept, folder: Path::new("") };
        let pieces = pieces(&exchange.request, &around).expect("it names no file");
        let text = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => String::from_utf8_lossy(bytes).replace("\r\n", "|"),
            Piece::Pause(time) => format!("<{time:?}>"),
        };
        pieces.iter().map(text).collect()
    }

    #[test]
    fn requests_as_they_go_out() {
        for (line, kept, want) in [
            ("GET /a?b", false, "GET /a?b HTTP/1.1|Host: a.test|Connection: close|Cookie: c=d||"),
            ("GET /a", true, "GET /a HTTP/1.1|Host: a.test|Cookie: c=d||"),
            ("GET /a http/1.0 !cookie", true, "GET /a HTTP/1.0|Host: a.test|Connection: keep-alive||"),
            ("GET /a http/1.0 !host !cookie", false, "GET /a HTTP/1.0||"),
            (
                "PUT /a body=hello cookie=x host=b",
                false,
                "PUT /a HTTP/1.1|Connection: close|Content-Length: 5|cookie: x|host: b||hello",
            ),
            (
                "PUT /a body=2b chunked !cookie",
                true,
                "PUT /a HTTP/1.1|Host: a.test|Transfer-Encoding: chunked||2|xx|0||",
            ),
            ("RAW / \"GET\" pause 1s \" /\"", false, "GET<1s> /"),
        ] {
            assert_eq!(sent(line, kept), want, "{line}");
        }
        let form = sent("POST /up form:title=\"a b\" file:a.txt=hello", true);
        let begin = format!("|--{BOUNDARY}|Content-Disposition: form-data; name=\"title\"||a b|--{BOUNDARY}|");
        assert!(form.contains(&begin), "{form}");
        assert!(
            form.contains(&format!("filename=\"a.txt\"|Content-Type: application/octet-stream||hello|--{BOUNDARY}--|")),
            "{form}"
        );
    }
}
