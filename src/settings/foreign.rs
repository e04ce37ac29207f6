//! Lines of other languages that people put into a conf: Apache's, Caddy's, a C programmer's comment. What to write here instead.

use crate::conf::ast::Node;

/// What to write in place of a directive whose name nobody knows.
pub fn advice(node: &Node) -> Option<String> {
    let name = node.name.show();
    match () {
        () if name.starts_with("//") => Some("a comment begins with `#`".into()),
        () if name.starts_with("/*") => Some("each line of a comment begins with `#`".into()),
        () if name.starts_with("</") => Some("this is a line of Apache's: a block ends with `}`".into()),
        () if name.starts_with('<') => Some(apache(&name).into()),
        () if name.starts_with("if(") => Some("a space belongs before the `(`: write `if (...) {`".into()),
        () if node.name.quoted => {
            Some("if this word belongs to the line before, that one ends too early: remove its `;`".into())
        }
        () if node.block.is_some() && is_site(&name) => Some(format!(
            "this looks like a Caddyfile: write `server {{ listen 80; server_name {}; root /srv/site; }}`, or run `longshore serve FOLDER`",
            host(&name)
        )),
        () => None,
    }
}

fn apache(name: &str) -> &'static str {
    match name.trim_start_matches('<').trim_end_matches('>').to_ascii_lowercase().as_str() {
        "virtualhost" => "this is a line of Apache's: write `server { listen 80; server_name NAME; root FOLDER; }`",
        "location" | "locationmatch" => "this is a line of Apache's: write `location /path/ { ... }`",
        "directory" => "this is a line of Apache's: write `location /path/ { root FOLDER; ... }`",
        "ifmodule" => "this is a line of Apache's: remove it and its `</IfModule>`, what it asks for is built in",
        _ => "this is a line of Apache's: a block is written `name { ... }`",
    }
}

/// Whether it is an address of a site, as Caddy has them: `example.com`, `:8080`, `http://a.test`.
fn is_site(name: &str) -> bool {
    let name = name.trim_end_matches(',');
    let is_port = name.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    is_port || name.contains("://") || name == "localhost" || name.contains('.') && !name.contains(['/', '$'])
}

fn host(name: &str) -> &str {
    let name = name.trim_end_matches(',');
    let host = name.split_once("://").map_or(name, |(_, rest)| rest).split([':', '/']).next().unwrap_or_default();
    if host.is_empty() { "localhost" } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_sites() {
        for (name, is, of) in [
            ("example.com", true, "example.com"),
            ("http://a.test:80,", true, "a.test"),
            (":8080", true, "localhost"),
            ("localhost", true, "localhost"),
            ("sever", false, "sever"),
            (":x", false, "localhost"),
        ] {
            assert_eq!((is_site(name), host(name)), (is, of), "{name}");
        }
    }
}
