//! A path on disk as a folder that is held open and a name in it, so that nobody can swap what is on the way between a look and a
//! change. Must not know methods.

use std::io::{self, ErrorKind};

use crate::exchange::changes::Alone;
use crate::exchange::store::Folder;
use crate::exchange::symlinks::Symlinks;
use crate::exchange::{Exchange, account, trees};

/// A path as its folder, held open, and a name in it.
pub struct Spot {
    /// The folder.
    pub folder: Folder,
    /// The name.
    pub name: Vec<u8>,
    /// The path as the conf makes it.
    pub path: Vec<u8>,
}

impl Spot {
    /// Opens the folder that a path ends in; a slash at its end does not count. Links on the way, and one under the name itself,
    /// are for the place's rule to allow.
    pub fn find(x: &Exchange, path: &[u8]) -> io::Result<Spot> {
        let trimmed = &path[..path.len() - path.iter().rev().take_while(|&&b| b == b'/').count()];
        let at = trimmed.iter().rposition(|&b| b == b'/').ok_or(ErrorKind::NotFound)?;
        let rule = x.symlinks(path);
        let folder = Folder::open(&path[..=at], &rule)?;
        let spot = Spot { folder, name: trimmed[at + 1..].to_vec(), path: path.to_vec() };
        if spot.name.is_empty() {
            // The root of the file system itself.
            return Err(ErrorKind::PermissionDenied.into());
        }
        if rule != Symlinks::Followed {
            // What stands there, if anything, is reached without a link or not at all.
            match x.stat(trimmed) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(spot)
    }

    /// Where it is, without any link on the way.
    pub fn true_path(&self) -> io::Result<Vec<u8>> {
        let folder = trees::true_path(&self.folder)?;
        Ok([folder.strip_suffix(b"/").unwrap_or(&folder), b"/", self.name.as_slice()].concat())
    }

    /// Waits until nobody else changes names in its folder, which is the one that its path leads to still.
    pub fn lock(&self, x: &Exchange) -> io::Result<Alone> {
        let alone = self.folder.alone()?;
        let end = self.path.len() - self.path.iter().rev().take_while(|&&b| b == b'/').count();
        let at = self.path[..end].iter().rposition(|&b| b == b'/').unwrap_or(0);
        match is_same(&Folder::open(&self.path[..=at], &x.symlinks(&self.path))?, &self.folder)? {
            true => Ok(alone),
            false => Err(ErrorKind::ResourceBusy.into()),
        }
    }
}

/// Whether two handles are one folder.
pub fn is_same(one: &Folder, other: &Folder) -> io::Result<bool> {
    Ok(account::id(&rustix::fs::fstat(one)?) == account::id(&rustix::fs::fstat(other)?))
}
