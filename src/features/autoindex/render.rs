//! nginx's four listing formats, byte for byte: scripts parse them. Times are UTC but in HTML with a zone set.

use std::io::Write;

use super::{Entry, Format, Kind, Listing, UTC};
use crate::http::{date, escape};

/// Columns of the name in an HTML listing; a longer one is cut to three less and ends in `..>`.
const NAME_COLUMNS: usize = 50;

/// Writes a listing, folders first and each group by bytes of the name. Gives its Content-Type and its body.
pub fn render(format: Format, mut listing: Listing) -> (&'static str, Vec<u8>) {
    listing.entries.sort_by(|a, b| b.is_dir().cmp(&a.is_dir()).then_with(|| a.name.cmp(&b.name)));
    match (format, listing.callback) {
        (Format::Html, _) => ("text/html", html(&listing)),
        (Format::Json, _) | (Format::Jsonp, None) => ("application/json", json(&listing)),
        (Format::Jsonp, Some(callback)) => ("application/javascript", jsonp(&listing, callback)),
        (Format::Xml, _) => ("text/xml; charset=utf-8", xml(&listing)),
    }
}

fn html(listing: &Listing) -> Vec<u8> {
    let uri = escape::html(listing.uri);
    let mut out = Vec::with_capacity(256 + listing.entries.len() * 128);
    out.extend_from_slice(b"<html>\r\n<head><title>Index of ");
    out.extend_from_slice(&uri);
    out.extend_from_slice(b"</title></head>\r\n<body>\r\n<h1>Index of ");
    out.extend_from_slice(&uri);
    out.extend_from_slice(b"</h1><hr><pre><a href=\"../\">../</a>\r\n");
    for entry in &listing.entries {
        html_line(&mut out, entry, listing);
    }
    out.extend_from_slice(b"</pre><hr></body>\r\n</html>\r\n");
    out
}

fn html_line(out: &mut Vec<u8>, entry: &Entry, listing: &Listing) {
    let slash = if entry.is_dir() { "/" } else { "" };
    write(out, format_args!("<a href=\"{}{slash}\">", escape::component(&entry.name)));
    let characters = std::str::from_utf8(&entry.name).ok().filter(|_| listing.utf8);
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
    let time = date::written(entry.seconds(), listing.zone(), "%d-%b-%Y %H:%M");
    let size = match (entry.is_dir(), listing.exact_size) {
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

fn json(listing: &Listing) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + listing.entries.len() * 112);
    out.push(b'[');
    for (at, entry) in listing.entries.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"\r\n{ \"name\":\"" } else { b",\r\n{ \"name\":\"" });
        escape::json(&mut out, &entry.name);
        let (kind, mtime) = (word(entry.kind), date::imf(entry.seconds()));
        write(&mut out, format_args!("\", \"type\":\"{kind}\", \"mtime\":\"{mtime}\""));
        if entry.kind == Kind::File {
            write(&mut out, format_args!(", \"size\":{}", entry.size));
        }
        out.extend_from_slice(b" }");
    }
    out.extend_from_slice(b"\r\n]");
    out
}

fn jsonp(listing: &Listing, callback: &[u8]) -> Vec<u8> {
    [b"/* callback */\r\n", callback, b"(", &json(listing), b");"].concat()
}

fn xml(listing: &Listing) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + listing.entries.len() * 96);
    out.extend_from_slice(b"<?xml version=\"1.0\"?>\r\n<list>\r\n");
    for entry in &listing.entries {
        let kind = word(entry.kind);
        let mtime = date::written(entry.seconds(), &UTC, "%Y-%m-%dT%H:%M:%SZ");
        write(&mut out, format_args!("<{kind} mtime=\"{mtime}\""));
        if entry.kind == Kind::File {
            write(&mut out, format_args!(" size=\"{}\"", entry.size));
        }
        out.push(b'>');
        escape::xml(&mut out, &entry.name);
        write(&mut out, format_args!("</{kind}>\r\n"));
    }
    out.extend_from_slice(b"</list>\r\n");
    out
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
    use jiff::tz::TimeZone;

    use super::*;

    fn entry(name: &str, kind: Kind, size: u64) -> Entry {
        Entry { name: name.into(), kind, size, mtime: 1_772_600_767 }
    }

    fn listing(entries: Vec<Entry>) -> Listing<'static> {
        Listing { uri: b"/<&\"/", entries, exact_size: true, zone: None, utf8: false, callback: None }
    }

    fn sample() -> Listing<'static> {
        listing(vec![
            entry("b<", Kind::File, 5),
            entry("B\"\n", Kind::Other, 0),
            entry("z &d", Kind::Directory, 4096),
            entry("A", Kind::Directory, 4096),
        ])
    }

    fn text(format: Format, listing: Listing) -> String {
        String::from_utf8(render(format, listing).1).unwrap()
    }

    /// What stands between `<a href=...>` and the end of each line.
    fn lines(listing: Listing) -> Vec<String> {
        let html = text(Format::Html, listing);
        let lines = html.lines().filter(|line| line.starts_with("<a href") && !line.contains("../"));
        lines.map(|line| line.split_once('>').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn html_page() {
        let spaces = |n| " ".repeat(n);
        assert_eq!(
            text(Format::Html, sample()),
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
            let line = lines(Listing { utf8, ..listing(vec![entry(&name, kind, 0)]) }).remove(0);
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
        let line = lines(Listing { exact_size: false, ..sample() }).remove(0);
        assert!(line.ends_with("04-Mar-2026 05:06       -"), "{line}");
    }

    #[test]
    fn times_in_a_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let line = lines(Listing { zone: Some(&zone), ..sample() }).remove(0);
        assert!(line.contains("04-Mar-2026 07:06"), "{line}");
        let early = Entry { mtime: -5, ..entry("a", Kind::File, 1) };
        assert!(lines(listing(vec![early])).remove(0).contains("01-Jan-1970 00:00"));
    }

    #[test]
    fn data_formats() {
        let json = "[\r\n{ \"name\":\"A\", \"type\":\"directory\", \"mtime\":\"Wed, 04 Mar 2026 05:06:07 GMT\" },\r\n\
            { \"name\":\"z &d\", \"type\":\"directory\", \"mtime\":\"Wed, 04 Mar 2026 05:06:07 GMT\" },\r\n\
            { \"name\":\"B\\\"\\n\", \"type\":\"other\", \"mtime\":\"Wed, 04 Mar 2026 05:06:07 GMT\" },\r\n\
            { \"name\":\"b<\", \"type\":\"file\", \"mtime\":\"Wed, 04 Mar 2026 05:06:07 GMT\", \"size\":5 }\r\n]";
        let called = Listing { callback: Some(b"my.cb"), ..sample() };
        let xml = "<?xml version=\"1.0\"?>\r\n<list>\r\n\
            <directory mtime=\"2026-03-04T05:06:07Z\">A</directory>\r\n\
            <directory mtime=\"2026-03-04T05:06:07Z\">z &amp;d</directory>\r\n\
            <other mtime=\"2026-03-04T05:06:07Z\">B&quot;\n</other>\r\n\
            <file mtime=\"2026-03-04T05:06:07Z\" size=\"5\">b&lt;</file>\r\n</list>\r\n";
        let table = [
            (Format::Json, sample(), "application/json", json.to_owned()),
            (Format::Jsonp, sample(), "application/json", json.to_owned()),
            (Format::Jsonp, called, "application/javascript", format!("/* callback */\r\nmy.cb({json});")),
            (Format::Xml, sample(), "text/xml; charset=utf-8", xml.to_owned()),
            (Format::Json, listing(vec![]), "application/json", "[\r\n]".to_owned()),
        ];
        for (format, listing, content_type, body) in table {
            let (got_type, got_body) = render(format, listing);
            assert_eq!((got_type, String::from_utf8(got_body).unwrap()), (content_type, body), "{format:?}");
        }
    }
}
