//! From the name a client gives a file to the name it gets here: one segment that means nothing to any system. Pure.

/// The longest name that file systems hold.
const LONGEST: usize = 255;
/// Names that are devices on Windows, whatever their extension: a store may be shared with such machines.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// A name that is safe, or none if nothing is left of it.
pub fn safe(name: &[u8]) -> Option<String> {
    // Some clients send whole paths, of either kind.
    let last = name.rsplit(|&b| b == b'/' || b == b'\\').next().unwrap_or_default();
    let text = String::from_utf8_lossy(last);
    let cleaned: String = text.chars().filter(|c| !is_hidden(*c)).map(replace).collect();
    // A dot in front hides a file; dots and blanks at the end vanish on some systems, and with them an extension's meaning.
    let trimmed = cleaned.trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    let trimmed = trimmed.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
    if trimmed.is_empty() {
        return None;
    }
    Some(shorten(&if is_device(trimmed) { format!("_{trimmed}") } else { trimmed.to_string() }, 0))
}

/// The same name with a number before its extension.
pub fn numbered(name: &str, number: u32) -> String {
    let tail = format!("-{number}");
    let short = shorten(name, tail.len());
    let (stem, extension) = short.split_at(extension(&short));
    format!("{stem}{tail}{extension}")
}

/// Control characters, and those that turn the order of letters: `exe.txt` would show as `txt.exe`.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// What other systems do not take in names.
fn replace(c: char) -> char {
    if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*' | '\u{fffd}') { '_' } else { c }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let port = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    DEVICES.contains(&stem.as_str()) || port.is_some_and(|n| matches!(n.as_bytes(), [b'0'..=b'9']))
}

/// Where the extension begins, its dot counted in; the end if there is none.
fn extension(name: &str) -> usize {
    name.rfind('.').filter(|&at| at > 0).unwrap_or(name.len())
}

/// Cut in front of the extension, at a character, so that `spare` bytes more fit.
fn shorten(name: &str, spare: usize) -> String {
    let most = LONGEST - spare;
    if name.len() <= most {
        return name.to_string();
    }
    let at = extension(name);
    // An extension that long is none.
    let at = if name.len() - at > 32 { name.len() } else { at };
    let tail = &name[at..];
    let mut end = (most - tail.len()).min(at);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{tail}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe() {
        let long = "ä".repeat(200) + ".jpeg";
        for (name, wanted) in [
            ("a.txt", Some("a.txt")),
            ("Grüße 1.pdf", Some("Grüße 1.pdf")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\dir\\x.doc", Some("x.doc")),
            ("/a/b/", None),
            (".", None),
            ("..", None),
            ("", None),
            (" . ", None),
            (".htaccess", Some("htaccess")),
            ("...a", Some("a")),
            ("a.php.", Some("a.php")),
            ("a.php. .", Some("a.php")),
            ("a\0b\r\n.txt\x7f", Some("ab.txt")),
            ("gpj\u{202e}exe.a", Some("gpjexe.a")),
            ("a<b>:\"|?*.x", Some("a_b______.x")),
            ("CON", Some("_CON")),
            ("nul.txt", Some("_nul.txt")),
            ("Com1.log", Some("_Com1.log")),
            ("com10", Some("com10")),
            ("console", Some("console")),
            ("-rf", Some("-rf")),
        ] {
            assert_eq!(safe(name.as_bytes()).as_deref(), wanted, "{name:?}");
        }
        assert_eq!(safe(b"\xff\xfe.x").as_deref(), Some("__.x"));
        let cut = safe(long.as_bytes()).unwrap();
        assert!(cut.len() <= 255 && cut.ends_with("ä.jpeg"), "{cut}");
        assert!(safe("x".repeat(400).as_bytes()).unwrap().len() == 255);
        assert!(safe(format!("a.{}", "x".repeat(400)).as_bytes()).unwrap().len() == 255);
    }

    #[test]
    fn numbers_stand_before_the_extension() {
        for (name, wanted) in [("a.tar.gz", "a.tar-7.gz"), ("a", "a-7"), ("a.txt", "a-7.txt")] {
            assert_eq!(numbered(name, 7), wanted);
        }
        let long = "x".repeat(251) + ".txt";
        assert!(numbered(&long, 12).len() == 255 && numbered(&long, 12).ends_with("x-12.txt"));
    }
}
