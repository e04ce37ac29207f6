//! `proxy_redirect`: Location and Refresh of another server's answers, rewritten so that they lead back here.

use std::sync::Arc;

use bytes::Bytes;

use super::pass::Url;
use super::rows::Conf;
use crate::conf::args::{Args, Fault};
use crate::conf::pattern::{Failure, Pattern};
use crate::conf::value::{Text, VarId};
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;

/// The lines of a block.
#[derive(Debug, Clone, Default)]
pub enum Redirects {
    /// None: as if `default` stood there.
    #[default]
    Default,
    /// These.
    Lines(Arc<Vec<Redirect>>),
}

/// One line.
#[derive(Debug, Clone)]
pub enum Redirect {
    /// `default`.
    Default,
    /// A beginning and what takes its place.
    Prefix(Text, Text),
    /// A regex and what takes the place of the whole value.
    Regex(Matcher, Text),
}

/// A regex with the variables that its groups set.
#[derive(Debug, Clone)]
pub struct Matcher {
    pattern: Pattern,
    names: Vec<(VarId, usize)>,
}

impl Matcher {
    /// Reads word `i`, whose first `cut` bytes say that it is a regex.
    pub fn read(args: &mut Args<'_>, i: usize, cut: usize, caseless: bool) -> Result<Matcher, Fault> {
        let word = args.word(i);
        let (pattern, names) = args.load.capturing(word, &word.text[cut..], caseless)?;
        Ok(Matcher { pattern, names })
    }

    /// Whether a text matches; its groups are captures then.
    pub fn matches(&self, x: &Exchange, text: &Bytes) -> bool {
        let found = self.pattern.captures(text).unwrap_or_else(|why| unknown(x, why));
        found.is_some_and(|found| {
            x.capture(text, &found.groups, &self.names);
            true
        })
    }

    /// Whether a text matches, without captures.
    pub fn is_match(&self, x: &Exchange, text: &[u8]) -> bool {
        self.pattern.is_match(text).unwrap_or_else(|why| unknown::<()>(x, why).is_some())
    }
}

/// Whether a regex matches cannot be known: the response does not go out.
fn unknown<T>(x: &Exchange, why: Failure) -> Option<T> {
    x.spoil(HttpError::regex(why, "a regex of proxy_redirect or proxy_cookie_*", "what the other server sent"));
    None
}

impl Redirects {
    /// Adds a line.
    pub fn add(&mut self, line: Redirect) {
        match self {
            Redirects::Default => *self = Redirects::Lines(Arc::new(vec![line])),
            Redirects::Lines(lines) => Arc::make_mut(lines).push(line),
        }
    }
}

impl Redirect {
    /// Reads a line other than `off`.
    pub fn read(args: &mut Args<'_>) -> Result<Redirect, Fault> {
        let word = args.word(0);
        match (word.text.as_slice(), args.len()) {
            (b"default", 1) => return Ok(Redirect::Default),
            (_, 1) => {
                return Err(Fault::at(
                    word,
                    format!("takes `default`, `off`, or a redirect and its replacement, not `{}` alone", word.show()),
                ));
            }
            _ => {}
        }
        let replacement = args.field_text(1)?;
        Ok(match word.text.as_slice() {
            [b'~', b'*', ..] => Redirect::Regex(Matcher::read(args, 0, 2, true)?, replacement),
            [b'~', ..] => Redirect::Regex(Matcher::read(args, 0, 1, false)?, replacement),
            _ => Redirect::Prefix(args.text(0)?, replacement),
        })
    }
}

/// The new value of a Location or Refresh field, if a line matches.
pub fn rewrite(x: &Exchange, conf: &Conf, name: &[u8], value: &Bytes) -> Option<Bytes> {
    let at = match name {
        b"refresh" => url_in_refresh(value)?,
        _ => 0,
    };
    let url = value.slice(at..);
    let new = match &conf.redirects {
        Redirects::Default => one(x, conf, &Redirect::Default, &url),
        Redirects::Lines(lines) => lines.iter().find_map(|line| one(x, conf, line, &url)),
    };
    new.map(|new| [&value[..at], &new].concat().into())
}

/// Where the URL begins in `5; url=http://host/`.
fn url_in_refresh(value: &[u8]) -> Option<usize> {
    let at = value.windows(4).position(|window| window.eq_ignore_ascii_case(b"url="))?;
    Some(at + 4)
}

fn one(x: &Exchange, conf: &Conf, line: &Redirect, url: &Bytes) -> Option<Vec<u8>> {
    let replaced = |from: &[u8], to: &[u8]| Some([to, url.strip_prefix(from)?].concat());
    match line {
        Redirect::Default => {
            let pass = conf.pass.as_ref()?;
            let Url::Fixed(parts, _) = &pass.url else { return None };
            match parts.uri.is_empty() {
                true => replaced(&[&parts.base(), &b"/"[..]].concat(), b"/"),
                false => replaced(&[&parts.base(), &parts.uri[..]].concat(), &pass.prefix),
            }
        }
        Redirect::Prefix(from, to) => {
            let from = x.eval(from).into_owned();
            url.starts_with(&from).then(|| replaced(&from, &x.eval(to)))?
        }
        Redirect::Regex(matcher, to) => matcher.matches(x, url).then(|| x.eval(to).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_refresh_leads() {
        for (value, want) in
            [("5; url=/x", Some("/x")), ("0;URL=http://a/", Some("http://a/")), ("5", None), ("url=", Some(""))]
        {
            let at = url_in_refresh(value.as_bytes());
            assert_eq!(at.map(|at| &value[at..]), want, "{value}");
        }
    }
}
