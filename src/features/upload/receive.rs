//! From a form that comes in pieces to files in the store: each part into a draft of its own, within the conf's limits, and
//! all of them under their names when the last byte is there. Must not know how the answer looks.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};

use sha2::{Digest, Sha256};

use super::forging::{Names, Seen};
use super::passed::{self, Form};
use super::put::{refuse_type, too_large};
use super::rows::{Conf, Conflict};
use super::{AHEAD, Around, closed, name};
use crate::exchange::account::Accounts;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::inflow::Inflow;
use crate::exchange::store::{Draft, Folder, Found};
use crate::http::escape;
use crate::http::multipart::{Event, Parser, Part, Stop};

/// The most fields of a form that bring no file.
const FIELDS: usize = 1000;
/// Numbers that a file gets whose name is taken, at most.
const NUMBERS: u32 = 10_000;

/// A form that is being read.
pub struct Receiving {
    /// Where more of it comes from.
    pub inflow: Option<Inflow>,
    /// Whether all of it is there.
    pub is_whole: bool,
    parser: Parser,
    folder: Folder,
    current: Current,
    files: Vec<Incoming>,
    /// The form for whoever comes next (`upload_pass`).
    form: Option<Form>,
    names: Seen,
    fields: usize,
    /// What its files count in.
    accounts: Accounts,
    hashes: bool,
    /// Names that files may have.
    admitted: Vec<String>,
    /// Those that the first files have by now.
    stored: Vec<String>,
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
    pub form: Option<Form>,
}

impl Receiving {
    /// In front of the first byte.
    pub fn begin(folder: Folder, accounts: Accounts, boundary: &[u8], hashes: bool) -> Receiving {
        Receiving {
            inflow: None,
            is_whole: false,
            parser: Parser::new(boundary),
            folder,
            current: Current::None,
            files: Vec::new(),
            form: None,
            names: Seen::default(),
            fields: 0,
            accounts,
            hashes,
            admitted: Vec::new(),
            stored: Vec::new(),
        }
    }

    /// The request goes on with this form when all is stored; what else it brings are the arguments of its query.
    pub fn pass_on(&mut self, form: Form, query: Option<&[u8]>, conf: &Conf) -> Result<(), HttpError> {
        self.form = Some(form);
        let mut names = Names::new(&conf.fields, &mut self.names);
        let arguments = query.unwrap_or_default().split(|b| matches!(b, b'&' | b';'));
        for argument in arguments {
            let name = argument.split(|&b| b == b'=').next().unwrap_or_default();
            let name: Vec<u8> = name.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
            names.field(&name).map_err(|fault| fault.error(&name))?;
        }
        Ok(())
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

    /// Nothing more is here now: the client may be slow.
    pub fn rest(&mut self) {
        self.parser.rest();
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
                let is_field = matches!(self.current, Current::Field);
                self.current = Current::None;
                self.form.as_mut().filter(|_| is_field).map_or(Ok(()), Form::end_field)
            }
        }
    }

    fn begin_part(&mut self, part: Part, conf: &Conf, around: &Around<'_>) -> Result<(), HttpError> {
        self.current = match &part.file {
            None => {
                self.count_field()?;
                if let Some(form) = &mut self.form {
                    Names::new(&conf.fields, &mut self.names)
                        .field(&part.name)
                        .map_err(|fault| fault.error(&part.name))?;
                    form.begin_field(&part.name)?;
                }
                Current::Field
            }
            Some(file) => {
                self.begin_input(&part.name, conf)?;
                if file.is_empty() {
                    self.count_field()?;
                    Current::Unchosen
                } else {
                    let name = name::safe(file).ok_or_else(|| bad_name(file))?;
                    self.begin_file(part, name, conf, around)?;
                    Current::File
                }
            }
        };
        Ok(())
    }

    fn count_field(&mut self) -> Result<(), HttpError> {
        self.fields += 1;
        if self.fields > FIELDS {
            let text = format!("client sent a form of more than {FIELDS} fields");
            return Err(HttpError::new(413, "too-many-fields").log(Level::Error, text));
        }
        Ok(())
    }

    /// A file input: a program is told of it under its name.
    fn begin_input(&mut self, name: &[u8], conf: &Conf) -> Result<(), HttpError> {
        let mut names = Names::new(&conf.fields, &mut self.names);
        let judged = if self.form.is_some() { names.file(name) } else { names.listed(name) };
        judged.map_err(|fault| fault.error(name))
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
            _ => {}
        }
        let draft = self.folder.draft_in(0o644, self.accounts.clone());
        let mut draft = draft.map_err(|error| store_failed(conf, "open()", &error))?;
        if conf.conflict == Conflict::Overwrite
            && let Some((file, size)) = self.folder.file(name.as_bytes())
        {
            draft.hold().replace(file, size);
        }
        // Nobody else asks for them, and they may be long.
        let (field, content_type) = match self.form {
            Some(_) => (part.name, passed::media_type(part.content_type)),
            None => Default::default(),
        };
        self.files.push(Incoming { field, name, content_type, draft, hash: self.hashes.then(Sha256::new) });
        Ok(())
    }

    fn data(&mut self, data: &[u8], conf: &Conf) -> Result<(), HttpError> {
        match self.current {
            Current::None => Ok(()),
            Current::Unchosen => Err(bad_name(b"")),
            Current::Field => {
                self.fields += data.len() / 1024;
                self.form.as_mut().map_or(Ok(()), |form| form.value(data))
            }
            Current::File => self.store(data, conf),
        }
    }

    fn store(&mut self, data: &[u8], conf: &Conf) -> Result<(), HttpError> {
        let Some(file) = self.files.last_mut() else { return Ok(()) };
        let size = file.draft.len() + data.len() as u64;
        if conf.max_file_size > 0 && size > conf.max_file_size {
            return Err(too_large(conf, &file.name));
        }
        if let Some(hash) = &mut file.hash {
            hash.update(data);
        }
        file.draft.write(data).map_err(|error| store_failed(conf, "write()", &error))
    }

    /// The body has ended: a name that a file would have and that was not asked for yet; none once all files have theirs.
    pub fn settle(&mut self, conf: &Conf) -> Result<Option<String>, HttpError> {
        if !self.parser.is_over() {
            let text = "client sent a bad form: it ends before its last boundary";
            return Err(HttpError::new(400, "multipart-no-end").log(Level::Info, text));
        }
        if self.stored.is_empty() {
            let names = self.files.iter().map(|file| free_name(&self.folder, &file.name, conf));
            if let Some(name) = names.into_iter().find(|name| !self.admitted.contains(name)) {
                return Ok(Some(name));
            }
            if conf.sync {
                let synced = self.files.iter().try_for_each(|file| file.draft.file.sync_all());
                synced.map_err(|error| store_failed(conf, "fsync()", &error))?;
            }
        }
        self.publish_all(conf).inspect_err(|_| self.take_back(conf))
    }

    /// A file may have this name.
    pub fn admit(&mut self, name: String) {
        self.admitted.push(name);
    }

    /// What was stored, when all files have their names.
    pub fn finish(mut self, conf: &Conf) -> Result<Outcome, HttpError> {
        let mut files = Vec::new();
        for (file, name) in self.files.iter_mut().zip(&self.stored) {
            let sha256 = file
                .hash
                .take()
                .map(|hash| hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            files.push(Stored { name: name.clone(), size: file.draft.len(), sha256 });
        }
        self.describe(&files, conf).inspect_err(|_| self.take_back(conf))?;
        Ok(Outcome { files, form: self.form })
    }

    /// The fields that stand for the files, behind all others: a program that takes the last of two takes ours.
    fn describe(&mut self, stored: &[Stored], conf: &Conf) -> Result<(), HttpError> {
        let Some(form) = &mut self.form else { return Ok(()) };
        let folder = conf.store.as_ref().map_or(&b""[..], |store| &store.folder);
        let mut files = self.files.iter().zip(stored);
        files.try_for_each(|(file, stored)| form.describe(&file.field, &file.content_type, stored, folder))
    }

    /// Removes what was new a moment ago; what took another's place cannot be taken back.
    pub fn take_back(&self, conf: &Conf) {
        if conf.conflict != Conflict::Overwrite {
            self.stored.iter().for_each(|name| _ = self.folder.remove(name.as_bytes()));
        }
    }

    /// Gives the files their names, up to one that was not asked for.
    fn publish_all(&mut self, conf: &Conf) -> Result<Option<String>, HttpError> {
        let alone = self.folder.alone().map_err(|error| store_failed(conf, "stat()", &error))?;
        for file in self.files.iter_mut().skip(self.stored.len()) {
            let (name, is_stored) = publish_one(&self.folder, file, conf, &self.admitted)?;
            if !is_stored {
                return Ok(Some(name));
            }
            self.stored.push(name);
        }
        drop(alone);
        if conf.sync {
            self.folder.sync().map_err(|error| store_failed(conf, "fsync()", &error))?;
        }
        Ok(None)
    }
}

/// The name that a file would have now.
fn free_name(folder: &Folder, name: &str, conf: &Conf) -> String {
    let mut free = name.to_string();
    for number in (1..=NUMBERS).take_while(|_| conf.conflict == Conflict::Rename) {
        if folder.find(free.as_bytes()).is_err() {
            break;
        }
        free = name::numbered(name, number);
    }
    free
}

/// The name of a file, and whether it has it: one that was not admitted it has not.
fn publish_one(
    folder: &Folder,
    file: &mut Incoming,
    conf: &Conf,
    admitted: &[String],
) -> Result<(String, bool), HttpError> {
    let failed = |error: &io::Error| store_failed(conf, "rename()", error);
    file.draft.date(None).map_err(|error| store_failed(conf, "utimes()", &error))?;
    if conf.conflict == Conflict::Overwrite {
        let done = file.draft.publish(folder, file.name.as_bytes());
        return done.map(|()| (file.name.clone(), true)).map_err(|error| failed(&error));
    }
    let mut name = file.name.clone();
    for number in 1..=NUMBERS {
        if !admitted.contains(&name) {
            return Ok((name, false));
        }
        match file.draft.publish_new(folder, name.as_bytes()) {
            Ok(()) => return Ok((name, true)),
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(&error)),
            Err(_) if conf.conflict == Conflict::Rename => name = name::numbered(&file.name, number),
            Err(_) => break,
        }
    }
    Err(taken(&file.name))
}

fn bad_name(name: &[u8]) -> HttpError {
    let text = format!("client sent a file whose name says nothing: \"{}\"", escape::error_log(name));
    HttpError::new(400, "bad-name").log(Level::Info, text)
}

fn taken(name: &str) -> HttpError {
    let text = format!("\"{}\" is in the store already (upload_on_conflict)", escape::error_log(name.as_bytes()));
    HttpError::new(409, "exists").log(Level::Info, text)
}

fn store_failed(conf: &Conf, call: &str, error: &io::Error) -> HttpError {
    match &conf.store {
        Some(store) => closed(store, call, error),
        None => HttpError::new(500, "store-error"),
    }
}
