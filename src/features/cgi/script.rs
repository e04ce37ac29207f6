//! From a request to the program that answers it: which file is the script, what runs it, in which folder, with which
//! arguments; and what to fix when it cannot be run. Starts nothing.

use std::ffi::OsString;
use std::io::{Error, ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::conf::{Conf, Mode};
use crate::conf::args::bytes_to_path;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level, system_words};
use crate::exchange::files::{Kind, Stat};
use crate::gateway::env::Names;
use crate::http::escape;
use crate::http::method::Method;

/// A program and how it is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its names for the environment.
    pub names: Names,
    /// Program and arguments.
    pub command: Vec<OsString>,
    /// The folder it starts in.
    pub folder: PathBuf,
    /// Whether the system runs the file itself, rather than an interpreter of the conf.
    pub is_direct: bool,
    /// PATH.
    pub path: Vec<u8>,
}

/// Finds the program for a request; none if the request is for none.
pub fn find(x: &Exchange, conf: &Conf) -> Result<Option<Script>, HttpError> {
    let (names, stat, arguments) = match &conf.mode {
        Mode::Pass(words) => {
            if let Some(program) = words.first() {
                stay(x, program)?;
            }
            let mut words = words.iter().map(|word| x.eval(word).into_owned());
            // The setter refuses an empty list.
            let program = words.next().unwrap_or_default();
            let file = x.prefix.join(bytes_to_path(&program)).into_os_string().into_vec();
            let stat = x.stat(&file).map_err(|error| missing(&file, &error))?;
            let is_exact = conf.exact.as_ref() == Some(&x.uri);
            // An exact location's path is the script's name, and nothing of it is left.
            let (script, info) = if is_exact { (x.uri.clone(), Vec::new()) } else { (Vec::new(), x.uri.clone()) };
            (Names { script, file, info }, stat, words.collect())
        }
        mode => match walk(x, conf.floor)? {
            Walked::Script(end, file, stat) => {
                let names = Names { script: x.uri[..end].to_vec(), file, info: x.uri[end..].to_vec() };
                if *mode == Mode::Off && extension(conf, &names.file).is_none() {
                    return Ok(None);
                }
                (names, stat, search_words(x))
            }
            Walked::Folder => return Ok(None),
            Walked::Nothing(..) if *mode == Mode::Off => return Ok(None),
            Walked::Nothing(file, error) => return Err(missing(&file, &error)),
        },
    };
    if stat.kind != Kind::File {
        let text = format!("script \"{}\" is not a regular file", escape::error_log(&names.file));
        return Err(HttpError::new(404, "cgi-no-script").log(Level::Error, text));
    }
    complete(x, conf, names, &stat, arguments).map(Some)
}

fn complete(
    x: &Exchange,
    conf: &Conf,
    names: Names,
    stat: &Stat,
    arguments: Vec<Vec<u8>>,
) -> Result<Script, HttpError> {
    let runner = match extension(conf, &names.file) {
        Some(runner) if !runner.is_empty() => runner,
        _ => &conf.interpreter,
    };
    let path = x.eval(&conf.path).into_owned();
    let mut command = Vec::with_capacity(runner.len() + arguments.len() + 1);
    if let Some((first, rest)) = runner.split_first() {
        command.push(interpreter(x, first, &path)?);
        command.extend(rest.iter().map(|word| OsString::from_vec(x.eval(word).into_owned())));
    } else if stat.mode & 0o111 == 0 {
        return Err(not_executable(&names.file));
    }
    command.push(OsString::from_vec(names.file.clone()));
    command.extend(arguments.into_iter().map(OsString::from_vec));
    let folder = match &conf.working_dir {
        Some(folder) => {
            stay(x, folder)?;
            x.prefix.join(bytes_to_path(&x.eval(folder)))
        }
        None => bytes_to_path(&names.file).parent().unwrap_or(Path::new("/")).to_path_buf(),
    };
    Ok(Script { is_direct: runner.is_empty(), names, command, folder, path })
}

/// A variable's value chooses among the programs of a folder; it does not lead out of it.
fn stay(x: &Exchange, text: &Text) -> Result<(), HttpError> {
    if !x.leads_astray(text) {
        return Ok(());
    }
    let text = format!("script: a variable leads up in \"{}\"", escape::error_log(&x.eval(text)));
    Err(HttpError::new(404, "cgi-no-script").log(Level::Error, text))
}

/// Where the way down the path ended.
enum Walked {
    /// At a file: so many bytes of the URI name it.
    Script(usize, Vec<u8>, Stat),
    /// At a folder, with the whole URI.
    Folder,
    /// At nothing.
    Nothing(Vec<u8>, Error),
}

/// Goes down the path to the first file (RFC 3875 section 4.1.5 leaves the split to the server).
fn walk(x: &Exchange, floor: usize) -> Result<Walked, HttpError> {
    let alias = x.place.root.alias.as_ref();
    // The alias of a regex location is a whole path: no part of the URI names another file.
    let floor = alias.map_or(floor, |alias| alias.prefix.unwrap_or(x.uri.len()).max(floor));
    let ends = (1..=x.uri.len()).filter(|&end| end >= floor && x.uri.get(end).is_none_or(|&b| b == b'/'));
    for end in ends {
        let path = x.path_of(&x.uri[..end]);
        match x.stat(&path) {
            Ok(stat) if stat.kind == Kind::Folder => {}
            Ok(stat) => return Ok(Walked::Script(end, path, stat)),
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => return Ok(Walked::Nothing(path, error)),
                _ => return Err(HttpError::file("stat()", &path, &error)),
            },
        }
    }
    Ok(Walked::Folder)
}

/// What runs files of this name; none if its extension is none of `cgi_extension`.
fn extension<'c>(conf: &'c Conf, file: &[u8]) -> Option<&'c Vec<Text>> {
    let name = file.rsplit(|&b| b == b'/').next().unwrap_or(file);
    conf.extensions.iter().find(|(extension, _)| name.ends_with(extension)).map(|(_, runner)| runner)
}

/// RFC 3875 section 4.4: the words of an indexed query (one without `=`) are arguments. One that begins with `-` could
/// be taken for an option, so then there are none.
fn search_words(x: &Exchange) -> Vec<Vec<u8>> {
    let query = x.args.as_deref().unwrap_or_default();
    if query.is_empty() || query.contains(&b'=') || !matches!(x.method(), Method::Get | Method::Head) {
        return Vec::new();
    }
    let words: Vec<_> = query.split(|&b| b == b'+').map(|word| escape::percent_decode(word).into_owned()).collect();
    let refused = words.iter().any(|word| word.first() == Some(&b'-') || word.contains(&0));
    if refused { Vec::new() } else { words }
}

/// The path of an interpreter: from the prefix, or from PATH where it is a mere name.
fn interpreter(x: &Exchange, word: &Text, path: &[u8]) -> Result<OsString, HttpError> {
    stay(x, word)?;
    let name = x.eval(word);
    if name.contains(&b'/') {
        return Ok(x.prefix.join(bytes_to_path(&name)).into_os_string());
    }
    let folders = path.split(|&b| b == b':').filter(|folder| !folder.is_empty());
    let mut files = folders.map(|folder| bytes_to_path(folder).join(bytes_to_path(&name)));
    files.find(|file| file.is_file()).map(PathBuf::into_os_string).ok_or_else(|| {
        let (name, path) = (escape::error_log(&name), escape::error_log(path));
        let text = format!("interpreter \"{name}\" is in no folder of cgi_path ({path}): install it or name its path");
        HttpError::new(502, "cgi-no-interpreter").log(Level::Error, text)
    })
}

fn missing(file: &[u8], error: &Error) -> HttpError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            let (code, words) = (error.raw_os_error().unwrap_or(0), system_words(error));
            let text = format!("script \"{}\" is not found ({code}: {words})", escape::error_log(file));
            HttpError::new(404, "cgi-no-script").log(Level::Error, text)
        }
        _ => HttpError::file("stat()", file, error),
    }
}

fn not_executable(file: &[u8]) -> HttpError {
    let text = format!(
        "script \"{}\" is not executable: run `chmod +x` on it, or name what runs it with cgi_interpreter or cgi_extension",
        escape::error_log(file)
    );
    HttpError::new(403, "cgi-not-executable").log(Level::Error, text)
}

/// Why a program could not be started, and what to fix.
pub fn diagnose(script: &Script, error: &Error) -> HttpError {
    use nix::libc::{EACCES, EAGAIN, EMFILE, ENFILE, ENOENT, ENOEXEC, ENOMEM};
    let shown = escape::error_log(&script.names.file);
    let program = escape::error_log(script.command.first().map_or(b"", |first| first.as_bytes()));
    let words = system_words(error);
    let code = error.raw_os_error().unwrap_or(0);
    let (status, reason, text) = match code {
        EAGAIN | ENOMEM | EMFILE | ENFILE => (
            503,
            "no-resources",
            format!("script \"{shown}\" was not started: the system has no room ({code}: {words})"),
        ),
        _ if !script.folder.is_dir() => {
            let folder = escape::error_log(script.folder.as_os_str().as_bytes());
            (502, "cgi-no-folder", format!("the folder \"{folder}\" that script \"{shown}\" starts in is not there"))
        }
        ENOENT | EACCES if !script.is_direct => (
            502,
            "cgi-no-interpreter",
            format!("interpreter \"{program}\" of script \"{shown}\" cannot be run ({code}: {words})"),
        ),
        ENOENT if !Path::new(bytes_to_path(&script.names.file)).exists() => {
            (404, "cgi-no-script", format!("script \"{shown}\" is not found ({code}: {words})"))
        }
        ENOENT | EACCES | ENOEXEC => return first_line_fault(script, &shown, error),
        _ => (502, "cgi-not-started", format!("script \"{shown}\" was not started ({code}: {words})")),
    };
    HttpError::new(status, reason).log(Level::Error, text)
}

/// The file is there and executable, and still the system will not run it: its first line tells why.
fn first_line_fault(script: &Script, shown: &str, error: &Error) -> HttpError {
    let mut start = [0; 256];
    let file = std::fs::File::open(bytes_to_path(&script.names.file));
    let n = file.and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    let line = start[..n].split(|&b| b == b'\n').next().unwrap_or_default();
    let (reason, text) = match line.strip_prefix(b"#!") {
        None => {
            let text =
                "does not begin with `#!`: write for instance `#!/bin/sh` into its first line, or set cgi_interpreter";
            ("cgi-no-interpreter-line", format!("script \"{shown}\" {text}"))
        }
        Some(line) if line.ends_with(b"\r") => {
            let text =
                "has a carriage return at the end of its `#!` line: save it with Unix line ends (`sed -i 's/\\r$//'`)";
            ("cgi-crlf", format!("script \"{shown}\" {text}"))
        }
        Some(line) => {
            let name = line.trim_ascii().split(|b| b.is_ascii_whitespace()).next().unwrap_or_default();
            let (name, words) = (escape::error_log(name), system_words(error));
            (
                "cgi-no-interpreter",
                format!("interpreter \"{name}\" in the `#!` line of script \"{shown}\" cannot be run ({words})"),
            )
        }
    };
    HttpError::new(502, reason).log(Level::Error, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(extensions: &[&'static str]) -> Conf {
        let extensions = extensions.iter().map(|e| (bytes::Bytes::from_static(e.as_bytes()), Vec::new())).collect();
        Conf { extensions, ..Conf::default() }
    }

    #[test]
    fn extensions() {
        let conf = conf(&[".py", ".cgi"]);
        for (file, is_script) in [
            ("/a/b.py", true),
            ("/a/b.cgi", true),
            ("/a.py/b", false),
            ("/a/.py", true),
            ("/a/bpy", false),
            ("/a/b.py.txt", false),
        ] {
            assert_eq!(extension(&conf, file.as_bytes()).is_some(), is_script, "{file}");
        }
    }

    #[test]
    fn why_a_script_does_not_run() {
        let folder = tempfile::tempdir().unwrap();
        for (text, code, status, reason) in [
            ("echo", nix::libc::ENOEXEC, 502, "cgi-no-interpreter-line"),
            ("#!/bin/sh\r\necho", nix::libc::ENOENT, 502, "cgi-crlf"),
            ("#! /no/such -x\n", nix::libc::ENOENT, 502, "cgi-no-interpreter"),
            ("#!/bin/sh\n", nix::libc::EAGAIN, 503, "no-resources"),
            ("#!/bin/sh\n", nix::libc::EIO, 502, "cgi-not-started"),
        ] {
            let file = folder.path().join("script");
            std::fs::write(&file, text).unwrap();
            let names = Names { file: file.as_os_str().as_bytes().to_vec(), ..Names::default() };
            let command = vec![file.into_os_string()];
            let script = Script { names, command, folder: folder.path().into(), is_direct: true, path: Vec::new() };
            let error = diagnose(&script, &Error::from_raw_os_error(code));
            assert_eq!((error.status, error.reason), (status, reason), "{text:?}");
        }
    }
}
