//! `longshore help WHAT`: a code of a message, a reason of a refusal, a status, a directive, a variable or a command, from their
//! tables; and the pages of docs/ that list codes and reasons. Knows no text of its own about any of them.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use super::{manual, options, say};
use crate::conf::codes::{self, Kind};
use crate::conf::suggest;
use crate::exchange::reasons::{self, REASONS, Reason};
use crate::http::status;
use crate::settings::blocks::BLOCKS;
use crate::settings::{ROWS, VARIABLES};

/// Explains what is asked for on standard output, or lists what can be explained.
pub fn run(what: &[String]) -> ExitCode {
    let text = match what {
        [] => list(),
        words => match explain(&words.join(" ")) {
            Some(text) => text,
            None => {
                let what = words.join(" ");
                say(&format!("longshore: nothing is known of `{what}`{}", near(&what)));
                return ExitCode::FAILURE;
            }
        },
    };
    // A reader that closed its end wants no more.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn explain(what: &str) -> Option<String> {
    let mut out = String::new();
    if let Some(kind) = codes::named(what) {
        write_kind(&mut out, kind, "  ");
        return Some(out);
    }
    if let Some(text) = of_status(what) {
        return Some(text);
    }
    let name = what.split(' ').next().unwrap_or_default();
    let name = name.split_once('/').map_or(name, |(_, reason)| reason);
    if let Some(reason) = reasons::of(name) {
        line(&mut out, &format!("{}\n\n{}\n{}", title(reason), reason.text, reason.fix));
        return Some(out);
    }
    if let Some(variable) = what.strip_prefix('$') {
        let fits = |name: &str, family: bool| if family { variable.starts_with(name) } else { variable == name };
        let row = VARIABLES.iter().find(|row| fits(row.name, row.family))?;
        line(&mut out, &format!("{what}\n\n{}", row.doc));
        return Some(out);
    }
    BLOCKS.iter().filter(|block| block.name == what).for_each(|block| manual::write_block(&mut out, block));
    ROWS.iter().filter(|row| row.manual.name == what).for_each(|row| manual::write_row(&mut out, row.manual));
    let mut out = out.replace("### ", "").trim_start().to_string();
    let words: Vec<&str> = what.split(' ').collect();
    if let Some(help) = options::help_of(&words) {
        // A directive of the same name stands before it.
        out.push_str(if out.is_empty() { "" } else { "\n" });
        out.push_str(&help);
    }
    (!out.is_empty()).then_some(out)
}

/// Why a status may be sent.
fn of_status(what: &str) -> Option<String> {
    let code: u16 = what.parse().ok().filter(|_| what.len() == 3)?;
    let mut out = format!("{code} {}\n", status::reason(code));
    let fits = |reason: &&Reason| reason.statuses.iter().any(|own| [*own, status::on_wire(*own)].contains(&code));
    let reasons: Vec<&Reason> = REASONS.iter().filter(fits).collect();
    for reason in &reasons {
        line(&mut out, &format!("\n{code}/{}\n{}\n{}", reason.name, reason.text, reason.fix));
    }
    (!reasons.is_empty()).then_some(out)
}

/// What may have been meant.
fn near(what: &str) -> String {
    let rules = codes::kinds().filter_map(|kind| kind.rule);
    let names = rules
        .chain(REASONS.iter().map(|reason| reason.name))
        .chain(ROWS.iter().map(|row| row.manual.name))
        .chain(options::commands());
    match suggest::closest(what, names) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => "; `longshore help` lists codes and reasons".into(),
    }
}

fn list() -> String {
    let mut out = String::from("Codes of messages about a conf (`longshore help LS001`):\n\n");
    for kind in codes::kinds() {
        line(&mut out, &format!("  {}  {}", kind.code, kind.title));
    }
    out.push_str("\nReasons why requests are refused (`longshore help 403/denied`):\n\n");
    for reason in REASONS {
        line(&mut out, &format!("  {}", title(reason)));
    }
    out.push_str(
        "\nDirectives, variables, statuses and commands are explained by name: `longshore help root`, `longshore help '$uri'`, \
         `longshore help 502`, `longshore help serve`.\n",
    );
    out
}

/// A reason with its statuses, as it stands in logs.
fn title(reason: &Reason) -> String {
    match reason.statuses {
        [] => format!("any/{}", reason.name),
        statuses => statuses.iter().map(|status| format!("{status}/{}", reason.name)).collect::<Vec<_>>().join(" "),
    }
}

fn write_kind(out: &mut String, kind: &Kind, indent: &str) {
    line(out, &format!("{}: {}\n\n{}", kind.code, kind.title, kind.text));
    if let Some(rule) = kind.rule {
        line(
            out,
            &format!(
                "`# longshore: allow {rule}` silences it: on the line, alone on the line above, or where a block around it begins."
            ),
        );
    }
    for (word, text) in [("This conf gives it:", kind.bad), ("Fixed:", kind.fixed)] {
        line(out, &format!("\n{word}\n"));
        text.trim_start_matches('\u{feff}').lines().for_each(|text| line(out, &format!("{indent}{text}")));
    }
}

/// `docs/diagnostics.md`.
pub fn diagnostics() -> String {
    let mut out = String::from(
        "# What is said of a conf\n\n`longshore -t -c FILE` tests a conf and says all there is to say about it in one run. Every message has a \
         code; `longshore help CODE` explains it with an example and the same example fixed. Errors refuse the conf. Warnings and notes \
         never do.\n\nThe codes from LS101 are of what is allowed and dangerous. A comment silences one: `# longshore: allow \
         alias-slash` on the line, alone on the line above, or where a block begins, for all that stands in it.\n\n`--format short` writes one line for each message, for editors; `--format json` one \
         object on standard output, with the code, the place in lines, columns and bytes, the remedy, and the `include` lines that \
         led there. Colour is used on a terminal, unless `NO_COLOR` is set.\n\nWritten from the rows in `src/conf/codes/`; \
         `LONGSHORE_BLESS=1 cargo test --test docs` writes it again.\n",
    );
    for kind in codes::kinds() {
        let mut text = String::new();
        write_kind(&mut text, kind, "    ");
        let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
        line(&mut out, &format!("\n## {head}\n{}", rest.trim_end()));
    }
    out
}

/// `docs/reasons.md`.
pub fn reasons() -> String {
    let mut out = String::from(
        "# Why a request was refused\n\nEvery answer from 400 upwards that Longshore makes itself has a reason that never changes its name: \
         `403/denied`. Where a line of the conf decided it, its place stands behind: `403/denied site.conf:31`.\n\nIt stands in \
         the error log, on a line of its own right after the one about the request (`[error] 7#7: *17 reason 403/denied site.conf:31`), \
         in the variable `$error_reason` (for `log_format` or an `error_template`), and, for those \
         whom `debug_clients` names, in the field `X-Longshore-Why` and on the built-in page:\n\n    debug_clients 127.0.0.1 \
         ::1;\n\n`longshore help 403/denied` prints the row.\n\nWritten from `src/exchange/reasons.rs`; `LONGSHORE_BLESS=1 cargo test --test docs` writes it \
         again.\n\n| reason | what it means | what to do |\n|---|---|---|\n",
    );
    for reason in REASONS.iter().filter(|reason| reason.name != "redirect") {
        let statuses = match reason.statuses {
            [] => "any".to_string(),
            statuses => statuses.iter().map(|code| status::on_wire(*code).to_string()).collect::<Vec<_>>().join(", "),
        };
        let sent = if reason.statuses.iter().any(|code| status::on_wire(*code) != *code) {
            format!(" (sent as {statuses})")
        } else {
            String::new()
        };
        line(&mut out, &format!("| `{}`{sent} | {} | {} |", title(reason), reason.text, reason.fix));
    }
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_explained() {
        for (what, want) in [
            ("LS001", "a `;` is missing"),
            ("alias-slash", "silences it"),
            ("403/denied", "`deny`"),
            ("403/denied site.conf:31", "`deny`"),
            ("denied", "`deny`"),
            ("root", "The folder that files are served from"),
            ("502", "502/upstream-refused"),
            ("502", "Bad Gateway"),
            ("serve", "--print-conf"),
            ("cgi", "Try CGI scripts"),
            ("cgi run", "--body"),
            ("location", "An exact location"),
            ("$uri", "$uri"),
            ("$http_cookie", "$http_cookie"),
        ] {
            assert!(explain(what).is_some_and(|text| text.contains(want)), "{what}: {:?}", explain(what));
        }
        for what in ["", "LS999", "$none", "403/none", "nothing", "299", "0502", "cgi walk"] {
            assert_eq!(explain(what), None, "{what}");
        }
        assert!(near("dened").contains("denied") && near("zzzzzzzz").contains("lists"));
        assert!(list().contains("LS101") && list().contains("413/body-too-large"));
    }
}
