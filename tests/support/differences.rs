//! Keeps docs/differences.md equal to what the cases say: one row for each difference on purpose, with its cases, by what it is
//! about.

use super::case::{Case, Reference};
use std::collections::BTreeMap;
use std::path::Path;

const HEAD: &str = "# Where Longshore differs from nginx on purpose

Whoever brings a conf from nginx can read here what will be otherwise. Every whole-program test under tests/cases runs against
both servers, and both must give the same status, fields and body, or refuse the same conf. Where they do not, the test says why in a
line; these lines are this page, so each of them is shown to be so by the cases beside it. nginx is the one of Debian 12.

- [What is answered otherwise](#what-is-answered-otherwise): nginx was asked too.
- [What only Longshore was asked](#what-only-longshore-was-asked): what nginx has no word for, and what it cannot be asked.
- [Other defaults](#other-defaults).

The page is written by the tests (`LONGSHORE_CASES_WRITE=1 cargo test --test cases`), and they fail when it is out of date.

## What is answered otherwise
";

const OWN: &str = "
## What only Longshore was asked
";

const DEFAULTS: &str = "
## Other defaults

`daemon` is off and `sendfile` on. Where there is no folder `logs` under the prefix, logs go to the terminal. Relative paths
start at the current folder, unless `-p` names another. `events` and `http` may be left out.
";

/// What the folders of cases are about, in the order of the page. A folder belongs to the first area that names the beginning
/// of its name.
const AREAS: &[(&str, &[&str])] = &[
    ("TLS", &["ssl", "proxy_ssl", "uwsgi_ssl"]),
    ("Programs and other servers", &["cgi", "fastcgi", "scgi", "uwsgi", "proxy", "upstream", "resolver"]),
    ("Sessions and cookies", &["session", "set_cookie", "cookie"]),
    ("Uploads and WebDAV", &["upload", "dav", "create_full_put_path", "min_delete_depth"]),
    (
        "Who may come in, and how often",
        &["access", "auth", "satisfy", "allow_methods", "limit_", "referer", "realip", "geo", "disable_symlinks"],
    ),
    (
        "The answer's fields and body",
        &[
            "add_",
            "expires",
            "gzip",
            "brotli",
            "charset",
            "override_charset",
            "sub_filter",
            "server_tokens",
            "types",
            "etag",
        ],
    ),
    (
        "Locations, rewriting, files and pages",
        &[
            "alias",
            "root",
            "location",
            "rewrite",
            "return",
            "try_files",
            "set",
            "if",
            "index",
            "autoindex",
            "error_page",
            "error_template",
            "debug_clients",
            "empty_gif",
            "stub_status",
            "open_file_cache",
            "internal",
            "map",
        ],
    ),
    (
        "Requests and the protocol",
        &[
            "request",
            "header",
            "host",
            "body",
            "ranges",
            "max_ranges",
            "conditional",
            "chunked",
            "client_",
            "keepalive",
            "http",
            "large_",
            "max_headers",
            "limits",
            "path",
            "merge_slashes",
            "ignore_invalid",
            "underscores",
            "lingering",
            "send_timeout",
        ],
    ),
    ("Logs", &["access_log", "log_", "error_log", "open_log"]),
    ("The conf and the process", &[""]),
];

/// Compares the page with the cases, or writes it when asked to.
pub fn check(cases: &[Case], page: &Path, write: bool) -> Result<(), String> {
    let (mut differs, mut own) = (Rows::new(), Rows::new());
    for case in cases {
        match &case.nginx {
            Reference::Differs(reason) => note(&mut differs, reason, &case.name),
            Reference::Skip(reason) => note(&mut own, reason, &case.name),
            Reference::Same | Reference::Since(_) => {}
        }
    }
    let wanted = [HEAD, &tables(&differs), OWN, &tables(&own), DEFAULTS].concat();
    if write {
        return std::fs::write(page, wanted).map_err(|e| e.to_string());
    }
    match std::fs::read_to_string(page) {
        Ok(found) if found == wanted => Ok(()),
        _ => Err(format!("{} is out of date; LONGSHORE_CASES_WRITE=1 writes it anew", page.display())),
    }
}

/// Reasons with their cases, by area.
type Rows<'a> = BTreeMap<usize, BTreeMap<&'a str, Vec<&'a str>>>;

fn note<'a>(rows: &mut Rows<'a>, reason: &'a str, name: &'a str) {
    // Where several areas share a reason, that of the first case has it.
    let known = rows.iter().find(|(_, area)| area.contains_key(reason)).map(|(area, _)| *area);
    let area = known.unwrap_or_else(|| area_of(name));
    rows.entry(area).or_default().entry(reason).or_default().push(name);
}

/// The area with the longest beginning that fits.
fn area_of(name: &str) -> usize {
    let fits =
        |beginnings: &[&str]| beginnings.iter().filter(|text| name.starts_with(**text)).map(|text| text.len()).max();
    let fitting = AREAS.iter().enumerate().filter_map(|(area, (_, beginnings))| Some((fits(beginnings)?, area)));
    fitting.max_by_key(|(length, area)| (*length, std::cmp::Reverse(*area))).map_or(AREAS.len() - 1, |(_, area)| area)
}

fn tables(rows: &Rows<'_>) -> String {
    let table = |(area, rows): (&usize, &BTreeMap<&str, Vec<&str>>)| {
        let lines: String = rows.iter().map(|(reason, names)| row(reason, names)).collect();
        format!("\n### {}\n\n| difference | cases |\n|---|---|\n{lines}", AREAS[*area].0)
    };
    rows.iter().map(table).collect()
}

/// Long lists of cases are told by their folders.
fn row(reason: &str, names: &[&str]) -> String {
    let mut folders: Vec<String> =
        names.iter().map(|name| name.split('/').next().unwrap_or(name).to_string()).collect();
    folders.dedup();
    let cases = match names.len() {
        ..=12 => names.join(", "),
        count => format!(
            "{count} cases: {}",
            folders.iter().map(|folder| format!("{folder}/")).collect::<Vec<_>>().join(", ")
        ),
    };
    format!("| {} | {cases} |\n", reason.replace('|', "\\|"))
}
