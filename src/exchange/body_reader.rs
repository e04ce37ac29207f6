//! A request body on its way in: how much of it is still to come, and where it goes: to memory and then a
//! temporary file, to whoever passes it on, or nowhere. Whoever drives a request feeds its body here, so that one place finds where
//! it ends and keeps `client_max_body_size`. Pure but for the temporary file.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::Received;
use super::body_file::{self, Name, Naming};
use super::error::{HttpError, Level};
use super::inflow::{self, Feed, Inflow};
use super::temporary;
use crate::http::chunked::Decoder;
use crate::http::head::BodyLength;

/// How the end of the body is found.
#[derive(Debug)]
enum Frame {
    Length(u64),
    Chunked(Box<Decoder>),
}

/// Where it goes.
#[derive(Debug)]
enum Goes {
    Nowhere,
    Memory { bytes: Vec<u8>, most: usize, folder: PathBuf },
    File { file: File, len: u64, name: Option<Name> },
    On(Feed),
}

/// What became of bytes that were given to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// How many of them belonged to it.
    pub used: usize,
    /// Whether it is whole now.
    pub is_whole: bool,
}

/// A body that is being read.
#[derive(Debug)]
pub struct BodyReader {
    frame: Frame,
    goes: Goes,
    taken: u64,
    /// The same on the wire, with chunk heads and trailers.
    read: u64,
    /// The largest body allowed; 0 for no limit.
    limit: u64,
}

impl BodyReader {
    /// A body that is to be thrown away, without a limit yet; none if there is nothing to come.
    pub fn new(length: BodyLength) -> Option<Self> {
        let frame = match length {
            BodyLength::None | BodyLength::Length(0) => return None,
            BodyLength::Length(n) => Frame::Length(n),
            BodyLength::Chunked => Frame::Chunked(Box::default()),
        };
        Some(BodyReader { frame, goes: Goes::Nowhere, taken: 0, read: 0, limit: 0 })
    }

    /// No more than so many bytes of it are taken, wherever they go; 0 for any number. Every body has its limit from here.
    pub fn bound(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// From now on the body is kept: in memory up to `most` bytes, then in a file, or in a file with a name.
    pub fn keep(&mut self, most: usize, folder: PathBuf, naming: Option<Naming>) -> Result<(), HttpError> {
        self.goes = match naming {
            None => Goes::Memory { bytes: Vec::new(), most, folder },
            Some(naming) => {
                let (file, name) = file_with_name(&folder, naming)?;
                Goes::File { file, len: 0, name: Some(name) }
            }
        };
        Ok(())
    }

    /// What came of the body before it was to be kept.
    pub fn put_first(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        self.goes.put(bytes)
    }

    /// From now on the body is passed on, at most `most` bytes ahead.
    pub fn pass_on(&mut self, most: usize) -> Inflow {
        let (feed, inflow) = inflow::pair(most);
        self.goes = Goes::On(feed);
        inflow
    }

    /// Whether these bytes are all that is missing of the body.
    pub fn ends_in(&self, input: &[u8]) -> bool {
        match &self.frame {
            Frame::Length(left) => *left <= input.len() as u64,
            Frame::Chunked(decoder) => {
                let mut ahead = decoder.clone();
                ahead.decode(input, &mut |_| {}).is_ok_and(|progress| progress.done)
            }
        }
    }

    /// Whether the body was to be passed on.
    pub fn passes_on(&self) -> bool {
        matches!(self.goes, Goes::On(_))
    }

    /// Whether somebody still takes what is passed on.
    pub fn is_wanted(&self) -> bool {
        matches!(&self.goes, Goes::On(feed) if feed.is_wanted())
    }

    /// How many bytes may be taken in now.
    pub fn room(&self) -> usize {
        match &self.goes {
            Goes::On(feed) if feed.is_wanted() => feed.room(),
            _ => usize::MAX,
        }
    }

    /// Whether nothing of it has been read yet.
    pub fn is_fresh(&self) -> bool {
        self.taken == 0
    }

    /// How many bytes were read from the wire.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Takes in bytes from the wire: how many belonged to the body, and whether it is whole now.
    pub fn take(&mut self, input: &[u8]) -> Result<Given, HttpError> {
        let BodyReader { frame, goes, taken, read, limit } = self;
        match frame {
            Frame::Length(left) => {
                keeps(*limit, *taken + *left, false)?;
                let n = (*left).min(input.len() as u64) as usize;
                *left -= n as u64;
                *taken += n as u64;
                *read += n as u64;
                goes.put(&input[..n])?;
                Ok(Given { used: n, is_whole: *left == 0 })
            }
            Frame::Chunked(decoder) => {
                let mut failed = None;
                let progress = decoder.decode(input, &mut |data| {
                    *taken += data.len() as u64;
                    if failed.is_none() {
                        failed = keeps(*limit, *taken, true).and_then(|()| goes.put(data)).err();
                    }
                });
                let progress = progress.map_err(|error| {
                    let mut refused = HttpError::new(error.status(), error.reason()).log(Level::Info, error.log());
                    refused.close = true;
                    refused
                })?;
                *read += progress.consumed as u64;
                if let Some(error) = failed {
                    return Err(error);
                }
                // The chunk that has begun says how much is coming.
                keeps(*limit, *taken + decoder.remaining(), true)?;
                Ok(Given { used: progress.consumed, is_whole: progress.done })
            }
        }
    }

    /// The body is whole: what was kept of it, and the name of its file if that has one.
    pub fn finish(self) -> (Received, Option<Name>) {
        match self.goes {
            Goes::Nowhere => (Received::Nothing, None),
            Goes::Memory { bytes, .. } => (Received::Memory(bytes), None),
            Goes::File { file, len, mut name } => {
                name.iter_mut().for_each(Name::complete);
                (Received::File(file, len), name)
            }
            Goes::On(feed) => {
                feed.end();
                (Received::Passed, None)
            }
        }
    }
}

/// `client_max_body_size`: whether a body of so many bytes is within its limit, 0 for none. Refuses it by one reason, whether its length
/// was announced or its chunks came.
pub fn keeps(limit: u64, bytes: u64, chunked: bool) -> Result<(), HttpError> {
    match limit > 0 && bytes > limit {
        true => Err(HttpError::too_large_body(bytes, chunked)),
        false => Ok(()),
    }
}

/// A file with a name for an empty body.
pub fn empty_file(folder: &std::path::Path, naming: Naming) -> Result<(Received, Option<Name>), HttpError> {
    let (file, mut name) = file_with_name(folder, naming)?;
    name.complete();
    Ok((Received::File(file, 0), Some(name)))
}

fn file_with_name(folder: &std::path::Path, naming: Naming) -> Result<(File, Name), HttpError> {
    body_file::named(folder, naming).map_err(|error| not_stored("open()", folder_name(folder), &error))
}

impl Goes {
    fn put(&mut self, data: &[u8]) -> Result<(), HttpError> {
        match self {
            Goes::Nowhere => Ok(()),
            Goes::On(feed) => {
                if feed.is_wanted() {
                    feed.put(data);
                }
                Ok(())
            }
            Goes::Memory { bytes, most, .. } if bytes.len() + data.len() <= *most => {
                bytes.extend_from_slice(data);
                Ok(())
            }
            Goes::Memory { bytes, folder, .. } => {
                let mut file =
                    temporary::file(folder).map_err(|error| not_stored("open()", folder_name(folder), &error))?;
                let spooled = file.write_all(bytes).and_then(|()| file.write_all(data));
                spooled.map_err(|error| not_stored("write()", folder_name(folder), &error))?;
                let len = (bytes.len() + data.len()) as u64;
                *self = Goes::File { file, len, name: None };
                Ok(())
            }
            Goes::File { file, len, .. } => {
                file.write_all(data).map_err(|error| not_stored("write()", b"client body", &error))?;
                *len += data.len() as u64;
                Ok(())
            }
        }
    }
}

/// A body that cannot be stored. Whatever is wrong with our own folder is no 403 or 404 to the client.
fn not_stored(call: &str, path: &[u8], error: &std::io::Error) -> HttpError {
    let mut refused = HttpError::file(call, path, error);
    if refused.status != 503 {
        refused.status = 500;
        refused.reason = "body-not-stored";
        refused.report.iter_mut().for_each(|report| report.level = Level::Crit);
    }
    refused.close = true;
    refused
}

fn folder_name(folder: &std::path::Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    folder.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    fn given(used: usize, is_whole: bool) -> Given {
        Given { used, is_whole }
    }

    fn keep(body: &mut BodyReader, folder: &std::path::Path, limit: u64) {
        body.bound(limit);
        body.keep(4, folder.join("made/at/need"), None).unwrap();
    }

    #[test]
    fn a_body_goes_to_memory_and_past_its_limit_to_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for (text, in_memory) in [("1234", true), ("12345", false)] {
            let mut body = BodyReader::new(BodyLength::Length(text.len() as u64)).unwrap();
            keep(&mut body, folder.path(), 0);
            for byte in text.as_bytes().chunks(1) {
                body.take(byte).unwrap();
            }
            match body.finish().0 {
                Received::Memory(bytes) => assert!(in_memory && bytes == text.as_bytes()),
                Received::File(mut file, len) => {
                    let mut all = String::new();
                    file.rewind().unwrap();
                    file.read_to_string(&mut all).unwrap();
                    assert!(!in_memory && all == text && len == text.len() as u64);
                }
                other => panic!("kept as {other:?}"),
            }
        }
    }

    #[test]
    fn a_body_that_cannot_be_stored_is_our_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let memory = |folder| Goes::Memory { bytes: Vec::new(), most: 4, folder };
        for mut goes in
            [memory(file.clone()), memory(file.join("below")), Goes::File { file: full, len: 0, name: None }]
        {
            let error = goes.put(b"12345").unwrap_err();
            assert_eq!((error.status, error.close), (500, true), "{goes:?}");
            assert_eq!(error.report.map(|report| report.level), Some(Level::Crit));
        }
    }

    #[test]
    fn a_body_is_passed_on_as_long_as_somebody_wants_it() {
        let mut body = BodyReader::new(BodyLength::Chunked).unwrap();
        body.bound(8);
        let inflow = body.pass_on(4);
        assert_eq!((body.take(b"3\r\nabc").unwrap(), body.room()), (given(6, false), 1));
        assert_eq!((&inflow.take(9)[..], body.room(), body.is_wanted()), (&b"abc"[..], 4, true));
        drop(inflow);
        assert_eq!((body.room(), body.is_wanted(), body.passes_on()), (usize::MAX, false, true));
        // The limit holds for what is thrown away too.
        assert!(body.take(b"\r\n5\r\nabcde").is_ok());
        assert_eq!(body.take(b"\r\n1\r\n").unwrap_err().status, 413);
    }

    #[test]
    fn bytes_behind_the_body_are_not_taken() {
        let mut body = BodyReader::new(BodyLength::Length(3)).unwrap();
        assert_eq!(body.take(b"abcGET /").unwrap(), given(3, true));
    }

    #[test]
    fn a_chunked_body_over_its_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (limit, fine) in [(5, true), (4, false)] {
            let mut body = BodyReader::new(BodyLength::Chunked).unwrap();
            keep(&mut body, folder.path(), limit);
            let taken = body.take(b"5\r\nabcde\r\n0\r\n\r\n");
            assert_eq!(taken.is_ok(), fine);
            if let Err(error) = taken {
                assert_eq!((error.status, error.close), (413, true));
            }
        }
    }

    #[test]
    fn the_same_limit_holds_for_a_length_and_for_a_chunk_that_has_only_begun() {
        for (limit, fine) in [(0, true), (5, true), (4, false)] {
            for (length, text) in [(BodyLength::Length(5), &b"a"[..]), (BodyLength::Chunked, b"5\r\na")] {
                let mut body = BodyReader::new(length).unwrap();
                body.bound(limit);
                let taken = body.take(text).map_err(|error| error.reason);
                assert_eq!(taken, if fine { Ok(given(text.len(), false)) } else { Err("body-too-large") });
            }
        }
    }
}
