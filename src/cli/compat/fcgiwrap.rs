//! Finds locations that pass requests to fcgiwrap, which only runs scripts, and says which of their lines `cgi` replaces.
//! Reads the tree of a conf; changes nothing.

use std::collections::BTreeSet;

use super::show::{put_line, quoted, shown};
use crate::conf::ast::Node;
use crate::conf::source::{Sources, Span};
use crate::conf::stock;

/// A location whose scripts Longshore can run itself.
#[derive(Debug)]
pub(super) struct Wrapped {
    /// The block, as it begins.
    block: String,
    place: Span,
    /// The lines that go.
    gone: Vec<Span>,
    /// What is written instead.
    instead: Vec<String>,
}

/// All such locations, in the order of the conf.
pub(super) fn find(nodes: &[Node], sources: &Sources) -> Vec<Wrapped> {
    let mut upstreams = BTreeSet::new();
    collect_upstreams(nodes, &mut upstreams);
    let mut found = Vec::new();
    look(nodes, sources, &upstreams, &mut found);
    found
}

/// Names of upstreams whose servers are fcgiwrap's socket.
fn collect_upstreams(nodes: &[Node], names: &mut BTreeSet<Vec<u8>>) {
    for node in nodes {
        let Some(block) = &node.block else { continue };
        if is(node, "upstream") && block.iter().any(|inner| is(inner, "server") && names_it(inner)) {
            names.extend(node.args.first().map(|word| word.text.clone()));
        }
        collect_upstreams(block, names);
    }
}

fn look(nodes: &[Node], sources: &Sources, upstreams: &BTreeSet<Vec<u8>>, found: &mut Vec<Wrapped>) {
    for node in nodes {
        let Some(block) = &node.block else { continue };
        let passes = |inner: &&Node| {
            let to_upstream = inner.args.first().is_some_and(|word| upstreams.contains(&word.text));
            is(inner, "fastcgi_pass") && (names_it(inner) || to_upstream)
        };
        if block.iter().any(|inner| passes(&inner)) {
            found.push(wrapped(node, block, sources));
        }
        look(block, sources, upstreams, found);
    }
}

fn is(node: &Node, name: &str) -> bool {
    node.name.text == name.as_bytes()
}

fn names_it(node: &Node) -> bool {
    node.args.first().is_some_and(|word| word.show().contains("fcgiwrap"))
}

fn wrapped(node: &Node, block: &[Node], sources: &Sources) -> Wrapped {
    let (script, moves_root) = script(block);
    let is_gone = |inner: &Node| inner.name.text.starts_with(b"fastcgi_") || moves_root && is(inner, "root");
    // A file that holds other things too stays included.
    let stays: BTreeSet<u32> = block
        .iter()
        .filter(|inner| !is_gone(inner))
        .map(|inner| at(inner.span, node.span.file, sources).start)
        .collect();
    let mut gone: Vec<Span> = Vec::new();
    for inner in block.iter().filter(|inner| is_gone(inner)) {
        let span = at(inner.span, node.span.file, sources);
        if !stays.contains(&span.start) && !gone.contains(&span) {
            gone.push(span);
        }
    }
    let mut instead = script;
    instead.extend(block.iter().filter_map(|inner| rewritten(inner, sources)));
    let block = std::iter::once(&node.name).chain(&node.args).map(|word| word.show()).collect::<Vec<_>>().join(" ");
    Wrapped { block, place: node.span, gone, instead }
}

/// The place in this file that brought something in.
fn at(span: Span, file: u32, sources: &Sources) -> Span {
    let mut span = span;
    while span.file != file {
        match sources.files.get(span.file as usize).and_then(|source| source.included_from) {
            Some(from) => span = from,
            None => break,
        }
    }
    span
}

fn param<'a>(block: &'a [Node], name: &str) -> Option<&'a Node> {
    // The last of a name counts.
    block
        .iter()
        .rev()
        .find(|node| is(node, "fastcgi_param") && node.args.first().is_some_and(|word| word.text == name.as_bytes()))
}

/// The lines that name the scripts, and whether they replace a `root`.
fn script(block: &[Node]) -> (Vec<String>, bool) {
    let value = |name| param(block, name).and_then(|node| node.args.get(1)).map(|word| word.show());
    let on = || "cgi on;".to_string();
    let under = |root: &str| (vec![format!("root {};", word(root.trim_end_matches('/'))), on()], true);
    match (value("SCRIPT_FILENAME"), value("DOCUMENT_ROOT")) {
        (Some(path), _) => {
            let name =
                ["$fastcgi_script_name", "$uri", "$document_uri"].iter().find_map(|name| path.strip_suffix(name));
            match name {
                Some("$document_root" | "$document_root/") => (vec![on()], false),
                Some(root) if root.starts_with('/') && !root.contains('$') => under(root),
                None if path == "$request_filename" => (vec![on()], false),
                None if !path.contains("$fastcgi_") => (vec![format!("cgi pass {};", word(&path))], false),
                _ => (vec![on(), format!("# `root` and this location must lead to what was {}", shown(&path))], false),
            }
        }
        (None, Some(root)) if root.starts_with('/') && !root.contains('$') => under(&root),
        _ => (vec![on()], false),
    }
}

/// What stands for a line of FastCGI that says more than every conf says.
fn rewritten(node: &Node, sources: &Sources) -> Option<String> {
    let args: Vec<String> = node.args.iter().map(|word| word.show()).collect();
    match (node.name.show().as_str(), args.as_slice()) {
        ("fastcgi_param", [name, value, ..]) => {
            let is_usual = matches!(name.as_str(), "SCRIPT_FILENAME" | "DOCUMENT_ROOT" | "SCRIPT_NAME")
                || name == "HTTP_HOST" && matches!(value.as_str(), "$http_host" | "$host")
                || value.contains("$fastcgi_")
                || name == "PATH_INFO" && value == "$uri"
                || is_stock(name, value)
                || is_in_stock_file(node.span, sources);
            (!is_usual).then(|| format!("cgi_set_var {} {};", word(name), word(value)))
        }
        ("fastcgi_read_timeout", [time]) => Some(format!("cgi_timeout {};", word(time))),
        ("fastcgi_index", [name]) => Some(format!("index {};", word(name))),
        ("fastcgi_buffering", [flag]) => Some(format!("cgi_buffering {};", word(flag))),
        _ => None,
    }
}

/// Whether every conf says so: scripts are told it anyway.
fn is_stock(name: &str, value: &str) -> bool {
    let text = stock::named("fastcgi_params").unwrap_or_default();
    let usual = |line: &str| {
        let mut words = line.trim_end_matches(';').split_whitespace();
        words.next() == Some("fastcgi_param") && words.next() == Some(name) && words.next() == Some(value)
    };
    // The query is also known by its short name.
    text.lines().any(usual) || name == "QUERY_STRING" && value == "$args"
}

fn is_in_stock_file(span: Span, sources: &Sources) -> bool {
    let file = sources.files.get(span.file as usize).and_then(|source| source.name.file_name());
    file.is_some_and(|name| name == "fastcgi_params" || name == "fastcgi.conf")
}

/// A word as it stands in a conf.
fn word(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"$_-./:=+,@%~".contains(&byte);
    match !text.is_empty() && text.bytes().all(plain) {
        true => text.to_string(),
        false => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

impl Wrapped {
    /// For people.
    pub(super) fn text(&self, sources: &Sources) -> String {
        let mut out = String::new();
        let place = sources.place(self.place);
        put_line(
            &mut out,
            format_args!("\n{place}: `{}` passes requests to fcgiwrap, which only runs scripts.", shown(&self.block)),
        );
        put_line(
            &mut out,
            format_args!("  Longshore runs them itself, without fcgiwrap and its socket. These lines go:"),
        );
        for span in &self.gone {
            let (line, _) = sources.position(*span);
            put_line(&mut out, format_args!("  {line:>6}  {}", shown(&line_of(sources, *span))));
        }
        put_line(&mut out, format_args!("  and this stands in their place:"));
        for line in &self.instead {
            put_line(&mut out, format_args!("          {line}"));
        }
        out
    }

    /// As a JSON object.
    pub(super) fn json(&self, sources: &Sources) -> String {
        let gone = |span: &Span| {
            let (line, _) = sources.position(*span);
            format!("{{\"line\":{line},\"text\":{}}}", quoted(&line_of(sources, *span)))
        };
        let list = |parts: Vec<String>| parts.join(",");
        format!(
            "{{\"block\":{},\"place\":{},\"gone\":[{}],\"instead\":[{}]}}",
            quoted(&self.block),
            quoted(&sources.place(self.place)),
            list(self.gone.iter().map(gone).collect()),
            list(self.instead.iter().map(|line| quoted(line)).collect()),
        )
    }
}

/// The line of the conf in which a span begins.
fn line_of(sources: &Sources, span: Span) -> String {
    let Some(source) = sources.files.get(span.file as usize) else { return String::new() };
    let (line, _) = sources.position(span);
    let text = source.text.split(|&byte| byte == b'\n').nth(line - 1).unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::include;
    use crate::settings::blocks;
    use crate::settings::load::{Request, load};

    /// What stands in the place of the FastCGI lines of a location; the conf with them is taken.
    fn instead(lines: &str) -> (Vec<String>, usize) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("nginx.conf");
        let conf = |lines: &str| format!("server {{ listen 8080; location /a {{\n{lines}\n}} }}");
        std::fs::write(&file, conf(lines)).expect("a file");
        let tree = include::load(&file, None, &blocks::is_known, &Default::default());
        let found = find(&tree.nodes, &tree.sources);
        let [one] = found.as_slice() else { return (Vec::new(), found.len()) };
        std::fs::write(&file, conf(&one.instead.join("\n"))).expect("a file");
        let loaded = load(&Request { file, prefix: folder.path().into(), ..Request::default() });
        assert!(!loaded.has_errors(), "{:?}: {:?}", one.instead, loaded.diagnostics);
        (one.instead.clone(), one.gone.len())
    }

    #[test]
    fn lines_that_cgi_replaces() {
        let pass = "fastcgi_pass unix:/run/fcgiwrap.socket;\n";
        for (lines, want, gone) in [
            ("include fastcgi_params;", &["cgi on;"][..], 2),
            ("include fastcgi.conf;\ngzip off;", &["cgi on;"], 2),
            ("fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;", &["cgi on;"], 2),
            ("fastcgi_param SCRIPT_FILENAME /usr/lib/a.cgi;\nroot /x;", &["cgi pass /usr/lib/a.cgi;"], 2),
            (
                "fastcgi_param SCRIPT_FILENAME /usr/lib/$fastcgi_script_name;\nroot /x;",
                &["root /usr/lib;", "cgi on;"],
                3,
            ),
            ("fastcgi_param DOCUMENT_ROOT /usr/lib;", &["root /usr/lib;", "cgi on;"], 2),
            ("fastcgi_param X 'a b';\nfastcgi_param QUERY_STRING $args;", &["cgi on;", "cgi_set_var X \"a b\";"], 3),
            (
                "fastcgi_param HTTP_HOST $http_host;\nfastcgi_param HTTP_HOST $server_name;",
                &["cgi on;", "cgi_set_var HTTP_HOST $server_name;"],
                3,
            ),
            ("fastcgi_read_timeout 9s;\nfastcgi_index i.pl;", &["cgi on;", "cgi_timeout 9s;", "index i.pl;"], 3),
        ] {
            assert_eq!(
                instead(&format!("{pass}{lines}")),
                (want.iter().map(|line| line.to_string()).collect(), gone),
                "{lines}"
            );
        }
        assert_eq!(instead("fastcgi_pass unix:/run/php-fpm.sock;"), (Vec::new(), 0));
    }

    #[test]
    fn an_upstream_may_stand_between() {
        let text = b"upstream w { server unix:/run/fcgiwrap.socket; } server { location / { fastcgi_pass w; } }";
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("a"), text).expect("a file");
        let tree = include::load(&folder.path().join("a"), None, &blocks::is_known, &Default::default());
        assert_eq!(find(&tree.nodes, &tree.sources).len(), 1);
    }
}
