//! Braces of regexes in words without quotes: `^/a{2,}$`. To the language such a `{` begins a block, and what follows is a
//! riddle; here it is told apart by its look. Decides nothing about other braces.

use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::Span;

/// The end of the quantifier `{2}`, `{2,}` or `{2,3}` that begins at `at` in the middle of a word.
pub(super) fn quantifier(text: &[u8], at: usize) -> Option<usize> {
    let before = *text[..at].last()?;
    // `${1}` is a variable, and a brace after a backslash belongs to its word.
    if text[at] != b'{' || before.is_ascii_whitespace() || b"{;$\\\"'".contains(&before) {
        return None;
    }
    let digits = |from: usize| from + text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = digits(at + 1);
    if end == at + 1 {
        return None;
    }
    if text.get(end) == Some(&b',') {
        end = digits(end + 1);
    }
    (text.get(end) == Some(&b'}')).then_some(end + 1)
}

/// The text as the grammar reads it: it knows ASCII only, so other bytes are letters to it, and quantifiers are parts of
/// their words. Offsets stay true.
pub(super) fn for_grammar(text: &[u8], from: usize, to: usize) -> String {
    let (mut out, mut until) = (String::with_capacity(to - from), from);
    for at in from..to {
        let byte = text[at];
        if byte == b'{'
            && at >= until
            && let Some(end) = quantifier(text, at)
        {
            until = end;
        }
        out.push(if at < until || byte >= 0x80 { 'x' } else { char::from(byte) });
    }
    out
}

/// What is wrong with a word without quotes that holds a quantifier.
pub(super) fn fault(raw: &[u8], span: Span) -> Option<Diagnostic> {
    let (start, end) = (0..raw.len()).find_map(|at| Some((at as u32, quantifier(raw, at)? as u32)))?;
    let place = Span { start: span.start + start, end: span.start + end, ..span };
    let help = match raw.len() {
        ..=80 => format!("quote it: `\"{}\"`", String::from_utf8_lossy(raw)),
        _ => "quote it: put the whole word in `\"`".to_owned(),
    };
    let error = Diagnostic::error(place, "a `{` in a word without quotes begins a block");
    Some(error.code(Code::UnquotedBrace).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantifiers_are_told_from_blocks() {
        for (text, want) in [
            ("~ ^/a{2,}$ {", "~ ^/axxxx$ {"),
            ("^/[ab]{2}x{3,4};", "^/[ab]xxxxxxxxx;"),
            ("a{2}{3} {", "axxxxxx {"),
            ("map $a $b{1 2;}", "map $a $b{1 2;}"),
            ("location /{}", "location /{}"),
            ("set $a ${1}b;", "set $a ${1}b;"),
            ("a\\{2\\}", "a\\{2\\}"),
            ("a{,2}", "a{,2}"),
            ("x {2}", "x {2}"),
            ("\u{e9}{2}", "xxxxx"),
            ("a{2", "a{2"),
        ] {
            assert_eq!(for_grammar(text.as_bytes(), 0, text.len()), want, "{text}");
        }
        let span = Span { file: 0, start: 10, end: 18 };
        let place = fault(b"^/a{2,}$", span).and_then(|fault| fault.span);
        assert_eq!(place, Some(Span { start: 13, end: 17, ..span }));
        assert!(fault(b"/{x}", span).is_none());
    }
}
