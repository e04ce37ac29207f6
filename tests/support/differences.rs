//! Keeps docs/differences.md equal to what the cases say: one row for each difference on purpose, with its cases.

use super::case::{Case, Reference};
use std::path::Path;

const HEAD: &str = "# Where Longshore differs from nginx on purpose

Each row is a difference and the cases under tests/cases that show both answers; the test suite writes this page
(`LONGSHORE_CASES_WRITE=1 cargo test --test cases`) and fails when it is out of date.

| difference | cases |
|---|---|
";

const OWN: &str = "
## Other defaults

`daemon` is off and `sendfile` on. Where there is no folder `logs` under the prefix, logs go to the terminal. Relative paths
start at the current folder, unless `-p` names another. `events` and `http` may be left out.

## What nginx has no word for

These cases run against Longshore only.

| what it is | cases |
|---|---|
";

/// Compares the page with the cases, or writes it when asked to.
pub fn check(cases: &[Case], page: &Path, write: bool) -> Result<(), String> {
    let mut differs = Rows::new();
    let mut own = Rows::new();
    for case in cases {
        match &case.nginx {
            Reference::Differs(reason) => note(&mut differs, reason, &case.name),
            Reference::Skip(reason) => note(&mut own, reason, &case.name),
            Reference::Same | Reference::Since(_) => {}
        }
    }
    let wanted = [HEAD, &table(&differs), OWN, &table(&own)].concat();
    if write {
        return std::fs::write(page, wanted).map_err(|e| e.to_string());
    }
    match std::fs::read_to_string(page) {
        Ok(found) if found == wanted => Ok(()),
        _ => Err(format!("{} is out of date; LONGSHORE_CASES_WRITE=1 writes it anew", page.display())),
    }
}

/// Reasons in the order of their first case, each with its cases.
type Rows<'a> = Vec<(&'a str, Vec<&'a str>)>;

fn note<'a>(rows: &mut Rows<'a>, reason: &'a str, name: &'a str) {
    match rows.iter_mut().find(|row| row.0 == reason) {
        Some((_, names)) => names.push(name),
        None => rows.push((reason, vec![name])),
    }
}

fn table(rows: &Rows<'_>) -> String {
    rows.iter().map(|(reason, names)| format!("| {} | {} |\n", reason.replace('|', "\\|"), names.join(", "))).collect()
}
