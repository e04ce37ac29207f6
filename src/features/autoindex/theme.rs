//! The listing people like to look at (`autoindex_theme on`). Columns are sorted by links, so it works without
//! scripts; a small script adds a filter. No external resource, light and dark, readable on a phone and by a screen
//! reader. Its looks stand in `theme.css`, its icons in `theme.svg`, the filter in `theme.js`, all sent inline.

use std::cmp::Ordering;
use std::fmt::Write;

use jiff::tz::TimeZone;

use super::{Entry, Kind};
use crate::http::size::human;
use crate::http::{date, escape};

/// The Content-Type of the page.
pub const CONTENT_TYPE: &str = "text/html; charset=utf-8";

const STYLE: &str = include_str!("theme.css");
const ICONS: &str = include_str!("theme.svg");
const SCRIPT: &str = include_str!("theme.js");

/// A column that can be sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Column {
    /// The name, numbers in it by their value, without case.
    #[default]
    Name,
    /// The size; folders have none and stand by name.
    Size,
    /// The time of the last change.
    Time,
}

/// How the page is sorted. Folders always come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Sort {
    /// By which column.
    pub by: Column,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl Sort {
    /// Reads `sort=name|size|time` and `order=asc|desc` from a request's arguments; anything else is the default.
    pub fn from_arguments(arguments: &[u8]) -> Self {
        let mut sort = Sort::default();
        for argument in arguments.split(|&b| b == b'&') {
            match argument {
                b"sort=name" => sort.by = Column::Name,
                b"sort=size" => sort.by = Column::Size,
                b"sort=time" => sort.by = Column::Time,
                b"order=desc" => sort.descending = true,
                b"order=asc" => sort.descending = false,
                _ => {}
            }
        }
        sort
    }

    /// How two entries stand to each other.
    pub fn compare(self, a: &Entry, b: &Entry) -> Ordering {
        let by_name = || natural(&a.name, &b.name);
        let order = match self.by {
            Column::Size if !a.is_dir() && !b.is_dir() => a.size.cmp(&b.size).then_with(by_name),
            Column::Time => a.mtime.cmp(&b.mtime).then_with(by_name),
            Column::Name | Column::Size => by_name(),
        };
        b.is_dir().cmp(&a.is_dir()).then(if self.descending { order.reverse() } else { order })
    }
}

/// What stands before the entries.
pub fn head(out: &mut String, uri: &[u8], sort: Sort, zone: &TimeZone) {
    let title = text(uri);
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    write(out, format_args!("<title>Index of {title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{ICONS}"));
    out.push_str("<main>\n<header>\n");
    breadcrumb(out, uri);
    out.push_str("<input id=\"filter\" type=\"search\" placeholder=\"Filter\" aria-label=\"Filter by name\" ");
    out.push_str("autocomplete=\"off\" spellcheck=\"false\" hidden>\n</header>\n<table>\n");
    write(out, format_args!("<caption>Content of {title}</caption>\n<thead><tr>"));
    let modified = format!("Modified ({})", zone_now(zone));
    for (label, by) in [("Name", Column::Name), ("Size", Column::Size), (&modified, Column::Time)] {
        column_head(out, label, by, sort);
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    if uri != b"/" {
        out.push_str("<tr class=\"up\"><th scope=\"row\"><a href=\"../\"><svg><use href=\"#up\"/></svg>");
        out.push_str("<span>Parent folder</span></a></th><td></td><td></td></tr>\n");
    }
}

/// What stands after them. `server_line` is the last, as on error pages.
pub fn foot(out: &mut String, sums: Sums, server_line: &str) {
    out.push_str("</tbody>\n</table>\n");
    summary(out, sums);
    write(out, format_args!("</main>\n<footer>{server_line}</footer>\n<script>\n{SCRIPT}</script>\n"));
    out.push_str("</body>\n</html>\n");
}

/// What there is altogether.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    folders: usize,
    others: usize,
    bytes: u64,
}

impl Sums {
    /// Counts an entry.
    pub fn add(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::Directory => self.folders += 1,
            Kind::File | Kind::Other => self.others += 1,
        }
        if entry.kind == Kind::File {
            self.bytes = self.bytes.saturating_add(entry.size);
        }
    }
}

/// The name of the times' zone today.
fn zone_now(zone: &TimeZone) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    date::written(now, zone, "%Z")
}

/// Each folder on the way from the root as a link; the last one is where we are.
fn breadcrumb(out: &mut String, uri: &[u8]) {
    let mut segments = uri.split(|&b| b == b'/').filter(|segment| !segment.is_empty()).peekable();
    out.push_str("<h1><span class=\"hidden\">Index of </span>");
    let root = "<svg><use href=\"#home\"/></svg><span class=\"hidden\">root folder</span>";
    if segments.peek().is_none() {
        write(out, format_args!("<b>{root}</b></h1>\n"));
        return;
    }
    write(out, format_args!("<a href=\"/\">{root}</a>"));
    let mut href = String::from("/");
    while let Some(segment) = segments.next() {
        let name = text(segment);
        out.push_str("<i>/</i>");
        if segments.peek().is_none() {
            write(out, format_args!("<b>{name}</b>"));
        } else {
            write(&mut href, format_args!("{}/", escape::component(segment)));
            write(out, format_args!("<a href=\"{href}\">{name}</a>"));
        }
    }
    out.push_str("</h1>\n");
}

fn column_head(out: &mut String, label: &str, by: Column, sort: Sort) {
    let word = match by {
        Column::Name => "name",
        Column::Size => "size",
        Column::Time => "time",
    };
    let (aria, arrow, order) = match (sort.by == by, sort.descending) {
        (false, _) => ("", "", "asc"),
        (true, false) => (" aria-sort=\"ascending\"", "<i aria-hidden=\"true\">↑</i>", "desc"),
        (true, true) => (" aria-sort=\"descending\"", "<i aria-hidden=\"true\">↓</i>", "asc"),
    };
    write(out, format_args!("<th scope=\"col\"{aria}><a href=\"?sort={word}&amp;order={order}\" "));
    // A crawler gains nothing from the same folder in six orders.
    write(out, format_args!("rel=\"nofollow\">{label}{arrow}</a></th>"));
}

/// One row of the table.
pub fn row(out: &mut String, entry: &Entry, zone: &TimeZone) {
    let (href, name) = (escape::component(&entry.name), text(&entry.name));
    let slash = if entry.is_dir() { "/" } else { "" };
    write(out, format_args!("<tr><th scope=\"row\"><a href=\"{href}{slash}\">"));
    write(out, format_args!("<svg><use href=\"#{}\"/></svg><span>{name}{slash}</span></a></th>", icon(entry)));
    if entry.kind == Kind::File {
        write(out, format_args!("<td title=\"{} bytes\">{}</td>", entry.size, human(entry.size)));
    } else {
        out.push_str("<td>–</td>");
    }
    let seconds = entry.seconds();
    let day = date::written(seconds, zone, "%Y-%m-%d");
    let time = date::written(seconds, zone, "%H:%M");
    let exact = date::iso8601(seconds, zone);
    write(out, format_args!("<td><time datetime=\"{exact}\">{day}<span> {time}</span></time></td></tr>\n"));
}

fn summary(out: &mut String, Sums { folders, others: files, bytes }: Sums) {
    if folders + files == 0 {
        out.push_str("<p class=\"empty\">This folder is empty.</p>\n");
        return;
    }
    let plural = |count, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let parts: Vec<String> = [
        (folders > 0).then(|| plural(folders, "folder")),
        (files > 0).then(|| plural(files, "file")),
        (bytes > 0).then(|| human(bytes)),
    ]
    .into_iter()
    .flatten()
    .collect();
    write(out, format_args!("<p id=\"count\" aria-live=\"polite\">{}</p>\n", parts.join(" · ")));
}

/// The icon of an entry, by its kind and the end of its name.
fn icon(entry: &Entry) -> &'static str {
    match entry.kind {
        Kind::Directory => return "dir",
        Kind::Other => return "other",
        Kind::File => {}
    }
    let extension = entry.name.rsplit(|&b| b == b'.').next().unwrap_or_default();
    if extension.len() == entry.name.len() || extension.len() > 8 {
        return "file";
    }
    match extension.to_ascii_lowercase().as_slice() {
        b"png" | b"jpg" | b"jpeg" | b"gif" | b"webp" | b"avif" | b"svg" | b"ico" | b"bmp" | b"tif" | b"tiff" => "image",
        b"mp4" | b"webm" | b"mkv" | b"mov" | b"avi" | b"mp3" | b"ogg" | b"flac" | b"wav" | b"m4a" | b"opus" => "media",
        b"zip" | b"gz" | b"tgz" | b"xz" | b"bz2" | b"zst" | b"tar" | b"7z" | b"rar" | b"deb" | b"rpm" | b"iso" => {
            "pack"
        }
        b"txt" | b"md" | b"pdf" | b"log" | b"csv" | b"doc" | b"docx" | b"odt" | b"rst" | b"tex" | b"epub" => "text",
        b"html" | b"htm" | b"css" | b"js" | b"ts" | b"json" | b"xml" | b"rs" | b"c" | b"h" | b"cpp" | b"py" | b"go"
        | b"sh" | b"php" | b"rb" | b"java" | b"toml" | b"yml" | b"yaml" | b"conf" | b"sql" => "code",
        _ => "file",
    }
}

/// Names as people order them: without case, runs of digits by their value (`v2` before `v10`); equal ones by bytes.
fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(x), Some(y)) = (left.first(), right.first()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (take_number(&mut left), take_number(&mut right));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            let order = x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase());
            (left, right) = (&left[1..], &right[1..]);
            order
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Takes a run of digits off the front, without its leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let (digits, rest) = text.split_at(text.iter().take_while(|b| b.is_ascii_digit()).count());
    *text = rest;
    &digits[digits.iter().take_while(|&&b| b == b'0').count()..]
}

/// A name as text for the page: what is no UTF-8 shows as a replacement character.
fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(&escape::html(name)).into_owned()
}

fn write(out: &mut String, text: std::fmt::Arguments) {
    // Writing to a String cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, kind: Kind, size: u64, mtime: i64) -> Entry {
        Entry { name: name.into(), kind, size, mtime }
    }

    fn sample() -> Vec<Entry> {
        vec![
            entry("v10.txt", Kind::File, 5, 30),
            entry("V2.txt", Kind::File, 700, 20),
            entry("zoo", Kind::Directory, 4096, 10),
            entry("ark", Kind::Directory, 4096, 40),
        ]
    }

    fn drawn(uri: &[u8], mut entries: Vec<Entry>, sort: Sort) -> String {
        let (mut out, mut sums) = (String::new(), Sums::default());
        entries.sort_by(|a, b| sort.compare(a, b));
        head(&mut out, uri, sort, &TimeZone::UTC);
        for entry in &entries {
            sums.add(entry);
            row(&mut out, entry, &TimeZone::UTC);
        }
        foot(&mut out, sums, "longshore");
        out
    }

    #[test]
    fn sorted_by_arguments_with_folders_first() {
        let table = [
            ("", ["ark", "zoo", "V2.txt", "v10.txt"]),
            ("order=desc", ["zoo", "ark", "v10.txt", "V2.txt"]),
            ("sort=size&order=asc", ["ark", "zoo", "v10.txt", "V2.txt"]),
            ("sort=size&order=desc", ["zoo", "ark", "V2.txt", "v10.txt"]),
            ("sort=time", ["zoo", "ark", "V2.txt", "v10.txt"]),
            ("x=1&sort=time&order=desc", ["ark", "zoo", "v10.txt", "V2.txt"]),
            ("sort=%00&&order", ["ark", "zoo", "V2.txt", "v10.txt"]),
        ];
        for (arguments, expected) in table {
            let sort = Sort::from_arguments(arguments.as_bytes());
            let mut entries = sample();
            entries.sort_by(|a, b| sort.compare(a, b));
            let names: Vec<_> = entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned()).collect();
            assert_eq!(names, expected, "{arguments}");
        }
    }

    #[test]
    fn the_order_of_names_is_total() {
        let names: [&[u8]; 12] =
            [b"", b"1", b"01", b"001a", b"1a", b"a", b"A", b"a1", b"a01", b"a10b", b"\xff", b"99999999999999999999999"];
        for a in names {
            assert_eq!(natural(a, a), Ordering::Equal);
            for b in names {
                assert_eq!(natural(a, b), natural(b, a).reverse());
                assert_eq!(natural(a, b).is_eq(), a == b);
                for c in names {
                    let in_a_row = natural(a, b).is_lt() && natural(b, c).is_lt();
                    assert!(!in_a_row || natural(a, c).is_lt(), "{a:?} {b:?} {c:?}");
                }
            }
        }
    }

    #[test]
    fn names_and_paths_are_escaped() {
        let html = drawn(b"/<b>/\"&\xff/", vec![entry("<script>\"&#.png", Kind::File, 1, 0)], Sort::default());
        assert!(html.contains("<a href=\"%3Cscript%3E%22%26%23.png\">"), "{html}");
        assert!(html.contains("<span>&lt;script&gt;&quot;&amp;#.png</span>"));
        assert!(html.contains("<a href=\"/%3Cb%3E/\">&lt;b&gt;</a><i>/</i><b>&quot;&amp;\u{fffd}</b>"));
        assert_eq!(html.matches("<script").count(), 1);
    }

    #[test]
    fn heads_say_and_turn_the_order() {
        let html = drawn(b"/", sample(), Sort { by: Column::Size, descending: false });
        assert!(html.contains("<th scope=\"col\" aria-sort=\"ascending\"><a href=\"?sort=size&amp;order=desc\""));
        assert!(html.contains("<th scope=\"col\"><a href=\"?sort=name&amp;order=asc\""));
        assert!(html.contains(">2 folders · 2 files · 705 B</p>"));
        assert!(!html.contains("Parent folder"), "nothing is above the root");
        let empty = drawn(b"/a/", Vec::new(), Sort { by: Column::Time, descending: true });
        assert!(empty.contains("aria-sort=\"descending\"><a href=\"?sort=time&amp;order=asc\""));
        assert!(empty.contains("This folder is empty.") && empty.contains("Parent folder"));
    }

    #[test]
    fn every_icon_is_drawn() {
        let names = ["a.PNG", "a.mp4", "a.tar.gz", "a.pdf", "a.rs", "a", ".hidden-thing", "png"];
        let files = names.map(|name| entry(name, Kind::File, 0, 0));
        let expected = ["image", "media", "pack", "text", "code", "file", "file", "file"];
        assert_eq!(files.each_ref().map(icon), expected);
        for id in expected.iter().chain(&["dir", "other", "up", "home"]) {
            assert!(ICONS.contains(&format!("<symbol id=\"{id}\"")), "{id}");
        }
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let html = drawn(b"/", sample(), Sort::default());
        assert!(!html.contains("://") && !html.contains("@import") && !html.contains("url("), "{html}");
    }
}
