//! From a form that comes in pieces to files in the store: each part into a draft of its own, within the conf's limits, and
//! all of them under their names when the last byte is there. Must not know how the answer looks.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::sync::Mutex;

use sha2::{Digest, Sha256};

use super::rows::{Conf, Conflict};
use super::{AHEAD, Around, closed, name};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::inflow::Inflow;
use crate::exchange::store::{Draft, Folder, Found};
use crate::http::escape;
use crate::http::multipart::{Event, Parser, Part, Stop};

/// The most fields of a form that are no files, and their bytes in all.
const FIELDS: usize = 1000;
const FIELD_BYTES: usize = 1 << 20;
/// Numbers that a file gets whose name is taken, at most.
const NUMBERS: u32 = 10_000;

/// Whoever counts what is in a store must be the only one who adds to it.
pub static COUNTING: Mutex<()> = Mutex::new(());

/// A form that is being read.
pub struct Receiving {
    /// Where more of it comes from.
    pub inflow: Option<Inflow>,
    /// After so many internal redirects.
    pub redirects: u8,
    parser: Parser,
    boundary: Vec<u8>,
    folder: Folder,
    current: Current,
    files: Vec<Incoming>,
    /// The form for whoever comes next.
    form: Vec<u8>,
    fields: usize,
    /// Bytes in the store when the request began, less those that will be replaced.
    used: u64,
    hashes: bool,
}

/// The part that is being read.
enum Current {
    None,
    /// The last of the files.
    File,
    /// A field that is no file.
    Field,
    /// A file input of which nothing was chosen.
    Unchosen,
}

struct Incoming {
    field: Vec<u8>,
    name: String,
    content_type: Vec<u8>,
    draft: Draft,
    hash: Option<Sha256>,
}

/// A file that was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name in the store.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Their SHA-256 in hexadecimal, where somebody asked for it.
    pub sha256: Option<String>,
}

/// What came of a request.
pub struct Outcome {
    /// The files.
    pub files: Vec<Stored>,
    /// The form for whoever comes next.
    pub form: Vec<u8>,
}

impl Receiving {
    /// In front of the first byte.
    pub fn begin(folder: Folder, boundary: &[u8], conf: &Conf, hashes: bool, redirects: u8) -> io::Result<Receiving> {
        let used = if conf.quota > 0 { bytes_in(&folder)? } else { 0 };
        Ok(Receiving {
            inflow: None,
            redirects,
            parser: Parser::new(boundary),
            boundary: boundary.to_vec(),
            folder,
            current: Current::None,
            files: Vec::new(),
            form: Vec::new(),
            fields: 0,
            used,
            hashes,
        })
    }

    /// Takes a piece of the body.
    pub fn feed(&mut self, piece: &[u8], conf: &Conf, around: &Around<'_>) -> Result<(), HttpError> {
        let mut parser = std::mem::replace(&mut self.parser, Parser::new(b""));
        let fed = parser.feed(piece, &mut |event| self.take(event, conf, around));
        self.parser = parser;
        fed.map_err(|stop| match stop {
            Stop::Taker(error) => error,
            Stop::Fault(fault) => {
                let text = format!("client sent a bad form: {}", fault.words());
                HttpError::new(400, fault.reason()).log(Level::Info, text)
            }
        })
    }

    /// Takes a body that another location wanted whole.
    pub fn feed_file(&mut self, file: &mut File, conf: &Conf, around: &Around<'_>) -> Result<(), HttpError> {
        let failed = |error: io::Error| {
            HttpError::new(500, "body-not-read").log(Level::Crit, format!("a stored body could not be read ({error})"))
        };
        file.rewind().map_err(failed)?;
        let mut piece = vec![0; AHEAD];
        loop {
            match file.read(&mut piece).map_err(failed)? {
                0 => return Ok(()),
                n => self.feed(&piece[..n], conf, around)?,
            }
        }
    }

    fn take(&mut self, event: Event<'_>, conf: &Conf, around: &Around<'_>) -> Result<(), HttpError> {
        match event {
            Event::Part(part) => self.begin_part(part, conf, around),
            Event::Data(data) => self.data(data, conf),
            Event::End => {
                if matches!(self.current, Current::Field) && conf.pass.is_some() {
                    self.form.extend_from_slice(b"\r\n");
                }
                self.current = Current::None;
                Ok(())
            }
        }
    }

    fn begin_part(&mut self, part: Part, conf: &Conf, around: &Around<'_>) -> Result<(), HttpError> {
        self.current = match &part.file {
            None => {
                self.begin_field(&part.name, conf)?;
                Current::Field
            }
            Some(file) if file.is_empty() => Current::Unchosen,
            Some(file) => {
                let name = name::safe(file).ok_or_else(|| bad_name(file))?;
                self.begin_file(part, name, conf, around)?;
                Current::File
            }
        };
        Ok(())
    }

    fn begin_field(&mut self, name: &[u8], conf: &Conf) -> Result<(), HttpError> {
        self.fields += 1;
        if self.fields > FIELDS {
            let text = format!("client sent a form of more than {FIELDS} fields");
            return Err(HttpError::new(413, "too-many-fields").log(Level::Error, text));
        }
        if conf.pass.is_some() {
            self.begin_form_field(name, b"");
        }
        Ok(())
    }

    fn begin_form_field(&mut self, name: &[u8], suffix: &[u8]) {
        self.form.extend_from_slice(b"--");
        self.form.extend_from_slice(&self.boundary);
        self.form.extend_from_slice(b"\r\nContent-Disposition: form-data; name=\"");
        for &byte in name {
            match byte {
                b'"' => self.form.extend_from_slice(b"%22"),
                b'\r' | b'\n' => {}
                _ => self.form.push(byte),
            }
        }
        self.form.extend_from_slice(suffix);
        self.form.extend_from_slice(b"\"\r\n\r\n");
    }

    fn begin_file(&mut self, part: Part, name: String, conf: &Conf, around: &Around<'_>) -> Result<(), HttpError> {
        if self.files.len() as u64 >= conf.max_files {
            let text = format!("client sent more than {} files at once (upload_max_files)", conf.max_files);
            return Err(HttpError::new(413, "too-many-files").log(Level::Error, text));
        }
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let kind = (around.type_of)(extension.as_bytes());
        refuse_type(conf, &name, &kind)?;
        match (conf.conflict, self.folder.find(name.as_bytes())) {
            (Conflict::Error, Ok(_)) | (Conflict::Overwrite, Ok(Found::Folder | Found::Other)) => {
                return Err(taken(&name));
            }
            (Conflict::Overwrite, Ok(Found::File(size))) => self.used = self.used.saturating_sub(size),
            _ => {}
        }
        let draft = self.folder.draft(0o644).map_err(|error| store_failed(conf, "open()", &error))?;
        self.files.push(Incoming {
            field: part.name,
            name,
            content_type: part.content_type.unwrap_or_else(|| b"application/octet-stream".to_vec()),
            draft,
            hash: self.hashes.then(Sha256::new),
        });
        Ok(())
    }

    fn data(&mut self, data: &[u8], conf: &Conf) -> Result<(), HttpError> {
        match self.current {
            Current::None => Ok(()),
            Current::Unchosen => Err(bad_name(b"")),
            Current::Field => {
                self.fields += data.len() / 1024;
                if conf.pass.is_some() {
                    self.form.extend_from_slice(data);
                }
                if self.form.len() > FIELD_BYTES {
                    let text = format!("client sent a form with more than {FIELD_BYTES} bytes beside its files");
                    return Err(HttpError::new(413, "large-fields").log(Level::Error, text));
                }
                Ok(())
            }
            Current::File => self.store(data, conf),
        }
    }

    fn store(&mut self, data: &[u8], conf: &Conf) -> Result<(), HttpError> {
        let before: u64 = self.files.iter().map(|file| file.draft.len()).sum();
        let Some(file) = self.files.last_mut() else { return Ok(()) };
        let size = file.draft.len() + data.len() as u64;
        if conf.max_file_size > 0 && size > conf.max_file_size {
            return Err(too_large(conf, &file.name));
        }
        if conf.quota > 0 && self.used + before + data.len() as u64 > conf.quota {
            return Err(over_quota(conf.quota));
        }
        if let Some(hash) = &mut file.hash {
            hash.update(data);
        }
        file.draft.write(data).map_err(|error| store_failed(conf, "write()", &error))
    }

    /// The body has ended: all files get their names, or none.
    pub fn finish(mut self, conf: &Conf) -> Result<Outcome, HttpError> {
        if !self.parser.is_over() {
            let text = "client sent a bad form: it ends before its last boundary";
            return Err(HttpError::new(400, "multipart-no-end").log(Level::Info, text));
        }
        if conf.sync {
            let synced = self.files.iter().try_for_each(|file| file.draft.file.sync_all());
            synced.map_err(|error| store_failed(conf, "fsync()", &error))?;
        }
        let names = self.publish(conf)?;
        let mut files = Vec::new();
        for (file, name) in std::mem::take(&mut self.files).into_iter().zip(names) {
            let sha256 =
                file.hash.map(|hash| hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            let stored = Stored { name, size: file.draft.len(), sha256 };
            if conf.pass.is_some() {
                self.describe(&file.field, &file.content_type, &stored, conf);
            }
            files.push(stored);
        }
        if conf.pass.is_some() {
            let end = [b"--", self.boundary.as_slice(), b"--\r\n"].concat();
            self.form.extend_from_slice(&end);
        }
        Ok(Outcome { files, form: self.form })
    }

    /// The fields that stand for a file in the form for whoever comes next.
    fn describe(&mut self, field: &[u8], content_type: &[u8], stored: &Stored, conf: &Conf) {
        let folder = conf.store.as_ref().map_or(&b""[..], |store| &store.folder);
        let path = [folder, b"/", stored.name.as_bytes()].concat();
        let hash = stored.sha256.clone().unwrap_or_default();
        for (suffix, value) in [
            (&b".name"[..], stored.name.as_bytes()),
            (b".content_type", content_type),
            (b".path", &path),
            (b".size", stored.size.to_string().as_bytes()),
            (b".sha256", hash.as_bytes()),
        ] {
            self.begin_form_field(field, suffix);
            self.form.extend_from_slice(value);
            self.form.extend_from_slice(b"\r\n");
        }
    }

    /// Gives the files their names, within the quota.
    fn publish(&mut self, conf: &Conf) -> Result<Vec<String>, HttpError> {
        if conf.quota == 0 {
            return self.publish_all(conf);
        }
        // Nothing that can panic runs under this lock.
        let _counting = COUNTING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let here = bytes_in(&self.folder).map_err(|error| store_failed(conf, "readdir()", &error))?;
        let replaced: u64 = match conf.conflict {
            // Two of one name replace the same file.
            Conflict::Overwrite => {
                let names: HashSet<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
                names.into_iter().map(|name| self.size_of(name)).sum()
            }
            Conflict::Error | Conflict::Rename => 0,
        };
        let own: u64 = self.files.iter().map(|file| file.draft.len()).sum();
        match here.saturating_sub(replaced) + own > conf.quota {
            true => Err(over_quota(conf.quota)),
            false => self.publish_all(conf),
        }
    }

    fn size_of(&self, name: &str) -> u64 {
        match self.folder.find(name.as_bytes()) {
            Ok(Found::File(size)) => size,
            _ => 0,
        }
    }

    /// Where one file cannot have its name, those before it lose theirs again.
    fn publish_all(&mut self, conf: &Conf) -> Result<Vec<String>, HttpError> {
        let mut names = Vec::new();
        for file in &mut self.files {
            match publish_one(&self.folder, file, conf) {
                Ok(name) => names.push(name),
                Err(error) => {
                    if conf.conflict != Conflict::Overwrite {
                        // What was new a moment ago; what took another's place cannot be taken back.
                        names.iter().for_each(|name: &String| _ = self.folder.remove(name.as_bytes()));
                    }
                    return Err(error);
                }
            }
        }
        if conf.sync {
            self.folder.sync().map_err(|error| store_failed(conf, "fsync()", &error))?;
        }
        Ok(names)
    }
}

fn publish_one(folder: &Folder, file: &mut Incoming, conf: &Conf) -> Result<String, HttpError> {
    let failed = |error: &io::Error| store_failed(conf, "rename()", error);
    if conf.conflict == Conflict::Overwrite {
        let done = file.draft.publish(folder, file.name.as_bytes());
        return done.map(|()| file.name.clone()).map_err(|error| failed(&error));
    }
    let mut name = file.name.clone();
    for number in 1..=NUMBERS {
        match file.draft.publish_new(folder, name.as_bytes()) {
            Ok(()) => return Ok(name),
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(&error)),
            Err(_) if conf.conflict == Conflict::Rename => name = name::numbered(&file.name, number),
            Err(_) => break,
        }
    }
    Err(taken(&file.name))
}

/// The bytes of all files in a store.
pub fn bytes_in(folder: &Folder) -> io::Result<u64> {
    Ok(folder.files()?.iter().map(|(_, stat)| stat.st_size as u64).sum())
}

fn bad_name(name: &[u8]) -> HttpError {
    let text = format!("client sent a file whose name says nothing: \"{}\"", escape::error_log(name));
    HttpError::new(400, "bad-name").log(Level::Info, text)
}

fn taken(name: &str) -> HttpError {
    let text = format!("\"{}\" is in the store already (upload_on_conflict)", escape::error_log(name.as_bytes()));
    HttpError::new(409, "exists").log(Level::Info, text)
}

/// The answer to what the store has no room for.
pub fn over_quota(quota: u64) -> HttpError {
    let text = format!("the store would hold more than {quota} bytes (upload_quota)");
    HttpError::new(507, "quota").log(Level::Error, text)
}

/// The answer to a file that is larger than any may be.
pub fn too_large(conf: &Conf, name: &str) -> HttpError {
    let name = escape::error_log(name.as_bytes());
    let text = format!("\"{name}\" has more than {} bytes (upload_max_file_size)", conf.max_file_size);
    HttpError::new(413, "file-too-large").log(Level::Error, text)
}

/// Refuses a file whose type is not taken.
pub fn refuse_type(conf: &Conf, name: &str, kind: &[u8]) -> Result<(), HttpError> {
    if conf.takes(kind) {
        return Ok(());
    }
    let (name, kind) = (escape::error_log(name.as_bytes()), escape::error_log(kind));
    let text = format!("client sent \"{name}\", which would be served as \"{kind}\" (upload_types)");
    Err(HttpError::new(415, "type-refused").log(Level::Info, text))
}

fn store_failed(conf: &Conf, call: &str, error: &io::Error) -> HttpError {
    match &conf.store {
        Some(store) => closed(store, call, error),
        None => HttpError::new(500, "store-error"),
    }
}
