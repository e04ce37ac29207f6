//! Which part of a path names the script and which part is for the script: `fastcgi_index`, `fastcgi_split_path_info`, and the
//! two variables they make. Knows nothing of programs.

use std::borrow::Cow;
use std::ops::Range;

use super::rows::Conf;
use crate::conf::pattern::Failure;
use crate::exchange::Exchange;
use crate::exchange::error::HttpError;
use crate::exchange::variables::{Value, Variable};

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    Variable {
        name: "fastcgi_script_name",
        family: false,
        doc: "The part of the path that names the script: the first capture of `fastcgi_split_path_info`, or the whole path. One that \
              ends in a slash is followed by `fastcgi_index`.",
        get: |x, conf, _| Some(script_name(x, conf)),
    },
    Variable {
        name: "fastcgi_path_info",
        family: false,
        doc: "What follows the script's name in the path: the second capture of `fastcgi_split_path_info`, empty without it.",
        get: |x, conf, _| path_info(x, conf),
    },
];

fn script_name<'a>(x: &'a Exchange, conf: &'a Conf) -> Cow<'a, [u8]> {
    let name = &x.uri[parts(x, conf).0];
    match name.last() {
        Some(b'/') if !conf.index.is_empty() => Cow::Owned([name, &conf.index].concat()),
        _ => Cow::Borrowed(name),
    }
}

fn path_info<'a>(x: &'a Exchange, conf: &'a Conf) -> Value<'a> {
    Some(Cow::Borrowed(&x.uri[parts(x, conf).1]))
}

/// The ranges of the script's name and of what follows it.
fn parts(x: &Exchange, conf: &Conf) -> (Range<usize>, Range<usize>) {
    cut(&x.uri, conf).unwrap_or_else(|why| {
        x.spoil(HttpError::regex(why, "the regex of fastcgi_split_path_info", "this path"));
        all_name(&x.uri)
    })
}

fn cut(uri: &[u8], conf: &Conf) -> Result<(Range<usize>, Range<usize>), Failure> {
    let Some(pattern) = &conf.split else { return Ok(all_name(uri)) };
    Ok(pattern.captures(uri)?.map_or_else(
        || all_name(uri),
        |found| {
            let group = |n: usize| found.groups.get(n).cloned().flatten().unwrap_or(uri.len()..uri.len());
            (group(1), group(2))
        },
    ))
}

/// What a path is that the expression does not fit.
fn all_name(uri: &[u8]) -> (Range<usize>, Range<usize>) {
    (0..uri.len(), uri.len()..uri.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::pattern::Pattern;
    use std::sync::Arc;

    #[test]
    fn paths_in_two() {
        let expression =
            |text: &str| Some(Arc::new(Pattern::new(text.as_bytes(), false, &Default::default()).unwrap()));
        for (split, uri, script, info) in [
            (None, "/a.php/b", "/a.php/b", ""),
            (expression("^(.+?\\.php)(/.*)$"), "/a.php/b", "/a.php", "/b"),
            (expression("^(.+?\\.php)(/.*)$"), "/a.php", "/a.php", ""),
            (expression("^(.+?\\.php)(/.*)?$"), "/a.php", "/a.php", ""),
            (expression("^(.+\\.php)(.*)$"), "/a.php/b.php/c", "/a.php/b.php", "/c"),
        ] {
            let conf = Conf { split, ..Conf::default() };
            let (name, rest) = cut(uri.as_bytes(), &conf).unwrap();
            assert_eq!((&uri[name], &uri[rest]), (script, info), "{uri}");
        }
    }
}
