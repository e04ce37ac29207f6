//! Log files: one write for each line so that lines of threads never mix, or a buffer that is flushed in
//! time; opened again on demand. A disk that is full costs lines, never a request. Knows nothing of what
//! stands in a line.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::conf::way;
use crate::exchange::logging::Buffering;

/// How often lost lines are complained of.
const COMPLAINTS: Duration = Duration::from_secs(60);

/// Where the descriptors of log files come from: the file system, or somebody with more rights.
pub trait Source {
    /// Opens a file to append to, and makes it where it is not there.
    fn open(&self, path: &Path) -> io::Result<File>;
}

/// The file system as this process may use it.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileSystem;

impl Source for FileSystem {
    fn open(&self, path: &Path) -> io::Result<File> {
        way::append(path)
    }
}

/// One log file.
pub struct LogFile {
    path: PathBuf,
    file: RwLock<File>,
    kept: Mutex<Kept>,
    /// Whether lines were ever kept: most files have no need of the lock.
    keeps: AtomicBool,
    lost: AtomicU64,
    complained: Mutex<Option<Instant>>,
}

/// Lines that wait for more.
#[derive(Default)]
struct Kept {
    lines: Vec<u8>,
    limit: usize,
    /// How hard they are compressed, if they are.
    gzip: Option<u32>,
}

impl LogFile {
    /// Opens a log file.
    pub fn open(path: &Path, source: &dyn Source) -> io::Result<Arc<LogFile>> {
        let file = RwLock::new(source.open(path)?);
        let path = path.to_path_buf();
        Ok(Arc::new(LogFile {
            path,
            file,
            kept: Mutex::default(),
            keeps: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            complained: Mutex::default(),
        }))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many lines could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Writes one line at once, by one call. Lines that were kept go first.
    pub fn write(&self, line: &[u8]) {
        if self.keeps.load(Relaxed) {
            self.flush();
        }
        self.write_through(line);
    }

    /// Keeps one line until there are enough of them, or time is up.
    pub fn keep(self: &Arc<Self>, line: &[u8], how: Buffering) {
        self.keeps.store(true, Relaxed);
        let mut kept = lock(&self.kept);
        kept.limit = how.size;
        kept.gzip = how.gzip;
        if kept.lines.len() + line.len() > kept.limit {
            self.write_kept(&mut kept);
        }
        if line.len() > kept.limit {
            return self.write_block(line, how.gzip);
        }
        let first = kept.lines.is_empty();
        kept.lines.extend_from_slice(line);
        drop(kept);
        if let (true, Some(time)) = (first, how.flush) {
            flush_later(Arc::downgrade(self), time);
        }
    }

    /// Writes what is kept.
    pub fn flush(&self) {
        self.write_kept(&mut lock(&self.kept));
    }

    /// Opens the file again under its name, after it was moved away; the old one stays where that fails.
    pub fn reopen(&self, source: &dyn Source) -> io::Result<()> {
        self.flush();
        // Taken first: who sees the new file may rely on every later line being in it.
        let mut file = self.file.write().unwrap_or_else(PoisonError::into_inner);
        *file = source.open(&self.path)?;
        Ok(())
    }

    /// Another descriptor of the file as it is open now, for another process.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.file.read().unwrap_or_else(PoisonError::into_inner).as_fd().try_clone_to_owned()
    }

    fn write_kept(&self, kept: &mut Kept) {
        self.write_block(&kept.lines, kept.gzip);
        kept.lines.clear();
    }

    /// Writes collected lines, compressed where that is wanted: each block is a gzip member of its own, so that the file can be
    /// read at any time.
    fn write_block(&self, lines: &[u8], gzip: Option<u32>) {
        let Some(level) = gzip.filter(|_| !lines.is_empty()) else { return self.write_through(lines) };
        let mut encoder = GzEncoder::new(Vec::with_capacity(lines.len() / 4), Compression::new(level));
        // Compressing into memory cannot fail; if it did, plain lines are better than none.
        match encoder.write_all(lines).and_then(|()| encoder.finish()) {
            Ok(block) => self.write_bytes(&block, count(lines)),
            Err(_) => self.write_through(lines),
        }
    }

    fn write_through(&self, lines: &[u8]) {
        if !lines.is_empty() {
            self.write_bytes(lines, count(lines));
        }
    }

    /// Writes bytes that hold so many lines.
    fn write_bytes(&self, bytes: &[u8], lines: u64) {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        let written = (&*file).write_all(bytes);
        drop(file);
        if let Err(error) = written {
            self.complain(&error, lines);
        }
    }

    /// Counts lost lines and says so now and then on standard error: the error log may be on the same disk.
    fn complain(&self, error: &io::Error, lines: u64) {
        let lost = self.lost.fetch_add(lines, Relaxed) + lines;
        let mut last = lock(&self.complained);
        if last.is_none_or(|last| last.elapsed() >= COMPLAINTS) {
            *last = Some(Instant::now());
            // Where standard error is gone too, there is nobody left to tell.
            let _ = writeln!(
                io::stderr(),
                "longshore: cannot write to {}: {error}; {lost} lines are lost so far",
                self.path.display()
            );
        }
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The log files of one conf, by the numbers that its settings hold.
pub struct Logs {
    files: Vec<Option<Arc<LogFile>>>,
}

impl Logs {
    /// Opens the files that are asked for; those that `before` has open under the same path are taken over.
    /// Every failure is named, not only the first.
    pub fn open(
        paths: &[PathBuf],
        wanted: impl Fn(usize) -> bool,
        before: Option<&Logs>,
        source: &dyn Source,
    ) -> Result<Logs, Vec<(PathBuf, io::Error)>> {
        let (mut files, mut failures) = (Vec::with_capacity(paths.len()), Vec::new());
        for (number, path) in paths.iter().enumerate() {
            let known = before.and_then(|logs| logs.files.iter().flatten().find(|file| file.path == *path));
            files.push(match known {
                _ if !wanted(number) => None,
                Some(file) => Some(file.clone()),
                None => LogFile::open(path, source).map_err(|error| failures.push((path.clone(), error))).ok(),
            });
        }
        if failures.is_empty() { Ok(Logs { files }) } else { Err(failures) }
    }

    /// One file.
    pub fn file(&self, number: usize) -> Option<&Arc<LogFile>> {
        self.files.get(number)?.as_ref()
    }

    /// Writes a line, end included, or keeps it for a while.
    pub fn write(&self, number: usize, how: Option<Buffering>, line: &[u8]) {
        match (self.file(number), how) {
            (Some(file), None) => file.write(line),
            (Some(file), Some(how)) => file.keep(line, how),
            (None, _) => {}
        }
    }

    /// Writes a line of an error log, end included.
    pub fn write_error(&self, number: usize, line: &[u8]) {
        self.write(number, None, line);
    }

    /// Writes what is kept in every file.
    pub fn flush(&self) {
        self.files.iter().flatten().for_each(|file| file.flush());
    }

    /// The files that are open.
    pub fn open_files(&self) -> impl Iterator<Item = &Arc<LogFile>> {
        self.files.iter().flatten()
    }

    /// Opens every file that is asked for again. A file that cannot be opened goes on under its old descriptor.
    pub fn reopen(&self, source: &dyn Source, wanted: impl Fn(&Path) -> bool) {
        for file in self.open_files().filter(|file| wanted(&file.path)) {
            if let Err(error) = file.reopen(source) {
                log::error!(target: "emerg", "cannot reopen {}: {error}", file.path.display());
            }
        }
    }
}

/// A log file whose buffer is to be written, and when.
type Due = (Instant, Weak<LogFile>);

/// Has a file flushed after a time, by one thread for all files.
fn flush_later(file: Weak<LogFile>, time: Duration) {
    static FLUSHER: OnceLock<Option<Sender<Due>>> = OnceLock::new();
    let start = || {
        let (sender, receiver) = crossbeam_channel::unbounded::<(Instant, Weak<LogFile>)>();
        let work = move || {
            let mut due: Vec<(Instant, Weak<LogFile>)> = Vec::new();
            loop {
                let next = due.iter().map(|(at, _)| *at).min();
                let got = match next {
                    Some(at) => receiver.recv_deadline(at),
                    None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                };
                match got {
                    Ok(more) => due.push(more),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                let now = Instant::now();
                due.retain(|(at, file)| {
                    if *at <= now
                        && let Some(file) = file.upgrade()
                    {
                        file.flush();
                    }
                    *at > now
                });
            }
        };
        std::thread::Builder::new().name("log flusher".into()).spawn(work).ok().map(|_| sender)
    };
    match FLUSHER.get_or_init(start) {
        // The flusher ends only with the process.
        Some(sender) => drop(sender.send((Instant::now() + time, file))),
        None => drop(file.upgrade().map(|file| file.flush())),
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|&&byte| byte == b'\n').count() as u64
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_are_kept_until_there_is_no_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let file = LogFile::open(&path, &FileSystem).unwrap();
        let how = Buffering { size: 10, flush: None, gzip: None };
        for (line, want) in [
            ("1234\n", ""),
            ("5678\n", ""),
            ("9\n", "1234\n5678\n"),
            ("longer than all\n", "1234\n5678\n9\nlonger than all\n"),
            ("x\n", "1234\n5678\n9\nlonger than all\n"),
        ] {
            file.keep(line.as_bytes(), how);
            assert_eq!(read(&path), want, "after {line}");
        }
        file.write(b"now\n");
        assert!(read(&path).ends_with("all\nx\nnow\n"));
        file.keep(b"last\n", how);
        drop(file);
        assert!(read(&path).ends_with("last\n"));
    }

    #[test]
    fn kept_lines_are_compressed() {
        use std::io::Read;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log.gz");
        let file = LogFile::open(&path, &FileSystem).unwrap();
        let how = Buffering { size: 10, flush: None, gzip: Some(1) };
        for line in ["1234\n", "5678\n", "9\n", "longer than all\n"] {
            file.keep(line.as_bytes(), how);
        }
        file.flush();
        let mut text = String::new();
        let packed = std::fs::read(&path).unwrap();
        flate2::read::MultiGzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "1234\n5678\n9\nlonger than all\n");
    }

    #[test]
    fn kept_lines_are_flushed_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let file = LogFile::open(&path, &FileSystem).unwrap();
        file.keep(b"soon\n", Buffering { size: 100, flush: Some(Duration::from_millis(5)), gzip: None });
        let patience = Instant::now() + Duration::from_secs(10);
        while read(&path).is_empty() && Instant::now() < patience {
            std::thread::yield_now();
        }
        assert_eq!(read(&path), "soon\n");
    }

    #[test]
    fn a_moved_file_is_opened_again_and_shared_files_are_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let paths = [folder.path().join("a"), folder.path().join("b"), folder.path().join("unused")];
        let logs = Logs::open(&paths, |n| n < 2, None, &FileSystem).ok().unwrap();
        logs.write(0, None, b"1\n");
        std::fs::rename(&paths[0], folder.path().join("a.old")).unwrap();
        logs.write(0, None, b"2\n");
        logs.reopen(&FileSystem, |_| true);
        logs.write(0, None, b"3\n");
        logs.write(2, None, b"nobody\n");
        assert_eq!((read(&folder.path().join("a.old")).as_str(), read(&paths[0]).as_str()), ("1\n2\n", "3\n"));
        assert!(!paths[2].exists());
        let next = Logs::open(&paths[1..], |_| true, Some(&logs), &FileSystem).ok().unwrap();
        assert!(Arc::ptr_eq(next.file(0).unwrap(), logs.file(1).unwrap()));
        let missing = [folder.path().join("none/a"), folder.path().join("none/b")];
        assert_eq!(Logs::open(&missing, |_| true, None, &FileSystem).err().unwrap().len(), 2);
    }

    #[test]
    fn a_full_disk_costs_lines_only() {
        let full = Path::new("/dev/full");
        if !full.exists() {
            return;
        }
        let file = LogFile::open(full, &FileSystem).unwrap();
        file.write(b"1\n");
        file.keep(b"2\n3\n", Buffering { size: 100, flush: None, gzip: None });
        file.flush();
        assert_eq!(file.lost(), 3);
    }
}
