//! What is stored, newest first: rows of the page or JSON. The folder is read and the list is written a little in each turn, and
//! requests that look at the same time share it. Must not know what stands around the list.

use std::cmp::Reverse;
use std::collections::{BTreeSet, btree_set};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Instant;

use bytes::Bytes;
use rustix::fs::{Dir, FileType, Stat};

use super::answer::url;
use super::page::{self, File};
use super::receive::Stored;
use super::rows::Store;
use super::{closed, open};
use crate::exchange::engine::Waker;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::joint::{self, Desk, Work};
use crate::exchange::store::Folder;
use crate::exchange::temporary::{self, Spool};
use crate::http::escape;
use crate::http::response::Body;

/// Bytes of a list that stay in memory.
const MEMORY: usize = 256 << 10;
/// Bytes that the files of one list take at most while they are put in order.
const MOST: usize = 64 << 20;
/// Bytes that a file takes beside its name.
const EACH: usize = 96;
/// Files between two looks at the clock.
const STRIDE: usize = 16;

/// One request's share in a list.
pub type Share = joint::Share<Listing>;

static LISTS: LazyLock<Desk<(Bytes, Bytes, Style), Listing>> = LazyLock::new(Desk::default);

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// Rows of the page, the newest files only.
    Page {
        /// Whether each has a button that removes it.
        deletes: bool,
    },
    /// All files.
    Json,
}

/// Asks for the list of a store.
pub fn ask(store: &Store, style: Style, temporary: PathBuf, waker: Waker) -> Share {
    let key = (store.folder.clone(), store.prefix.clone(), style);
    LISTS.ask(key, waker, || Listing { store: store.clone(), style, temporary, stage: Stage::Begin })
}

/// A list that is being made.
pub struct Listing {
    store: Store,
    style: Style,
    temporary: PathBuf,
    stage: Stage,
}

enum Stage {
    /// Nothing was done yet.
    Begin,
    /// Files come in.
    Read(Folder, Dir, Found),
    /// They go out into the list; so many were found.
    Write(btree_set::IntoIter<Ranked>, Spool, usize),
}

#[derive(Default)]
struct Found {
    files: BTreeSet<Ranked>,
    bytes: usize,
    count: usize,
}

/// A file in its order: the newest first, then by name. Seconds alone would not do: of many files of one second, the one that
/// was stored last would be missing where the newest are shown.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    /// Seconds and nanoseconds of the change.
    modified: Reverse<(i64, i64)>,
    name: String,
    size: u64,
}

impl Work for Listing {
    type Made = Body;

    fn go_on(&mut self, until: Instant) -> Result<Option<Body>, HttpError> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Begin) {
                Stage::Begin => {
                    let folder = open(&self.store)?;
                    let found = Dir::read_from(&folder).map_err(|error| self.unread(error))?;
                    self.stage = Stage::Read(folder, found, Found::default());
                }
                Stage::Read(folder, mut names, mut found) => {
                    let is_all = self.read(&folder, &mut names, &mut found)?;
                    self.stage = match is_all {
                        true => Stage::Write(found.files.into_iter(), self.begin()?, found.count),
                        false => Stage::Read(folder, names, found),
                    };
                }
                Stage::Write(mut files, mut spool, count) => {
                    let piece = self.piece(files.by_ref().take(STRIDE), spool.len());
                    self.put(&mut spool, &piece)?;
                    if files.len() == 0 {
                        self.put(&mut spool, &self.foot(count))?;
                        return Ok(Some(spool.body()));
                    }
                    self.stage = Stage::Write(files, spool, count);
                }
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }
}

impl Listing {
    /// Takes some files; whether that was all.
    fn read(&self, folder: &Folder, names: &mut Dir, found: &mut Found) -> Result<bool, HttpError> {
        for _ in 0..STRIDE {
            let Some(entry) = names.next() else { return Ok(true) };
            let entry = entry.map_err(|error| self.unread(error))?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(b".") || !matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) {
                continue;
            }
            // Gone meanwhile, or no file after all.
            let Ok(stat) = folder.stat(name) else { continue };
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                continue;
            }
            // What is no UTF-8 was not stored by us, and has no URI that a page could hold.
            let Ok(name) = String::from_utf8(name.to_vec()) else { continue };
            self.take(name, &stat, found)?;
        }
        Ok(false)
    }

    fn take(&self, name: String, stat: &Stat, found: &mut Found) -> Result<(), HttpError> {
        found.count += 1;
        found.bytes += name.len() + EACH;
        let modified = Reverse((stat.st_mtime, stat.st_mtime_nsec as i64));
        found.files.insert(Ranked { modified, name, size: stat.st_size as u64 });
        match self.style {
            Style::Page { .. } if found.files.len() > page::SHOWN => _ = found.files.pop_last(),
            Style::Json if found.bytes > MOST => {
                let text = format!("\"{}\" holds more than can be listed", escape::error_log(&self.store.folder));
                return Err(HttpError::new(500, "folder-too-large").log(Level::Error, text));
            }
            Style::Page { .. } | Style::Json => {}
        }
        Ok(())
    }

    fn begin(&self) -> Result<Spool, HttpError> {
        let mut spool = Spool::new(MEMORY, self.temporary.clone());
        match self.style {
            Style::Page { deletes } => self.put(&mut spool, page::list_head(deletes).as_bytes())?,
            Style::Json => self.put(&mut spool, JSON_HEAD)?,
        }
        Ok(spool)
    }

    fn piece(&self, files: impl Iterator<Item = Ranked>, before: u64) -> Vec<u8> {
        let mut out = Vec::new();
        for Ranked { modified: Reverse((modified, _)), name, size } in files {
            match self.style {
                Style::Page { deletes } => {
                    let row = page::row(&self.store.prefix, deletes, &File { name, size, modified });
                    out.extend_from_slice(row.as_bytes());
                }
                Style::Json => {
                    let is_first = out.is_empty() && before == JSON_HEAD.len() as u64;
                    object(&mut out, &self.store.prefix, is_first, &Stored { name, size, sha256: None });
                }
            }
        }
        out
    }

    fn foot(&self, count: usize) -> Vec<u8> {
        match self.style {
            Style::Page { .. } => page::list_foot(count).into_bytes(),
            Style::Json => JSON_FOOT.to_vec(),
        }
    }

    fn put(&self, spool: &mut Spool, text: &[u8]) -> Result<(), HttpError> {
        spool.put(text).map_err(|error| {
            let what = format!("the list of \"{}\"", escape::error_log(&self.store.folder));
            temporary::unlisted(&what, &self.temporary, &error)
        })
    }

    fn unread(&self, error: rustix::io::Errno) -> HttpError {
        closed(&self.store, "readdir()", &error.into())
    }
}

const JSON_HEAD: &[u8] = b"{\"files\":[";
const JSON_FOOT: &[u8] = b"\n]}\n";

/// The same of a few files.
pub fn json(prefix: &[u8], files: &[Stored]) -> Vec<u8> {
    let mut out = JSON_HEAD.to_vec();
    files.iter().enumerate().for_each(|(at, file)| object(&mut out, prefix, at == 0, file));
    out.extend_from_slice(JSON_FOOT);
    out
}

fn object(out: &mut Vec<u8>, prefix: &[u8], is_first: bool, file: &Stored) {
    out.extend_from_slice(if is_first { b"\n{\"name\":\"" } else { b",\n{\"name\":\"" });
    escape::json(out, file.name.as_bytes());
    out.extend_from_slice(format!("\",\"size\":{},\"url\":\"", file.size).as_bytes());
    escape::json(out, url(prefix, &file.name).as_bytes());
    out.push(b'"');
    if let Some(hash) = &file.sha256 {
        out.extend_from_slice(format!(",\"sha256\":\"{hash}\"").as_bytes());
    }
    out.push(b'}');
}
