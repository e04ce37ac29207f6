//! What the steps tell somebody who looks on: each decision in plain words, and the act that a request came to where
//! nothing may be done for it. A server has no trace: then telling costs one comparison. Knows no step.

use std::any::Any;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use super::Exchange;
use super::step::Step;
use crate::conf::source::Span;
use crate::http::escape;

/// One decision.
pub struct Remark {
    /// The directive or the block that it is about: `rewrite`, `location`, `try_files`.
    pub about: &'static str,
    /// The line that decided, where it is a single one.
    pub place: Option<Span>,
    /// What was decided.
    pub text: String,
    /// The settings that were in force then.
    pub scope: Arc<dyn Any + Send + Sync>,
}

/// What would be done for the request now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A program would be started.
    Run {
        /// Program and arguments.
        command: Vec<Vec<u8>>,
        /// The folder it would start in.
        folder: PathBuf,
        /// Its environment.
        variables: Vec<(Vec<u8>, Vec<u8>)>,
    },
    /// The request would be passed on.
    Pass {
        /// By what: `proxy_pass`, `fastcgi_pass`.
        by: &'static str,
        /// Where to, as the conf says it, with its variables filled in.
        to: Vec<u8>,
        /// Who may get it; none where a name has to be looked up first.
        peers: Option<Peers>,
        /// What is sent along.
        told: Told,
    },
    /// Something would be changed: a file stored or removed.
    Change {
        /// What, in plain words.
        what: String,
        /// The path that is written to.
        path: Vec<u8>,
    },
}

impl Act {
    /// The same in plain words.
    pub fn in_words(&self) -> String {
        match self {
            Act::Run { command, .. } => {
                let words: Vec<_> = command.iter().map(|word| escape::error_log(word)).collect();
                format!("the program `{}` would be run", words.join(" "))
            }
            Act::Pass { by, to, told, .. } => {
                let to = escape::error_log(to);
                let told: Vec<String> = match told {
                    Told::Head(head) => {
                        let lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii_end);
                        lines.filter(|line| !line.is_empty()).map(escape::error_log).collect()
                    }
                    Told::Values(values) => {
                        let shown = |(name, value): &(Vec<u8>, Vec<u8>)| {
                            format!("{}={}", escape::error_log(name), escape::error_log(value))
                        };
                        values.iter().map(shown).collect()
                    }
                };
                format!("`{by}` would send to {to}: {}", told.join("; "))
            }
            Act::Change { what, path } => format!("{what} `{}`", escape::error_log(path)),
        }
    }
}

/// What another server or a program is told of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The head of a request of HTTP, byte by byte.
    Head(Vec<u8>),
    /// Names and values.
    Values(Vec<(Vec<u8>, Vec<u8>)>),
}

/// The servers that a request may be passed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peers {
    /// How one of them is chosen; nothing where there is only one.
    pub how: String,
    /// All of them, as the conf has them.
    pub list: Vec<Peer>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The server as the conf names it.
    pub server: String,
    /// Its address.
    pub address: String,
    /// What the conf says of it: `weight=2`, `backup`, `down`; may be empty.
    pub note: String,
    /// Whether it would be asked first.
    pub is_first: bool,
}

/// All that was told of one request.
#[derive(Default)]
pub struct Trace {
    /// The decisions, in order.
    pub remarks: RefCell<Vec<Remark>>,
    /// Where the request ended because nothing may be done.
    pub act: RefCell<Option<Act>>,
    /// What was not asked and is taken to let the request in.
    pub presumed: RefCell<Vec<String>>,
    /// Whether nobody looks on: only the verdict of the guards counts, and they ask whatever they need for it.
    pub is_verdict: bool,
}

impl Exchange {
    /// Tells what was decided, to whoever looks on.
    pub fn tell(&self, about: &'static str, place: Option<Span>, text: impl FnOnce() -> String) {
        if let Some(trace) = self.trace.as_ref().filter(|trace| !trace.is_verdict) {
            let scope = self.scope();
            trace.remarks.borrow_mut().push(Remark { about, place, text: text(), scope });
        }
    }

    /// Tells what is only presumed, as it was not asked.
    pub fn presume(&self, text: impl FnOnce() -> String) {
        if let Some(trace) = self.trace.as_ref().filter(|trace| !trace.is_verdict) {
            trace.presumed.borrow_mut().push(text());
        }
    }

    /// Whether something may be done for this request: a program started, a server asked, a file changed, a limit counted.
    pub fn may_act(&self) -> bool {
        self.trace.is_none()
    }

    /// Whether guards may ask what takes time for this request: a store of sessions, a slow hash, a delay before a refusal.
    pub fn may_ask(&self) -> bool {
        self.trace.as_ref().is_none_or(|trace| trace.is_verdict)
    }

    /// Where nothing may be done, notes what would be, and ends the request there.
    pub fn withhold(&self, act: impl FnOnce() -> Act) -> Option<Step> {
        let trace = self.trace.as_ref()?;
        trace.act.replace(Some(act()));
        Some(Step::Close)
    }
}
