//! Trees on disk that a request works on for a while: no other request puts anything into them, or works on them, until it is
//! done. Who finds one taken comes again later; nobody waits with a lock. Knows paths, no request.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::{Mutex, PoisonError};

use super::error::{HttpError, Level};
use super::store::Folder;

/// The reason of the answer to a request that waited for too long.
pub const BUSY: &str = "under-way";

/// The trees that are worked on, and the folders in which names change at this moment.
static TAKEN: Mutex<Taken> = Mutex::new(Taken { next: 0, trees: Vec::new(), folders: Vec::new() });

struct Taken {
    next: u64,
    trees: Vec<(u64, Tree)>,
    folders: Vec<(u64, Vec<u8>)>,
}

/// What a request works on: by its true path, a folder with all that is in it, or a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The path, without links and without a slash at its end.
    pub path: Vec<u8>,
    /// Whether it is only read: others may read it too, and put things into it.
    pub is_read: bool,
}

/// While it is there, the trees are this request's.
#[derive(Debug)]
pub struct Hold(u64);

/// While it is there, names may change in a folder.
#[derive(Debug)]
pub struct Pass(u64);

impl Hold {
    /// Takes all of them, or none where another request is at work on one, above one or inside one.
    pub fn take(trees: &[Tree]) -> Option<Hold> {
        let mut taken = lock();
        let in_use = |tree: &Tree| {
            let other = |(_, other): &(u64, Tree)| {
                !(tree.is_read && other.is_read) && (is_in(&tree.path, &other.path) || is_in(&other.path, &tree.path))
            };
            let changes = |(_, folder): &(u64, Vec<u8>)| !tree.is_read && is_in(folder, &tree.path);
            taken.trees.iter().any(other) || taken.folders.iter().any(changes)
        };
        if trees.iter().any(in_use) {
            return None;
        }
        let number = taken.number();
        taken.trees.extend(trees.iter().map(|tree| (number, tree.clone())));
        Some(Hold(number))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock().trees.retain(|(number, _)| *number != self.0);
    }
}

impl Pass {
    /// To change names in a folder; `ResourceBusy` where it is in a tree that another request works on.
    pub fn into(folder: &Folder) -> io::Result<Pass> {
        let path = true_path(folder)?;
        let mut taken = lock();
        if taken.trees.iter().any(|(_, tree)| !tree.is_read && is_in(&path, &tree.path)) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let number = taken.number();
        taken.folders.push((number, path));
        Ok(Pass(number))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        lock().folders.retain(|(number, _)| *number != self.0);
    }
}

impl Taken {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Where an open folder is now, without any link.
pub fn true_path(folder: &Folder) -> io::Result<Vec<u8>> {
    let link = format!("/proc/self/fd/{}", folder.as_fd().as_raw_fd());
    Ok(std::fs::read_link(link)?.into_os_string().into_vec())
}

/// Whether a path is another, or below it.
pub fn is_in(path: &[u8], tree: &[u8]) -> bool {
    let tree = tree.strip_suffix(b"/").unwrap_or(tree);
    path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The answer to a request that waited for too long.
pub fn busy(path: &[u8]) -> HttpError {
    let text = format!("\"{}\" is being copied, moved or removed", crate::http::escape::error_log(path));
    HttpError::new(503, BUSY).field("Retry-After", "1").log(Level::Info, text)
}

/// A panic leaves nothing half done that the lock would hide.
fn lock() -> std::sync::MutexGuard<'static, Taken> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::symlinks::Symlinks;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn whole_names_count() {
        for (path, tree, inside) in
            [("/a/b", "/a", true), ("/a", "/a", true), ("/ab", "/a", false), ("/a", "/a/b", false), ("/a", "/", true)]
        {
            assert_eq!(is_in(path.as_bytes(), tree.as_bytes()), inside, "{path} {tree}");
        }
    }

    #[test]
    fn one_at_a_time() {
        let at = tempfile::tempdir().unwrap();
        let base = std::fs::canonicalize(at.path()).unwrap();
        std::fs::create_dir_all(base.join("tree/sub")).unwrap();
        let tree = |name: &str, is_read| Tree { path: base.join(name).as_os_str().as_bytes().to_vec(), is_read };
        let open = |name: &str| Folder::open(base.join(name).as_os_str().as_bytes(), &Symlinks::Followed).unwrap();
        let is_free = |name, is_read| Hold::take(&[tree(name, is_read)]).is_some();

        let hold = Hold::take(&[tree("tree", false), tree("to", false)]).unwrap();
        assert!(!is_free("tree", true) && !is_free("tree/sub", true) && !is_free("to/x", false) && !is_free("", false));
        assert!(is_free("tree2", false));
        assert_eq!(Pass::into(&open("tree/sub")).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert!(Pass::into(&open("")).is_ok());
        drop(hold);

        let pass = Pass::into(&open("tree/sub")).unwrap();
        assert!(!is_free("tree", false) && is_free("tree", true) && is_free("tree/sub/x", false));
        drop(pass);

        let hold = Hold::take(&[tree("tree", true)]).unwrap();
        assert!(is_free("tree/sub", true) && !is_free("tree/sub", false) && Pass::into(&open("tree")).is_ok());
        drop(hold);
        assert!(is_free("tree", false));
    }
}
