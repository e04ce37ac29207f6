//! The report, in TAP (<https://testanything.org>): a line for each check, remarks below those that fail, and at the end how the
//! sections fared. Knows nothing of requests.

use std::io::Write;

/// A report that is being written.
pub struct Tap {
    count: usize,
    failed: usize,
    skipped: usize,
    sections: Vec<Section>,
}

struct Section {
    title: String,
    good: usize,
    all: usize,
}

impl Tap {
    /// A report of so many checks.
    pub fn new(planned: usize) -> Tap {
        put(&format!("1..{planned}"));
        Tap { count: 0, failed: 0, skipped: 0, sections: Vec::new() }
    }

    /// Whether all went well.
    pub fn is_fine(&self) -> bool {
        self.failed == 0
    }

    /// A title for what follows.
    pub fn section(&mut self, title: &str) {
        put(&format!("# {title}"));
        self.sections.push(Section { title: title.to_string(), good: 0, all: 0 });
    }

    /// A check and what is wrong; nothing is wrong with one that went well.
    pub fn tell(&mut self, name: &str, said: &[String]) {
        self.count += 1;
        self.failed += usize::from(!said.is_empty());
        if let Some(section) = self.sections.last_mut() {
            section.all += 1;
            section.good += usize::from(said.is_empty());
        }
        let word = if said.is_empty() { "ok" } else { "not ok" };
        put(&format!("{word} {} - {}", self.count, name.replace('#', "\\#")));
        said.iter().flat_map(|said| said.lines()).for_each(|line| put(&format!("# {line}")));
    }

    /// A check that is left out.
    pub fn skip(&mut self, name: &str, why: &str) {
        self.count += 1;
        self.skipped += 1;
        put(&format!("ok {} - {} # SKIP {why}", self.count, name.replace('#', "\\#")));
    }

    /// The end: how many went well, in all and in each section.
    pub fn end(&self) {
        let width = self.sections.iter().map(|section| section.title.chars().count()).max().unwrap_or(0);
        for Section { title, good, all } in self.sections.iter().filter(|section| section.all > 0) {
            let mark = if good == all { "" } else { "   <-" };
            put(&format!("# {title:width$}  {good} of {all}{mark}"));
        }
        let asked = self.count - self.skipped;
        let left_out = if self.skipped > 0 { format!(", {} left out", self.skipped) } else { String::new() };
        put(&format!("# {} of {asked} as wanted{left_out}", asked - self.failed));
    }
}

fn put(line: &str) {
    // A reader that closed its end wants no more.
    let _ = writeln!(std::io::stdout(), "{line}");
}
