//! How a listing is made: the folder is read, what is in it is put in order as it comes, and the page is written, each a little in
//! a turn. Requests for the same page share it. Must not know the format's details.

use std::collections::{BTreeSet, btree_set};
use std::ffi::OsStr;
use std::fs::{self, Metadata, ReadDir};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use super::render;
use super::theme::{self, Sort, Sums};
use super::{Entry, Kind, Look, Style};
use crate::exchange::engine::Waker;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::joint::{self, Desk, Work};
use crate::exchange::temporary::{self, Spool};
use crate::http::escape;
use crate::http::response::Body;

/// Bytes of a page that stay in memory.
const MEMORY: usize = 256 << 10;
/// Bytes that the entries of one folder take at most while they are put in order.
const MOST: usize = 64 << 20;
/// Bytes that an entry takes beside its name.
const EACH: usize = 96;
/// Entries between two looks at the clock.
const STRIDE: usize = 16;
/// Bytes that are gathered before they are put into the page.
const PIECE: usize = 16 << 10;

/// One request's share in a page.
pub type Share = joint::Share<Making>;

static PAGES: LazyLock<Desk<(Vec<u8>, Look), Making>> = LazyLock::new(Desk::default);

/// Asks for the page of the folder at this path.
pub fn ask(path: Vec<u8>, look: Look, temporary: PathBuf, waker: Waker) -> Share {
    PAGES.ask((path.clone(), look.clone()), waker, || Making::new(path, look, temporary))
}

/// A page that is being made.
pub struct Making {
    folder: PathBuf,
    look: Look,
    temporary: PathBuf,
    sums: Sums,
    stage: Stage,
}

enum Stage {
    /// Nothing was done yet.
    Begin,
    /// Entries come in; they take so many bytes.
    Read(ReadDir, BTreeSet<Ranked>, usize),
    /// They go out into the page.
    Write(btree_set::IntoIter<Ranked>, Page),
}

impl Work for Making {
    type Made = Body;

    fn go_on(&mut self, until: Instant) -> Result<Option<Body>, HttpError> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Begin) {
                Stage::Begin => {
                    let found = fs::read_dir(&self.folder).map_err(|error| self.fault("opendir()", &error))?;
                    self.stage = Stage::Read(found, BTreeSet::new(), 0);
                }
                Stage::Read(mut found, mut entries, mut bytes) => {
                    let is_all = self.read(&mut found, &mut entries, &mut bytes)?;
                    self.stage = if is_all {
                        Stage::Write(entries.into_iter(), self.begin()?)
                    } else {
                        Stage::Read(found, entries, bytes)
                    };
                }
                Stage::Write(mut entries, mut page) => {
                    for Ranked(entry, _) in entries.by_ref().take(STRIDE) {
                        self.entry(&mut page, &entry);
                    }
                    if entries.len() == 0 {
                        return self.finish(page).map(Some);
                    }
                    self.flush(&mut page, PIECE)?;
                    self.stage = Stage::Write(entries, page);
                }
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }
}

impl Making {
    fn new(path: Vec<u8>, look: Look, temporary: PathBuf) -> Making {
        let name = match path.strip_suffix(b"/") {
            Some(b"") | None => &path,
            Some(name) => name,
        };
        let folder = PathBuf::from(OsStr::from_bytes(name));
        Making { folder, look, temporary, sums: Sums::default(), stage: Stage::Begin }
    }

    /// Takes some entries, without hidden ones; whether that was all.
    fn read(&mut self, found: &mut ReadDir, into: &mut BTreeSet<Ranked>, bytes: &mut usize) -> Result<bool, HttpError> {
        for _ in 0..STRIDE {
            let Some(found) = found.next() else { return Ok(true) };
            let name = found.map_err(|error| self.fault("readdir()", &error))?.file_name();
            if name.as_bytes().starts_with(b".") {
                continue;
            }
            let Some(entry) = look_at(&self.folder, &name) else { continue };
            *bytes += entry.name.len() + EACH;
            if *bytes > MOST {
                let text = format!("\"{}\" holds more than can be listed", self.shown());
                return Err(HttpError::new(500, "folder-too-large").log(Level::Error, text));
            }
            self.sums.add(&entry);
            into.insert(Ranked(entry, self.order()));
        }
        Ok(false)
    }

    fn order(&self) -> Option<Sort> {
        match &self.look.style {
            Style::Theme(sort, _) => Some(*sort),
            Style::Html | Style::Json | Style::Xml => None,
        }
    }

    fn begin(&self) -> Result<Page, HttpError> {
        let spool = Spool::new(MEMORY, self.temporary.clone());
        let mut page = Page { spool, ahead: Vec::new(), text: String::new(), is_empty: true };
        match &self.look.style {
            Style::Html => render::html_head(&mut page.ahead, &self.look.uri),
            Style::Json => page.ahead.extend_from_slice(render::JSON_HEAD),
            Style::Xml => page.ahead.extend_from_slice(render::XML_HEAD),
            Style::Theme(sort, _) => page.draw(|text| theme::head(text, &self.look.uri, *sort, self.look.zone())),
        }
        Ok(page)
    }

    fn entry(&self, page: &mut Page, entry: &Entry) {
        match &self.look.style {
            Style::Html => render::html_line(&mut page.ahead, entry, &self.look, self.look.zone()),
            Style::Json => render::json_object(&mut page.ahead, entry, page.is_empty),
            Style::Xml => render::xml_element(&mut page.ahead, entry),
            Style::Theme(..) => page.draw(|text| theme::row(text, entry, self.look.zone())),
        }
        page.is_empty = false;
    }

    fn finish(&self, mut page: Page) -> Result<Body, HttpError> {
        match &self.look.style {
            Style::Html => page.ahead.extend_from_slice(render::HTML_FOOT),
            Style::Json => page.ahead.extend_from_slice(render::JSON_FOOT),
            Style::Xml => page.ahead.extend_from_slice(render::XML_FOOT),
            Style::Theme(_, line) => page.draw(|text| theme::foot(text, self.sums, line)),
        }
        self.flush(&mut page, 0)?;
        Ok(page.spool.body())
    }

    /// Puts what was written into the page, if that is so many bytes.
    fn flush(&self, page: &mut Page, least: usize) -> Result<(), HttpError> {
        if page.ahead.len() > least {
            page.spool.put(&page.ahead).map_err(|error| {
                temporary::unlisted(&format!("the listing of \"{}\"", self.shown()), &self.temporary, &error)
            })?;
            page.ahead.clear();
        }
        Ok(())
    }

    fn fault(&self, call: &str, error: &std::io::Error) -> HttpError {
        HttpError::file(call, self.folder.as_os_str().as_bytes(), error)
    }

    fn shown(&self) -> String {
        escape::error_log(self.folder.as_os_str().as_bytes()).to_string()
    }
}

/// A page as far as it is written.
struct Page {
    spool: Spool,
    /// What is to be put there next.
    ahead: Vec<u8>,
    text: String,
    is_empty: bool,
}

impl Page {
    fn draw(&mut self, draw: impl FnOnce(&mut String)) {
        self.text.clear();
        draw(&mut self.text);
        self.ahead.extend_from_slice(self.text.as_bytes());
    }
}

/// An entry in its order; the theme's, or nginx's.
struct Ranked(Entry, Option<Sort>);

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> std::cmp::Ordering {
        match self.1 {
            Some(sort) => sort.compare(&self.0, &other.0),
            None => render::compare(&self.0, &other.0),
        }
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// What stands under a name. A link that leads nowhere is shown as what it is; what may not be looked at is left out, and what has
/// gone since the folder was read.
fn look_at(folder: &Path, name: &OsStr) -> Option<Entry> {
    let path = folder.join(name);
    let meta = match fs::metadata(&path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return None,
        Err(_) => fs::symlink_metadata(&path),
        found => found,
    };
    Some(entry(name.as_bytes(), &meta.ok()?))
}

fn entry(name: &[u8], meta: &Metadata) -> Entry {
    let kind = match () {
        () if meta.is_dir() => Kind::Directory,
        () if meta.is_file() => Kind::File,
        () => Kind::Other,
    };
    Entry { name: name.to_vec(), kind, size: meta.len(), mtime: meta.mtime() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look() -> Look {
        Look { uri: b"/".to_vec(), style: Style::Json, exact_size: true, localtime: false, utf8: false }
    }

    /// The page, and in how many turns it was made, each as short as can be.
    fn made(folder: &Path) -> Result<(Body, usize), HttpError> {
        let mut making = Making::new(folder.as_os_str().as_bytes().to_vec(), look(), folder.join("temporary"));
        for turns in 1.. {
            if let Some(body) = making.go_on(Instant::now())? {
                return Ok((body, turns));
            }
        }
        unreachable!("it ends some day");
    }

    #[test]
    fn a_folder_is_read_without_hidden_files_and_with_dead_links() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "xyz").unwrap();
        fs::write(folder.path().join(".hidden"), "").unwrap();
        fs::create_dir(folder.path().join("d")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("l")).unwrap();
        let look_at = |name: &str| look_at(folder.path(), OsStr::new(name)).unwrap();
        assert_eq!((look_at("a").kind, look_at("a").size), (Kind::File, 3));
        assert_eq!([look_at("d").kind, look_at("l").kind], [Kind::Directory, Kind::Other]);
        let (page, _) = made(folder.path()).unwrap();
        let crate::http::response::Chunk::Bytes(page) = &page.chunks[0] else { panic!("a short page is in memory") };
        let page = String::from_utf8(page.to_vec()).unwrap();
        let order: Vec<_> = ["\"d\"", "\"a\"", "\"l\""].iter().map(|name| page.find(name).unwrap()).collect();
        assert!(order.is_sorted() && !page.contains("hidden"), "{page}");
        assert_eq!(made(&folder.path().join("nowhere")).unwrap_err().status, 404);
    }

    #[test]
    fn a_turn_ends_when_it_should_and_a_long_page_lies_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..3000 {
            fs::write(folder.path().join(format!("{number:064}")), "").unwrap();
        }
        let (page, turns) = made(folder.path()).unwrap();
        assert!(turns >= 2 * 3000 / STRIDE, "{turns}");
        assert!(matches!(page.chunks[0], crate::http::response::Chunk::File { len, .. } if len > MEMORY as u64));
    }
}
