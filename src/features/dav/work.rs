//! What COPY, MOVE and DELETE do once they may, a little in each turn: neither a large file nor a large tree holds a worker.
//! A folder is copied under a name of its own and appears whole; what it replaces goes last, so a copy that fails has changed
//! nothing. All is done to its end, even if the client leaves. Must not know requests.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::asking::Asked;
use super::removal::Removal;
use super::tree::{FileCopy, Reach, TreeCopy};
use super::{Spot, exists, failed};
use crate::exchange::account::{self, Accounts};
use crate::exchange::error::HttpError;
use crate::exchange::store::Folder;
use crate::exchange::symlinks::{self, Symlinks};

/// How long one turn takes.
pub const TURN: Duration = Duration::from_millis(10);

/// What is to be copied or moved.
pub struct Order {
    /// The source.
    pub from: Spot,
    /// Where it goes.
    pub to: Spot,
    /// Whether the source goes.
    pub moves: bool,
    /// Whether something stands at the destination.
    pub replaces: bool,
    /// Whether something may.
    pub overwrites: bool,
    /// What the place says of symbolic links on the way to the source.
    pub rule: Symlinks,
    /// How much of it; none for a file.
    pub reach: Option<Reach>,
    /// What it counts in there.
    pub accounts: Accounts,
    /// What was asked for of a folder; all of it where nothing is said.
    pub asked: Option<Asked>,
}

/// What is under way.
pub enum Work {
    /// A file is copied.
    File(Order, FileCopy),
    /// A folder is copied, under this name for the time being.
    Tree(Order, TreeCopy, Vec<u8>),
    /// What is needed no more goes.
    Clear(Clearing),
}

/// Things that go, and what is answered then.
pub struct Clearing {
    left: Vec<Left>,
    removal: Option<Removal>,
    path: Vec<u8>,
    answer: Result<u16, HttpError>,
}

/// What has a name in a folder, and what may go of it.
type Left = (Folder, Vec<u8>, Option<Asked>);

impl Work {
    /// Copies or moves. What goes by names alone is done at once.
    pub fn carry(order: Order) -> Result<Work, HttpError> {
        let Order { from, to, moves, reach, .. } = &order;
        if *moves {
            let moved = match reach {
                // File by file, where the folder's bytes count there and did not before, or the reverse.
                Some(_) if !order.counts_alike() => Err(ErrorKind::CrossesDevices.into()),
                Some(_) => replace(&order, &from.folder, &from.name),
                None => from
                    .folder
                    .differ(&from.name, &to.folder, &to.name)
                    .and_then(|()| from.folder.carry(&from.name, &to.folder, &to.name, &order.accounts))
                    .map(|()| None),
            };
            match moved {
                Err(error) if error.kind() == ErrorKind::CrossesDevices => {}
                Err(error) => return Err(failed("rename()", &to.path, &error, 409)),
                Ok(old) => return Ok(Work::Clear(order.clear(old, Vec::new()))),
            }
        }
        let Some(reach) = *reach else {
            let copy = order.open().and_then(|source| {
                let mut copy = FileCopy::begin(source, &to.folder, &order.accounts)?;
                copy.reserve(order.replaced())?;
                Ok(copy)
            });
            return copy.map_err(|error| order.copy_failed(&error)).map(|copy| Work::File(order, copy));
        };
        let begun = to.folder.under_some_name(|own| {
            let copy = order
                .open()
                .and_then(Folder::try_from)
                .and_then(|source| TreeCopy::begin(source, &to.folder, own, reach, &order.accounts));
            copy.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        });
        let (own, copy) = begun.map_err(|error| order.copy_failed(&error))?;
        Ok(Work::Tree(order, copy, own))
    }

    /// Removes what stands at a spot: a file at once, of a folder what was asked for.
    pub fn remove(spot: Spot, asked: Option<Asked>) -> Result<Work, HttpError> {
        let Spot { folder, name, path } = spot;
        let removal = Removal::begin(&folder, &name, asked).map_err(|error| failed("DELETE", &path, &error, 409))?;
        Ok(Work::Clear(Clearing { left: Vec::new(), removal: Some(removal), path, answer: Ok(204) }))
    }

    /// Goes on for a while: the status when all is done.
    pub fn go_on(&mut self) -> Result<Option<u16>, HttpError> {
        let until = Instant::now() + TURN;
        loop {
            let next = match self {
                Work::File(order, copy) => file(order, copy, until)?,
                Work::Tree(order, copy, own) => tree(order, copy, own, until)?,
                Work::Clear(clearing) => return clearing.go_on(until),
            };
            match next {
                Some(next) => *self = Work::Clear(next),
                None => return Ok(None),
            }
        }
    }
}

/// Opens what is to be copied or moved.
pub fn open_source(from: &Spot, rule: &Symlinks) -> io::Result<File> {
    match rule {
        Symlinks::Followed => symlinks::open(from.folder.path_of(&from.name).as_os_str().as_bytes(), rule),
        rule => symlinks::open(&from.path, rule),
    }
}

/// What is to be cleared away when all of a file is there.
fn file(order: &mut Order, copy: &mut FileCopy, until: Instant) -> Result<Option<Clearing>, HttpError> {
    let whole = copy.go_on(until).map_err(|error| order.copy_failed(&error))?;
    if !whole {
        return Ok(None);
    }
    let to = &order.to;
    let _alone = to.folder.alone().map_err(|error| order.copy_failed(&error))?;
    order.refuse_taken()?;
    copy.differ(&to.folder, &to.name).map_err(|error| order.copy_failed(&error))?;
    copy.publish(&to.folder, &to.name).map_err(|error| failed("rename()", &order.to.path, &error, 409))?;
    order.asked = None;
    let source = order.source().map_err(|error| order.copy_failed(&error))?;
    Ok(Some(order.clear(None, source)))
}

/// The same of a folder; of one that could not be copied, what is there of it.
fn tree(order: &mut Order, copy: &mut TreeCopy, own: &[u8], until: Instant) -> Result<Option<Clearing>, HttpError> {
    let asked = order.asked.take();
    let done = copy.go_on(until, asked.as_ref());
    order.asked = asked;
    let failed = |error: io::Error| order.copy_failed(&error);
    let done = done.map_err(failed).and_then(|whole| {
        if !whole {
            return Ok(None);
        }
        let _alone = order.to.folder.alone().map_err(failed)?;
        order.refuse_taken()?;
        let old = replace(order, &order.to.folder, own).map_err(failed)?;
        Ok(Some(old))
    });
    match done {
        Ok(None) => Ok(None),
        Ok(Some(old)) => {
            let source = order.source().map_err(|error| order.copy_failed(&error))?;
            Ok(Some(order.clear(old, source)))
        }
        Err(error) => {
            let answer = Err(error);
            copy.close().map_err(|error| order.copy_failed(&error))?;
            let half = order.to.folder.again().map_err(|error| order.copy_failed(&error))?;
            Ok(Some(Clearing {
                left: vec![(half, own.to_vec(), None)],
                removal: None,
                path: order.to.path.clone(),
                answer,
            }))
        }
    }
}

/// Gives a folder the name of the destination: what had it before, under the name that it has now.
fn replace(order: &Order, folder: &Folder, name: &[u8]) -> io::Result<Option<(Folder, Vec<u8>)>> {
    let to = &order.to;
    let old = match order.replaces.then(|| to.folder.put_aside(&to.name, &to.folder)).transpose() {
        // It went meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound && folder.find(name).is_ok() => None,
        old => old?,
    };
    let renamed = folder.rename(name, &to.folder, &to.name);
    if let (Some(old), Err(_)) = (&old, &renamed) {
        to.folder.rename(old, &to.folder, &to.name)?;
    }
    renamed?;
    old.map(|old| Ok((to.folder.again()?, old))).transpose()
}

impl Order {
    /// Opens what is to be copied: under the rule again, since it may be another by now.
    fn open(&self) -> io::Result<File> {
        open_source(&self.from, &self.rule)
    }

    /// Whether what goes by another name only counts as before.
    fn counts_alike(&self) -> bool {
        Accounts::of(&self.from.folder).is_ok_and(|before| before.are_those(&self.accounts))
    }

    /// Something may have come to stand there while the copy was made.
    fn refuse_taken(&self) -> Result<(), HttpError> {
        match !self.overwrites && self.to.folder.find(&self.to.name).is_ok() {
            true => Err(exists(&self.to.path)),
            false => Ok(()),
        }
    }

    /// The file whose place it takes.
    fn replaced(&self) -> Option<(account::Id, u64)> {
        if self.accounts.is_empty() { None } else { self.to.folder.file(&self.to.name) }
    }

    /// The source, if it is to go.
    fn source(&mut self) -> io::Result<Vec<Left>> {
        match self.moves {
            true => Ok(vec![(self.from.folder.again()?, self.from.name.clone(), self.asked.take())]),
            false => Ok(Vec::new()),
        }
    }

    fn clear(&self, old: Option<(Folder, Vec<u8>)>, mut left: Vec<Left>) -> Clearing {
        left.extend(old.map(|(folder, name)| (folder, name, None)));
        let status = if self.reach.is_some() { 201 } else { 204 };
        Clearing { left, removal: None, path: self.to.path.clone(), answer: Ok(status) }
    }

    fn copy_failed(&self, error: &io::Error) -> HttpError {
        let missing = if self.reach.is_some() { 404 } else { 409 };
        failed("copy of", &self.from.path, error, missing)
    }
}

impl Clearing {
    fn go_on(&mut self, until: Instant) -> Result<Option<u16>, HttpError> {
        let done = self.remove(until);
        // What went wrong before is what the client is told.
        let answer = std::mem::replace(&mut self.answer, Ok(204));
        match (done, answer) {
            (Ok(false), answer) => {
                self.answer = answer;
                Ok(None)
            }
            (_, Err(error)) => Err(error),
            (Err(error), Ok(_)) => Err(failed("DELETE", &self.path, &error, 409)),
            (Ok(true), Ok(status)) => Ok(Some(status)),
        }
    }

    fn remove(&mut self, until: Instant) -> io::Result<bool> {
        loop {
            if let Some(removal) = &mut self.removal
                && !removal.go_on(until)?
            {
                return Ok(false);
            }
            let Some((folder, name, asked)) = self.left.pop() else { return Ok(true) };
            self.removal = Some(Removal::begin(&folder, &name, asked)?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn spot(at: &Path, name: &str) -> Spot {
        let folder = Folder::open(at.as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        Spot { folder, name: name.into(), path: at.join(name).as_os_str().as_bytes().to_vec() }
    }

    fn done(order: Order) -> Result<u16, u16> {
        let mut work = Work::carry(order).map_err(|error| error.status)?;
        loop {
            if let Some(status) = work.go_on().map_err(|error| error.status)? {
                return Ok(status);
            }
        }
    }

    #[test]
    fn a_link_that_came_behind_the_look_is_not_copied() {
        let at = tempfile::tempdir().unwrap();
        fs::create_dir_all(at.path().join("secret/sub")).unwrap();
        fs::write(at.path().join("secret/key"), "key").unwrap();
        symlink("secret/key", at.path().join("file")).unwrap();
        symlink("secret", at.path().join("folder")).unwrap();
        let trusted = Symlinks::Refused { from: at.path().as_os_str().len() };
        for (name, reach) in [("file", None), ("folder", Some(Reach::All { follows: false }))] {
            for (rule, copied) in [(trusted, false), (Symlinks::Followed, true)] {
                let (from, to) = (spot(at.path(), name), spot(at.path(), "copy"));
                let accounts = Accounts::default();
                let order = Order {
                    from,
                    to,
                    moves: false,
                    replaces: false,
                    overwrites: true,
                    rule,
                    reach,
                    accounts,
                    asked: None,
                };
                assert_eq!(done(order).is_ok(), copied, "{name} {rule:?}");
                assert_eq!(at.path().join("copy").exists(), copied, "{name} {rule:?}");
            }
            let copy = at.path().join("copy");
            if reach.is_some() { fs::remove_dir_all(copy).unwrap() } else { fs::remove_file(copy).unwrap() }
        }
        assert_eq!(fs::read_dir(at.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_destination_that_went_or_came_meanwhile() {
        let at = tempfile::tempdir().unwrap();
        fs::create_dir(at.path().join("from")).unwrap();
        let order = |replaces| Order {
            from: spot(at.path(), "from"),
            to: spot(at.path(), "to"),
            moves: false,
            replaces,
            overwrites: true,
            rule: Symlinks::Followed,
            reach: Some(Reach::Itself),
            accounts: Accounts::default(),
            asked: None,
        };
        assert_eq!(done(order(true)), Ok(201));
        fs::write(at.path().join("to/file"), "").unwrap();
        assert_eq!(done(order(false)), Err(409));
        assert!(at.path().join("to/file").exists());
        assert_eq!(fs::read_dir(at.path()).unwrap().count(), 2);
    }
}
