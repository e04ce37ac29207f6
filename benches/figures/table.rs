//! What the bench prints: each row's wishes, what was measured and whether that is enough, in Markdown.
//! It must not know how anything is measured.

use std::fmt;

use crate::rounds::Ratio;

/// A bound on a figure.
#[derive(Clone, Copy)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

/// One measured figure with what it must and what it should reach.
pub struct Goal {
    figure: f64,
    must: Bound,
    want: Bound,
}

/// One line of the main table.
pub struct Row {
    work: String,
    must: &'static str,
    want: &'static str,
    measured: String,
    verdict: &'static str,
}

/// One line of the table of absolute numbers.
pub struct Absolute {
    pub work: String,
    pub server: String,
    pub speed: f64,
    pub cost: f64,
    pub p50: f64,
    pub p99: f64,
    pub errors: u64,
}

/// Everything that was measured.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    absolutes: Vec<Absolute>,
    notes: Vec<String>,
}

impl Bound {
    fn holds(self, figure: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => figure >= bound,
            Bound::AtMost(bound) => figure <= bound,
            Bound::Below(bound) => figure < bound,
        }
    }
}

impl Goal {
    pub fn new(figure: f64, must: Bound, want: Bound) -> Goal {
        Goal { figure, must, want }
    }

    /// Errors and losses: none, whether must or want.
    pub fn none(count: f64) -> Goal {
        Goal::new(count, Bound::AtMost(0.0), Bound::AtMost(0.0))
    }
}

impl Row {
    /// A measured row; it is as good as the least of its goals.
    pub fn measured(
        work: impl Into<String>,
        must: &'static str,
        want: &'static str,
        measured: String,
        goals: &[Goal],
    ) -> Row {
        let all = |bound: fn(&Goal) -> Bound| goals.iter().all(|goal| bound(goal).holds(goal.figure));
        let verdict = if !all(|goal| goal.must) {
            "**short of must**"
        } else if !all(|goal| goal.want) {
            "must met"
        } else {
            "want met"
        };
        Row { work: work.into(), must, want, measured, verdict }
    }

    /// A row that could not be measured, and why.
    pub fn unmeasured(work: impl Into<String>, reason: impl fmt::Display) -> Row {
        let measured = format!("not measured: {reason}").replace(['\n', '|'], " ");
        Row { work: work.into(), must: "", want: "", measured, verdict: "**not measured**" }
    }
}

impl Report {
    pub fn push(&mut self, row: Row) {
        eprintln!("  {}: {} ({})", row.work, row.measured, row.verdict.trim_matches('*'));
        self.rows.push(row);
    }

    pub fn push_absolute(&mut self, line: Absolute) {
        self.absolutes.push(line);
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "| work | must | want | measured | |\n|---|---|---|---|---|")?;
        for Row { work, must, want, measured, verdict } in &self.rows {
            writeln!(out, "| {work} | {must} | {want} | {measured} | {verdict} |")?;
        }
        if !self.absolutes.is_empty() {
            writeln!(out, "\n| work | server | requests/s | CPU µs each | p50 µs | p99 µs | errors |")?;
            writeln!(out, "|---|---|---|---|---|---|---|")?;
        }
        for Absolute { work, server, speed, cost, p50, p99, errors } in &self.absolutes {
            writeln!(out, "| {work} | {server} | {speed:.0} | {cost:.2} | {p50:.0} | {p99:.0} | {errors} |")?;
        }
        if !self.notes.is_empty() {
            writeln!(out)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(out, "- {note}"))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.2} ({:.2} to {:.2})", self.median, self.least, self.greatest)
    }
}
