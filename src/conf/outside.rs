//! What a conf's load learns from outside: files, folders, patterns, names of hosts and users, who runs it and on what machine.
//! Every answer is kept, so that another process, which is another user's and may not ask the machine itself, loads the very
//! same conf. Knows no directive; a setter asks here, never the system.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::args::bytes_to_path;
use super::machine::Account;
use super::packed::{Packer, Unpacker};
use super::{glob, machine, pipe, way};

/// How long somebody is waited for who writes into a pipe. Longer, and a server that is being reloaded would not hear its signals.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a file cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// There is none.
    Absent,
    /// It is a folder.
    Folder,
    /// It is neither a file nor a folder.
    Odd,
    /// It has more bytes than these.
    Large(u64),
    /// Somebody led root to it who may not read it.
    Stranger,
    /// It is a pipe that nobody has written into.
    Silent,
    /// What the system says.
    System(i32),
    /// The process that loaded the conf first did not ask for it.
    Unknown,
}

impl From<std::io::Error> for Unreadable {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Unreadable::Absent,
            _ if error.get_ref().is_some_and(|inner| inner.is::<way::Stranger>()) => Unreadable::Stranger,
            _ => Unreadable::System(error.raw_os_error().unwrap_or(nix::libc::EIO)),
        }
    }
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unreadable::Absent => f.write_str("there is no such file"),
            Unreadable::Folder => f.write_str("it is a folder"),
            Unreadable::Odd => f.write_str("it is a pipe, a socket or a device, not a file"),
            Unreadable::Large(most) => write!(f, "it is larger than {} MiB", most >> 20),
            Unreadable::Stranger => way::Stranger.fmt(f),
            Unreadable::Silent => {
                write!(f, "it is a pipe, and nobody wrote into it and closed it within {} s", PATIENCE.as_secs())
            }
            Unreadable::System(number) => {
                let error = std::io::Error::from_raw_os_error(*number);
                match error.kind() {
                    std::io::ErrorKind::PermissionDenied => f.write_str("permission denied"),
                    std::io::ErrorKind::NotADirectory => f.write_str("a folder on its way is a file"),
                    _ => write!(f, "{error}"),
                }
            }
            Unreadable::Unknown => f.write_str("it was not there when the conf was first read"),
        }
    }
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Text,
    Matching,
    TruePath,
    IsFolder,
    Addresses,
    Peers,
    Root,
    Hostname,
    Processors,
    User,
    Group,
    Loose,
    Gist,
}

impl Kind {
    const ALL: [Kind; 13] = [
        Kind::Text,
        Kind::Matching,
        Kind::TruePath,
        Kind::IsFolder,
        Kind::Addresses,
        Kind::Peers,
        Kind::Root,
        Kind::Hostname,
        Kind::Processors,
        Kind::User,
        Kind::Group,
        Kind::Loose,
        Kind::Gist,
    ];
}

/// An answer: byte strings, or why there are none.
type Answer = Result<Vec<Arc<[u8]>>, Unreadable>;

/// Answers from outside.
#[derive(Debug)]
pub struct Outside {
    known: Mutex<BTreeMap<(Kind, Vec<u8>), Answer>>,
    /// Whether what is not known is asked of the machine.
    asks: bool,
}

impl Default for Outside {
    /// This machine, as this process may see it.
    fn default() -> Self {
        Outside { known: Mutex::default(), asks: true }
    }
}

impl Outside {
    /// The bytes of a file of at most `most` bytes; the same ones each time in one load.
    pub fn read(&self, path: &Path, most: u64) -> Result<Arc<[u8]>, Unreadable> {
        let found = self.answer(Kind::Text, path.as_os_str().as_bytes(), || Ok(vec![read(path, most)?]))?;
        found.into_iter().next().ok_or(Unreadable::Unknown)
    }

    /// The same where the file may be a named pipe: what somebody writes into it is the text, up to its end. He is waited for.
    pub fn read_or_hear(&self, path: &Path, most: u64) -> Result<Arc<[u8]>, Unreadable> {
        let found = self.answer(Kind::Text, path.as_os_str().as_bytes(), || Ok(vec![hear(path, most)?]))?;
        found.into_iter().next().ok_or(Unreadable::Unknown)
    }

    /// The paths that match a pattern, sorted.
    pub fn matching(&self, pattern: &Path) -> Vec<PathBuf> {
        let find = || Ok(glob::expand(pattern).iter().map(|path| path.as_os_str().as_bytes().into()).collect());
        let found = self.answer(Kind::Matching, pattern.as_os_str().as_bytes(), find).unwrap_or_default();
        found.iter().map(|path| bytes_to_path(path).to_owned()).collect()
    }

    /// A path without symbolic links; itself where there is no such file.
    pub fn true_path(&self, path: &Path) -> PathBuf {
        let find = || Ok(vec![path.canonicalize()?.as_os_str().as_bytes().into()]);
        let found = self.answer(Kind::TruePath, path.as_os_str().as_bytes(), find).unwrap_or_default();
        found.first().map_or_else(|| path.to_owned(), |path| bytes_to_path(path).to_owned())
    }

    /// Whether a path is a folder.
    pub fn is_folder(&self, path: &Path) -> bool {
        let find = || if path.is_dir() { Ok(Vec::new()) } else { Err(Unreadable::Absent) };
        self.answer(Kind::IsFolder, path.as_os_str().as_bytes(), find).is_ok()
    }

    /// The addresses of a host.
    pub fn addresses_of(&self, host: &str) -> Vec<IpAddr> {
        self.addresses(Kind::Addresses, host, machine::addresses_of)
    }

    /// The addresses of a host to connect to, which `find` knows to ask for.
    pub fn peers_of(&self, host: &str, find: impl FnOnce(&str) -> Vec<IpAddr>) -> Vec<IpAddr> {
        self.addresses(Kind::Peers, host, find)
    }

    /// Whether root loads the conf: what is everybody's else begins where root's ends.
    pub fn is_root(&self) -> bool {
        let is_root = rustix::process::geteuid().is_root();
        self.answer(Kind::Root, b"", || if is_root { Ok(Vec::new()) } else { Err(Unreadable::Absent) }).is_ok()
    }

    /// The machine's name; empty if it has none.
    pub fn hostname(&self) -> String {
        self.word(Kind::Hostname, "", machine::hostname).unwrap_or_default()
    }

    /// How many processors there are for this process.
    pub fn processors(&self) -> u64 {
        let find = || Some(std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string());
        self.word(Kind::Processors, "", find).and_then(|number| number.parse().ok()).unwrap_or(1)
    }

    /// The user of this name.
    pub fn user(&self, name: &str) -> Option<Account> {
        let find = || machine::user(name).map(|user| format!("{} {} {}", user.uid, user.gid, user.name));
        let found = self.word(Kind::User, name, find)?;
        let mut parts = found.splitn(3, ' ');
        let (uid, gid) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Account { name: parts.next()?.into(), uid, gid })
    }

    /// The number of the group of this name.
    pub fn group(&self, name: &str) -> Option<u32> {
        self.word(Kind::Group, name, || machine::group(name).map(|gid| gid.to_string()))?.parse().ok()
    }

    /// How others than its owner could change what a path names; none if they could not.
    pub fn loose(&self, path: &Path) -> Option<String> {
        let find = || way::loose(path).map(|how| vec![how.into_bytes().into()]).ok_or(Unreadable::Absent);
        let found = self.answer(Kind::Loose, path.as_os_str().as_bytes(), find).ok()?;
        found.first().map(|how| String::from_utf8_lossy(how).into_owned())
    }

    /// What `tell` has to say of a file's bytes, and nothing else of them: a file of passwords is not handed over to another process. None
    /// where there is nothing to say or the file cannot be read.
    pub fn gist(&self, path: &Path, most: u64, tell: impl FnOnce(&[u8]) -> Option<String>) -> Option<String> {
        let find = || {
            let told = tell(&read(path, most)?);
            told.map(|text| vec![text.into_bytes().into()]).ok_or(Unreadable::Absent)
        };
        let found = self.answer(Kind::Gist, path.as_os_str().as_bytes(), find).ok()?;
        found.first().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// An answer that is a text.
    fn word(&self, kind: Kind, about: &str, find: impl FnOnce() -> Option<String>) -> Option<String> {
        let find = || find().map(|text| vec![text.into_bytes().into()]).ok_or(Unreadable::Absent);
        let found = self.answer(kind, about.as_bytes(), find).ok()?;
        found.first().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    fn addresses(&self, kind: Kind, host: &str, find: impl FnOnce(&str) -> Vec<IpAddr>) -> Vec<IpAddr> {
        let find = || Ok(find(host).iter().map(|ip| ip.to_string().into_bytes().into()).collect());
        let found = self.answer(kind, host.as_bytes(), find).unwrap_or_default();
        found.iter().filter_map(|ip| std::str::from_utf8(ip).ok()?.parse().ok()).collect()
    }

    fn answer(&self, kind: Kind, about: &[u8], find: impl FnOnce() -> Answer) -> Answer {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, about.to_vec());
        match known.get(&key) {
            Some(answer) => answer.clone(),
            None if !self.asks => Err(Unreadable::Unknown),
            None => known.entry(key).or_insert(find()).clone(),
        }
    }

    /// Answers of a machine where another user loads the conf.
    #[cfg(test)]
    pub fn of_another_user() -> Outside {
        let outside = Outside::default();
        let is_root = rustix::process::geteuid().is_root();
        let answer = if is_root { Err(Unreadable::Absent) } else { Ok(Vec::new()) };
        outside.known.lock().unwrap_or_else(PoisonError::into_inner).insert((Kind::Root, Vec::new()), answer);
        outside
    }

    /// Writes all answers.
    pub fn pack(&self, packer: &mut Packer) {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        packer.number(known.len() as u64);
        for ((kind, about), answer) in known.iter() {
            packer.number(*kind as u64);
            packer.bytes(about);
            let (tag, number) = match answer {
                Ok(texts) => (0, texts.len() as u64),
                Err(Unreadable::Absent) => (1, 0),
                Err(Unreadable::Folder) => (2, 0),
                Err(Unreadable::Odd) => (3, 0),
                Err(Unreadable::Large(most)) => (4, *most),
                Err(Unreadable::System(number)) => (5, u64::from(number.cast_unsigned())),
                Err(Unreadable::Unknown) => (6, 0),
                Err(Unreadable::Stranger) => (7, 0),
                Err(Unreadable::Silent) => (8, 0),
            };
            packer.number(tag);
            packer.number(number);
            answer.iter().flatten().for_each(|text| packer.bytes(text));
        }
    }

    /// What another process has packed: its answers and no others.
    pub fn unpack(unpacker: &mut Unpacker<'_>) -> Option<Outside> {
        let mut known = BTreeMap::new();
        for _ in 0..unpacker.count()? {
            let kind = *Kind::ALL.get(usize::try_from(unpacker.number()?).ok()?)?;
            let about = unpacker.bytes()?.to_vec();
            let (tag, number) = (unpacker.number()?, unpacker.number()?);
            let answer = match tag {
                0 => Ok((0..number).map(|_| unpacker.bytes().map(Arc::from)).collect::<Option<Vec<_>>>()?),
                1 => Err(Unreadable::Absent),
                2 => Err(Unreadable::Folder),
                3 => Err(Unreadable::Odd),
                4 => Err(Unreadable::Large(number)),
                5 => Err(Unreadable::System(u32::try_from(number).ok()?.cast_signed())),
                6 => Err(Unreadable::Unknown),
                7 => Err(Unreadable::Stranger),
                8 => Err(Unreadable::Silent),
                _ => return None,
            };
            known.insert((kind, about), answer);
        }
        Some(Outside { known: Mutex::new(known), asks: false })
    }
}

fn hear(path: &Path, most: u64) -> Result<Arc<[u8]>, Unreadable> {
    let file = way::open_to_read(path)?;
    if file.metadata()?.file_type().is_fifo() { pipe::read(file, most, PATIENCE) } else { read_all(file, path, most) }
}

fn read(path: &Path, most: u64) -> Result<Arc<[u8]>, Unreadable> {
    read_all(way::open_to_read(path)?, path, most)
}

fn read_all(file: File, path: &Path, most: u64) -> Result<Arc<[u8]>, Unreadable> {
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(Unreadable::Folder);
    }
    if !kind.is_file() && path != Path::new("/dev/null") {
        return Err(Unreadable::Odd);
    }
    let mut text = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > most {
        return Err(Unreadable::Large(most));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn answers_are_the_same_in_another_process_and_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("a.conf"), "one").unwrap();
        std::fs::create_dir(path("logs")).unwrap();
        let ask = |outside: &Outside| {
            let texts = ["a.conf", "logs", "none"].map(|name| outside.read(&path(name), 10));
            let folders = ["logs", "a.conf"].map(|name| outside.is_folder(&path(name)));
            let paths = (outside.matching(&path("*.conf")), outside.true_path(&path("logs/../a.conf")));
            let names = (outside.user("root"), outside.user("no-such-user-here"), outside.group("daemon"));
            let here = (outside.is_root(), outside.hostname(), outside.processors());
            let more =
                (outside.read(&path("a.conf"), 2), outside.addresses_of("127.0.0.1"), outside.loose(&path("a.conf")));
            (texts, folders, paths, names, here, more)
        };
        let first = Outside::default();
        let before = ask(&first);
        assert_eq!(before.0[0].as_deref(), Ok(&b"one"[..]));
        assert_eq!((&before.0[1], &before.0[2]), (&Err(Unreadable::Folder), &Err(Unreadable::Absent)));
        assert_eq!((before.1, before.2.0.len()), ([true, false], 1));
        assert_eq!(before.3.0.as_ref().map(|user| (user.name.as_str(), user.uid)), Some(("root", 0)));
        assert_eq!(before.4.0, rustix::process::geteuid().is_root());
        assert!(before.3.1.is_none() && before.4.2 >= 1 && before.5.2.is_none());
        std::fs::write(path("a.conf"), "two").unwrap();
        std::fs::set_permissions(path("a.conf"), PermissionsExt::from_mode(0o666)).unwrap();
        assert!(Outside::default().loose(&path("a.conf")).is_some());
        std::fs::write(path("b.conf"), "more").unwrap();
        let mut packer = Packer::default();
        first.pack(&mut packer);
        let packed = packer.finish();
        let second = Outside::unpack(&mut Unpacker::new(&packed)).unwrap();
        assert_eq!(ask(&first), before);
        assert_eq!(ask(&second), before);
        assert_eq!(second.read(&path("b.conf"), 10), Err(Unreadable::Unknown));
        for end in 0..packed.len() {
            assert!(Outside::unpack(&mut Unpacker::new(&packed[..end])).is_none(), "{end} bytes");
        }
    }

    #[test]
    fn reasons_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        std::fs::write(&file, "1234").unwrap();
        let outside = Outside::default();
        assert_eq!(outside.read(&file.join("x"), 9).unwrap_err().to_string(), "a folder on its way is a file");
        assert_eq!(Outside::default().read(&file, 3), Err(Unreadable::Large(3)));
        assert_eq!(Outside::default().read(&file, 4).as_deref(), Ok(&b"1234"[..]));
        assert_eq!(outside.read(Path::new("/dev/zero"), 9), Err(Unreadable::Odd));
        assert_eq!(Unreadable::System(nix::libc::EACCES).to_string(), "permission denied");
    }
}
