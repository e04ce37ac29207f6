//! What a request asks for before it changes anything: each file and folder that it would make, replace, remove or show, as the
//! same client's own request for that one. A large tree is looked through a little at a time. Must not know how a question is
//! answered.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Instant;

use super::entries::{Entry, Kind, Walk};
use super::failed;
use super::put::Way;
use super::work::TURN;
use crate::exchange::Exchange;
use crate::exchange::admission::{Admit, Question};
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Wait;
use crate::exchange::store::Folder;
use crate::exchange::trees::{Hold, Tree};
use crate::http::escape;
use crate::http::method::Method;

/// What is left to ask, and what was asked.
#[derive(Default)]
pub struct Asking {
    items: Vec<Item>,
    trees: Vec<Branch>,
    walk: Option<(Branch, Walk)>,
    /// How many entries were asked for.
    count: u64,
    /// Whether what stands on disk was looked at: then all that there is to ask is here.
    pub is_whole: bool,
    /// Whether a folder stood at the destination then; none if nothing did.
    pub there: Option<bool>,
    /// Folders on the way that were asked for.
    way: Vec<Question>,
    /// What the request has for itself until it is done.
    pub hold: Option<Held>,
    /// The entries of the source.
    pub asked: Asked,
    /// Until when it waits for others that work on the same tree.
    pub until: Option<Instant>,
}

/// Trees that nobody else changes, as they were when they were asked for.
pub struct Held {
    /// Keeps others out until it is dropped.
    pub _hold: Hold,
    /// Which.
    pub trees: Vec<Tree>,
}

/// The names of a tree that were asked for: what came later is not among them.
#[derive(Default)]
pub struct Asked {
    hasher: RandomState,
    known: HashSet<u64>,
}

enum Item {
    Ask(Question),
    /// What may be read here, or may not be read there either.
    Show(Question, Question),
    /// It may not be read here: it must not be read there.
    Hide(Question, Box<HttpError>),
}

/// A tree whose entries are asked for.
pub struct Branch {
    /// Where it is, opened.
    pub folder: Folder,
    /// Its path here, with a slash at its end.
    pub from: Side,
    /// As which method its entries go; none if they stay.
    pub takes: Option<Method>,
    /// Where each of them comes to stand as well.
    pub to: Option<Side>,
    /// Whether a link counts as what it leads to.
    pub follows: bool,
    /// Whether the entries are noted as asked for.
    pub is_source: bool,
}

/// A folder as clients and as the system name it, with a slash at the end of both.
#[derive(Clone)]
pub struct Side {
    /// Its URI.
    pub uri: Vec<u8>,
    /// Its path.
    pub path: Vec<u8>,
}

impl Side {
    /// What has this name in it.
    fn join(&self, name: &[u8]) -> Side {
        let join = |front: &[u8]| [front.strip_suffix(b"/").unwrap_or(front), b"/", name].concat();
        Side { uri: join(&self.uri), path: join(&self.path) }
    }

    fn question(&self, method: Method) -> Question {
        Question::of(method, &self.uri, &self.path)
    }
}

impl Asked {
    fn print(&self, name: &[u8], is_folder: bool) -> u64 {
        self.hasher.hash_one((name, is_folder))
    }

    fn note(&mut self, name: &[u8], is_folder: bool) {
        let print = self.print(name, is_folder);
        self.known.insert(print);
    }

    /// Whether a name below the tree was asked for, as a folder or as a file.
    pub fn has(&self, name: &[u8], is_folder: bool) -> bool {
        self.known.contains(&self.print(name, is_folder))
    }
}

impl Asking {
    /// One question.
    pub fn ask(&mut self, question: Question) {
        self.items.push(Item::Ask(question));
    }

    /// Whether what a client may not read here can be read there.
    pub fn show(&mut self, from: Question, to: Question) {
        self.items.push(Item::Show(from, to));
    }

    /// Whether the folders on the way were asked for; those that were not are from now on.
    pub fn has_way(&mut self, way: &Way<'_>) -> bool {
        let missing: Vec<_> = way.questions.iter().filter(|question| !self.way.contains(question)).cloned().collect();
        self.way.extend_from_slice(&missing);
        self.items.extend(missing.iter().cloned().map(Item::Ask));
        missing.is_empty()
    }

    /// Whether nothing is left to ask.
    pub fn is_answered(&self) -> bool {
        self.items.is_empty() && self.trees.is_empty() && self.walk.is_none()
    }

    /// Everything below a folder.
    pub fn branch(&mut self, branch: Branch) {
        self.trees.push(branch);
    }

    /// Keeps others out of trees from now on; none where another request is at work there.
    pub fn take(&mut self, trees: Vec<Tree>) -> Option<()> {
        let hold = Hold::take(&trees)?;
        self.hold = Some(Held { _hold: hold, trees });
        Some(())
    }

    /// Goes on for a while, or to the end where nothing is done at all; a wait is to be followed by another call.
    pub fn go_on(&mut self, x: &Exchange, admit: Admit<'_>, most: u64) -> Result<Option<Wait>, HttpError> {
        let until = Instant::now() + TURN;
        loop {
            if let Some(wait) = self.answer(x, admit)? {
                return Ok(Some(wait));
            }
            if !self.look(x.method(), most)? {
                return Ok(None);
            }
            if x.may_act() && Instant::now() >= until {
                return Ok(Some(Wait::Until(Instant::now() + super::PAUSE)));
            }
        }
    }

    /// Asks what there is to ask now.
    fn answer(&mut self, x: &Exchange, admit: Admit<'_>) -> Result<Option<Wait>, HttpError> {
        while let Some(item) = self.items.last() {
            let (Item::Ask(question) | Item::Show(question, _) | Item::Hide(question, _)) = item;
            let answer = match admit(x, question) {
                Ok(Some(wait)) => return Ok(Some(wait)),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            match (self.items.pop(), answer) {
                (Some(Item::Show(_, there)), Err(error)) => {
                    // Why it would be refused there counts.
                    let there = Question { is_named: true, ..there };
                    self.items.push(Item::Hide(there, Box::new(error)));
                }
                // Whoever asks there later is not let in, and not because nothing is there yet.
                (Some(Item::Hide(..)), Err(error)) if is_guard(error.reason) => {}
                (Some(Item::Hide(_, error)), _) => return Err(*error),
                (_, answer) => answer?,
            }
        }
        Ok(None)
    }

    /// Looks for the next entry; false if there is none left.
    fn look(&mut self, own: Method, most: u64) -> Result<bool, HttpError> {
        if self.walk.is_none() {
            let Some(branch) = self.trees.pop() else { return Ok(false) };
            let walk = branch.folder.again().and_then(|folder| Walk::begin(folder, branch.follows));
            let walk = walk.map_err(|error| failed("opendir()", &branch.from.path, &error, 404))?;
            self.walk = Some((branch, walk));
        }
        let Some((branch, walk)) = &mut self.walk else { return Ok(false) };
        let Some(entry) = walk.next().map_err(|error| failed("readdir()", &branch.from.path, &error, 409))? else {
            self.walk = None;
            return Ok(true);
        };
        self.count += 1;
        if self.count > most {
            return Err(too_many(own, most));
        }
        branch.questions(&entry, &mut self.items);
        if branch.is_source {
            let is_folder = entry.kind == Kind::Folder;
            self.asked.note(&entry.name, is_folder);
            if entry.is_link {
                self.asked.note(&entry.name, false);
            }
        }
        Ok(true)
    }
}

impl Branch {
    /// What is to be asked for an entry.
    fn questions(&self, entry: &Entry, items: &mut Vec<Item>) {
        let (from, to) = (self.from.join(&entry.name), self.to.as_ref().map(|to| to.join(&entry.name)));
        if let Kind::File(size) = entry.kind {
            if let Some(to) = to {
                items.push(Item::Show(from.question(Method::Get), Question::unrefused(Method::Get, &to.uri)));
                items.push(Item::Ask(Question { size: Some(size), ..to.question(Method::Put) }));
            }
            items.extend(self.takes.map(|method| Item::Ask(from.question(method))));
            return;
        }
        let is_folder = entry.kind == Kind::Folder;
        if let Some(to) = to.filter(|_| is_folder || self.takes.is_some()) {
            let slash = to.join(b"");
            if is_folder {
                let there = Question::unrefused(Method::Get, &slash.uri);
                items.push(Item::Show(Question::unrefused(Method::Get, &from.join(b"").uri), there));
                items.push(Item::Ask(slash.question(Method::Put)));
            }
            items.push(Item::Ask(Question::unrefused(Method::Put, &to.uri)));
        }
        if let Some(method) = self.takes {
            // A guard may name a folder with its slash or without.
            items.push(Item::Ask(Question::unrefused(method, &from.uri)));
            let slash = from.join(b"");
            match is_folder && !entry.is_link {
                true => items.push(Item::Ask(slash.question(method))),
                false => items.push(Item::Ask(Question::unrefused(method, &slash.uri))),
            }
        }
    }
}

/// Refusals that do not depend on what is there.
fn is_guard(reason: &str) -> bool {
    matches!(reason, "denied" | "password" | "internal")
}

fn too_many(method: Method, most: u64) -> HttpError {
    let text = format!(
        "a {} of more than {most} files and folders at once (dav_max_files): take the folders inside one by one",
        escape::error_log(method.as_str().as_bytes())
    );
    HttpError::new(403, "too-many-entries").log(Level::Error, text)
}
