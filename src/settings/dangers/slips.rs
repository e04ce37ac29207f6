//! Rules about slips: lines that are taken and mean something else than whoever wrote them thought.

use super::block::{Block, Matching, Place};
use super::{Conf, danger};
use crate::conf::ast::{Node, Word};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;

pub fn location_never_matches(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let (Some((matching, text)), Some(node)) = (block.matching(), block.node) else { return };
    let shown = String::from_utf8_lossy(text);
    let first = text.first().copied().unwrap_or(b'/');
    let never = match matching {
        Matching::Exact | Matching::Prefix { .. } => first != b'/' && first != b'$',
        // Other beginnings of a regex may be anything.
        Matching::Regex { .. } => {
            first == b'^' && text.get(1).is_some_and(u8::is_ascii_alphanumeric) && !text.contains(&b'|')
        }
        Matching::Named => false,
    };
    if never {
        let message = format!("no path begins like `{shown}`: this location never matches");
        let fixed = match shown.strip_prefix('^') {
            Some(rest) => format!("^/{rest}"),
            None => format!("/{shown}"),
        };
        let span = node.args.last().map_or(node.span, |word| word.span);
        found.push(danger(Code::LocationNeverMatches, span, message, format!("write `{fixed}`")));
    }
}

pub fn comma_in_list(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    for node in block.own(&["index", "server_name", "try_files", "allow_methods", "limit_except", "gzip_types"]) {
        let Some(word) = node.args.iter().find(|word| !word.quoted && word.text.ends_with(b",")) else { continue };
        let words: Vec<_> = node.args.iter().map(|word| word.show().trim_end_matches(',').to_string()).collect();
        let message = format!("the comma belongs to the word `{}`", word.show());
        let help = format!("write `{} {};`", node.name.show(), words.join(" "));
        found.push(danger(Code::CommaInList, word.span, message, help));
    }
}

pub fn capture_missing(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    for node in block.own(&["rewrite"]) {
        if let [regex, replacement, ..] = node.args.as_slice() {
            missing_group(&regex.text, replacement, found);
        }
    }
    let Some((Matching::Regex { .. }, regex)) = block.matching() else { return };
    // Another regex may have matched since.
    if block.children.iter().any(|node| matches!(node.name.text.as_slice(), b"rewrite" | b"if" | b"set")) {
        return;
    }
    for word in block.own(&["return", "alias", "root", "try_files"]).flat_map(|node| node.args.iter()) {
        missing_group(regex, word, found);
    }
}

fn missing_group(regex: &[u8], word: &Word, found: &mut Vec<Diagnostic>) {
    let has = groups(regex);
    let asked =
        |pair: &[u8]| (pair[0] == b'$' && (b'1'..=b'9').contains(&pair[1])).then(|| usize::from(pair[1] - b'0'));
    let Some(number) = word.text.windows(2).filter_map(asked).find(|number| *number > has) else { return };
    let count = match has {
        0 => "no group".to_string(),
        1 => "one group".to_string(),
        n => format!("{n} groups"),
    };
    let message = format!("`${number}` is always empty: the regex has {count} in parentheses");
    let help = match has {
        0 => "put what is meant in parentheses in the regex".to_string(),
        n => format!("write `${n}`, or put what is meant in parentheses in the regex"),
    };
    found.push(danger(Code::CaptureMissing, word.span, message, help));
}

/// How many groups of a regex have a number.
fn groups(regex: &[u8]) -> usize {
    let (mut count, mut at, mut in_class) = (0, 0, false);
    while at < regex.len() {
        match regex[at] {
            b'\\' => at += 1,
            b'[' => in_class = true,
            b']' => in_class = false,
            b'(' if !in_class => {
                let rest = &regex[at + 1..];
                let is_named = |start: &&[u8]| {
                    rest.strip_prefix(*start).is_some_and(|rest| !rest.starts_with(b"=") && !rest.starts_with(b"!"))
                };
                let named: [&[u8]; 3] = [b"?<", b"?P<", b"?'"];
                count += usize::from(!rest.starts_with(b"?") && !rest.starts_with(b"*") || named.iter().any(is_named));
            }
            _ => {}
        }
        at += 1;
    }
    count
}

pub fn geo_variable(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    for line in block.own(&["geo"]).flat_map(|node| node.block.iter().flatten()) {
        let Some(word) = line.args.first().filter(|word| word.text.contains(&b'$')) else { continue };
        let message = format!("`{}` stands for itself: `geo` has no variables as values", word.show());
        let help = "write a plain word here, and a `map` on the variable of this `geo`";
        found.push(danger(Code::GeoVariable, word.span, message, help));
    }
}

pub fn content_type_added(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    for node in block.own(&["add_header"]) {
        let [name, value, ..] = node.args.as_slice() else { continue };
        if name.text.eq_ignore_ascii_case(b"content-type") {
            let message = "this adds a second Content-Type beside the one that the response has";
            let help = format!("write `types {{ }} default_type {};`", quoted(value));
            found.push(danger(Code::ContentTypeAdded, name.span, message, help));
        }
    }
}

fn quoted(word: &Word) -> String {
    if word.quoted { format!("\"{}\"", word.show()) } else { word.show() }
}

pub fn slow_regex(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let mut look = |text: &[u8], word: &Word| {
        if let Some(part) = nested(text) {
            let message = format!(
                "`{}` repeats a repetition: one long path can keep this regex busy",
                String::from_utf8_lossy(part)
            );
            found.push(danger(Code::SlowRegex, word.span, message, "repeat once: `(a+)+` matches what `a+` does"));
        }
    };
    if let (Some((Matching::Regex { .. }, text)), Some(word)) =
        (block.matching(), block.node.and_then(|node| node.args.last()))
    {
        look(text, word);
    }
    for word in block.own(&["rewrite"]).filter_map(|node| node.args.first()) {
        look(&word.text, word);
    }
}

/// The first group with nothing in it but one repeated thing that is itself repeated: `(a+)+`, `([a-z]*)*`, `(?:\w+)+`.
fn nested(regex: &[u8]) -> Option<&[u8]> {
    let open = (0..regex.len()).filter(|&at| regex[at] == b'(' && !regex[..at].ends_with(b"\\"));
    open.filter_map(|at| {
        let length = regex[at..].iter().position(|&byte| byte == b')')?;
        let whole = regex.get(at..at + length + 2)?;
        let inner = &whole[1..length];
        let inner = inner.strip_prefix(b"?:").unwrap_or(inner);
        let (last, thing) = inner.split_last()?;
        let is_one = match thing {
            [] => false,
            [b'\\', _] => true,
            [b'[', rest @ .., b']'] => !rest.contains(&b']'),
            [one] => !b"()|".contains(one),
            _ => false,
        };
        let repeats = |byte: &u8| matches!(byte, b'+' | b'*');
        (is_one && repeats(last) && repeats(whole.last()?)).then_some(whole)
    })
    .next()
}

pub fn connections_above_descriptors(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    if block.place != Place::Main {
        return;
    }
    let number = |node: &Node| node.args.first()?.show().parse::<u64>().ok();
    let events = block.own(&["events"]).flat_map(|node| node.block.iter().flatten());
    let Some(node) = events.filter(|node| node.name.text == b"worker_connections").last() else { return };
    let named = block.own(&["worker_rlimit_nofile"]).last();
    let limit = match named {
        Some(named) => number(named),
        None => rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum,
    };
    let (Some(wanted), Some(limit)) = (number(node), limit) else { return };
    if wanted > limit {
        let message = format!("{wanted} connections, and the process may have {limit} descriptors");
        let help = format!("write `worker_rlimit_nofile {};`, or a smaller number here", wanted * 2);
        let danger = danger(Code::ConnectionsAboveDescriptors, node.span, message, help);
        found.push(match named {
            Some(named) => danger.also(named.span, "the limit"),
            None => danger,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_counted() {
        for (regex, want) in
            [("^/a", 0), ("^/(a)/(b(c))", 3), (r"^/\(a\)[(](b)", 1), ("(?:a)(?<n>b)(?=c)(?<!d)(?P<m>e)(?i)", 2)]
        {
            assert_eq!(groups(regex.as_bytes()), want, "{regex}");
        }
    }

    #[test]
    fn repetitions_of_repetitions() {
        for (regex, want) in [
            ("^(a+)+$", Some("(a+)+")),
            (r"^(?:\w*)*x", Some(r"(?:\w*)*")),
            ("([a-z]+)*", Some("([a-z]+)*")),
            ("(a+)", None),
            ("(/[a-z]+)+", None),
            ("(ab)+", None),
            ("^/(.*)$", None),
            (r"\(a+)+", None),
        ] {
            assert_eq!(
                nested(regex.as_bytes()).map(|part| String::from_utf8_lossy(part).into_owned()).as_deref(),
                want,
                "{regex}"
            );
        }
    }
}
