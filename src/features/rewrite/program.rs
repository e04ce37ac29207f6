//! The small program that a block's lines of the family become, and how it runs: one line after the other, `if`
//! skips what stands inside it, and the settings of a true `if` hold from there on.

use crate::conf::source::Span;
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::settable::Settable;
use crate::exchange::step::Step;
use crate::exchange::variables::Given;
use crate::http::escape;

use super::answer::{self, Answer};
use super::condition::Condition;
use super::replacement::{self, Uri, Writer};
use super::search::Search;

/// One line with its place.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it does.
    pub op: Op,
    /// Where it stands.
    pub span: Span,
}

/// What one line does.
#[derive(Debug, Clone)]
pub enum Op {
    /// `rewrite`.
    Rewrite(Rewrite),
    /// `set`.
    Set(Settable, Text),
    /// `if`.
    If {
        /// What it asks.
        condition: Condition,
        /// Which `if` of its block it is.
        number: usize,
        /// The line behind its block.
        end: usize,
    },
    /// `break`.
    Break,
    /// `return`.
    Return(Answer),
}

/// A `rewrite` line.
#[derive(Debug, Clone)]
pub struct Rewrite {
    /// What the path must match.
    pub search: Search,
    /// What becomes of it.
    pub into: Into,
    /// Whether the client's query goes along.
    pub keeps_args: bool,
    /// Whether the program ends here.
    pub is_last: bool,
}

/// What a path is rewritten into.
#[derive(Debug, Clone)]
pub enum Into {
    /// Another URI of this server.
    Uri {
        /// The path, and the query if it has one of its own.
        uri: Uri,
        /// Whether the request stays in its location.
        stays: bool,
    },
    /// A redirect.
    Url {
        /// The status.
        status: u16,
        /// Where to.
        text: Text,
        /// Whether the text itself holds a question mark.
        has_query: bool,
    },
}

/// A program at work.
struct Run<'r> {
    log: bool,
    writer: Writer,
    /// Whether the path changed and its location is to be searched.
    searches: bool,
    enter: &'r mut dyn FnMut(&mut Exchange, usize),
}

/// Runs a program. `enter` takes over the settings of the block's `if` of that number.
pub fn run(
    x: &mut Exchange,
    program: &[Line],
    log: bool,
    enter: &mut dyn FnMut(&mut Exchange, usize),
) -> Result<Step, HttpError> {
    if program.is_empty() {
        return Ok(Step::Next);
    }
    let mut run = Run { log, writer: Writer::new(x.head.target()), searches: false, enter };
    let mut at = 0;
    while let Some(Line { op, span }) = program.get(at) {
        at += 1;
        match op {
            Op::If { condition, number, end } => {
                let holds = condition.holds(x, &run.writer, log)?;
                x.tell("if", Some(*span), || if holds { "is true" } else { "is false" }.into());
                match holds {
                    true => (run.enter)(x, *number),
                    false => at = *end,
                }
            }
            Op::Set(place, text) => {
                let value = run.writer.text(x, text).into_owned();
                check_length(&value)?;
                x.tell("set", Some(*span), || format!("the value is `{}`", escape::error_log(&value)));
                let on_one_line = || x.as_field(|| run.writer.text(x, text).into_owned()).into();
                let given = Given::new(value.into(), on_one_line);
                place.set(x, given);
            }
            Op::Break => {
                x.tell("break", Some(*span), || "ends the lines of this block".into());
                run.stay(x);
                break;
            }
            Op::Return(answer) => {
                x.tell("return", Some(*span), || format!("answers {}", answer.status));
                return answer::give(x, answer);
            }
            Op::Rewrite(rewrite) => {
                if run.rewrite(x, rewrite, *span)? {
                    break;
                }
            }
        }
    }
    Ok(if run.searches { Step::Search } else { Step::Next })
}

fn check_length(text: &[u8]) -> Result<(), HttpError> {
    if text.len() <= replacement::LONGEST {
        return Ok(());
    }
    let text = format!("a text that `rewrite` or `set` makes has more than {} bytes", replacement::LONGEST);
    Err(HttpError::new(500, "text-too-long").log(Level::Error, text))
}

impl Run<'_> {
    /// The request stays where it is, whatever its path is now.
    fn stay(&mut self, x: &mut Exchange) {
        x.course.rewritten |= self.searches;
        self.searches = false;
    }

    /// Whether the program ends with this line.
    fn rewrite(&mut self, x: &mut Exchange, rewrite: &Rewrite, span: Span) -> Result<bool, HttpError> {
        if !rewrite.search.run(x, &x.uri, self.log)? {
            x.tell("rewrite", Some(span), || format!("does not match `{}`", escape::error_log(&x.uri)));
            return Ok(false);
        }
        // As in nginx, a rewritten request counts as one from inside.
        x.course.internal = true;
        match &rewrite.into {
            Into::Url { status, text, has_query } => {
                let mut url = self.writer.url(x, text);
                check_length(&url)?;
                if let Some(args) = x.args.as_ref().filter(|args| rewrite.keeps_args && !args.is_empty()) {
                    url.push(if *has_query { b'&' } else { b'?' });
                    url.extend_from_slice(args);
                }
                x.tell("rewrite", Some(span), || format!("sends the client to `{}`", escape::error_log(&url)));
                if self.log {
                    x.report(Level::Notice, format!("rewritten redirect: \"{}\"", escape::error_log(&url)));
                }
                Err(answer::redirect(*status, url.into()))
            }
            Into::Uri { uri, stays } => {
                self.searches = true;
                x.course.rewriter = Some(span);
                if *stays {
                    self.stay(x);
                }
                let replaced = self.replace(x, uri, rewrite.keeps_args);
                x.tell("rewrite", Some(span), || format!("the path is now `{}`", escape::error_log(&x.uri)));
                replaced?;
                Ok(rewrite.is_last)
            }
        }
    }

    fn replace(&mut self, x: &mut Exchange, uri: &Uri, keeps_args: bool) -> Result<(), HttpError> {
        self.writer.quote = false;
        let (path, args) = self.writer.uri(x, uri);
        check_length(&path)?;
        // Asked only of the few that climb: the text is long where it grows.
        let ups = if climbs(&path) { x.own_ups(&uri.path) } else { Some(0) };
        check_length(args.as_deref().unwrap_or_default())?;
        match (args, &mut x.args) {
            (Some(mut args), old) => {
                if let Some(old) = old.as_ref().filter(|old| keeps_args && !old.is_empty()) {
                    args.push(b'&');
                    args.extend_from_slice(old);
                }
                *old = Some(args);
            }
            (None, Some(old)) if !keeps_args => old.clear(),
            _ => {}
        }
        x.uri = path;
        if self.log {
            let args = escape::error_log(x.args.as_deref().unwrap_or_default());
            x.report(Level::Notice, format!("rewritten data: \"{}\", args: \"{args}\"", escape::error_log(&x.uri)));
        }
        if x.uri.is_empty() {
            return Err(HttpError::new(500, "empty-uri").log(Level::Error, "the rewritten URI has a zero length"));
        }
        x.course.ups = ups.unwrap_or(0);
        if ups.is_none() {
            let text = format!("the rewritten URI \"{}\" leads out of its folder", escape::error_log(&x.uri));
            return Err(HttpError::new(404, "outside-root").log(Level::Error, text));
        }
        Ok(())
    }
}

/// Whether a segment of a path is `..`. Paths from clients have none, those of the conf may; a capture that begins within a segment can
/// make one: `/a../b` under `^/a(.*)`.
fn climbs(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|segment| segment == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_climb() {
        for (path, expected) in [("/a/../b", true), ("..", true), ("/..", true), ("/a..", false), ("/...", false)] {
            assert_eq!(climbs(path.as_bytes()), expected, "{path}");
        }
    }
}
