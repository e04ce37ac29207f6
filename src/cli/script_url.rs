//! Which URL leads to a script, and to which server: read backwards from the settings, or as it was asked. Runs
//! nothing.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use super::plain;
use crate::conf::args::bytes_to_path;
use crate::conf::listening::Address;
use crate::features::cgi::Mode;
use crate::features::server_name::Name;
use crate::http::escape;
use crate::route::{Location, Matcher, Server};
use crate::settings::sockets::Group;
use crate::settings::{Scope, Settings};

/// The way to a script.
pub struct Way {
    /// The servers of the address that is asked.
    pub group: Arc<Group>,
    /// The Host field.
    pub host: String,
    /// The request-target.
    pub url: String,
}

/// The way that was asked for, or the first that leads to the script.
pub fn find(settings: &Settings, script: &Path, asked: Option<&str>) -> Result<Way, String> {
    let asked = asked.unwrap_or_default();
    if let Some(rest) = asked.strip_prefix("http://") {
        return absolute(settings, rest);
    }
    let found = settings.servers.iter().find_map(|server| Some((server, uri_in(server, script)?)));
    let (server, uri) = match (found, asked) {
        (Some((server, uri)), _) => (server, Some(uri)),
        (None, asked) if asked.starts_with('/') => (settings.servers.first().ok_or("the conf has no server")?, None),
        (None, _) => {
            let script = script.display();
            return Err(format!("no location of the conf runs {script}: see `cgi`, or name its URL with --url"));
        }
    };
    let url = match (uri, asked) {
        (_, asked) if asked.starts_with('/') => asked.to_string(),
        (Some(uri), asked) if asked.is_empty() || asked.starts_with('?') => format!("{}{asked}", escape::path(&uri)),
        _ => return Err(format!("\"{asked}\" is no URL: it begins with http://, with / or with ?")),
    };
    let is_here =
        |group: &&Arc<Group>| server.scope.listen.listens.iter().any(|listen| listen.address == group.address);
    let group = groups(settings).find(is_here).ok_or("its server listens nowhere")?;
    Ok(Way { host: host_of(server, &group.address), group: group.clone(), url })
}

/// A URL with a host: its port says who is asked.
fn absolute(settings: &Settings, rest: &str) -> Result<Way, String> {
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    let port = match host.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') => port.parse().map_err(|_| format!("\"{port}\" is no port"))?,
        _ => 80,
    };
    let listens = |group: &&Arc<Group>| matches!(group.address, Address::Ip(at) if at.port() == port);
    let group = groups(settings).find(listens).ok_or(format!("no server of the conf listens on port {port}"))?;
    let url = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
    Ok(Way { group: group.clone(), host: host.to_string(), url })
}

fn groups(settings: &Settings) -> impl Iterator<Item = &Arc<Group>> {
    settings.sockets.iter().flat_map(|socket| &socket.groups)
}

/// A host name that brings a request to this server.
fn host_of(server: &Server, address: &Address) -> String {
    let exact = server.scope.server_name.names.iter().find_map(|(name, _)| match name {
        Name::Exact(name) if !name.is_empty() => Some(String::from_utf8_lossy(name).into_owned()),
        _ => None,
    });
    let host = exact.unwrap_or_else(|| "localhost".into());
    match address {
        Address::Ip(at) if at.port() != 80 => format!("{host}:{}", at.port()),
        _ => host,
    }
}

fn uri_in(server: &Server, script: &Path) -> Option<Vec<u8>> {
    let script = script.as_os_str().as_bytes();
    let mut all = Vec::new();
    server.locations.all().for_each(|location| collect(location, &mut all));
    // The longest prefix counts, as for requests; of several as long the first.
    all.sort_by_key(|location| std::cmp::Reverse(prefix_of(location).len()));
    let inside = all.into_iter().find_map(|location| uri(&location.scope, Some(location), script));
    inside.or_else(|| uri(&server.scope, None, script))
}

fn collect<'a>(location: &'a Location, all: &mut Vec<&'a Location>) {
    all.push(location);
    location.locations.all().for_each(|inner| collect(inner, all));
}

fn prefix_of(location: &Location) -> &[u8] {
    match &location.matcher {
        Matcher::Exact(path) | Matcher::Prefix { path, .. } => path,
        Matcher::Regex { .. } | Matcher::Named(_) => b"",
    }
}

/// The URI by which a location runs this file.
fn uri(scope: &Scope, location: Option<&Location>, script: &[u8]) -> Option<Vec<u8>> {
    let prefix = location.map_or(&b""[..], prefix_of);
    if !scope.cgi.is_on() {
        return None;
    }
    if let Mode::Pass(words) = &scope.cgi.mode {
        let is_it = words.first().and_then(|word| word.constant()) == Some(script);
        return is_it.then(|| if prefix.is_empty() { b"/".to_vec() } else { prefix.to_vec() });
    }
    let root = &scope.root;
    let uri = match &root.alias {
        Some(alias) => [prefix, script.strip_prefix(&*tidy(alias.text.constant()?))?].concat(),
        None => {
            let root = tidy(root.root.constant()?);
            script.strip_prefix(root.strip_suffix(b"/").unwrap_or(&root))?.to_vec()
        }
    };
    (uri.starts_with(b"/") && uri.starts_with(prefix)).then_some(uri)
}

/// The path of a folder without `.` on its way, as the script's has none: `root .;` is the prefix itself.
fn tidy(path: &[u8]) -> Vec<u8> {
    let end: &[u8] = if path.ends_with(b"/") { b"/" } else { b"" };
    let path = plain(bytes_to_path(path));
    let path = path.as_os_str().as_bytes();
    [path.strip_suffix(b"/").unwrap_or(path), end].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::{Request, load};

    #[test]
    fn a_dot_in_a_folder_of_the_conf_is_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        for (line, url) in
            [("root .;", "/x/a.sh"), ("root ./;", "/x/a.sh"), ("alias ./x/;", "/xa.sh"), ("alias x;", "/x/a.sh")]
        {
            let file = folder.path().join("c.conf");
            std::fs::write(&file, format!("server {{ listen 127.0.0.1:1; location /x {{ {line} cgi on; }} }}"))
                .unwrap();
            let loaded = load(&Request { file, prefix: folder.path().to_path_buf(), ..Request::default() });
            let way = find(&loaded.settings.unwrap(), &folder.path().join("x/a.sh"), None).ok().unwrap();
            assert_eq!(way.url, url, "{line}");
        }
    }

    #[test]
    fn of_two_ways_the_longer_prefix_counts_and_then_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let location = |prefix: &str| format!("location /{prefix}/ {{ alias /srv/cgi/; cgi on; }}");
        for (prefixes, url) in
            [(["aa", "bb", "c"], "/aa/x.sh"), (["bb", "c", "aa"], "/bb/x.sh"), (["c", "aa", "bb"], "/aa/x.sh")]
        {
            let file = folder.path().join("c.conf");
            let text = prefixes.map(location).concat();
            std::fs::write(&file, format!("server {{ listen 127.0.0.1:1; {text} }}")).unwrap();
            let loaded = load(&Request { file, prefix: folder.path().to_path_buf(), ..Request::default() });
            let way = find(&loaded.settings.unwrap(), Path::new("/srv/cgi/x.sh"), None).ok().unwrap();
            assert_eq!(way.url, url);
        }
    }
}
