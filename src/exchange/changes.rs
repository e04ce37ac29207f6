//! A change of what stands under a name, and the look that it depends on, as one step: whether the request's preconditions hold
//! (RFC 9110 section 13.1), that nobody else changes names in the same folder meanwhile, and that the folder is in no tree that
//! another request works on. Knows no method and no rule about who may write.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FileType};

use super::Exchange;
use super::error::HttpError;
use super::files::is_settled;
use super::store::Folder;
use super::trees::Pass;
use crate::http::cond::{self, ModifiedSince, Outcome, Preconditions, Validators};
use crate::http::etag;

/// Folders share them: two that do only wait for each other a little.
static LOCKS: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];

/// While it is there, no other request changes names in a folder.
pub struct Alone {
    _guards: (MutexGuard<'static, ()>, Option<MutexGuard<'static, ()>>),
    _passes: (Pass, Option<Pass>),
}

impl Folder {
    /// Waits until nobody else changes names in it. Who has it must not wait for a client. `ResourceBusy` where another request
    /// works on a tree that it is in.
    pub fn alone(&self) -> io::Result<Alone> {
        let passes = (Pass::into(self)?, None);
        Ok(Alone { _guards: (take(self.number()?), None), _passes: passes })
    }

    /// The same of two folders.
    pub fn alone_with(&self, other: &Folder) -> io::Result<Alone> {
        let passes = (Pass::into(self)?, Some(Pass::into(other)?));
        let (one, two) = (self.number()?, other.number()?);
        // Always in the same order, or two requests might wait for each other.
        let first = take(one.min(two));
        Ok(Alone { _guards: (first, (one != two).then(|| take(one.max(two)))), _passes: passes })
    }

    fn number(&self) -> io::Result<usize> {
        let stat = rustix::fs::fstat(self)?;
        Ok((stat.st_ino ^ stat.st_dev.rotate_left(32)) as usize % LOCKS.len())
    }
}

/// A panic leaves nothing half done that a lock would hide.
fn take(number: usize) -> MutexGuard<'static, ()> {
    LOCKS[number].lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchange {
    /// The preconditions of the request, as they came.
    pub fn preconditions(&self) -> Preconditions<'_> {
        Preconditions::of(&self.head)
    }

    /// Refuses a change of what stands under a name where a precondition does not hold: 412. `tags` says whether files have
    /// tags here. A folder has neither a tag nor a date.
    pub fn may_change(&self, folder: &Folder, name: &[u8], tags: bool) -> Result<(), HttpError> {
        let request = self.preconditions();
        if request.if_match.is_none() && request.if_none_match.is_none() && request.if_unmodified_since.is_none() {
            return Ok(());
        }
        // As it would be sent: a link counts as what it leads to.
        let stat = rustix::fs::statat(folder, name, AtFlags::empty())
            .or_else(|_| rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW));
        let (mut tag, mut other) = (None, None);
        let mut current = Validators { exists: stat.is_ok(), ..Validators::default() };
        if let Ok(stat) = stat
            && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        {
            let modified = u64::try_from(stat.st_mtime).unwrap_or(0);
            tag = tags.then(|| etag::make(modified, stat.st_size as u64));
            let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
            other = tag.as_ref().map(|tag| etag::finer(tag, nanos));
            if !is_settled(stat.st_mtime, nanos.into()) {
                // By its second nobody can tell which version is meant.
                tag = None;
            }
            current.last_modified = Some(modified);
        }
        (current.etag, current.other) = (tag.as_deref(), other.as_deref());
        match cond::evaluate(false, &request, &current, ModifiedSince::Off) {
            Outcome::Send | Outcome::NotModified => Ok(()),
            Outcome::PreconditionFailed => Err(HttpError::new(412, "precondition")),
        }
    }
}
