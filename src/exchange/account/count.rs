//! The thread that counts what is below a folder. It is there while something is to be counted. One folder is open at a time, however
//! deep the tree is; links are not followed.

use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use nix::libc::EAGAIN;
use rustix::fs::{AtFlags, Dir, FileType};

use super::{ANY, Account, Changes, Id, Release, books, id};
use crate::exchange::engine::Waker;
use crate::exchange::store::Folder;
use crate::exchange::symlinks::Symlinks;

enum Job {
    Declare(Vec<(Bytes, u64)>),
    Count(Id),
}

struct Jobs {
    queue: VecDeque<Job>,
    has_thread: bool,
}

static JOBS: Mutex<Jobs> = Mutex::new(Jobs { queue: VecDeque::new(), has_thread: false });

/// Opens these folders, and counts those that are new.
pub fn declare(stores: Vec<(Bytes, u64)>) {
    submit(Job::Declare(stores));
}

/// Counts a folder whose account says that a count is to come.
pub fn begin(folder: Id) {
    submit(Job::Count(folder));
}

fn submit(job: Job) {
    let mut jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    jobs.queue.push_back(job);
    if !jobs.has_thread {
        match std::thread::Builder::new().name("counter".into()).spawn(work) {
            Ok(_) => jobs.has_thread = true,
            Err(error) => {
                let left = std::mem::take(&mut jobs.queue);
                drop(jobs);
                let counts = left.into_iter().filter_map(|job| if let Job::Count(id) = job { Some(id) } else { None });
                counts
                    .for_each(|id| end(id, Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(EAGAIN)))));
            }
        }
    }
}

fn work() {
    loop {
        let job = {
            let mut jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
            let job = jobs.queue.pop_front();
            jobs.has_thread = job.is_some();
            job
        };
        match job {
            Some(Job::Declare(stores)) => take(&stores),
            Some(Job::Count(id)) => {
                let folder = books().get(&id).map(|account| account.folder.again());
                if let Some(folder) = folder {
                    end(id, folder.and_then(|folder| bytes_below(folder, &mut |files| unknown(id, files))));
                }
            }
            None => return,
        }
    }
}

/// Gives each of these folders an account. One that is not there yet gets it with its first request.
fn take(stores: &[(Bytes, u64)]) {
    let mut opened: Vec<(Id, Folder, u64)> = Vec::new();
    for (path, quota) in stores {
        let folder = Folder::open(path, &Symlinks::Followed);
        let stat = folder.as_ref().ok().and_then(|folder| rustix::fs::fstat(folder).ok());
        let (Ok(folder), Some(stat)) = (folder, stat) else { continue };
        match opened.iter_mut().find(|(known, ..)| *known == id(&stat)) {
            Some((_, _, smallest)) => *smallest = (*smallest).min(*quota),
            None => opened.push((id(&stat), folder, *quota)),
        }
    }
    let mut fresh = Vec::new();
    {
        let mut books = books();
        // Bytes on their way must be given back to the account that they were counted in.
        books.retain(|id, account| account.drafts > 0 || opened.iter().any(|(open, ..)| open == id));
        books.values_mut().for_each(|account| account.quota = 0);
        for (id, folder, quota) in opened {
            let account = books.entry(id).or_insert_with(|| Account::new(folder));
            account.quota = quota;
            if account.counted.is_none() && account.count.is_none() {
                account.count = Some(Changes::default());
                fresh.push(id);
            }
        }
        ANY.store(!books.is_empty(), Release);
    }
    fresh.into_iter().for_each(begin);
}

/// The bytes of those files that neither came since the count began nor are on their way.
fn unknown(folder: Id, files: &[(Id, u64)]) -> u64 {
    let books = books();
    let account = books.get(&folder);
    let is_new = |id: &Id| {
        account.is_some_and(|account| {
            account.visible.contains(id) || account.count.as_ref().is_some_and(|count| count.added.contains_key(id))
        })
    };
    files.iter().filter(|(id, _)| !is_new(id)).map(|(_, size)| size).sum()
}

/// Notes what was counted, and wakes those who wait for it.
fn end(folder: Id, counted: io::Result<u64>) {
    let waiting = {
        let mut books = books();
        let Some(account) = books.get_mut(&folder) else { return };
        let changes = account.count.take().unwrap_or_default();
        match counted {
            Ok(bytes) => {
                let bytes = bytes + changes.added.values().sum::<u64>();
                // What was moved meanwhile may have been passed by; what was kept in between is too little at most once.
                let is_less = changes.is_disturbed && account.counted.is_some();
                account.stored = if is_less { bytes.max(account.stored) } else { bytes };
                (account.counted, account.failed) = (Some(Instant::now()), None);
            }
            Err(error) => {
                log::error!("a folder of upload_store cannot be counted: {error}");
                account.failed = Some((Instant::now(), error.raw_os_error().unwrap_or(EAGAIN)));
            }
        }
        std::mem::take(&mut account.waiting)
    };
    Waker::wake_all(waiting);
}

/// A folder that is open or that was, on the way down to the one that is.
struct Level {
    id: Id,
    name: CString,
    /// Folders in it that are still to be entered.
    folders: Vec<CString>,
}

/// Takes the files of one folder, each with its bytes, and says how many bytes they add.
pub type Counting<'c> = dyn FnMut(&[(Id, u64)]) -> u64 + 'c;

/// The bytes of all files below a folder. Each look hands files over, to be counted or not.
pub fn bytes_below(root: Folder, count: &mut Counting<'_>) -> io::Result<u64> {
    let mut here = root.again()?;
    let (mut bytes, first) = read(&here, CString::default(), count)?;
    let mut levels = vec![first];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.folders.pop() {
            // It went meanwhile, or is one of those that are no business of ours.
            let Ok(inner) = here.inner(name.to_bytes()) else { continue };
            let Ok((more, level)) = read(&inner, name, count) else { continue };
            bytes += more;
            here = inner;
            levels.push(level);
            continue;
        }
        levels.pop();
        let Some(above) = levels.last() else { break };
        let up = here.inner(b"..").ok().filter(|up| rustix::fs::fstat(up).is_ok_and(|stat| id(&stat) == above.id));
        match up {
            Some(up) => here = up,
            // It was moved. From the top again, as far as the way is there.
            None => here = reopen(&root, &mut levels)?,
        }
    }
    Ok(bytes)
}

fn reopen(root: &Folder, levels: &mut Vec<Level>) -> io::Result<Folder> {
    let mut here = root.again()?;
    for at in 1..levels.len() {
        match here.inner(levels[at].name.to_bytes()) {
            Ok(inner) => here = inner,
            Err(_) => {
                levels.truncate(at);
                break;
            }
        }
    }
    Ok(here)
}

/// The files of one folder, counted, and the folders in it.
fn read(folder: &Folder, name: CString, count: &mut Counting<'_>) -> io::Result<(u64, Level)> {
    let (mut bytes, mut files, mut folders) = (0, Vec::new(), Vec::new());
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match entry.file_type() {
            FileType::Directory => folders.push(name.to_owned()),
            FileType::RegularFile | FileType::Unknown => {
                let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => folders.push(name.to_owned()),
                    FileType::RegularFile => files.push((id(&stat), stat.st_size as u64)),
                    _ => {}
                }
            }
            _ => {}
        }
        if files.len() == 1024 {
            bytes += count(&files);
            files.clear();
        }
    }
    bytes += count(&files);
    let id = id(&rustix::fs::fstat(folder)?);
    Ok((bytes, Level { id, name, folders }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn all_files_below_and_no_links() {
        let at = tempfile::tempdir().unwrap();
        let root = Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        std::fs::write(at.path().join("a"), "1").unwrap();
        std::os::unix::fs::symlink("a", at.path().join("link")).unwrap();
        std::os::unix::fs::symlink("..", at.path().join("up")).unwrap();
        let mut folder = root.again().unwrap();
        // Deeper than a path can say, and more folders than may be open.
        for _ in 0..3000 {
            folder = folder.enter(b"folder", 0o700).unwrap();
            std::fs::write(folder.path_of(b"file"), "12").unwrap();
        }
        let bytes = bytes_below(root.again().unwrap(), &mut |files| files.iter().map(|(_, size)| size).sum());
        assert_eq!(bytes.unwrap(), 6001);
    }

    #[test]
    fn a_folder_that_goes_elsewhere_meanwhile() {
        let at = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(at.path().join("a/b/c")).unwrap();
        std::fs::create_dir_all(at.path().join("a/d")).unwrap();
        std::fs::create_dir(at.path().join("z")).unwrap();
        for name in ["a/b/c/1", "a/d/2", "z/3"] {
            std::fs::write(at.path().join(name), "1").unwrap();
        }
        let root = Folder::open(at.path().as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let mut files = 0;
        let bytes = bytes_below(root, &mut |found| {
            files += found.len();
            // In the middle of it.
            if !found.is_empty() && at.path().join("a/b").exists() {
                let _ = std::fs::rename(at.path().join("a/b"), elsewhere.path().join("b"));
            }
            found.len() as u64
        });
        assert!((2..=3).contains(&bytes.unwrap()), "{files}");
    }
}
