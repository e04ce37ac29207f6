//! What the parent hands to its worker process: the conf as the parent read it, who to become, and the names
//! that belong to the descriptors beside it. It travels in a sealed file in memory, so that a worker cannot change what
//! the next one gets.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags};

use crate::conf::args::bytes_to_path;
use crate::conf::listening::Address;
use crate::conf::machine::Identity;
use crate::conf::outside::Outside;
use crate::conf::packed::{Packer, Unpacker};
use crate::settings::load::Request;

/// A conf on its way to the worker.
#[derive(Debug)]
pub struct Parcel {
    /// Who the worker becomes.
    pub identity: Identity,
    /// What was loaded.
    pub request: Request,
    /// What the load learned from outside.
    pub outside: Outside,
    /// The addresses of the listeners, in the order of their descriptors.
    pub sockets: Vec<Address>,
    /// The log files, in the order of their descriptors behind those of the listeners.
    pub logs: Vec<PathBuf>,
}

/// Packs a conf.
pub fn pack(
    identity: &Identity,
    request: &Request,
    outside: &Outside,
    sockets: &[&Address],
    logs: &[&Path],
) -> io::Result<OwnedFd> {
    let mut packer = Packer::default();
    packer.bytes(identity.name.as_bytes());
    packer.number(identity.uid.into());
    packer.number(identity.gid.into());
    for path in [&request.file, &request.prefix] {
        packer.bytes(path.as_os_str().as_bytes());
    }
    packer.optional(request.globals.as_deref().map(str::as_bytes));
    packer.optional(request.error_log.as_deref().map(|path| path.as_os_str().as_bytes()));
    packer.number(request.partial.into());
    packer.number(request.rootless.into());
    packer.number(sockets.len() as u64);
    for address in sockets {
        match address {
            Address::Ip(ip) => (packer.number(0), packer.bytes(ip.to_string().as_bytes())),
            Address::Unix(path) => (packer.number(1), packer.bytes(path.as_os_str().as_bytes())),
        };
    }
    pack_paths(&mut packer, logs);
    outside.pack(&mut packer);
    sealed(&packer.finish())
}

impl Parcel {
    /// Reads a parcel.
    pub fn open(file: OwnedFd) -> io::Result<Parcel> {
        let bytes = contents(file)?;
        unpack(&mut Unpacker::new(&bytes)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn unpack(from: &mut Unpacker<'_>) -> Option<Parcel> {
    let path = |bytes: &[u8]| bytes_to_path(bytes).to_path_buf();
    let identity = Identity {
        name: String::from_utf8(from.bytes()?.to_vec()).ok()?,
        uid: from.number()?.try_into().ok()?,
        gid: from.number()?.try_into().ok()?,
    };
    let request = Request {
        file: path(from.bytes()?),
        prefix: path(from.bytes()?),
        globals: from.optional()?.map(|text| String::from_utf8_lossy(text).into_owned()),
        error_log: from.optional()?.map(path),
        partial: from.number()? != 0,
        rootless: from.number()? != 0,
    };
    let sockets = (0..from.count()?).map(|_| match from.number()? {
        0 => Some(Address::Ip(std::str::from_utf8(from.bytes()?).ok()?.parse().ok()?)),
        _ => Some(Address::Unix(path(from.bytes()?))),
    });
    let sockets = sockets.collect::<Option<_>>()?;
    let logs = unpack_paths(from)?;
    let outside = Outside::unpack(from)?;
    from.is_empty().then_some(Parcel { identity, request, outside, sockets, logs })
}

/// Packs the names of log files.
pub fn pack_logs(logs: &[&Path]) -> io::Result<OwnedFd> {
    let mut packer = Packer::default();
    pack_paths(&mut packer, logs);
    sealed(&packer.finish())
}

/// Reads the names of log files.
pub fn open_logs(file: OwnedFd) -> io::Result<Vec<PathBuf>> {
    unpack_paths(&mut Unpacker::new(&contents(file)?)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn pack_paths(packer: &mut Packer, paths: &[&Path]) {
    packer.number(paths.len() as u64);
    paths.iter().for_each(|path| packer.bytes(path.as_os_str().as_bytes()));
}

fn unpack_paths(from: &mut Unpacker<'_>) -> Option<Vec<PathBuf>> {
    (0..from.count()?).map(|_| from.bytes().map(|path| bytes_to_path(path).to_path_buf())).collect()
}

fn sealed(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("longshore conf", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

/// All bytes of a file, wherever its position stands: each worker process shares that with the last.
fn contents(file: OwnedFd) -> io::Result<Vec<u8>> {
    let file = File::from(file);
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_conf_is_the_same_at_the_other_end() {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("c.conf");
        std::fs::write(&conf, "server { listen 127.0.0.1:8080; listen unix:/tmp/x; access_log /tmp/a; }").unwrap();
        let request = Request {
            file: conf.clone(),
            prefix: folder.path().into(),
            globals: Some("worker_processes 2;".into()),
            ..Request::default()
        };
        let outside = Arc::new(Outside::default());
        let first = crate::settings::load::load_from(&request, &outside).settings.expect("the conf is right");
        let identity = Identity { name: "nobody".into(), uid: 65534, gid: 65534 };
        let sockets: Vec<&Address> = first.sockets.iter().map(|socket| &socket.address).collect();
        let logs = [Path::new("/tmp/a")];
        let packed = pack(&identity, &request, &outside, &sockets, &logs).unwrap();
        assert!(File::from(packed.try_clone().unwrap()).write_all(b"x").is_err(), "it is sealed");
        std::fs::remove_file(&conf).unwrap();
        for _ in 0..2 {
            let parcel = Parcel::open(packed.try_clone().unwrap()).unwrap();
            assert_eq!(
                (&parcel.identity, parcel.sockets.len(), parcel.logs.as_slice()),
                (&identity, 2, &logs.map(PathBuf::from)[..])
            );
            let second = crate::settings::load::load_from(&parcel.request, &Arc::new(parcel.outside)).settings;
            let second = second.expect("it is read without the file");
            assert!(second.sockets.iter().map(|socket| &socket.address).eq(sockets.iter().copied()));
            assert_eq!((second.logs, second.main.process.workers), (first.logs.clone(), 2));
        }
        let bytes = contents(packed).unwrap();
        for end in 0..bytes.len() {
            assert!(unpack(&mut Unpacker::new(&bytes[..end])).is_none(), "{end} bytes");
        }
    }

    #[test]
    fn what_differs_by_user_is_decided_at_the_first_end() {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("c.conf");
        std::fs::write(&conf, "user root; worker_processes auto; http { server { server_name $hostname; } }").unwrap();
        let request = Request { file: conf, prefix: folder.path().into(), ..Request::default() };
        // One of the two is this process's user, whoever that is.
        for outside in [Outside::default(), Outside::of_another_user()] {
            let outside = Arc::new(outside);
            let first = crate::settings::load::load_from(&request, &outside).settings.expect("the conf is right");
            let sockets: Vec<&Address> = first.sockets.iter().map(|socket| &socket.address).collect();
            let identity = Identity { name: "nobody".into(), uid: 65534, gid: 65534 };
            let parcel = Parcel::open(pack(&identity, &request, &outside, &sockets, &[]).unwrap()).unwrap();
            let second = crate::settings::load::load_from(&parcel.request, &Arc::new(parcel.outside)).settings;
            let second = second.expect("the conf is right there too");
            let port = if outside.is_root() { 80 } else { 8000 };
            assert_eq!(second.sockets[0].address, Address::Ip(([0, 0, 0, 0], port).into()));
            let meant = |settings: &crate::settings::Settings| {
                let process = &settings.main.process;
                (process.user.clone(), process.workers, settings.servers[0].name.clone(), settings.sockets.len())
            };
            assert_eq!(meant(&second), meant(&first));
            assert_eq!(meant(&second).0.is_some(), outside.is_root());
        }
    }

    #[test]
    fn names_of_logs_go_the_same_way() {
        let packed = pack_logs(&[Path::new("/a"), Path::new("/b")]).unwrap();
        assert_eq!(open_logs(packed).unwrap(), [PathBuf::from("/a"), "/b".into()]);
        assert!(open_logs(sealed(&[1]).unwrap()).is_err());
    }
}
