//! nginx's four listing formats, byte for byte: scripts parse them. Times are UTC but in HTML with a zone set.

use std::cmp::Ordering;
use std::io::Write;

use jiff::tz::TimeZone;

use super::{Entry, Kind, Look, UTC};
use crate::http::{date, escape};

/// Columns of the name in an HTML listing; a longer one is cut to three less and ends in `..>`.
const NAME_COLUMNS: usize = 50;

/// How folders come first and each group stands by the bytes of its names.
pub fn compare(a: &Entry, b: &Entry) -> Ordering {
    b.is_dir().cmp(&a.is_dir()).then_with(|| a.name.cmp(&b.name))
}

/// What stands before the entries of nginx's page.
pub fn html_head(out: &mut Vec<u8>, uri: &[u8]) {
    let uri = escape::html(uri);
    out.extend_from_slice(b"<html>\r\n<head><title>Index of ");
    out.extend_from_slice(&uri);
    out.extend_from_slice(b"</title></head>\r\n<body>\r\n<h1>Index of ");
    out.extend_from_slice(&uri);
    out.extend_from_slice(b"</h1><hr><pre><a href=\"../\">../</a>\r\n");
}

/// What stands after them.
pub const HTML_FOOT: &[u8] = b"</pre><hr></body>\r\n</html>\r\n";

/// One line of the page.
pub fn html_line(out: &mut Vec<u8>, entry: &Entry, look: &Look, zone: &TimeZone) {
    let slash = if entry.is_dir() { "/" } else { "" };
    write(out, format_args!("<a href=\"{}{slash}\">", escape::component(&entry.name)));
    let characters = std::str::from_utf8(&entry.name).ok().filter(|_| look.utf8);
    let columns = characters.map_or(entry.name.len(), |name| name.chars().count());
    let mut shown = columns.min(NAME_COLUMNS);
    if columns > NAME_COLUMNS {
        let keep = NAME_COLUMNS - 3;
        let end = characters.map_or(keep, |name| name.char_indices().nth(keep).map_or(name.len(), |(at, _)| at));
        out.extend_from_slice(&escape::html(&entry.name[..end]));
        out.extend_from_slice(b"..&gt;");
    } else {
        out.extend_from_slice(&escape::html(&entry.name));
        if entry.is_dir() && columns < NAME_COLUMNS {
            out.push(b'/');
            shown += 1;
        }
    }
    let time = date::written(entry.seconds(), zone, "%d-%b-%Y %H:%M");
    let size = match (entry.is_dir(), look.exact_size) {
        (true, true) => format!("{:>19}", "-"),
        (true, false) => format!("{:>7}", "-"),
        (false, true) => format!("{:>19}", entry.size),
        (false, false) => format!("{:>7}", rounded(entry.size)),
    };
    write(out, format_args!("</a>{:pad$} {time} {size}\r\n", "", pad = NAME_COLUMNS - shown));
}

/// The size in the largest unit of which there is at least one, rounded half up; up to 9999 in bytes.
fn rounded(size: u64) -> String {
    for (shift, unit, least) in [(30, 'G', 1 << 30), (20, 'M', 1 << 20), (10, 'K', 10_000)] {
        if size >= least {
            let half_up = (size >> (shift - 1)) & 1;
            return format!("{}{unit}", (size >> shift) + half_up);
        }
    }
    size.to_string()
}

/// What stands before the objects of JSON.
pub const JSON_HEAD: &[u8] = b"[";
/// What stands after them.
pub const JSON_FOOT: &[u8] = b"\r\n]";

/// One object.
pub fn json_object(out: &mut Vec<u8>, entry: &Entry, is_first: bool) {
    out.extend_from_slice(if is_first { b"\r\n{ \"name\":\"" } else { b",\r\n{ \"name\":\"" });
    escape::json(out, &entry.name);
    let (kind, mtime) = (word(entry.kind), date::imf(entry.seconds()));
    write(out, format_args!("\", \"type\":\"{kind}\", \"mtime\":\"{mtime}\""));
    if entry.kind == Kind::File {
        write(out, format_args!(", \"size\":{}", entry.size));
    }
    out.extend_from_slice(b" }");
}

/// What makes a call of a JSON text, before and after it.
pub fn call(callback: &[u8]) -> (Vec<u8>, &'static [u8]) {
    ([b"/* callback */\r\n", callback, b"("].concat(), b");")
}

/// What stands before the elements of XML.
pub const XML_HEAD: &[u8] = b"<?xml version=\"1.0\"?>\r\n<list>\r\n";
/// What stands after them.
pub const XML_FOOT: &[u8] = b"</list>\r\n";

/// One element.
pub fn xml_element(out: &mut Vec<u8>, entry: &Entry) {
    let kind = word(entry.kind);
    let mtime = date::written(entry.seconds(), &UTC, "%Y-%m-%dT%H:%M:%SZ");
    write(out, format_args!("<{kind} mtime=\"{mtime}\""));
    if entry.kind == Kind::File {
        write(out, format_args!(" size=\"{}\"", entry.size));
    }
    out.push(b'>');
    escape::xml(out, &entry.name);
    write(out, format_args!("</{kind}>\r\n"));
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Directory => "directory",
        Kind::File => "file",
        Kind::Other => "other",
    }
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments) {
    // Writing to a Vec cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::autoindex::Style;

    fn entry(name: &str, kind: Kind, size: u64) -> Entry {
        Entry { name: name.into(), kind, size, mtime: 1_772_600_767 }
    }

    fn look() -> Look {
        Look { uri: b"/<&\"/".to_vec(), style: Style::Html, exact_size: true, localtime: false, utf8: false }
    }

    fn sample() -> Vec<Entry> {
        let mut entries = vec![
            entry("b<", Kind::File, 5),
            entry("B\"\n", Kind::Other, 0),
            entry("z &d", Kind::Directory, 4096),
            entry("A", Kind::Directory, 4096),
        ];
        entries.sort_by(compare);
        entries
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// What stands between `<a href=...>` and the end of the line.
    fn line(entry: &Entry, look: &Look, zone: &TimeZone) -> String {
        let line = text(|out| html_line(out, entry, look, zone));
        line.trim_end().split_once('>').unwrap().1.to_owned()
    }

    #[test]
    fn html_page() {
        let spaces = |n| " ".repeat(n);
        assert_eq!(
            text(|out| {
                html_head(out, &look().uri);
                sample().iter().for_each(|entry| html_line(out, entry, &look(), &UTC));
                out.extend_from_slice(HTML_FOOT);
            }),
            format!(
                "<html>\r\n<head><title>Index of /&lt;&amp;&quot;/</title></head>\r\n<body>\r\n\
                 <h1>Index of /&lt;&amp;&quot;/</h1><hr><pre><a href=\"../\">../</a>\r\n\
                 <a href=\"A/\">A/</a>{}04-Mar-2026 05:06{}-\r\n\
                 <a href=\"z%20%26d/\">z &amp;d/</a>{}04-Mar-2026 05:06{}-\r\n\
                 <a href=\"B%22%0A\">B&quot;\n</a>{}04-Mar-2026 05:06{}0\r\n\
                 <a href=\"b%3C\">b&lt;</a>{}04-Mar-2026 05:06{}5\r\n\
                 </pre><hr></body>\r\n</html>\r\n",
                spaces(49),
                spaces(19),
                spaces(46),
                spaces(19),
                spaces(48),
                spaces(19),
                spaces(49),
                spaces(19),
            )
        );
    }

    #[test]
    fn long_names_are_cut() {
        let shown = |name: String, kind, utf8| {
            let line = line(&entry(&name, kind, 0), &Look { utf8, ..look() }, &UTC);
            line.split("</a>").next().unwrap().to_owned()
        };
        let x = |n| "x".repeat(n);
        let e = |n| "é".repeat(n);
        let table = [
            (x(50), Kind::File, false, x(50)),
            (x(51), Kind::File, false, x(47) + "..&gt;"),
            (x(49), Kind::Directory, false, x(49) + "/"),
            (x(50), Kind::Directory, false, x(50)),
            (x(51), Kind::Directory, false, x(47) + "..&gt;"),
            (e(50), Kind::File, true, e(50)),
            (e(51), Kind::File, true, e(47) + "..&gt;"),
            (x(1) + &e(25), Kind::File, false, x(1) + &e(23) + "..&gt;"),
        ];
        for (name, kind, utf8, expected) in table {
            assert_eq!(shown(name.clone(), kind, utf8), expected, "{name} {kind:?} {utf8}");
        }
    }

    #[test]
    fn sizes_are_rounded() {
        let table: [(u64, &str); 14] = [
            (0, "0"),
            (9999, "9999"),
            (10_000, "10K"),
            (10_239, "10K"),
            (1_023_487, "999K"),
            (1_023_488, "1000K"),
            ((1 << 20) - 1, "1024K"),
            (1 << 20, "1M"),
            ((1 << 20) + (1 << 19) - 1, "1M"),
            ((1 << 20) + (1 << 19), "2M"),
            ((1 << 30) - 1, "1024M"),
            (1 << 30, "1G"),
            ((9 << 30) + (1 << 29), "10G"),
            (u64::MAX, "17179869184G"),
        ];
        for (size, expected) in table {
            assert_eq!(rounded(size), expected, "{size}");
        }
        let line = line(&sample()[0], &Look { exact_size: false, ..look() }, &UTC);
        assert!(line.ends_with("04-Mar-2026 05:06       -"), "{line}");
    }

    #[test]
    fn times_in_a_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let shown = line(&sample()[0], &look(), &zone);
        assert!(shown.contains("04-Mar-2026 07:06"), "{shown}");
        let early = Entry { mtime: -5, ..entry("a", Kind::File, 1) };
        assert!(line(&early, &look(), &UTC).contains("01-Jan-1970 00:00"));
    }

    #[test]
    fn data_formats() {
        let json = "[\r\n{ \"name\":\"A\", \"type\":\"directory\", \"mtime\":\"Wed, 04 Mar 2026 05:06:07 GMT\" },\r\n\
            { \"name\":\"z &d\", \"type\":\"directory\", \"mtime\":\"Wed, 04 Mar 2026 05:06:07 GMT\" },\r\n\
            { \"name\":\"B\\\"\\n\", \"type\":\"other\", \"mtime\":\"Wed, 04 Mar 2026 05:06:07 GMT\" },\r\n\
            { \"name\":\"b<\", \"type\":\"file\", \"mtime\":\"Wed, 04 Mar 2026 05:06:07 GMT\", \"size\":5 }\r\n]";
        let xml = "<?xml version=\"1.0\"?>\r\n<list>\r\n\
            <directory mtime=\"2026-03-04T05:06:07Z\">A</directory>\r\n\
            <directory mtime=\"2026-03-04T05:06:07Z\">z &amp;d</directory>\r\n\
            <other mtime=\"2026-03-04T05:06:07Z\">B&quot;\n</other>\r\n\
            <file mtime=\"2026-03-04T05:06:07Z\" size=\"5\">b&lt;</file>\r\n</list>\r\n";
        let objects = |out: &mut Vec<u8>, entries: &[Entry]| {
            out.extend_from_slice(JSON_HEAD);
            entries.iter().enumerate().for_each(|(at, entry)| json_object(out, entry, at == 0));
            out.extend_from_slice(JSON_FOOT);
        };
        assert_eq!(text(|out| objects(out, &sample())), json);
        assert_eq!(text(|out| objects(out, &[])), "[\r\n]");
        let elements = text(|out| {
            out.extend_from_slice(XML_HEAD);
            sample().iter().for_each(|entry| xml_element(out, entry));
            out.extend_from_slice(XML_FOOT);
        });
        assert_eq!(elements, xml);
        assert_eq!(call(b"my.cb"), (b"/* callback */\r\nmy.cb(".to_vec(), &b");"[..]));
    }
}
