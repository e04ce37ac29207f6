//! `longshore compat FILE`: what becomes of each directive of a conf that was written for nginx. Counts and sorts what the
//! loader decided; knows no directive itself.

mod fcgiwrap;
mod show;

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::options::Compat;
use super::{plain, say};
use crate::conf::ast::Node;
use crate::conf::codes::Code;
use crate::conf::diagnostic::{Diagnostic, Severity};
use crate::conf::directive::Contexts;
use crate::conf::reference::{self, Effect};
use crate::conf::source::{Sources, Span};
use crate::conf::{include, suggest};
use crate::settings::blocks::{self, BLOCKS};
use crate::settings::load::{self, Request};
use crate::settings::{ROWS, rows::Row};
use fcgiwrap::Wrapped;

/// What becomes of one use of a directive, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Neither Longshore nor nginx has it.
    Missing,
    /// nginx has it, Longshore has not, and without it other things would be served, or to others.
    Meaning,
    /// Longshore has it, but refuses it as it stands.
    Refused,
    /// Longshore has it and leaves out a part of what it asks for.
    InPart,
    /// Longshore has it, but it names a file or a host that this machine lacks; nginx would refuse it here too.
    Absent,
    /// It tunes nginx's inside.
    NoEffect,
    /// It does what it does in nginx.
    Honoured,
}

impl Fate {
    const ALL: [Fate; 7] =
        [Fate::Missing, Fate::Meaning, Fate::Refused, Fate::InPart, Fate::Absent, Fate::NoEffect, Fate::Honoured];

    fn word(self) -> &'static str {
        match self {
            Fate::Missing => "missing",
            Fate::Meaning => "changes meaning",
            Fate::Refused => "refused",
            Fate::InPart => "in part",
            Fate::Absent => "not here",
            Fate::NoEffect => "no effect",
            Fate::Honoured => "honoured",
        }
    }

    /// Whether the conf means the same with it as in nginx.
    fn is_fine(self) -> bool {
        matches!(self, Fate::Absent | Fate::NoEffect | Fate::Honoured)
    }

    /// Whether the conf is taken with it.
    fn is_taken(self) -> bool {
        self.is_fine() || self == Fate::InPart
    }
}

/// All uses of one directive that fare alike.
#[derive(Debug)]
struct Line {
    name: String,
    fate: Fate,
    places: Vec<Span>,
    /// Why, where there is a reason to tell.
    why: Option<String>,
}

/// What was found about a conf.
struct Report {
    file: String,
    sources: std::sync::Arc<Sources>,
    lines: Vec<Line>,
    /// Complaints that belong to no directive: files that are not there, braces.
    others: Vec<Diagnostic>,
    wrapped: Vec<Wrapped>,
}

impl Report {
    fn uses(&self, fits: impl Fn(Fate) -> bool) -> usize {
        self.lines.iter().filter(|line| fits(line.fate)).map(|line| line.places.len()).sum()
    }

    /// How many of a hundred uses mean what they mean to nginx, cut to tenths: 100 is said of a whole conf only.
    fn tenths(&self) -> usize {
        match self.uses(|_| true) {
            0 => 1000,
            all => self.uses(Fate::is_fine) * 1000 / all,
        }
    }

    /// Whether Longshore would take the conf as it is, on the machine it is meant for.
    fn is_taken(&self) -> bool {
        self.lines.iter().all(|line| line.fate.is_taken()) && self.others.is_empty()
    }
}

/// Tells it of each file; the exit code is that of success if all of them would be taken as they are.
pub fn run(asked: &Compat) -> ExitCode {
    let here = match std::env::current_dir() {
        Ok(here) => here,
        Err(error) => {
            say(&format!("longshore: the current folder cannot be entered: {error}"));
            return ExitCode::from(2);
        }
    };
    let prefix = asked.prefix.as_ref().map_or(here.clone(), |prefix| here.join(prefix));
    let mut code = 0;
    for file in &asked.files {
        let file = plain(&here.join(file));
        if let Err(error) = std::fs::File::open(&file) {
            say(&format!("longshore: cannot read {}: {error}", file.display()));
            code = 2;
            continue;
        }
        // Nobody is going to be served: what needs root is not worth a word.
        let request = Request { file, prefix: plain(&prefix), rootless: true, ..Request::default() };
        let report = report(&request);
        code = code.max(u8::from(!report.is_taken()));
        show::put(&report, asked.format);
    }
    ExitCode::from(code)
}

fn report(request: &Request) -> Report {
    let loaded = load::load(request);
    // The same reading a second time: sources have the same numbers in both.
    let tree = include::load(&request.file, None, &blocks::is_known, &Default::default());
    let mut said: Said = Said::default();
    (said.errors, said.hints) = loaded.diagnostics.into_iter().partition(|said| said.severity == Severity::Error);
    let mut lines = BTreeMap::new();
    count(&tree.nodes, &mut said, None, &mut lines);
    let mut lines: Vec<Line> = lines.into_values().collect();
    lines.sort_by(|a, b| a.fate.cmp(&b.fate).then(b.places.len().cmp(&a.places.len())).then(a.name.cmp(&b.name)));
    let wrapped = fcgiwrap::find(&tree.nodes, &loaded.sources);
    Report { file: request.file.display().to_string(), sources: loaded.sources, lines, others: said.errors, wrapped }
}

/// What `-t` says of a conf.
#[derive(Default)]
struct Said {
    errors: Vec<Diagnostic>,
    /// Warnings and notes.
    hints: Vec<Diagnostic>,
}

impl Said {
    /// Takes out what is said of a directive.
    fn of(&mut self, whole: Span) -> Said {
        let mut of = |all: fn(&mut Said) -> &mut Vec<Diagnostic>| {
            all(self).extract_if(.., |said| said.span.is_some_and(|at| is_in(at, whole))).collect()
        };
        Said { errors: of(|said| &mut said.errors), hints: of(|said| &mut said.hints) }
    }
}

/// Counts directives block by block; what was said of one is taken out of `all_said`. `around` is the fate of a block that
/// nobody here can read, which what stands in it shares.
fn count(
    nodes: &[Node],
    all_said: &mut Said,
    around: Option<Fate>,
    lines: &mut BTreeMap<(String, Fate, Option<String>), Line>,
) {
    for node in nodes {
        let said = all_said.of(node.span);
        let (fate, why) = around.map_or_else(|| fate(&node.name.show(), &said), |fate| (fate, None));
        let name = node.name.show();
        let line = lines.entry((name.clone(), fate, why.clone())).or_insert_with(|| Line {
            name,
            fate,
            places: Vec::new(),
            why,
        });
        line.places.push(node.span);
        let Some(block) = &node.block else { continue };
        match node.name.show().as_str() {
            name if BLOCKS.iter().any(|row| row.name == name) => count(block, all_said, around, lines),
            "stream" | "mail" | "mgmt" => count(block, all_said, Some(fate), lines),
            // Pairs of values, no directives.
            _ => {
                let inside = node.close.map_or(node.span, |close| Span { end: close.end, ..node.span });
                drop(all_said.of(inside));
            }
        }
    }
}

fn is_in(at: Span, whole: Span) -> bool {
    at.file == whole.file && at.start >= whole.start && at.start < whole.end
}

/// What becomes of a use of a directive of which this was said.
fn fate(name: &str, Said { errors: said, hints }: &Said) -> (Fate, Option<String>) {
    let words = |said: &Diagnostic| match &said.help {
        Some(help) => format!("{}; {help}", said.message),
        None => said.message.clone(),
    };
    let why = said.first().map(words);
    let left_out = hints.iter().find(|hint| hint.code == Code::LeftOut);
    let warning = hints.iter().find(|hint| hint.severity == Severity::Warning);
    let is_ours = ROWS.iter().any(|row: &Row| row.manual.name == name) || BLOCKS.iter().any(|row| row.name == name);
    match reference::lookup(name) {
        _ if is_ours && said.is_empty() && left_out.is_some() => (Fate::InPart, left_out.map(words)),
        _ if is_ours && said.is_empty() => (Fate::Honoured, warning.map(words)),
        _ if is_ours && said.iter().all(is_absence) => (Fate::Absent, why),
        _ if is_ours => (Fate::Refused, why),
        Some(known) if known.contexts == Contexts(0) => (Fate::Meaning, Some(format!("it is of {}", known.module))),
        Some(known) if known.effect != Effect::Matters && said.is_empty() => (Fate::NoEffect, None),
        Some(known) if known.effect == Effect::None => (Fate::Refused, why),
        Some(known) => (Fate::Meaning, Some(format!("it is of {}", known.module))),
        None => {
            let ours = suggest::spelling(name, |name| ROWS.iter().any(|row| row.manual.name == name));
            let why = suggest::unbuilt(name).map(|part| format!("it belongs to {part}")).or(ours);
            (Fate::Missing, why)
        }
    }
}

/// Whether a complaint is about the machine, and not about the conf.
fn is_absence(said: &Diagnostic) -> bool {
    said.message.contains("there is no such file") || said.message.contains("host not found in upstream")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report_of(text: &str) -> Report {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, text).expect("a file");
        report(&Request { file, prefix: folder.path().into(), rootless: true, ..Request::default() })
    }

    #[test]
    fn each_use_has_its_fate() {
        let report = report_of(
            "events { multi_accept on; } http { types { text/html html; } mirror_x on; server { listen 8080; \
             location / { ssi on; userid off; proxy_pass http://no.invalid; autoindex perhaps; more_set_headers a; tcp_nopush on; tcp_nopush on; } } } stream { server { listen 1; } }",
        );
        let of = |name: &str| {
            let lines = report.lines.iter().filter(|line| line.name == name);
            lines.map(|line| (line.fate, line.places.len())).collect::<Vec<_>>()
        };
        for (name, want) in [
            ("events", vec![(Fate::Honoured, 1)]),
            ("multi_accept", vec![(Fate::NoEffect, 1)]),
            ("tcp_nopush", vec![(Fate::NoEffect, 2)]),
            ("types", vec![(Fate::Honoured, 1)]),
            ("text/html", vec![]),
            ("mirror_x", vec![(Fate::Missing, 1)]),
            ("more_set_headers", vec![(Fate::Missing, 1)]),
            ("ssi", vec![(Fate::Meaning, 1)]),
            ("userid", vec![(Fate::NoEffect, 1)]),
            ("autoindex", vec![(Fate::Refused, 1)]),
            ("proxy_pass", vec![(Fate::Absent, 1)]),
            ("listen", vec![(Fate::Meaning, 1), (Fate::Honoured, 1)]),
        ] {
            assert_eq!(of(name), want, "{name}");
        }
        // Eleven that are fine of eighteen.
        assert_eq!((report.uses(|_| true), report.uses(Fate::is_fine), report.tenths()), (18, 11, 611));
        assert!(!report.is_taken() && report.others.is_empty(), "{:?}", report.others);
    }

    #[test]
    fn a_line_is_said_to_be_what_the_test_of_the_conf_says() {
        let report = report_of(
            "load_module modules/ngx_http_image_filter_module.so; load_module modules/ngx_http_cgi_module.so;\n\
             server { listen 8080 http2; http2 on; ssl_stapling on; ssl_protocols TLSv1 TLSv1.2; ssl_ecdh_curve secp521r1:X25519;\n\
             add_header Content-Length 1; server_name a; }\n\
             server { listen 8080; server_name a; ssl_ciphers HIGH:DHE-RSA-AES128-SHA; ssl_conf_command Options PrioritizeChaCha; }",
        );
        let of = |name: &str| {
            let lines = report.lines.iter().filter(|line| line.name == name);
            lines.map(|line| (line.fate, line.why.is_some())).collect::<Vec<_>>()
        };
        for (name, want) in [
            ("load_module", vec![(Fate::InPart, true), (Fate::Honoured, false)]),
            ("listen", vec![(Fate::InPart, true), (Fate::Honoured, false)]),
            ("http2", vec![(Fate::InPart, true)]),
            ("ssl_protocols", vec![(Fate::InPart, true)]),
            ("ssl_ecdh_curve", vec![(Fate::InPart, true)]),
            ("ssl_ciphers", vec![(Fate::InPart, true)]),
            ("ssl_conf_command", vec![(Fate::InPart, true)]),
            ("add_header", vec![(Fate::InPart, true)]),
            // nginx says the same of it.
            ("server_name", vec![(Fate::Honoured, false), (Fate::Honoured, true)]),
        ] {
            let mut found = of(name);
            found.sort();
            assert_eq!(found, want, "{name}");
        }
        assert!(report.is_taken() && report.tenths() < 1000);
    }

    #[test]
    fn a_conf_that_is_taken_is_all_of_it() {
        let report = report_of("server { listen 8080; location / { return 200 ok; } }");
        assert!(report.is_taken());
        assert_eq!(report.tenths(), 1000);
        let report = report_of("server { listen 8080; include gone.conf; }");
        assert!(!report.is_taken());
        assert_eq!(report.others.len(), 1);
    }
}
