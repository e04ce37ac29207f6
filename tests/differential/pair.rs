//! Both servers with the same conf and files, and what they say to the same request. Takes no side.

use std::fmt;
use std::time::{Duration, Instant};

use super::known;
use super::requests::{LAST, Request};
use super::support::case::{Action, Case, Entry, Exchange, Kind, MTIME, Target};
use super::support::judge;
use super::support::server::{self, Place, Program, Server};
use super::support::tls::Clients;
use super::support::wire::{Answer, Shape, Wire};

/// How long a server may take to start or stop, and to say something.
const LIMIT: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_secs(20);
/// How many responses one connection can bring: interim ones, the request's, that of [`LAST`].
const MOST: usize = 4;

/// The two programs.
pub struct Programs {
    pub longshore: Program,
    pub nginx: Program,
}

/// What became of a conf.
pub enum Start {
    Both(Box<Pair>),
    Neither,
    /// One refuses what the other takes; why.
    One(String),
}

/// Both of them, running.
pub struct Pair {
    ours: (Server, Place),
    theirs: (Server, Place),
}

/// What a connection brought.
#[derive(Debug)]
pub struct Said {
    pub answers: Vec<Answer>,
    pub end: String,
}

/// Where the two do not say the same.
#[derive(Debug)]
pub struct Difference {
    pub why: String,
    /// The response that differs; none if there is none.
    pub ours: Option<Answer>,
    pub theirs: Option<Answer>,
    /// How many responses were the same before.
    pub at: usize,
}

impl Programs {
    pub fn start(&self, conf: &str) -> Start {
        let case = case(conf);
        match (start(&self.longshore, &case), start(&self.nginx, &case)) {
            (Ok(ours), Ok(theirs)) => Start::Both(Box::new(Pair { ours, theirs })),
            (Err(_), Err(_)) => Start::Neither,
            (Err(why), Ok(_)) => Start::One(format!("only Longshore refuses: {why}")),
            (Ok(_), Err(why)) => Start::One(format!("only nginx refuses: {why}")),
        }
    }
}

fn start(program: &Program, case: &Case) -> Result<(Server, Place), String> {
    let place = Place::new(case)?;
    Ok((server::start(program, case, &place, Instant::now() + LIMIT)?, place))
}

fn case(conf: &str) -> Case {
    let file =
        |path: &str, text: &str| Entry { path: path.into(), kind: Kind::File(text.into()), mtime: MTIME, mode: None };
    let html = |path: &str, text: &str| file(&format!("html/{path}"), text);
    let link = |path: &str, target: &str| Entry {
        path: format!("html/{path}"),
        kind: Kind::Symlink(target.into()),
        mtime: MTIME,
        mode: None,
    };
    let files = vec![
        file("users", "ann:{PLAIN}open\nbob:{PLAIN}shut\n"),
        html("index.html", "home\n"),
        html("a.txt", "0123456789"),
        html("b.html", "<b>b</b>\n"),
        html("x.php", "<?php ?>\n"),
        html("sp ace.txt", "space\n"),
        html("dir/index.html", "dir\n"),
        html("dir/a.txt", "dir a\n"),
        html("dir/sub/key.txt", "dir sub key\n"),
        html("dir/sub/b.html", "dir sub b\n"),
        html("secret/key.txt", "the key\n"),
        html("secret/index.html", "secret\n"),
        html("up/a.txt", "up\n"),
        html("up/sub/index.html", "up sub\n"),
        link("link", "a.txt"),
        link("up/link", "../secret"),
    ];
    Case { conf: conf.into(), files, ..Case::default() }
}

impl Pair {
    /// What differs in what they say to this request, and in whether they see where it ends.
    pub fn compare(&self, request: &Request) -> Option<Difference> {
        let (ours, theirs) = (ask(request, &self.ours.1), ask(request, &self.theirs.1));
        let (mut ours, mut theirs) = match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (ours, theirs) => {
                let why = format!("{:?} here, {:?} there", ours.err(), theirs.err());
                return Some(Difference { why, ours: None, theirs: None, at: 0 });
            }
        };
        known::settle(&mut ours.answers, &mut theirs.answers);
        for at in 0..ours.answers.len().max(theirs.answers.len()) {
            let why = match (ours.answers.get(at), theirs.answers.get(at)) {
                (Some(ours), Some(theirs)) => {
                    judge::compare(std::slice::from_ref(ours), std::slice::from_ref(theirs), &[]).err()
                }
                (one, _) => Some(format!(
                    "only {} answers, {:?} here, {:?} there",
                    if one.is_some() { "Longshore" } else { "nginx" },
                    ours.end,
                    theirs.end
                )),
            };
            if let Some(why) = why {
                return Some(Difference {
                    why,
                    ours: ours.answers.get(at).cloned(),
                    theirs: theirs.answers.get(at).cloned(),
                    at,
                });
            }
        }
        let at = ours.answers.len();
        let why = format!("it ends as {:?} here, {:?} there", ours.end, theirs.end);
        (ours.end != theirs.end).then_some(Difference { why, ours: None, theirs: None, at })
    }

    /// Both must stop in peace, and ours without a panic.
    pub fn stop(self) -> Result<(), String> {
        let end = Instant::now() + LIMIT;
        // What nginx has to say of its end is not looked at.
        let _ = self.theirs.0.stop(&self.theirs.1, false, end);
        self.ours.0.stop(&self.ours.1, false, end)
    }
}

fn ask(request: &Request, place: &Place) -> Result<Said, String> {
    let bytes = [&request.bytes[..], LAST].concat();
    let exchange = Exchange {
        target: Target::Port(1),
        tls: None,
        fresh: true,
        orders: Vec::new(),
        until: false,
        actions: vec![Action::Send(bytes)],
        heads: Vec::new(),
        responses: Vec::new(),
        line: 0,
    };
    let mut wire = Wire::connect(&exchange, &Clients::default(), place, Instant::now() + SILENCE)?;
    wire.send(&exchange, place)?;
    let mut said = Said { answers: Vec::new(), end: "more".into() };
    let mut is_head = request.is_head;
    while said.answers.len() < MOST {
        let shape = Shape { bare: false, nothing: false, head: is_head, closed: false, short: false };
        match wire.read(shape) {
            Ok(mut answer) => {
                is_head &= answer.status < 200;
                answer.body = place.mask(&answer.body);
                answer.headers.iter_mut().for_each(|(_, value)| *value = place.mask(value));
                said.answers.push(answer);
            }
            Err(why) => {
                said.end = end(&why);
                break;
            }
        }
    }
    Ok(said)
}

/// How a connection ended, in a word.
fn end(why: &str) -> String {
    match why {
        "closed in a line: \"\"" => "closed".into(),
        _ if why.starts_with("time is up") => "silent".into(),
        _ if why.starts_with("odd status line") => "no head".into(),
        _ => why.into(),
    }
}

impl Difference {
    /// What two that are probably the same have in common.
    pub fn kind(&self) -> String {
        let status = |answer: &Option<Answer>| answer.as_ref().map_or(0, |answer| answer.status);
        // Names of fields without their values; bodies have no say.
        let lines = self.why.lines().take_while(|line| !line.contains("bodies differ"));
        let names: Vec<&str> = lines.map(|line| line.split(':').next().unwrap_or_default().trim()).collect();
        format!("{} {} {} {}", self.at, status(&self.ours), status(&self.theirs), names.join(" "))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "response {}: {}", self.at + 1, self.why)?;
        for (name, answer) in [("here", &self.ours), ("there", &self.theirs)] {
            let Some(answer) = answer else { continue };
            write!(f, "\n{name}: {} {}", answer.status, answer.reason)?;
            for (name, value) in &answer.headers {
                write!(f, "\n  {name}: {}", String::from_utf8_lossy(value))?;
            }
            let shown = &answer.body[..answer.body.len().min(300)];
            write!(f, "\n  {:?}", String::from_utf8_lossy(shown))?;
        }
        Ok(())
    }
}
