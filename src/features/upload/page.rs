//! The page to upload with. It works without scripts; with one it takes dropped files, sends each on its own and shows how
//! far it is. Nothing is loaded from elsewhere: its looks stand in `page.css`, its script in `page.js`, both sent inline.

use std::fmt::Write;

use jiff::tz::TimeZone;

use super::answer::url;
use super::receive::Stored;
use super::rows::Conf;
use crate::http::size::human;
use crate::http::{date, escape};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Files that are shown at most.
pub const SHOWN: usize = 500;

/// A file of the list.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// When it was last changed, in seconds since 1970.
    pub modified: i64,
}

/// What stands before the list of files; `stored` is what has just been taken.
pub fn head(conf: &Conf, most: u64, stored: &[Stored]) -> String {
    let mut out = String::with_capacity(12_000);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    write(&mut out, format_args!("<title>Upload files</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"));
    out.push_str("<h1>Upload files</h1>\n");
    notices(&mut out, conf, stored);
    form(&mut out, conf, most);
    out.push_str(
        "<ul id=\"jobs\" aria-label=\"Uploads\"></ul>\n<p id=\"said\" class=\"hidden\" role=\"status\"></p>\n",
    );
    out
}

/// What stands after it.
pub fn foot(server_line: &str) -> String {
    format!("</main>\n<footer>{server_line}</footer>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n")
}

fn notices(out: &mut String, conf: &Conf, stored: &[Stored]) {
    for file in stored {
        let (href, name, size) = (url(conf.prefix(), &file.name), text(&file.name), human(file.size));
        write(out, format_args!("<p class=\"notice\">Stored <a href=\"{href}\">{name}</a> ({size}).</p>\n"));
    }
}

fn form(out: &mut String, conf: &Conf, most: u64) {
    let largest = match (conf.max_file_size, most) {
        (0, n) | (n, 0) => n,
        (a, b) => a.min(b),
    };
    write(
        out,
        format_args!("<form id=\"form\" method=\"post\" enctype=\"multipart/form-data\" data-largest=\"{largest}\">\n"),
    );
    out.push_str("<label id=\"drop\"><svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path d=\"M12 15.5V4.5M7.5 8.5l4.5-4.5 4.5 4.5M4 15v3a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-3\"/></svg>\n");
    out.push_str("<span><b>Choose files</b><span class=\"drag\" hidden> or drop them here</span></span>\n");
    let input = conf.fields.first().map_or("file".into(), |name| text(&String::from_utf8_lossy(name)));
    write(out, format_args!("<input id=\"files\" type=\"file\" name=\"{input}\" multiple required></label>\n"));
    let mut limits = Vec::new();
    if largest > 0 {
        limits.push(format!("up to {} each", human(largest)));
    }
    limits.push(match conf.max_files {
        1 => "one file at a time".to_string(),
        n => format!("{n} files at a time"),
    });
    if !conf.types.is_empty() {
        let types: Vec<_> = conf.types.iter().map(|kind| text(&String::from_utf8_lossy(kind))).collect();
        limits.push(types.join(", "));
    }
    write(
        out,
        format_args!("<p id=\"limits\">{}</p>\n<button id=\"send\">Upload</button>\n</form>\n", limits.join(" · ")),
    );
}

/// What stands before the rows of the list.
pub fn list_head(deletes: bool) -> String {
    let mut out = String::from(
        "<h2>Stored files</h2>\n<table>\n<thead class=\"hidden\"><tr><th scope=\"col\">Name</th><th scope=\"col\">Size</th><th scope=\"col\">Stored</th>",
    );
    out.push_str(if deletes {
        "<th scope=\"col\">Delete</th></tr></thead>\n<tbody id=\"stored\" data-delete>\n"
    } else {
        "</tr></thead>\n<tbody id=\"stored\">\n"
    });
    out
}

/// One row.
pub fn row(prefix: &[u8], deletes: bool, file: &File) -> String {
    let (href, name) = (url(prefix, &file.name), text(&file.name));
    let seconds = u64::try_from(file.modified).unwrap_or(0);
    let (day, exact) = (date::written(seconds, &TimeZone::UTC, "%Y-%m-%d"), date::iso8601(seconds, &TimeZone::UTC));
    let mut out = format!(
        "<tr><th scope=\"row\"><a href=\"{href}\">{name}</a></th><td title=\"{} bytes\">{}</td>",
        file.size,
        human(file.size)
    );
    write(&mut out, format_args!("<td><time datetime=\"{exact}\">{day}</time></td>"));
    if deletes {
        write(
            &mut out,
            format_args!(
                "<td><form method=\"post\" class=\"delete\"><button name=\"delete\" value=\"{name}\" aria-label=\"Delete {name}\">Delete</button></form></td>"
            ),
        );
    }
    out.push_str("</tr>\n");
    out
}

/// What stands after the rows: of so many files the newest are shown.
pub fn list_foot(files: usize) -> String {
    let mut out = String::from("</tbody>\n</table>\n");
    match files {
        0 => out.push_str("<p id=\"empty\">Nothing is stored yet.</p>\n"),
        n if n > SHOWN => {
            write(&mut out, format_args!("<p id=\"more\">These are the newest {SHOWN} of {n} files.</p>\n"))
        }
        _ => {}
    }
    out
}

fn text(name: &str) -> String {
    String::from_utf8_lossy(&escape::html(name.as_bytes())).into_owned()
}

fn write(out: &mut String, text: std::fmt::Arguments) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::upload::Store;

    fn drawn(conf: Conf, files: &[File]) -> String {
        let store = Some(Store { folder: "/s".into(), prefix: "/up".into() });
        let conf = Conf { store, ..conf };
        let rows: String = files.iter().map(|file| row(conf.prefix(), conf.delete, file)).collect();
        let list = list_head(conf.delete) + &rows + &list_foot(files.len());
        head(&conf, 0, &[]) + &list + &foot("longshore")
    }

    #[test]
    fn names_are_escaped_and_nothing_is_fetched_from_elsewhere() {
        let files = [File { name: "<b>\"&#.txt".into(), size: 1, modified: 0 }];
        let html = drawn(Conf { delete: true, ..Conf::default() }, &files);
        assert!(html.contains("<a href=\"/up/%3Cb%3E%22%26%23.txt\">&lt;b&gt;&quot;&amp;#.txt</a>"), "{html}");
        assert!(html.contains("value=\"&lt;b&gt;&quot;&amp;#.txt\""));
        assert!(!html.contains("://") && !html.contains("@import") && !html.contains("url("));
        assert_eq!(html.matches("<script").count(), 1);
    }

    #[test]
    fn what_may_be_done_is_offered() {
        for (conf, words, has) in [
            (Conf::default(), "class=\"delete\"", false),
            (Conf { delete: true, ..Conf::default() }, "class=\"delete\"", true),
            (Conf { max_file_size: 5 << 20, ..Conf::default() }, "up to 5 MB each · 20 files", true),
            (Conf { types: vec!["image/*".into()], ..Conf::default() }, "image/*", true),
        ] {
            let html = drawn(conf, &[File { name: "a".into(), size: 1, modified: 0 }]);
            assert_eq!(html.contains(words), has, "{words}");
        }
    }
}
