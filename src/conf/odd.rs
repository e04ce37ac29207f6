//! Characters that look like nothing or like a quote and come in by copy and paste. The language
//! takes them as letters, which is hardly ever meant; this file only names them.

use super::codes::Code;
use super::diagnostic::Diagnostic;
use super::source::Span;

/// Anywhere in a bare word.
const INVISIBLE: [(char, &str); 6] = [
    ('\u{a0}', "a no-break space"),
    ('\u{202f}', "a narrow no-break space"),
    ('\u{3000}', "an ideographic space"),
    ('\u{200b}', "a zero-width space"),
    ('\u{2060}', "a word joiner"),
    ('\u{feff}', "a byte order mark"),
];

/// At the beginning or end of a bare word.
const LOOKALIKES: [(char, &str); 9] = [
    ('\u{201c}', "a typographic quote"),
    ('\u{201d}', "a typographic quote"),
    ('\u{2018}', "a typographic quote"),
    ('\u{2019}', "a typographic quote"),
    ('\u{ff1b}', "a full-width semicolon"),
    ('\u{37e}', "a Greek question mark"),
    ('\u{2013}', "a dash that is no hyphen"),
    ('\u{2014}', "a dash that is no hyphen"),
    ('\u{2212}', "a minus sign that is no hyphen"),
];

/// A warning about the first odd character in a bare word that stands at `span`.
pub fn hint(raw: &[u8], span: Span) -> Option<Diagnostic> {
    let word = std::str::from_utf8(raw).ok()?;
    let last = word.chars().next_back()?;
    let edge = |at: usize, c: char| at == 0 || at + last.len_utf8() == word.len() && c == last;
    let (at, c, name) = word.char_indices().find_map(|(at, c)| {
        let rows = INVISIBLE.iter().chain(LOOKALIKES.iter().filter(|_| edge(at, c)));
        rows.into_iter().find(|(odd, _)| *odd == c).map(|(_, name)| (at, c, *name))
    })?;
    let start = span.start + at as u32;
    let place = Span { start, end: start + c.len_utf8() as u32, ..span };
    let message = format!("{name} (U+{:04X}) is taken as a letter of this word", c as u32);
    Some(Diagnostic::warning(place, message).code(Code::OddCharacter).help(help(c)))
}

/// What to write for it.
fn help(c: char) -> &'static str {
    match c {
        '\u{201c}' | '\u{201d}' => "write the plain quote `\"` at both ends",
        '\u{2018}' | '\u{2019}' => "write the plain quote `'` at both ends",
        _ => "write a plain ASCII character, or put the word in quotes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_nobody_sees() {
        for (word, want) in [
            ("html", None),
            ("straße", None),
            ("a\u{a0}b", Some((1, 3, "U+00A0"))),
            ("\u{201c}x", Some((0, 3, "U+201C"))),
            ("x\u{201d}", Some((1, 4, "U+201D"))),
            ("l\u{2019}eau", None),
            ("\u{200b}listen", Some((0, 3, "U+200B"))),
        ] {
            let found = hint(word.as_bytes(), Span { file: 0, start: 0, end: word.len() as u32 });
            let place = found.as_ref().and_then(|d| d.span).map(|s| (s.start, s.end));
            assert_eq!(place, want.map(|(start, end, _)| (start, end)), "{word}");
            assert!(want.is_none_or(|(_, _, code)| found.is_some_and(|d| d.message.contains(code))), "{word}");
        }
        assert!(hint(b"\xa0", Span::default()).is_none());
    }
}
