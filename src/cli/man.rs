//! Completions for shells, and the man pages longshore.1 (the command line) and longshore.conf.5 (the conf), made from the same
//! tables as everything else that explains them.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_mangen::roff::{Roff, bold, roman};

use super::options::Options;
use crate::conf::directive::Manual;
use crate::settings::blocks::BLOCKS;
use crate::settings::{ROWS, VARIABLES};

/// Prints the completions for a shell.
pub fn completions(shell: clap_complete::Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Options::command(), "longshore", &mut text);
    // A reader that closed its end wants no more.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), &text);
    ExitCode::SUCCESS
}

/// `longshore.1`; none if it cannot be rendered.
pub fn command_line() -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let man = clap_mangen::Man::new(Options::command()).date("").source("Longshore").manual("Longshore Manual");
    man.render(&mut out)?;
    for command in Options::command().get_subcommands() {
        subcommand(&format!("longshore {}", command.get_name()), command, &mut out)?;
    }
    Ok(out)
}

/// What a subcommand does and takes, as a section; those below it follow.
fn subcommand(name: &str, command: &clap::Command, out: &mut Vec<u8>) -> std::io::Result<()> {
    if command.has_subcommands() {
        return command
            .get_subcommands()
            .try_for_each(|inner| subcommand(&format!("{name} {}", inner.get_name()), inner, out));
    }
    let mut roff = Roff::new();
    roff.control("SH", [name.to_uppercase().as_str()]);
    roff.text([roman(command.get_about().map(|text| text.to_string()).unwrap_or_default())]);
    for arg in command.get_arguments().filter(|arg| arg.get_id() != "help") {
        let takes_one = arg.get_action().takes_values();
        let names = arg.get_value_names().filter(|_| takes_one);
        let value = names.and_then(|names| names.first()).map(|name| name.to_string()).unwrap_or_default();
        let flag = match (arg.get_short(), arg.get_long()) {
            (Some(short), _) => format!("-{short} {value}").trim_end().to_string(),
            (None, Some(long)) => format!("--{long} {value}").trim_end().to_string(),
            (None, None) => value,
        };
        roff.control("TP", []);
        roff.text([bold(flag)]);
        let mut text = arg.get_help().map(|text| text.to_string()).unwrap_or_default();
        // A flag's values would be true and false.
        let words: Vec<String> = match takes_one {
            true => arg.get_possible_values().iter().map(|value| value.get_name().to_string()).collect(),
            false => Vec::new(),
        };
        if !words.is_empty() {
            text.push_str(&format!(". One of: {}", words.join(", ")));
        }
        let defaults: Vec<_> = arg.get_default_values().iter().filter(|_| takes_one).collect();
        if let [default] = defaults.as_slice() {
            text.push_str(&format!(". Default: {}", default.to_string_lossy()));
        }
        roff.text([roman(text)]);
    }
    roff.to_writer(out)
}

/// `longshore.conf.5`.
pub fn conf() -> std::io::Result<Vec<u8>> {
    let mut roff = Roff::new();
    roff.control("TH", ["longshore.conf", "5", "", "Longshore", "Longshore Manual"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("longshore.conf - the conf file of longshore(1)")]);
    roff.control("SH", ["DESCRIPTION"]);
    roff.text([roman(
        "The language is nginx's. A directive is a name, words behind it, and a ; at the end, or a block in { }. Words with blanks in them \
         stand in quotes. What follows # is a comment. Blocks inherit what the blocks around them say. The places that are named with \
         each directive are the blocks it may stand in; main is outside of all.",
    )]);
    roff.control("SH", ["BLOCKS"]);
    for block in BLOCKS {
        entry(
            &mut roff,
            &[format!("{} {} {{ ... }}", block.name, block.syntax)],
            &block.contexts.names(),
            None,
            block.doc,
        );
    }
    roff.control("SH", ["DIRECTIVES"]);
    for row in ROWS.iter() {
        let Manual { name, syntax, default, contexts, block, doc, .. } = row.manual;
        let end = if *block { " { ... }" } else { ";" };
        let forms: Vec<String> =
            syntax.iter().map(|syntax| format!("{name} {syntax}").trim_end().to_string() + end).collect();
        entry(&mut roff, &forms, &contexts.names(), *default, doc);
    }
    roff.control("SH", ["VARIABLES"]);
    for row in VARIABLES.iter() {
        roff.control("TP", []);
        roff.text([bold(format!("${}{}", row.name, if row.family { "NAME" } else { "" }))]);
        roff.text([roman(plain(row.doc))]);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold("longshore"), roman("(1)")]);
    let mut out = Vec::new();
    roff.to_writer(&mut out)?;
    Ok(out)
}

fn entry(roff: &mut Roff, forms: &[String], places: &[&str], default: Option<&str>, doc: &str) {
    roff.control("TP", []);
    for (i, form) in forms.iter().enumerate() {
        if i > 0 {
            roff.control("TQ", []);
        }
        roff.text([bold(form.as_str())]);
    }
    let default = default.map(|default| format!(" Default: {default}.")).unwrap_or_default();
    roff.text([roman(format!("In {}.{} {}", places.join(", "), plain(&default), plain(doc)))]);
}

/// A text without the marks of Markdown.
fn plain(doc: &str) -> String {
    doc.replace('`', "")
}
