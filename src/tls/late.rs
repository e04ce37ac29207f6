//! Certificates whose files are found when they are asked for, since their names hang on variables. They are read by the process that
//! serves, with its rights alone, and kept in a bounded memory where the conf asks for one. What is said of a failure is what nginx
//! says.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;

use super::files::{self, Passwords};
use crate::conf::args::bytes_to_path;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::http::escape;

/// No certificate with its chain is larger, and no key: who asks for one waits until it is read.
const MOST: u64 = 1 << 20;

/// Before a certificate or a key that stands in the name itself.
const DATA: &[u8] = b"data:";

/// How many certificates are kept, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many; the one that was not used for the longest time goes first.
    pub max: usize,
    /// One that was not used for so long goes.
    pub inactive: Duration,
    /// One that was read so long ago is read again.
    pub valid: Duration,
}

/// Names of a certificate and of its key, as they came out of the variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Names {
    /// The certificate's.
    pub certificate: Box<[u8]>,
    /// The key's.
    pub key: Box<[u8]>,
}

impl Names {
    /// The names that texts of the conf have for a request. As with every path, no variable leads up.
    pub fn of(x: &Exchange, certificate: &Text, key: &Text) -> Result<Names, String> {
        let name = |what: &str, text: &Text| {
            let name = x.eval(text);
            match !name.starts_with(DATA) && x.leads_up(text, b"") {
                true => Err(format!("cannot load {what} \"{}\": a variable leads up", escape::error_log(&name))),
                false => Ok(name.into_owned().into_boxed_slice()),
            }
        };
        Ok(Names { certificate: name("certificate", certificate)?, key: name("certificate key", key)? })
    }
}

#[derive(Debug)]
struct Kept {
    pair: Arc<CertifiedKey>,
    read: Instant,
    used: Instant,
}

/// A memory of certificates. All lines that inherit it share it.
#[derive(Debug)]
pub struct Cache {
    limits: Limits,
    kept: Mutex<LruCache<Names, Kept>>,
}

impl Cache {
    /// An empty one.
    pub fn new(limits: Limits) -> Cache {
        Cache { limits, kept: Mutex::new(LruCache::unbounded()) }
    }

    fn find(&self, names: &Names, now: Instant) -> Option<Arc<CertifiedKey>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.drop_unused(&mut kept, now);
        let found = kept.get_mut(names)?;
        if now.duration_since(found.read) > self.limits.valid {
            kept.pop(names);
            return None;
        }
        found.used = now;
        Some(found.pair.clone())
    }

    fn keep(&self, names: Names, pair: &Arc<CertifiedKey>, now: Instant) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(names, Kept { pair: pair.clone(), read: now, used: now });
        while kept.len() > self.limits.max {
            kept.pop_lru();
        }
    }

    fn drop_unused(&self, kept: &mut LruCache<Names, Kept>, now: Instant) {
        while kept.peek_lru().is_some_and(|(_, one)| now.duration_since(one.used) > self.limits.inactive) {
            kept.pop_lru();
        }
    }
}

/// Where certificates come from that are found late.
#[derive(Debug, Clone)]
pub struct Store {
    /// Where paths begin.
    pub folder: PathBuf,
    /// The memory, if there is one.
    pub cache: Option<Arc<Cache>>,
    /// Passwords of the keys.
    pub passwords: Arc<Vec<Vec<u8>>>,
}

impl Store {
    /// A certificate with its key; a line for the error log where they cannot be had.
    pub fn pair(&self, names: Names, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, String> {
        let now = Instant::now();
        if let Some(pair) = self.cache.as_ref().and_then(|cache| cache.find(&names, now)) {
            return Ok(pair);
        }
        let pair = Arc::new(self.read(&names, provider)?);
        if let Some(cache) = &self.cache {
            cache.keep(names, &pair, now);
        }
        Ok(pair)
    }

    fn read(&self, names: &Names, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let (path, shown, bytes) = self.open("certificate", &names.certificate)?;
        let chain = files::certificates(&bytes, &path).map_err(|_| {
            let why = "PEM_read_bio_X509_AUX() failed (SSL: error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE)";
            format!("cannot load certificate \"{shown}\": {why}")
        })?;
        let (key_path, shown, bytes) = self.open("certificate key", &names.key)?;
        let passwords = Passwords { directive: "", all: &self.passwords };
        let key = files::key(&bytes, &key_path, passwords).map_err(|_| {
            let why = match files::is_sealed(&bytes) {
                true => "error:1C800064:Provider routines::bad decrypt",
                false => "error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM",
            };
            format!("cannot load certificate key \"{shown}\": PEM_read_bio_PrivateKey() failed (SSL: {why})")
        })?;
        files::pair(chain, key, (&path, &key_path), provider).map_err(|wrong| {
            let why = match wrong.what.contains("which is not the key of") {
                true => "error:05800074:x509 certificate routines::key values mismatch",
                false => "error:0A0000F7:SSL routines::unknown certificate type",
            };
            format!("SSL_use_PrivateKey(\"{shown}\") failed (SSL: {why})")
        })
    }

    /// What stands in a file, or behind `data:` in the name itself; with the name as it may be logged, which tells nothing of a key
    /// that the name holds.
    fn open(&self, what: &str, name: &[u8]) -> Result<(PathBuf, String, Vec<u8>), String> {
        if let Some(data) = name.strip_prefix(DATA) {
            return Ok((PathBuf::from("data:"), "data:".into(), data.to_vec()));
        }
        if let Some(device) = [&b"engine:"[..], b"store:"].iter().find(|scheme| name.starts_with(scheme)) {
            let device = String::from_utf8_lossy(device);
            return Err(format!("cannot load {what} \"{device}\": keys in devices are not supported"));
        }
        let path = self.folder.join(bytes_to_path(name));
        let shown = escape::error_log(path.as_os_str().as_bytes());
        match read(&path) {
            Ok(bytes) => Ok((path, shown, bytes)),
            Err(error) => Err(format!("cannot load {what} \"{shown}\": {}", open_failed(&error, &shown))),
        }
    }
}

/// Reads a file whose name may be a client's doing: it is opened without waiting, and nothing but a file is read.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path.as_os_str().as_bytes().contains(&0) {
        return Err(ErrorKind::NotFound.into());
    }
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC | nix::libc::O_NOCTTY;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > MOST {
        // As a file without a certificate in it.
        return Ok(Vec::new());
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize + 1);
    file.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How OpenSSL tells that a file cannot be opened.
fn open_failed(error: &io::Error, path: &str) -> String {
    let number = error.raw_os_error().unwrap_or(nix::libc::ENOENT);
    let words = nix::errno::Errno::from_raw(number).desc();
    let behind = match number {
        nix::libc::ENOENT => "error:10000080:BIO routines::no such file",
        _ => "error:10080002:BIO routines::system lib",
    };
    let code = 0x8000_0000_u32 | number.unsigned_abs();
    format!("BIO_new_file() failed (SSL: error:{code:08X}:system library::{words}:calling fopen({path}, r) {behind})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::ring;

    fn store(folder: &Path, limits: Option<Limits>) -> Store {
        let cache = limits.map(|limits| Arc::new(Cache::new(limits)));
        Store { folder: folder.to_path_buf(), cache, passwords: Arc::default() }
    }

    fn make(folder: &Path, name: &str) {
        let made = rcgen::generate_simple_self_signed([name.to_string()]).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), made.signing_key.serialize_pem()).unwrap();
    }

    fn names(name: &str) -> Names {
        Names { certificate: format!("{name}.pem").into_bytes().into(), key: format!("{name}.key").into_bytes().into() }
    }

    fn limits(max: usize, inactive: u64, valid: u64) -> Option<Limits> {
        Some(Limits { max, inactive: Duration::from_millis(inactive), valid: Duration::from_millis(valid) })
    }

    #[test]
    fn a_memory_is_bounded_and_forgets() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            make(folder.path(), name);
        }
        let provider = ring::default_provider();
        let bounded = store(folder.path(), limits(2, 60_000, 60_000));
        let first = bounded.pair(names("a"), &provider).unwrap();
        assert!(Arc::ptr_eq(&first, &bounded.pair(names("a"), &provider).unwrap()));
        bounded.pair(names("b"), &provider).unwrap();
        assert!(Arc::ptr_eq(&first, &bounded.pair(names("a"), &provider).unwrap()), "two find room");
        bounded.pair(names("c"), &provider).unwrap();
        bounded.pair(names("b"), &provider).unwrap();
        assert!(!Arc::ptr_eq(&first, &bounded.pair(names("a"), &provider).unwrap()), "three do not");
        let cache = bounded.cache.as_ref().unwrap();
        assert_eq!(cache.kept.lock().unwrap().len(), 2);
        for short in [limits(2, 0, 60_000), limits(2, 60_000, 0)] {
            let short = store(folder.path(), short);
            let first = short.pair(names("a"), &provider).unwrap();
            std::thread::sleep(Duration::from_millis(2));
            assert!(!Arc::ptr_eq(&first, &short.pair(names("a"), &provider).unwrap()));
        }
        let none = store(folder.path(), None);
        let first = none.pair(names("a"), &provider).unwrap();
        assert!(!Arc::ptr_eq(&first, &none.pair(names("a"), &provider).unwrap()));
    }

    #[test]
    fn what_cannot_be_had_is_told_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let provider = ring::default_provider();
        let store = store(folder.path(), limits(8, 60_000, 60_000));
        let why = store.pair(names("late"), &provider).unwrap_err();
        let path = folder.path().join("late.pem").display().to_string();
        assert_eq!(
            why,
            format!(
                "cannot load certificate \"{path}\": BIO_new_file() failed (SSL: error:80000002:system library::No such file or \
                 directory:calling fopen({path}, r) error:10000080:BIO routines::no such file)"
            )
        );
        make(folder.path(), "late");
        store.pair(names("late"), &provider).unwrap();
        nix::unistd::mkfifo(&folder.path().join("pipe.pem"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(store.pair(names("pipe"), &provider).unwrap_err().contains("no start line"), "it does not wait");
        make(folder.path(), "other");
        let mixed = Names { key: names("other").key, ..names("late") };
        assert!(store.pair(mixed, &provider).unwrap_err().contains("key values mismatch"));
    }

    #[test]
    fn a_key_in_the_name_is_not_told() {
        let provider = ring::default_provider();
        let store = store(Path::new("/"), None);
        let made = rcgen::generate_simple_self_signed(["a".to_string()]).unwrap();
        let data = |text: &str| format!("data:{text}").into_bytes().into_boxed_slice();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        assert!(store.pair(Names { certificate: data(&pem), key: data(&key) }, &provider).is_ok());
        let broken = key.replace("PRIVATE KEY", "SECRET");
        let why = store.pair(Names { certificate: data(&pem), key: data(&broken) }, &provider).unwrap_err();
        assert!(why.starts_with("cannot load certificate key \"data:\": PEM_read_bio_PrivateKey() failed"), "{why}");
    }
}
