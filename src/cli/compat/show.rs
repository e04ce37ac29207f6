//! The report of `longshore compat` as a table for people, or as JSON. Decides nothing.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;

use super::{Fate, Line, Report};
use crate::cli::options::TableForm;
use crate::conf::source::{Sources, Span};
use crate::http::escape;

/// Where Longshore answers differently from nginx on purpose; its rows name the directives.
const DIFFERENCES: &str = include_str!("../../../docs/differences.md");

/// Places that one likes to read in a line.
const PLACES: usize = 5;

/// Writes a report to standard output.
pub fn put(report: &Report, form: TableForm) {
    let text = match form {
        TableForm::Table => table(report),
        TableForm::Json => json(report),
    };
    // A reader that closed its end wants no more.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn table(report: &Report) -> String {
    let mut out = format!("{}\n", report.file);
    let width = report.lines.iter().map(|line| line.name.chars().count()).max().unwrap_or(0).max("directive".len());
    put_line(&mut out, format_args!("  {:<width$}  uses  what             where", "directive"));
    for line in &report.lines {
        let places = match line.fate {
            Fate::Honoured if line.why.is_none() => String::new(),
            _ => places(&report.sources, &line.places),
        };
        let (name, uses, what) = (shown(&line.name), line.places.len(), line.fate.word());
        let text = format!("  {name:<width$}  {uses:>4}  {what:<15}  {places}");
        put_line(&mut out, format_args!("{}", text.trim_end()));
        if let Some(why) = &line.why {
            put_line(&mut out, format_args!("  {:<width$}        {}", "", shown(why)));
        }
    }
    for other in &report.others {
        let place = other.span.map(|span| format!("{}: ", report.sources.place(span))).unwrap_or_default();
        put_line(&mut out, format_args!("  {place}{}", shown(&other.message)));
    }
    put_line(&mut out, format_args!("{}", verdict(report)));
    let corners = corners(report);
    if !corners.is_empty() {
        let names: BTreeSet<&str> = corners.iter().map(|(name, _)| *name).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        put_line(
            &mut out,
            format_args!("In corners that docs/differences.md lists, these answer differently on purpose: {names}."),
        );
    }
    for wrapped in &report.wrapped {
        out.push_str(&wrapped.text(&report.sources));
    }
    out
}

fn verdict(report: &Report) -> String {
    let (fine, all, tenths) = (report.uses(Fate::is_fine), report.uses(|_| true), report.tenths());
    let count = format!("{}.{} %: {fine} of {all} uses mean what they mean to nginx.", tenths / 10, tenths % 10);
    let unknown = report.uses(|fate| matches!(fate, Fate::Missing | Fate::Refused)) > 0 || !report.others.is_empty();
    match (report.is_taken(), unknown) {
        (true, _) if report.uses(|fate| fate == Fate::Absent) > 0 => {
            format!("{count} Longshore takes the conf on a machine that has the files and hosts named as `not here`.")
        }
        (true, _) if fine < all => {
            format!("{count} Longshore takes the conf, and does not do what `in part` tells of.")
        }
        (true, _) => format!("{count} Longshore takes the conf as it is."),
        (false, _) if fine == all => {
            format!("{count} What is not there, or cannot be read as a conf, is not counted: it is named above.")
        }
        (false, false) => format!("{count} `--partial` starts the rest, unless what is left out guards access."),
        (false, true) => format!("{count} `longshore -t` tells of each line what to write instead."),
    }
}

/// What is said of directives of this conf on the page of differences.
fn corners(report: &Report) -> Vec<(&str, &'static str)> {
    let honoured = report.lines.iter().filter(|line| line.fate == Fate::Honoured);
    let of = |line: &'_ Line| {
        let name = line.name.clone();
        let is_case = move |case: &str| case.trim().split('/').next() == Some(name.as_str());
        let rows = DIFFERENCES.lines().filter_map(|row| row.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | "));
        rows.filter(move |(_, cases)| cases.split(',').any(&is_case)).map(|(text, _)| text)
    };
    honoured.flat_map(|line| of(line).map(|text| (line.name.as_str(), text))).collect()
}

/// `nginx.conf:3,7 sites/a.conf:1 and 4 more`.
fn places(sources: &Sources, spans: &[Span]) -> String {
    let mut files: Vec<(String, Vec<String>)> = Vec::new();
    for span in spans.iter().take(PLACES) {
        let place = sources.place(*span);
        let Some((file, line)) = place.rsplit_once(':') else { continue };
        let file = file.rsplit('/').next().unwrap_or(file);
        match files.iter_mut().find(|(known, _)| known == file) {
            Some((_, lines)) => lines.push(line.to_string()),
            None => files.push((file.to_string(), vec![line.to_string()])),
        }
    }
    let one = |(file, lines): &(String, Vec<String>)| format!("{file}:{}", lines.join(","));
    let text = files.iter().map(one).collect::<Vec<_>>().join(" ");
    match spans.len() {
        more if more > PLACES => format!("{text} and {} more", more - PLACES),
        _ => text,
    }
}

fn json(report: &Report) -> String {
    let line = |line: &Line| {
        let places = line.places.iter().map(|span| quoted(&report.sources.place(*span))).collect::<Vec<_>>().join(",");
        let why = line.why.as_deref().map_or("null".into(), quoted);
        let (name, what, uses) = (quoted(&line.name), quoted(line.fate.word()), line.places.len());
        format!("{{\"directive\":{name},\"what\":{what},\"uses\":{uses},\"places\":[{places}],\"why\":{why}}}")
    };
    let other = |other: &crate::conf::diagnostic::Diagnostic| {
        let place = other.span.map_or("null".into(), |span| quoted(&report.sources.place(span)));
        format!("{{\"place\":{place},\"message\":{}}}", quoted(&other.message))
    };
    let corner =
        |(name, text): &(&str, &str)| format!("{{\"directive\":{},\"difference\":{}}}", quoted(name), quoted(text));
    let list = |parts: Vec<String>| parts.join(",");
    let counts = Fate::ALL.map(|fate| format!("{}:{}", quoted(fate.word()), report.uses(|other| other == fate)));
    format!(
        "{{\"file\":{},\"taken\":{},\"percent\":{}.{},\"uses\":{{{}}},\"directives\":[{}],\"others\":[{}],\"differences\":[{}],\"fcgiwrap\":[{}]}}\n",
        quoted(&report.file),
        report.is_taken(),
        report.tenths() / 10,
        report.tenths() % 10,
        counts.join(","),
        list(report.lines.iter().map(line).collect()),
        list(report.others.iter().map(other).collect()),
        list(corners(report).iter().map(corner).collect()),
        list(report.wrapped.iter().map(|wrapped| wrapped.json(&report.sources)).collect()),
    )
}

/// Text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = vec![b'"'];
    escape::json(&mut out, text.as_bytes());
    out.push(b'"');
    String::from_utf8_lossy(&out).into_owned()
}

/// Text of a conf, safe for a terminal.
pub(super) fn shown(text: &str) -> String {
    let one = |letter: char| match letter {
        '\t' => ' ',
        letter if letter.is_control() => '\u{fffd}',
        letter => letter,
    };
    text.chars().map(one).collect()
}

pub(super) fn put_line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}
