//! The manual pages of directives and variables, written from their rows.

use std::fmt::Write;

use crate::conf::directive::{Contexts, Manual};
use crate::conf::reference::{self, Effect};
use crate::settings::blocks::{BLOCKS, BlockRow};
use crate::settings::{ROWS, VARIABLES};

/// `docs/directives.md`.
pub fn directives() -> String {
    let mut out = String::from(
        "# Directives\n\nWritten from the rows in `src/features/`; `LONGSHORE_BLESS=1 cargo test --test docs` writes it \
         again. Contexts, inheritance and the rules about repeats are nginx's.\n\n## Blocks\n",
    );
    BLOCKS.iter().for_each(|block| write_block(&mut out, block));
    let mut feature = "";
    for row in ROWS.iter() {
        if row.feature != feature {
            feature = row.feature;
            line(&mut out, format_args!("\n## {}", feature.replace('_', " ")));
        }
        write_row(&mut out, row.manual);
    }
    out.push_str(
        "\n## Known and without effect\n\nThese names of nginx's tune what is tuned otherwise here, or belong to what is not built; where a \
         value stands beside a name, the directive is off with it. They are accepted, and `-t` lists those that a conf uses.\n\n",
    );
    let ours =
        |name: &str| ROWS.iter().any(|row| row.manual.name == name) || BLOCKS.iter().any(|block| block.name == name);
    let without = |name: &'static str| {
        let known = reference::lookup(name).filter(|known| known.contexts != Contexts(0) && !ours(name))?;
        match known.effect {
            Effect::None => Some(format!("`{name}`")),
            Effect::Unless("") => Some(format!("`{name} \"\"`")),
            Effect::Unless(value) => Some(format!("`{name} {value}`")),
            Effect::Matters => None,
        }
    };
    let names: Vec<String> = reference::names().filter_map(without).collect();
    line(&mut out, format_args!("{}", wrapped(&names.join(" "))));
    out
}

/// `docs/variables.md`.
pub fn variables() -> String {
    let mut out = String::from(
        "# Variables\n\nWritten from the rows in `src/features/`; `LONGSHORE_BLESS=1 cargo test --test docs` writes it \
         again. `NAME` stands for any name, in lower case and with `_` for `-`.\n\n| variable | value |\n|---|---|\n",
    );
    let mut rows: Vec<_> = VARIABLES.iter().collect();
    rows.sort_by_key(|row| row.name);
    for row in rows {
        let name = if row.family { format!("{}NAME", row.name) } else { row.name.to_string() };
        line(&mut out, format_args!("| `${name}` | {} |", row.doc.replace('|', "\\|")));
    }
    out
}

pub(super) fn write_block(out: &mut String, block: &BlockRow) {
    let words = if block.syntax.is_empty() { String::new() } else { format!(" {}", block.syntax) };
    line(out, format_args!("\n### {}\n\n    {}{words} {{ ... }}\n", block.name, block.name));
    line(out, format_args!("Contexts: {}.\n\n{}", block.contexts.names().join(", "), wrapped(block.doc)));
}

pub(super) fn write_row(out: &mut String, row: &Manual) {
    line(out, format_args!("\n### {}\n", row.name));
    for syntax in row.syntax {
        let words = if syntax.is_empty() { String::new() } else { format!(" {syntax}") };
        line(out, format_args!("    {}{words}{}", row.name, if row.block { " { ... }" } else { ";" }));
    }
    let default = match row.default {
        Some(default) => format!("Default: `{default}`."),
        None => "No default.".into(),
    };
    line(out, format_args!("\n{default} Contexts: {}.\n\n{}", row.contexts.names().join(", "), wrapped(row.doc)));
}

/// Text in lines of at most 100 bytes where words allow it.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        if width > 0 && width + 1 + word.len() > 100 {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += word.len();
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_not_long() {
        let text = "word ".repeat(100);
        assert!(wrapped(&text).lines().all(|line| line.len() <= 100));
        assert_eq!(wrapped(&text).split_whitespace().count(), 100);
        assert_eq!(wrapped("a\n  b"), "a b");
    }
}
