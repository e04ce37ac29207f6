//! Diagnostics as text for people, as one line each, or as JSON for editors. Decides nothing: not
//! what is wrong, nor where the text goes, nor whether colour is wanted.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use std::fmt::Write as _;
use std::ops::Range;

use super::diagnostic::{Diagnostic, Severity};
use super::source::{Sources, Span};

/// Bytes of a line that are kept before and behind the word.
const AROUND: usize = 60;

/// The form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The source line with a caret under the word.
    Long,
    /// `file:line:column: error: message` on one line.
    Short,
    /// One JSON object on one line.
    Json,
}

/// One diagnostic as text that ends with a line feed.
pub fn render(sources: &Sources, diagnostic: &Diagnostic, format: Format, colour: bool) -> String {
    let mut text = match format {
        Format::Long => long(sources, diagnostic, colour),
        Format::Short => short(sources, diagnostic),
        Format::Json => json(sources, diagnostic),
    };
    text.push('\n');
    text
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn long(sources: &Sources, diagnostic: &Diagnostic, colour: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Note => Level::NOTE,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let message = plain(&diagnostic.message);
    let code = diagnostic.code.to_string();
    let mut group = Group::with_title(level.primary_title(message).id(code));
    let excerpt = diagnostic.span.and_then(|span| Excerpt::of(sources, span));
    let second = diagnostic.also.as_ref().and_then(|(span, label)| Some((Excerpt::of(sources, *span)?, plain(label))));
    // Both on one line share one excerpt, if the cut has left both in it.
    let shared = match (&diagnostic.span, &diagnostic.also, &excerpt) {
        (Some(_), Some((span, _)), Some(first)) => first.place_of(*span),
        _ => None,
    };
    if let Some(first) = &excerpt {
        let mut snippet = first.snippet().annotation(AnnotationKind::Primary.span(first.word.clone()));
        if let (Some(place), Some((_, label))) = (shared.clone(), &second) {
            snippet = snippet.annotation(AnnotationKind::Context.span(place).label(label.as_str()));
        }
        group = group.element(first.origin()).element(snippet);
    }
    if let (None, Some((other, label))) = (shared, &second) {
        let mark = AnnotationKind::Context.span(other.word.clone()).label(label.as_str());
        group = group.element(other.origin()).element(other.snippet().annotation(mark));
    }
    for place in sources.includes(diagnostic.span) {
        group =
            group.element(Level::NOTE.message(format!("this file is included at {}", plain(&sources.place(place)))));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(plain(help)));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    // Behind the place the renderer begins its excerpt with one more, which is empty.
    let text = renderer.render(&[group]);
    text.lines().filter(|line| line.trim() != ":::").collect::<Vec<_>>().join("\n")
}

fn short(sources: &Sources, diagnostic: &Diagnostic) -> String {
    let mut text = String::new();
    if let Some((span, name)) = diagnostic.span.and_then(|span| Some((span, sources.files.get(span.file as usize)?))) {
        let (line, column) = sources.position(span);
        text = format!("{}:{line}:{column}: ", name.name.display());
    }
    text += &format!("{}[{}]: {}", word(diagnostic.severity), diagnostic.code, diagnostic.message);
    if let Some(help) = &diagnostic.help {
        text += &format!(" ({help})");
    }
    plain(&text)
}

fn json(sources: &Sources, diagnostic: &Diagnostic) -> String {
    let mut text = format!(
        "{{\"severity\":\"{}\",\"code\":\"{}\",\"message\":{}",
        word(diagnostic.severity),
        diagnostic.code,
        quote(&diagnostic.message)
    );
    if let Some(span) = diagnostic.span {
        text += &format!(",{}", json_place(sources, span));
    }
    if let Some(help) = &diagnostic.help {
        text += &format!(",\"help\":{}", quote(help));
    }
    let includes: Vec<String> =
        sources.includes(diagnostic.span).map(|place| format!("{{{}}}", json_place(sources, place))).collect();
    if !includes.is_empty() {
        text += &format!(",\"included_at\":[{}]", includes.join(","));
    }
    if let Some((span, label)) = &diagnostic.also {
        text += &format!(",\"also\":{{\"message\":{},{}}}", quote(label), json_place(sources, *span));
    }
    text + "}"
}

/// Lines and columns count from 1, columns in characters; `start` and `end` are bytes from 0.
fn json_place(sources: &Sources, span: Span) -> String {
    let name =
        sources.files.get(span.file as usize).map(|source| source.name.display().to_string()).unwrap_or_default();
    let (line, column) = sources.position(span);
    let (end_line, end_column) = sources.position(Span { start: span.end, ..span });
    format!(
        "\"file\":{},\"line\":{line},\"column\":{column},\"end_line\":{end_line},\"end_column\":{end_column},\
         \"start\":{},\"end\":{}",
        quote(&name),
        span.start,
        span.end
    )
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            // Writing to a string cannot fail.
            c if c.is_control() => drop(write!(out, "\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Text of the conf on one line of a terminal: control characters could do anything there.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// One source line, cut around a word, as text that a terminal can show.
struct Excerpt {
    path: String,
    line: usize,
    column: usize,
    text: String,
    /// The word in `text`; what goes on in the next line is left out.
    word: Range<usize>,
    /// The bytes of the source that `text` shows.
    shown: Span,
    /// How long the mark of a cut is at the beginning of `text`.
    lead: usize,
    raw: Vec<u8>,
}

impl Excerpt {
    fn of(sources: &Sources, span: Span) -> Option<Excerpt> {
        let source = sources.files.get(span.file as usize)?;
        let bytes: &[u8] = &source.text;
        let at = (span.start as usize).min(bytes.len());
        let begin = bytes[..at].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let mut end = bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |i| at + i);
        if end > at && bytes[end - 1] == b'\r' {
            end -= 1;
        }
        let stop = (span.end as usize).clamp(at, end.max(at));
        let from = if at - begin > 2 * AROUND { boundary(bytes, at - AROUND) } else { begin };
        let to = if end.saturating_sub(stop.min(at + AROUND)) > 2 * AROUND {
            boundary(bytes, stop.min(at + AROUND) + AROUND)
        } else {
            end
        };
        let raw = bytes[from..to.max(at)].to_vec();
        let lead = if from > begin { "... ".len() } else { 0 };
        let (line, column) = sources.position(span);
        let shown = Span { file: span.file, start: from as u32, end: to.max(at) as u32 };
        let mut excerpt = Excerpt {
            path: plain(&source.name.to_string_lossy()),
            line,
            column,
            text: format!("{}{}{}", &"... "[..lead], show(&raw), if to < end { " ..." } else { "" }),
            word: 0..0,
            shown,
            lead,
            raw,
        };
        excerpt.word = excerpt.range(at, stop.min(to.max(at)));
        Some(excerpt)
    }

    /// Where bytes of the source stand in `text`.
    fn range(&self, start: usize, end: usize) -> Range<usize> {
        let from = self.shown.start as usize;
        let before = self.lead + show(&self.raw[..start - from]).len();
        let behind = before + show(&self.raw[start - from..end - from]).len();
        // A span may cut a character; its parts are shown at another length than the whole.
        let whole =
            |at: usize| (0..=at.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        whole(before)..whole(behind)
    }

    /// Where another place stands in `text`, if it does.
    fn place_of(&self, span: Span) -> Option<Range<usize>> {
        let inside = span.file == self.shown.file && span.start >= self.shown.start && span.end <= self.shown.end;
        inside.then(|| self.range(span.start as usize, span.end as usize))
    }

    fn origin(&self) -> Origin<'_> {
        Origin::path(self.path.as_str()).line(self.line).char_column(self.column)
    }

    fn snippet<T: Clone>(&self) -> Snippet<'_, T> {
        Snippet::source(self.text.as_str()).line_start(self.line)
    }
}

/// The next place at or behind `at` where no UTF-8 character is cut.
fn boundary(bytes: &[u8], at: usize) -> usize {
    (at..at + 4).find(|&i| bytes.get(i).is_none_or(|b| b & 0xC0 != 0x80)).unwrap_or(at)
}

/// Bytes as text without control characters; a tab becomes four spaces.
fn show(bytes: &[u8]) -> String {
    plain(&String::from_utf8_lossy(bytes).replace('\t', "    "))
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    fn rendered(text: &[u8], diagnostic: Diagnostic, format: Format) -> String {
        let mut sources = Sources::default();
        sources.add(Source { name: "a.conf".into(), text: text.into(), included_from: None });
        render(&sources, &diagnostic, format, false)
    }

    fn span(start: u32, end: u32) -> Span {
        Span { file: 0, start, end }
    }

    #[test]
    fn the_caret_stands_under_the_word() {
        let error = |start, end| Diagnostic::error(span(start, end), "wrong");
        let long_line = [vec![b'x'; 5000], b" bad ".to_vec(), vec![b'y'; 5000]].concat();
        for (text, diagnostic, wants) in [
            (
                &b"a;\nroot bad;\n"[..],
                error(8, 11),
                &["error[LS035]: wrong", "a.conf:2:6", "2 | root bad;", "  |      ^^^"][..],
            ),
            (b"\troot\tbad;\r\n", error(6, 9), &["a.conf:1:7", "1 |     root    bad;\n", "  |             ^^^"]),
            (b"\xff\xff bad", error(3, 6), &["a.conf:1:4", "  |    ^^^"]),
            (b"a 'b\nc'", error(2, 7), &["1 | a 'b\n", "  |   ^^"]),
            (b"root x", error(6, 6), &["a.conf:1:7", "  |       ^"]),
            (b"", error(0, 0), &["a.conf:1:1"]),
            (b"a b", error(9, 12), &["error[LS035]: wrong"]),
            (&long_line, error(5001, 5004), &["a.conf:1:5002", "xxx bad yyy", " ^^^"]),
            (
                b"a;\nb c;",
                error(5, 6).also(span(0, 1), "first set here").help("remove it"),
                &["2 | b c;", "1 | a;", "- first set here", "= help: remove it"],
            ),
            (b"a b;", error(2, 3).also(span(0, 1), "of this"), &["| - ^", "of this"]),
        ] {
            let out = rendered(text, diagnostic, Format::Long);
            assert!(wants.iter().all(|want| out.contains(want)) && out.len() < 1000, "{wants:?}\n{out}");
        }
    }

    #[test]
    fn one_line_each() {
        let diagnostic = Diagnostic::warning(span(2, 3), "say \"b\"\n").help("or c").also(span(0, 1), "here");
        assert_eq!(
            rendered(b"a b;", diagnostic.clone(), Format::Short),
            "a.conf:1:3: warning[LS070]: say \"b\"\u{fffd} (or c)\n"
        );
        assert_eq!(
            rendered(b"a b;", diagnostic, Format::Json),
            "{\"severity\":\"warning\",\"code\":\"LS070\",\"message\":\"say \\\"b\\\"\\u000a\",\"file\":\"a.conf\",\"line\":1,\"column\":3,\
             \"end_line\":1,\"end_column\":4,\"start\":2,\"end\":3,\"help\":\"or c\",\"also\":{\"message\":\"here\",\
             \"file\":\"a.conf\",\"line\":1,\"column\":1,\"end_line\":1,\"end_column\":2,\"start\":0,\"end\":1}}\n"
        );
    }
}
