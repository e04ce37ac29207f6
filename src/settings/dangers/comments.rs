//! The comments that silence a rule, `# longshore: allow RULE`, and those that mean to and do not. Knows no rule.

use std::ops::Range;

use crate::conf::codes::{self, Code};
use crate::conf::diagnostic::Diagnostic;
use crate::conf::source::{Sources, Span};
use crate::conf::suggest;

/// Whether a comment on the line of `span`, or alone on the line above, allows this.
pub fn silence(sources: &Sources, span: Span, code: Code) -> bool {
    let Some(source) = sources.files.get(span.file as usize) else { return false };
    let (number, _) = sources.position(span);
    let mut lines = source.text.split(|&byte| byte == b'\n');
    let above = number.checked_sub(2).and_then(|skipped| lines.by_ref().skip(skipped).take(1).next());
    let own = lines.next();
    let above = above.filter(|line| line.trim_ascii_start().starts_with(b"#"));
    [above, own].into_iter().flatten().any(|line| allows(line, code))
}

fn allows(line: &[u8], code: Code) -> bool {
    let is_meant = |(_, rule): (usize, &str)| codes::named(rule).is_some_and(|kind| kind.code == code);
    orders(line).any(|order| is_allow(&line[order.clone()]) && rules(line, order).any(is_meant))
}

/// Whether `allow` stands behind `# longshore:`.
fn is_allow(order: &[u8]) -> bool {
    let ends = |rest: &[u8]| rest.first().is_none_or(|byte| !byte.is_ascii_graphic());
    order.trim_ascii_start().strip_prefix(b"allow").is_some_and(ends)
}

/// What stands behind `# longshore:` in a line. A `#` may stand in a value before the one that begins the comment.
fn orders(line: &[u8]) -> impl Iterator<Item = Range<usize>> {
    const MARK: &[u8] = b"longshore:";
    let hashes = line.iter().enumerate().filter(|(_, byte)| **byte == b'#').map(|(at, _)| at);
    let ends = line.iter().enumerate().filter(|(_, byte)| **byte == b'#').map(|(at, _)| at).skip(1);
    let parts = hashes.zip(ends.chain([line.len()])).collect::<Vec<_>>();
    parts.into_iter().filter_map(|(start, end)| {
        let text = &line[start + 1..end];
        let blanks = text.len() - text.trim_ascii_start().len();
        let at = start + 1 + blanks;
        line[at..end].starts_with(MARK).then_some(at + MARK.len()..end)
    })
}

/// The names behind `allow`, each with its place in the line; where another word stands, that word alone.
fn rules(line: &[u8], order: Range<usize>) -> impl Iterator<Item = (usize, &str)> {
    let start = order.start;
    let text = std::str::from_utf8(&line[order]).unwrap_or_default();
    let is_blank = |letter: char| matches!(letter, ' ' | '\t' | ',' | '\r');
    let words = text.split(is_blank).filter(|word| !word.is_empty());
    let mut words = words.map(move |word| (start + (word.as_ptr() as usize - text.as_ptr() as usize), word)).peekable();
    let is_allow = words.next_if(|(_, word)| *word == "allow").is_some();
    words.take(if is_allow { usize::MAX } else { 1 })
}

/// Warnings about comments of a file that silence nothing, since nobody knows what they name.
pub fn unknown(sources: &Sources, file: u32) -> Vec<Diagnostic> {
    let Some(source) = sources.files.get(file as usize) else { return Vec::new() };
    let (mut found, mut begin) = (Vec::new(), 0);
    for line in source.text.split(|&byte| byte == b'\n') {
        for order in orders(line) {
            let is_allow = is_allow(&line[order.clone()]);
            for (at, word) in rules(line, order).filter(|(_, word)| !is_allow || is_unknown(word)) {
                let span = Span { file, start: (begin + at) as u32, end: (begin + at + word.len()) as u32 };
                found.push(complaint(span, word, is_allow));
            }
        }
        begin += line.len() + 1;
    }
    found
}

fn is_unknown(word: &str) -> bool {
    codes::named(word).is_none_or(|kind| kind.rule.is_none())
}

fn complaint(span: Span, word: &str, is_allow: bool) -> Diagnostic {
    let names = codes::kinds().filter_map(|kind| kind.rule);
    let (message, help) = match (is_allow, suggest::closest(word, names)) {
        (false, _) => (format!("`{word}` behind `longshore:` means nothing"), "write `# longshore: allow RULE`".into()),
        (true, Some(near)) => (format!("there is no rule `{word}`"), format!("did you mean `{near}`?")),
        (true, None) => {
            (format!("there is no rule `{word}`"), "`longshore help` lists the codes, and each tells its rule".into())
        }
    };
    Diagnostic::warning(span, message).code(Code::UnknownRule).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_that_allow() {
        for (line, want) in [
            ("alias /a/; # longshore: allow alias-slash", true),
            ("alias /a/; # longshore:allow LS101", true),
            ("# longshore: allow status-open, alias-slash", true),
            ("rewrite a#b c; # longshore: allow alias-slash\r", true),
            ("# longshore: allow status-open", false),
            ("# longshore: allow", false),
            ("# longshore: alias-slash", false),
            ("# allow alias-slash", false),
            ("alias /a/;", false),
        ] {
            assert_eq!(allows(line.as_bytes(), Code::AliasSlash), want, "{line}");
        }
    }

    #[test]
    fn comments_that_name_nothing() {
        use crate::conf::source::Source;
        let text = "a; # longshore: allow alias-slsh, status-open\n# longshore: alow x\n# longshore: allow LS001\n# longshore: allow\n# long\n";
        let mut sources = Sources::default();
        let file = sources.add(Source { name: "a".into(), text: text.as_bytes().to_vec().into(), included_from: None });
        let found = unknown(&sources, file);
        let told: Vec<_> = found
            .iter()
            .map(|found| {
                let span = found.span.unwrap();
                (&text[span.start as usize..span.end as usize], sources.position(span).0)
            })
            .collect();
        assert_eq!(told, [("alias-slsh", 1), ("alow", 2), ("LS001", 3)]);
    }
}
