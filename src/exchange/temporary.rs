//! Temporary files without a name: for bodies that do not fit into memory, on their way in and on their way out.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Makes one in the folder, which is made at first need. Where this user may make none, the system's own folder for such
/// files will do: a request is worth more than the place of its body.
pub fn file(folder: &Path) -> io::Result<File> {
    let made = tempfile::tempfile_in(folder).or_else(|error| match error.kind() {
        ErrorKind::NotFound => {
            std::fs::create_dir_all(folder)?;
            tempfile::tempfile_in(folder)
        }
        _ => Err(error),
    });
    made.or_else(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => tempfile::tempfile(),
        _ => Err(error),
    })
}
