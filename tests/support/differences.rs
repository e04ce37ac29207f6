//! Keeps docs/differences.md equal to what the cases say: one row for each difference on purpose.

use super::case::{Case, Reference};
use std::path::Path;

const HEAD: &str = "# Where Longshore differs from nginx on purpose

Each row is a case under tests/cases that shows both answers; the test suite writes this page
(`LONGSHORE_CASES_WRITE=1 cargo test --test cases`) and fails when it is out of date.

| case | reason |
|---|---|
";

const OWN: &str = "
## What nginx has no word for

These cases run against Longshore only.

| case | what it is |
|---|---|
";

/// Compares the page with the cases, or writes it when asked to.
pub fn check(cases: &[Case], page: &Path, write: bool) -> Result<(), String> {
    let mut wanted = HEAD.to_string();
    let mut own = OWN.to_string();
    for case in cases {
        match &case.nginx {
            Reference::Differs(reason) => wanted += &row(&case.name, reason),
            Reference::Skip(reason) => own += &row(&case.name, reason),
            Reference::Same | Reference::Since(_) => {}
        }
    }
    wanted += &own;
    if write {
        return std::fs::write(page, wanted).map_err(|e| e.to_string());
    }
    match std::fs::read_to_string(page) {
        Ok(found) if found == wanted => Ok(()),
        _ => Err(format!("{} is out of date; LONGSHORE_CASES_WRITE=1 writes it anew", page.display())),
    }
}

fn row(name: &str, reason: &str) -> String {
    format!("| {name} | {} |\n", reason.replace('|', "\\|"))
}
