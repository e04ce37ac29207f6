//! Where the conf is, and what is meant by paths that no line names: under the folder one stands in, or, for a program that takes
//! nginx's place on a machine or in a container, where packages put a conf.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::options::Options;
use crate::conf::way::loose;
use crate::exchange::children;

/// The confs of the machine, as packages and the images of containers have them.
const SYSTEM: [&str; 2] = ["/etc/longshore/longshore.conf", "/etc/nginx/nginx.conf"];
/// Those of a folder.
const LOCAL: [&str; 2] = ["conf/nginx.conf", "conf/longshore.conf"];

/// Whether the program was started under nginx's name.
pub fn called_nginx() -> bool {
    static CALLED: LazyLock<bool> = LazyLock::new(|| std::env::args_os().next().is_some_and(|name| is_nginx(&name)));
    *CALLED
}

fn is_nginx(name: &OsStr) -> bool {
    Path::new(name).file_name().is_some_and(|name| name == "nginx")
}

/// The conf, and the folder that relative paths start from.
#[derive(Debug, PartialEq, Eq)]
pub struct Home {
    /// The folder.
    pub prefix: PathBuf,
    /// The conf.
    pub file: PathBuf,
}

/// Finds the conf that is meant. The error says why there is none, and where it would be.
pub fn home(options: &Options, here: &Path) -> Result<Home, (Home, String)> {
    home_among(options, here, &SYSTEM.map(Path::new), called_nginx() || children::is_first())
}

fn home_among(options: &Options, here: &Path, system: &[&Path], in_nginxs_place: bool) -> Result<Home, (Home, String)> {
    let named = options.prefix.as_ref().map(|prefix| plain(&here.join(prefix)));
    let base = named.clone().unwrap_or_else(|| plain(here));
    let of_system = |file: PathBuf| {
        let folder = file.parent().unwrap_or(Path::new("/")).to_path_buf();
        Home { prefix: named.clone().unwrap_or(folder), file }
    };
    if let Some(conf) = &options.conf {
        let file = plain(&base.join(conf));
        return Ok(if system.contains(&file.as_path()) { of_system(file) } else { Home { prefix: base, file } });
    }
    let local = LOCAL.iter().map(|name| base.join(name)).find(|path| path.exists());
    // Who calls nginx does not think of the folder, which may be anybody's.
    let strange = local.as_ref().filter(|_| in_nginxs_place && named.is_none()).and_then(|file| strange(file));
    if let Some(file) = local.filter(|_| strange.is_none()) {
        return Ok(Home { prefix: base, file });
    }
    let Options { test, dump, build, .. } = *options;
    let asks = test || dump || build || options.signal.is_some() || options.globals.is_some();
    if let Some(file) = system.iter().find(|file| (in_nginxs_place || asks) && file.exists()) {
        return Ok(of_system(file.to_path_buf()));
    }
    let text = match strange {
        Some(why) => format!("{why}; name the conf with -c if it is meant"),
        None => format!("there is no {} and no {} under {}; name a conf with -c", LOCAL[0], LOCAL[1], base.display()),
    };
    Err((Home { file: base.join(LOCAL[0]), prefix: base }, text))
}

/// Why a conf that was not asked for by name may be the word of somebody else than root and the user of this process.
fn strange(file: &Path) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    let path = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let is_strange = |path: &&Path| path.metadata().is_ok_and(|found| ![0, own].contains(&found.uid()));
    match path.ancestors().find(is_strange) {
        Some(place) => Some(format!("{} is not believed: {} belongs to another user", file.display(), place.display())),
        None => loose(&path).map(|how| format!("{} is not believed: {how}", file.display())),
    }
}

/// A path without its `.` parts, as people would write it.
pub fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Where a server of this conf writes its pid file if no line names one.
pub fn default_pid(file: &Path, prefix: &Path) -> PathBuf {
    let is_system = SYSTEM.iter().any(|known| Path::new(known) == file) && file.parent() == Some(prefix);
    match file.file_stem().filter(|_| is_system) {
        Some(name) => Path::new("/run").join(name).with_extension("pid"),
        None if prefix.join("logs").is_dir() => prefix.join("logs/longshore.pid"),
        None => prefix.join("longshore.pid"),
    }
}

/// What holds where the conf says nothing.
#[derive(Debug)]
pub struct Paths {
    /// The folder that relative paths start from.
    pub prefix: PathBuf,
    /// The conf.
    pub conf: PathBuf,
    /// The pid file.
    pub pid: PathBuf,
    /// The error log.
    pub error_log: PathBuf,
    /// The access log.
    pub access_log: PathBuf,
}

impl Paths {
    /// Those of a conf that need not be there.
    pub fn of(Home { prefix, file }: Home) -> Paths {
        let log = |name: &str, stream: &str| match prefix.join("logs").is_dir() {
            true => prefix.join("logs").join(name),
            false => stream.into(),
        };
        let (error_log, access_log) = (log("error.log", "stderr"), log("access.log", "/dev/stdout"));
        Paths { pid: default_pid(&file, &prefix), error_log, access_log, conf: file, prefix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown};

    #[test]
    fn the_name_counts_and_not_its_folder() {
        for (name, is) in [("nginx", true), ("/usr/sbin/nginx", true), ("longshore", false), ("nginx/longshore", false)]
        {
            assert_eq!(is_nginx(OsStr::new(name)), is, "{name}");
        }
    }

    #[test]
    fn a_conf_is_looked_for_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["empty", "site/conf", "etc/longshore", "etc/nginx"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        fs::write(path("site/conf/longshore.conf"), "").unwrap();
        fs::write(path("etc/nginx/nginx.conf"), "").unwrap();
        let system = [path("etc/longshore/longshore.conf"), path("etc/nginx/nginx.conf")];
        let found = |line: &str, here: &str, in_place: bool| {
            let words = line.split_whitespace().map(|word| word.replace("DIR", &folder.path().display().to_string()));
            let options = <Options as clap::Parser>::parse_from(std::iter::once("longshore".to_string()).chain(words));
            let home = home_among(&options, &path(here), &system.each_ref().map(PathBuf::as_path), in_place);
            let short = |path: &Path| path.strip_prefix(folder.path()).unwrap().display().to_string();
            home.ok().map(|home| (short(&home.prefix), short(&home.file)))
        };
        let pair = |prefix: &str, file: &str| Some((prefix.to_string(), file.to_string()));
        let of_nginx = pair("etc/nginx", "etc/nginx/nginx.conf");
        for (line, here, in_place, want) in [
            ("", "site", true, pair("site", "site/conf/longshore.conf")),
            ("", "empty", false, None),
            ("", "empty", true, of_nginx.clone()),
            ("-t", "empty", false, of_nginx.clone()),
            ("-T", "empty", false, of_nginx.clone()),
            ("-V", "empty", false, of_nginx.clone()),
            ("-s reload", "empty", false, of_nginx.clone()),
            ("-g worker_processes=1;", "empty", false, of_nginx.clone()),
            ("-q", "empty", false, None),
            ("-t", "site", true, pair("site", "site/conf/longshore.conf")),
            ("-c DIR/etc/nginx/nginx.conf", "empty", false, of_nginx.clone()),
            ("-c nginx.conf", "etc/nginx", false, of_nginx.clone()),
            ("-c a.conf", "empty", true, pair("empty", "empty/a.conf")),
            ("-p DIR/site", "empty", true, pair("site", "site/conf/longshore.conf")),
            ("-p DIR/empty", "site", true, pair("empty", "etc/nginx/nginx.conf")),
            ("-p DIR/empty", "site", false, None),
        ] {
            assert_eq!(found(line, here, in_place), want, "{line} in {here}");
        }
        // Somebody else's conf lies in the folder that root stands in.
        let mode = |mode: u32| fs::set_permissions(path("site/conf"), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        assert_eq!(found("-s reload", "site", true), of_nginx);
        assert_eq!(found("", "site", true), of_nginx);
        let meant = pair("site", "site/conf/longshore.conf");
        for (line, here, in_place) in [("", "site", false), ("-t", "site", false), ("-p DIR/site", "empty", true)] {
            assert_eq!(found(line, here, in_place), meant, "{line}");
        }
        mode(0o755);
        assert_eq!(found("-s reload", "site", true), meant);
        if rustix::process::geteuid().is_root() {
            chown(path("site"), Some(1), None).unwrap();
            assert_eq!(found("-s reload", "site", true), of_nginx);
            assert!(strange(&path("site/conf/longshore.conf")).unwrap().ends_with("site belongs to another user"));
        }
        fs::write(path("etc/longshore/longshore.conf"), "").unwrap();
        assert_eq!(found("", "empty", true), pair("etc/longshore", "etc/longshore/longshore.conf"));
    }

    #[test]
    fn pid_files_of_the_machine_lie_in_run() {
        let pid = |file: &str, prefix: &str| default_pid(Path::new(file), Path::new(prefix)).display().to_string();
        assert_eq!(pid("/etc/nginx/nginx.conf", "/etc/nginx"), "/run/nginx.pid");
        assert_eq!(pid("/etc/longshore/longshore.conf", "/etc/longshore"), "/run/longshore.pid");
        assert_eq!(pid("/etc/nginx/nginx.conf", "/srv"), "/srv/longshore.pid");
        assert_eq!(pid("/srv/nginx.conf", "/srv"), "/srv/longshore.pid");
    }
}
