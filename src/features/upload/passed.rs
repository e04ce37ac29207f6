//! The form that goes on when files are stored (`upload_pass`): the client's fields, then five for each file. Its boundary is our
//! own, so nothing that a client sends can end a field; it obeys the limits of request bodies. Must not know how files come in.

use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::temporary::Spool;
use crate::http::head::Known;

use super::forging::SUFFIXES;
use super::receive::Stored;

/// The most bytes of fields that are no files, with their heads.
const FIELD_BYTES: u64 = 1 << 20;
/// The longest media type that a client may give a file.
const TYPE: usize = 255;
/// Fields of a request that speak of the body that the client sent, and of no other.
const OF_BODY: [&str; 6] =
    ["content-type", "content-encoding", "content-md5", "content-digest", "repr-digest", "digest"];

/// A form that is being written.
#[derive(Debug)]
pub struct Form {
    boundary: String,
    spool: Spool,
}

impl Form {
    /// An empty one.
    pub fn begin(spool: Spool) -> io::Result<Form> {
        // Nobody can know it before it is sent, so no value can hold it.
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| io::Error::other("no random bytes"))?;
        Ok(Form { boundary: format!("longshore-{:032x}", u128::from_be_bytes(random)), spool })
    }

    /// A field of the client's begins.
    pub fn begin_field(&mut self, name: &[u8]) -> Result<(), HttpError> {
        let head = self.head(name, "");
        self.put_own(&head)
    }

    /// Bytes of its value.
    pub fn value(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        self.put_own(bytes)
    }

    /// It has ended.
    pub fn end_field(&mut self) -> Result<(), HttpError> {
        self.put_own(b"\r\n")
    }

    /// The fields that stand for a file: the input that it came in, what the client says it is, and where it is now.
    pub fn describe(&mut self, input: &[u8], kind: &[u8], stored: &Stored, folder: &[u8]) -> Result<(), HttpError> {
        let path = [folder, b"/", stored.name.as_bytes()].concat();
        let (size, hash) = (stored.size.to_string(), stored.sha256.as_deref().unwrap_or_default());
        let values = [stored.name.as_bytes(), kind, &path, size.as_bytes(), hash.as_bytes()];
        let mut fields = Vec::new();
        for (suffix, value) in SUFFIXES.iter().zip(values) {
            fields.extend(self.head(input, suffix));
            fields.extend_from_slice(value);
            fields.extend_from_slice(b"\r\n");
        }
        self.put(&fields)
    }

    /// The form is whole: the request has it for a body from now on.
    pub fn hand_over(mut self, x: &mut Exchange) -> Result<(), HttpError> {
        let end = format!("--{}--\r\n", self.boundary);
        self.put(end.as_bytes())?;
        let kind = format!("multipart/form-data; boundary={}", self.boundary);
        x.head.forget(|name| OF_BODY.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes())));
        x.head.replace(Known::ContentType, kind.as_bytes());
        x.head.replace(Known::ContentLength, self.spool.len().to_string().as_bytes());
        x.received = self.spool.finish();
        Ok(())
    }

    fn head(&self, name: &[u8], suffix: &str) -> Vec<u8> {
        let mut head = format!("--{}\r\nContent-Disposition: form-data; name=\"", self.boundary).into_bytes();
        for &byte in name {
            match byte {
                b'"' => head.extend_from_slice(b"%22"),
                _ => head.push(byte),
            }
        }
        if !suffix.is_empty() {
            head.push(b'.');
            head.extend_from_slice(suffix.as_bytes());
        }
        head.extend_from_slice(b"\"\r\n\r\n");
        head
    }

    fn put_own(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        if self.spool.len() + bytes.len() as u64 > FIELD_BYTES {
            let text = format!("client sent a form with more than {FIELD_BYTES} bytes beside its files");
            return Err(HttpError::new(413, "large-fields").log(Level::Error, text));
        }
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        self.spool.put(bytes).map_err(|error| not_kept(&self.spool, &error))
    }
}

/// The media type that a client gives a file. What is malformed or too long says nothing, like none.
pub fn media_type(kind: Option<Vec<u8>>) -> Vec<u8> {
    let is_plain = |kind: &Vec<u8>| {
        kind.len() <= TYPE && kind.contains(&b'/') && kind.iter().all(|byte| (b' '..=b'~').contains(byte))
    };
    kind.filter(is_plain).unwrap_or_else(|| b"application/octet-stream".to_vec())
}

/// A body that cannot be kept. Whatever is wrong with our own folder is no 403 or 404 to the client.
fn not_kept(spool: &Spool, error: &io::Error) -> HttpError {
    let mut refused = HttpError::file("write()", spool.folder().as_os_str().as_bytes(), error);
    if refused.status != 503 {
        (refused.status, refused.reason) = (500, "body-not-stored");
        refused.report.iter_mut().for_each(|report| report.level = Level::Crit);
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Received;

    fn form(most: usize) -> Form {
        Form::begin(Spool::new(most, std::env::temp_dir())).unwrap()
    }

    fn text(form: Form) -> String {
        match form.spool.finish() {
            Received::Memory(bytes) => String::from_utf8(bytes).unwrap(),
            other => panic!("kept as {other:?}"),
        }
    }

    #[test]
    fn a_field_cannot_be_ended_by_its_name() {
        let mut form = form(1 << 20);
        form.begin_field(b"a\"; name=\"b").unwrap();
        form.value(b"--B\r\n").unwrap();
        form.end_field().unwrap();
        let boundary = form.boundary.clone();
        assert_eq!(boundary.len(), "longshore-".len() + 32);
        let want =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"a%22; name=%22b\"\r\n\r\n--B\r\n\r\n");
        assert_eq!(text(form), want);
    }

    #[test]
    fn fields_have_a_limit_and_what_is_ours_fits_always() {
        let mut form = form(1 << 21);
        form.begin_field(b"a").unwrap();
        let rest = FIELD_BYTES - form.spool.len();
        form.value(&vec![b'x'; rest as usize]).unwrap();
        assert_eq!(form.value(b"x").map_err(|error| error.reason), Err("large-fields"));
        assert_eq!(form.end_field().map_err(|error| error.status), Err(413));
        let stored = Stored { name: "n".into(), size: 1, sha256: None };
        assert!(form.describe(b"f", b"text/plain", &stored, b"/store").is_ok());
    }

    #[test]
    fn media_types_of_clients() {
        let long = format!("text/{}", "x".repeat(TYPE));
        for (kind, is_plain) in [
            ("text/plain; charset=utf-8", true),
            (&long[..TYPE], true),
            (&long[..TYPE + 1], false),
            ("text", false),
            ("", false),
            ("a/b\rc", false),
            ("a/\u{e4}", false),
        ] {
            let kept = media_type(Some(kind.into()));
            assert_eq!(kept == kind.as_bytes(), is_plain, "{kind:?}");
        }
    }

    #[test]
    fn a_folder_that_takes_no_file_is_our_fault() {
        let mut form = Form::begin(Spool::new(4, "/dev/null/below".into())).unwrap();
        let error = form.begin_field(b"a").unwrap_err();
        assert_eq!((error.status, error.reason), (500, "body-not-stored"));
    }
}
