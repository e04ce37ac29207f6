//! `longshore serve [DIR]`: a folder at once. Looks whether it can be served, and hands the conf that the options stand for to the
//! loader like any other; knows neither sockets nor settings.

use std::io::{self, ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::ifaddrs::getifaddrs;
use nix::unistd::{AccessFlags, access, geteuid};

use super::options::{Options, ServeFolder};
use super::serve_conf::{self, MOST, STORE};
use super::{say, serve};
use crate::conf::machine::{self, Identity};
use crate::conf::way::by_handle;
use crate::server::daemon;
use crate::settings::load::Request;

/// Serves a folder until it is told to stop, or writes the conf for it.
pub fn run(asked: &ServeFolder, options: &Options) -> ExitCode {
    match prepared(asked) {
        Ok((_, _, conf)) if asked.print_conf => match std::io::stdout().write_all(conf.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            // A reader that closed its end wants no more.
            Err(_) => ExitCode::FAILURE,
        },
        Ok((folder, user, conf)) => {
            say(&format!("longshore: serving {}; Ctrl-C ends it", folder.display()));
            if let Some(user) = user {
                say(&format!(
                    "longshore: files are read and written as the user {}; `--user` names another",
                    user.name
                ));
            }
            if asked.upload {
                say(&upload_lines(asked, &folder));
            }
            let request =
                Request { file: "/dev/null".into(), prefix: folder, globals: Some(conf), ..Request::default() };
            serve::run(&request, options)
        }
        Err(text) => {
            say(&format!("longshore: {text}"));
            ExitCode::FAILURE
        }
    }
}

/// The folder, who serves it if root starts the server, and the conf for it.
fn prepared(asked: &ServeFolder) -> Result<(PathBuf, Option<Identity>, String), String> {
    let named = asked.folder.as_deref().unwrap_or(Path::new("."));
    let folder = named.canonicalize().map_err(|error| format!("cannot serve {}: {error}", named.display()))?;
    if !folder.is_dir() {
        return Err(format!("cannot serve {}: it is no folder; name the folder it lies in", folder.display()));
    }
    if !asked.yes && holds_a_home(&folder, &homes()) {
        return Err(format!(
            "{} holds somebody's home, with keys and passwords in it; `--yes` serves it all the same",
            folder.display()
        ));
    }
    let addresses = addresses(asked.public);
    let user = if geteuid().is_root() { Some(user_for(asked.user.as_deref(), &folder)?) } else { None };
    if asked.user.is_some() && user.is_none() {
        return Err("only root can become another user: start it with sudo, or without `--user`".into());
    }
    if !asked.print_conf {
        if user.is_none() && access(&folder, AccessFlags::X_OK).is_err() {
            return Err(format!(
                "you may not enter {}, so nothing could be served: `chmod u+x` it if it is yours, or ask its owner",
                folder.display()
            ));
        }
        if let Some(closed) = user.as_ref().and_then(|user| machine::closed_folder(&folder, user)) {
            let name = user.map_or_else(String::new, |user| user.name);
            return Err(format!(
                "the user {name} cannot enter {}, so nothing could be served: open that folder, or name another with `--user`",
                closed.display()
            ));
        }
        addresses.iter().try_for_each(|ip| free(SocketAddr::new(*ip, asked.port)))?;
        if asked.upload {
            prepare_store(&folder.join(STORE), user.as_ref())?;
        }
    }
    let conf = serve_conf::write(asked, &folder, &addresses, user.as_ref().map(|user| user.name.as_str()))?;
    Ok((folder, user, conf))
}

/// Who serves a folder when root starts the server: its owner, but root only if that is said.
fn user_for(named: Option<&str>, folder: &Path) -> Result<Identity, String> {
    let owner = folder.metadata().map_err(|error| format!("cannot look at {}: {error}", folder.display()))?.uid();
    let account = match named {
        Some(name) => Some(machine::user(name).ok_or_else(|| format!("there is no user {name}"))?),
        None if owner == 0 => None,
        // A folder of another machine's user, as in a container.
        None => machine::user_of(owner),
    };
    match account {
        Some(account) => Ok(Identity { name: account.name, uid: account.uid, gid: account.gid }),
        None => daemon::nobody().map_err(|error| format!("there is nobody to serve the folder: {error}")),
    }
}

// --- what is not served by mistake ---

/// The homes of people: root's, and those of users that are no service.
fn homes() -> Vec<PathBuf> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let home = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let uid: u32 = fields.get(2)?.parse().ok()?;
        (uid == 0 || (1000..60_000).contains(&uid)).then(|| PathBuf::from(fields.get(5).copied().unwrap_or("/")))
    };
    let own = std::env::var_os("HOME").map(PathBuf::from);
    let fixed = ["/", "/home"].map(PathBuf::from);
    passwd.lines().filter_map(home).chain(own).chain(fixed).filter(|home| home.is_absolute()).collect()
}

fn holds_a_home(folder: &Path, homes: &[PathBuf]) -> bool {
    let real = |home: &PathBuf| home.canonicalize().unwrap_or_else(|_| home.clone());
    homes.iter().any(|home| real(home).starts_with(folder))
}

// --- where uploads go ---

/// Makes the folder for uploads if it is not there, and makes sure that the server will be able to write into it.
fn prepare_store(store: &Path, user: Option<&Identity>) -> Result<(), String> {
    let show = store.display();
    if !store.exists() {
        std::fs::create_dir(store).map_err(|error| format!("cannot make {show} for the uploads: {error}"))?;
        if let Some(user) = user {
            give(store, user).map_err(|error| format!("cannot give {show} to {}: {error}", user.name))?;
        }
        return Ok(());
    }
    if !store.is_dir() {
        return Err(format!("uploads go into {show}, but that is a file; give it another name"));
    }
    let (may, who) = match user {
        Some(user) => (store.metadata().is_ok_and(|meta| machine::may(user, &meta, 0o3)), user.name.as_str()),
        None => (access(store, AccessFlags::W_OK | AccessFlags::X_OK).is_ok(), "you"),
    };
    match may {
        true => Ok(()),
        false => Err(format!("{who} may not write into {show}, where uploads go: change its owner or its mode")),
    }
}

/// Gives a user the folder that was just made, and no other that was put in its place since.
fn give(folder: &Path, user: &Identity) -> io::Result<()> {
    let flags = nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW;
    let held = std::fs::File::options().read(true).custom_flags(flags).open(folder)?;
    if held.metadata()?.uid() != 0 || std::fs::read_dir(by_handle(held.as_fd()))?.next().is_some() {
        return Err(io::Error::other("another folder was put in its place"));
    }
    std::os::unix::fs::fchown(held, Some(user.uid), Some(user.gid))
}

fn upload_lines(asked: &ServeFolder, folder: &Path) -> String {
    let [(_, request), (_, all)] = MOST;
    let (port, store) = (asked.port, folder.join(STORE));
    let mut text = format!(
        "longshore: files are taken at http://localhost:{port}/{STORE}/ and go into {}; {request} at once, {all} in all",
        store.display()
    );
    if asked.public {
        text.push_str("\nlongshore: note: everybody who reaches this port can put files there, without a password");
    }
    text
}

// --- where it is served ---

/// The addresses to listen on: those of the loopback, or every address.
fn addresses(public: bool) -> Vec<IpAddr> {
    let has_six = own_addresses().iter().any(IpAddr::is_ipv6);
    let (four, six) = match public {
        true => (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED),
        false => (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST),
    };
    let mut all = vec![IpAddr::V4(four)];
    all.extend(has_six.then_some(IpAddr::V6(six)));
    all
}

/// The machine's addresses that others can type: none that needs the name of an interface.
pub fn own_addresses() -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = Vec::new();
    for address in getifaddrs().into_iter().flatten().filter_map(|interface| interface.address) {
        let four = address.as_sockaddr_in().map(|own| IpAddr::V4(own.ip()));
        let six = address.as_sockaddr_in6().map(|own| own.ip());
        let six = six.filter(|ip| !ip.is_unicast_link_local()).map(IpAddr::V6);
        all.extend(four.or(six).filter(|ip| !all.contains(ip)));
    }
    all
}

/// An error if the port cannot be had, which says what to do.
fn free(at: SocketAddr) -> Result<(), String> {
    // Of an address of all kinds only the port is asked for; the server opens it for IPv6 alone.
    if at.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return Ok(());
    }
    let port = at.port();
    TcpListener::bind(at).map(drop).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => {
            format!("port {port} is taken by another program; name another, such as `--port {}`", other(port))
        }
        ErrorKind::PermissionDenied => {
            format!("port {port} needs root's rights; name one from 1024 on, such as `--port 8000`")
        }
        _ => format!("cannot listen on {at}: {error}"),
    })
}

/// A port to try in the place of another.
fn other(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(8000)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::settings::load::load;

    fn asked(folder: &Path) -> ServeFolder {
        ServeFolder { folder: Some(folder.into()), port: 8000, print_conf: true, ..ServeFolder::default() }
    }

    #[test]
    fn what_it_writes_is_a_conf() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let odd = folder.path().join("a \"b\" \\c;{");
        std::fs::create_dir(&odd).expect("a folder");
        for (public, all) in [(false, false), (true, true)] {
            let asked = ServeFolder { public, cgi: all, upload: all, ..asked(&odd) };
            let (root, _, text) = prepared(&asked).expect("it can be served");
            let request =
                Request { file: "/dev/null".into(), prefix: root.clone(), globals: Some(text), ..Request::default() };
            let loaded = load(&request);
            let settings = loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
            assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
            let scope = &settings.servers[0].scope;
            assert_eq!(scope.root.root.constant(), Some(root.as_os_str().as_encoded_bytes()));
            let all = |ip: &crate::conf::listening::Address| match ip {
                crate::conf::listening::Address::Ip(ip) => ip.ip().is_unspecified() == public && ip.port() == 8000,
                _ => false,
            };
            assert!(scope.listen.listens.iter().all(|listen| all(&listen.address)));
        }
    }

    #[test]
    fn homes_are_not_served_by_mistake() {
        let homes = ["/", "/home", "/root", "/home/ann"].map(PathBuf::from);
        for (folder, want) in [
            ("/", true),
            ("/home", true),
            ("/root", true),
            ("/home/ann", true),
            ("/home/ann/site", false),
            ("/srv", false),
        ] {
            assert_eq!(holds_a_home(Path::new(folder), &homes), want, "{folder}");
        }
        assert!(prepared(&asked(Path::new("/"))).is_err_and(|text| text.contains("--yes")));
        assert!(prepared(&ServeFolder { yes: true, ..asked(Path::new("/")) }).is_ok());
    }

    #[test]
    fn a_folder_is_served_by_its_owner() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(user_for(Some("no-such-user"), folder.path()).is_err_and(|text| text.contains("no-such-user")));
        assert!(user_for(Some("root"), folder.path()).is_ok_and(|user| user.uid == 0));
        if geteuid().is_root() {
            assert!(user_for(None, folder.path()).is_ok_and(|user| user.name == "nobody"));
            let daemon = machine::user("daemon").expect("every machine has this user");
            std::os::unix::fs::chown(folder.path(), Some(daemon.uid), None).expect("root may");
            assert!(user_for(None, folder.path()).is_ok_and(|user| user.name == "daemon"));
            // The number of nobody that has a name.
            std::os::unix::fs::chown(folder.path(), Some(3_999_999), None).expect("root may");
            assert!(user_for(None, folder.path()).is_ok_and(|user| user.name == "nobody"));
        }
    }

    #[test]
    fn the_folder_for_uploads_is_made_and_must_take_files() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = folder.path().join(STORE);
        let user = geteuid().is_root().then(|| daemon::nobody().expect("there is nobody"));
        let prepare_store = |store: &Path| super::prepare_store(store, user.as_ref());
        assert_eq!(prepare_store(&store), Ok(()));
        assert_eq!(prepare_store(&store), Ok(()));
        std::fs::set_permissions(&store, PermissionsExt::from_mode(0o555)).expect("its own folder");
        assert!(prepare_store(&store).is_err_and(|text| text.contains("may not write into")));
        std::fs::remove_dir(&store).expect("it is empty");
        std::fs::write(&store, "").expect("a file");
        assert!(prepare_store(&store).is_err_and(|text| text.contains("is a file")));
    }

    #[test]
    fn what_cannot_be_served_is_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, want) in [("gone", "No such file"), ("file", "it is no folder"), ("a$b", "no conf can name")] {
            let path = folder.path().join(name);
            match name {
                "file" => std::fs::write(&path, "").expect("a file"),
                "a$b" => std::fs::create_dir(&path).expect("a folder"),
                _ => {}
            }
            assert!(prepared(&asked(&path)).is_err_and(|text| text.contains(want)), "{name}");
        }
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = taken.local_addr().expect("it has one");
        assert!(free(at).is_err_and(|text| text.contains("is taken by another program")));
    }
}
