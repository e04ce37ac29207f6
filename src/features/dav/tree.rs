//! Copies of files and of whole folders, with their rights and times. Must not know requests.

use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::exchange::store::Folder;

/// How much of a folder is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The folder without what is in it.
    Itself,
    /// All of it; links are followed, or else left out.
    All {
        /// Whether they are followed.
        follows: bool,
    },
}

/// Copies a file: nobody sees a part of the copy.
pub fn copy_file(from: &Folder, name: &[u8], to: &Folder, new: &[u8]) -> io::Result<()> {
    let mut source = File::open(from.path_of(name))?;
    let meta = source.metadata()?;
    let mut draft = to.draft(meta.mode() & 0o777)?;
    io::copy(&mut source, &mut draft.file)?;
    draft.file.set_times(times(&meta)?)?;
    draft.publish(to, new)
}

/// Copies a folder to where nothing is.
pub fn copy(from: &Path, to: &Path, reach: Reach) -> io::Result<()> {
    copy_within(from, to, reach, &mut Vec::new())
}

/// `above` are the folders that are being copied: a link back to one of them leads in a circle.
fn copy_within(from: &Path, to: &Path, reach: Reach, above: &mut Vec<(u64, u64)>) -> io::Result<()> {
    let meta = fs::metadata(from)?;
    let identity = (meta.dev(), meta.ino());
    if above.contains(&identity) {
        return Ok(());
    }
    fs::create_dir(to)?;
    if let Reach::All { follows } = reach {
        above.push(identity);
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (path, copy) = (entry.path(), to.join(entry.file_name()));
            let is_link = entry.file_type()?.is_symlink();
            if is_link && !follows {
                continue;
            }
            let Ok(meta) = fs::metadata(&path) else { continue };
            if meta.is_dir() {
                copy_within(&path, &copy, reach, above)?;
            } else if meta.is_file() {
                fs::copy(&path, &copy)?;
                File::open(&copy)?.set_times(times(&meta)?)?;
            }
        }
        above.pop();
    }
    // Rights and times last: without the right to write nothing could have been put in.
    fs::set_permissions(to, fs::Permissions::from_mode(meta.mode() & 0o777))?;
    File::open(to)?.set_times(times(&meta)?)
}

fn times(meta: &Metadata) -> io::Result<FileTimes> {
    Ok(FileTimes::new().set_modified(meta.modified()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_folder_with_links_in_a_circle() {
        let at = tempfile::tempdir().unwrap();
        let from = at.path().join("from");
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/a"), "text").unwrap();
        fs::set_permissions(from.join("sub/a"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("sub/a", from.join("link")).unwrap();
        symlink("..", from.join("sub/up")).unwrap();
        symlink("nowhere", from.join("broken")).unwrap();
        for (name, reach, has) in [
            ("all", Reach::All { follows: true }, [true, true]),
            ("plain", Reach::All { follows: false }, [true, false]),
            ("itself", Reach::Itself, [false, false]),
        ] {
            let to = at.path().join(name);
            copy(&from, &to, reach).unwrap();
            assert_eq!([to.join("sub/a"), to.join("link")].map(|path| path.is_file()), has, "{name}");
            assert!(!to.join("sub/up").exists() && !to.join("broken").exists());
        }
        let copied = fs::metadata(at.path().join("all/sub/a")).unwrap();
        let original = fs::metadata(from.join("sub/a")).unwrap();
        assert_eq!((copied.mode() & 0o777, copied.mtime()), (0o640, original.mtime()));
    }
}
