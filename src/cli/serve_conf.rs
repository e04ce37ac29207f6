//! The conf that `longshore serve` stands for, written from its options. Knows nothing of the machine but its name.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::options::ServeFolder;

/// The folder for uploads below the one that is served, and the segment of the URL for its page.
pub const STORE: &str = "uploads";
/// The most bytes of one request, and of all files, as a conf says it and as people do.
pub const MOST: [(&str, &str); 2] = [("1g", "1 GiB"), ("10g", "10 GiB")];
/// What stands for a request by a name that the server does not answer to. No quote of one stroke, and no `$` but the host.
const OTHER_HOST: &str = include_str!("serve_other_host.html");

/// Media types of text beside HTML, which needs no mention.
const TEXTS: &str = "text/plain text/css text/csv text/markdown text/xml application/javascript text/javascript";

/// Writes it; an error names what no conf can hold.
pub fn write(asked: &ServeFolder, folder: &Path, addresses: &[IpAddr], user: Option<&str>) -> Result<String, String> {
    let root = quoted(folder)?;
    let temporary = quoted(&std::env::temp_dir())?;
    let listens = |mark: &str| -> String {
        let listen = |ip: &IpAddr| format!("        listen {}{mark};\n", SocketAddr::new(*ip, asked.port));
        addresses.iter().map(listen).collect()
    };
    let mut locations = String::new();
    if asked.cgi {
        locations.push_str(
            "\n        # Executable files here are run for each request, and so is every *.cgi.\n        \
             cgi_extension .cgi;\n        location /cgi-bin/ { cgi on; }\n",
        );
    }
    if asked.upload {
        store(&mut locations, &quoted(&folder.join(STORE))?);
    }
    let (names, others) = match asked.any_host {
        true => ("localhost".into(), String::new()),
        false => (names(asked, machine().as_deref()), other_hosts(&listens(" default_server"))),
    };
    let listens = listens("");
    let user = user.map(|name| format!("user {name};\n")).unwrap_or_default();
    Ok(format!(
        "# A folder with listings: what `longshore serve` stands for.\n\
         {user}\
         error_log /dev/stderr warn;\n\
         events {{ }}\n\
         http {{\n    \
             access_log /dev/stdout;\n    \
             client_body_temp_path {temporary};\n    \
             charset utf-8;\n    \
             charset_types {TEXTS};\n    \
             gzip on;\n    \
             gzip_vary on;\n    \
             gzip_types {TEXTS} application/json application/wasm image/svg+xml;\n    \
             # One page for all errors, with a dark mode.\n    \
             error_template on;\n    \
             server {{\n\
         {listens}        \
                 server_name {names};\n        \
                 root {root};\n        \
                 index index.html index.htm;\n        \
                 autoindex on;\n        \
                 autoindex_theme on;\n        \
                 autoindex_localtime on;\n\
         \n        \
                 # What is hidden in a listing is not given out either: .git, .env and the like.\n        \
                 location ~ /\\. {{ return 404; }}\n\
         \n        \
                 # Browsers ask for it on every visit.\n        \
                 location = /favicon.ico {{ access_log off; try_files $uri =204; }}\n\
         {locations}    \
             }}\n\
         {others}\
         }}\n"
    ))
}

fn store(out: &mut String, store: &str) {
    let [(request, _), (all, _)] = MOST;
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "\n        # Files from forms and `curl -F` go into this folder, which must be there. They are never run.\n        \
         location /{STORE}/ {{\n            \
             # Scripts run around it, not in it: no other URL leads here.\n            \
             # longshore: allow upload-runs-scripts\n            \
             upload_store {store};\n            \
             upload_on_conflict rename;\n            \
             upload_max_files 100;\n            \
             upload_quota {all};\n            \
             client_max_body_size {request};\n        \
         }}\n"
    );
}

/// The names that the server answers to: addresses, none, those that mean this machine wherever they are looked up, and the user's own.
fn names(asked: &ServeFolder, machine: Option<&str>) -> String {
    let mut names = vec![
        "localhost".to_string(),
        "*.localhost".into(),
        "*.local".into(),
        r"~^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$".into(),
        r"~^\[[0-9a-f:.]+\]$".into(),
        "\"\"".into(),
    ];
    names.extend(machine.map(|name| format!(r"~^{name}(\..+)?$")));
    for name in &asked.host {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names.join("\n                    ")
}

/// The first label of this machine's name. `localhost.example.com` is not this machine.
fn machine() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?.to_ascii_lowercase();
    label(&name).map(str::to_string)
}

fn label(name: &str) -> Option<&str> {
    let label = name.split('.').next().filter(|label| !label.is_empty() && *label != "localhost")?;
    label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).then_some(label)
}

fn other_hosts(listens: &str) -> String {
    let page = OTHER_HOST.trim_end();
    format!(
        "\n    # Any site can let a name of its own lead to this machine; its pages would read what is served here.\n    \
         server {{\n\
         {listens}        \
             server_name _;\n        \
             types {{ }}\n        \
             default_type text/html;\n        \
             return 421 '{page}\n';\n    \
         }}\n"
    )
}

/// A path as a word of a conf.
fn quoted(path: &Path) -> Result<String, String> {
    match path.to_str() {
        Some(text) if !text.contains('$') => Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))),
        _ => Err(format!("no conf can name {}: give the folder another name", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_name_of_one_label() {
        for (name, wanted) in [
            ("box", Some("box")),
            ("box-1.example.com", Some("box-1")),
            ("localhost", None),
            ("localhost.localdomain", None),
            ("", None),
            (".a", None),
            ("a(b", None),
            ("bücher", None),
        ] {
            assert_eq!(label(name), wanted, "{name:?}");
        }
    }

    #[test]
    fn the_page_can_stand_in_a_conf() {
        assert!(!OTHER_HOST.contains(['\'', '\\']));
        assert_eq!(OTHER_HOST.matches('$').count(), OTHER_HOST.matches("$host").count());
        assert!(OTHER_HOST.contains("--host NAME") && OTHER_HOST.contains("--any-host"));
    }

    #[test]
    fn each_name_is_asked_for_once() {
        let asked = ServeFolder {
            host: vec!["a.test".into(), "localhost".into(), "*.b.test".into()],
            ..ServeFolder::default()
        };
        let names = names(&asked, Some("box"));
        let names: Vec<&str> = names.split_whitespace().collect();
        assert_eq!(names.iter().filter(|name| **name == "localhost").count(), 1);
        assert_eq!(names[names.len() - 3..], [r"~^box(\..+)?$", "a.test", "*.b.test"]);
    }
}
