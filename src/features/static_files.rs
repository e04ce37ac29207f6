//! Files as answers, their preconditions and ranges: `etag`, `if_modified_since`, `max_ranges`,
//! `log_not_found`. This is the hot path: a small file from the cache costs its path, its tag and one queue
//! of chunks. As filters, 304 stands before the fields of the conf, which such an answer has too; ranges stand last, since only the
//! final bytes can be counted.

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::files::{Content, Kind, Opened};
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;
use crate::http::cond::{self, ModifiedSince, Outcome, Validators};
use crate::http::etag::Comparison;
use crate::http::head::Known;
use crate::http::method::Method;
use crate::http::range::{self, Ranges};
use crate::http::response::{Body, Chunk, ContentType, Response};
use crate::http::{escape, etag};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// Whether files get an ETag.
    pub etag: bool,
    /// How If-Modified-Since is compared.
    pub modified_since: ModifiedSince,
    /// The most ranges one answer may have; 0 turns them off.
    pub max_ranges: usize,
    /// Whether a missing file is worth a line in the error log.
    pub log_not_found: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { etag: true, modified_since: ModifiedSince::Exact, max_ranges: MANY, log_not_found: true }
    }
}

/// As many ranges as a head has room for.
const MANY: usize = i32::MAX as usize;

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "etag",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether files are sent with an `ETag`, made of their time of change and their size. A file that was changed less than two seconds \
                  ago has the nanoseconds in it too, and answers to both forms later. A file that `gzip_static` and the like serve in the place of another \
                  has its ending in it.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| flag(&mut conf.etag, args),
    },
    Directive {
        manual: Manual {
            name: "if_modified_since",
            syntax: &["off | exact | before"],
            default: Some("exact"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How the date in `If-Modified-Since` is compared with the file's: the answer is 304 if they are equal \
                  (`exact`), or if the file is not younger (`before`); `off` ignores the field.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_modified_since,
    },
    Directive {
        manual: Manual {
            name: "max_ranges",
            syntax: &["number"],
            default: None,
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How many byte ranges one request may ask for; one that asks for more gets the whole file. 0 turns ranges off. \
                  Without it there is no limit but the file's size, which the ranges together may not exceed.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.max_ranges = args.number(0, 0..=MANY as u64)? as usize;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "log_not_found",
            syntax: &["on | off"],
            default: Some("on"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether a request for a file that does not exist writes a line into the error log.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| flag(&mut conf.log_not_found, args),
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn flag(value: &mut bool, args: &mut Args<'_>) -> Result<(), Fault> {
    *value = args.flag(0)?;
    Ok(())
}

fn set_modified_since(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    use ModifiedSince::{Before, Exact, Off};
    conf.modified_since = args.one_of(0, &[("off", Off), ("exact", Exact), ("before", Before)])?;
    Ok(())
}

/// Answers with the file of the current path.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    let method = x.method();
    if !matches!(method, Method::Get | Method::Head | Method::Post) {
        return Err(not_allowed());
    }
    if x.uri.last() == Some(&b'/') {
        return Ok(Step::Next);
    }
    let path = x.path_of(&x.uri);
    x.tell("file", None, || format!("the file is `{}`", escape::error_log(&path)));
    let opened = x.open(&path).map_err(|error| HttpError::file("open()", &path, &error))?;
    match opened.stat.kind {
        Kind::Folder => return Err(HttpError::redirect(301, with_slash(&x.uri, x.args.as_deref()))),
        Kind::Other => {
            let path = escape::error_log(&path);
            return Err(
                HttpError::new(404, "no-regular-file").log(Level::Crit, format!("\"{path}\" is not a regular file"))
            );
        }
        Kind::File if method == Method::Post => return Err(not_allowed()),
        Kind::File => {}
    }
    Ok(Step::done(answer(opened, conf)))
}

/// RFC 9110 section 15.5.6: a 405 names the methods there are.
fn not_allowed() -> HttpError {
    HttpError::new(405, "method").field("Allow", "GET, HEAD")
}

/// The folder's own address: the path with a slash, and the arguments.
pub fn with_slash(uri: &[u8], args: Option<&[u8]>) -> Vec<u8> {
    let mut location = escape::path(uri).into_owned().into_bytes();
    location.push(b'/');
    if let Some(args) = args.filter(|args| !args.is_empty()) {
        location.push(b'?');
        location.extend_from_slice(args);
    }
    location
}

/// The answer that an opened file is.
pub fn answer(opened: Opened, conf: &Conf) -> Response {
    let (modified, size, nanos) = (opened.stat.modified(), opened.stat.size, opened.stat.nanos());
    let mut response = Response::new(200);
    response.last_modified = Some(modified);
    let tag = conf.etag.then(|| etag::make(modified, size));
    // While the second of its change may go on, that alone names no version.
    (response.etag, response.nanos) = match opened.stat.is_settled {
        true => (tag, Some(nanos)),
        false => (tag.map(|tag| etag::finer(&tag, nanos)), None),
    };
    response.ranges = true;
    match opened.content {
        Content::Memory(bytes) if !bytes.is_empty() => response.body.chunks.push_back(Chunk::Bytes(bytes)),
        Content::File(file) => response.body.chunks.push_back(Chunk::File { file, offset: 0, len: size }),
        Content::Memory(_) | Content::None => {}
    }
    response
}

/// Drops the log line of a missing file where `log_not_found` is off.
pub fn quieten(conf: &Conf, error: &mut HttpError) {
    if error.status == 404 && !conf.log_not_found {
        error.report = None;
    }
}

/// Answers 304 or fails with 412 where the request's preconditions say so.
pub fn not_modified(x: &Exchange, conf: &Conf, response: &mut Response) -> Result<(), HttpError> {
    // RFC 9110 section 13.2.1: preconditions count only where the answer would be a success.
    let is_judged = response.foreign.as_ref().is_some_and(|foreign| foreign.is_judged);
    if response.status != 200 || is_judged || !matches!(x.method(), Method::Get | Method::Head) {
        return Ok(());
    }
    let request = x.preconditions();
    let finer = response.finer_tag();
    let current = Validators {
        exists: true,
        etag: response.etag.as_deref(),
        other: finer.as_deref(),
        last_modified: response.last_modified,
    };
    let outcome = cond::evaluate(true, &request, &current, conf.modified_since);
    for list in [&request.if_match, &request.if_none_match].into_iter().flatten() {
        use_form(response, |tag| etag::list_names(list, tag, Comparison::Weak));
    }
    match outcome {
        Outcome::Send => {}
        Outcome::PreconditionFailed => return Err(HttpError::new(412, "precondition")),
        Outcome::NotModified => {
            response.status = 304;
            response.content_type = ContentType::None;
            // As in nginx: there are no bytes that a coding could be of.
            response.remove(&["Content-Encoding"]);
            response.ranges = false;
            response.length = None;
            response.body = Body::empty();
        }
    }
    Ok(())
}

/// Has the answer named as the client names it, where that is the finer form of its tag: what it has under that name is the same.
fn use_form(response: &mut Response, is_named: impl Fn(&[u8]) -> bool) {
    if let Some(finer) = response.finer_tag()
        && is_named(&finer)
        && !response.etag.as_deref().is_some_and(&is_named)
    {
        (response.etag, response.nanos) = (Some(finer), None);
    }
}

/// Cuts the answer down to the ranges that were asked for.
pub fn ranges(x: &Exchange, conf: &Conf, response: &mut Response) -> Result<(), HttpError> {
    response.ranges &= response.status == 200 && conf.max_ranges > 0;
    if !response.ranges {
        return Ok(());
    }
    let Some(size) = response.body.known_len().or(response.length) else {
        // What nobody knows the length of has no ranges.
        response.ranges = false;
        return Ok(());
    };
    // RFC 9110 section 14.2: Range is defined for GET alone.
    if x.head.method != Method::Get {
        return Ok(());
    }
    let Some(range) = x.head.known(Known::Range) else { return Ok(()) };
    if let Some(condition) = x.head.known(Known::IfRange) {
        use_form(response, |tag| range::if_range(condition, Some(tag), None));
        if !range::if_range(condition, response.etag.as_deref(), response.last_modified) {
            return Ok(());
        }
    }
    match range::parse(range, size, conf.max_ranges) {
        Ranges::Ignore => {}
        // A body that comes while it is sent passes once: of several parts the second may stand before the first.
        Ranges::Parts(parts) if parts.len() > 1 && response.body.known_len().is_none() => {}
        Ranges::Unsatisfiable => {
            return Err(HttpError::new(416, "range").field("Content-Range", range::unsatisfied(size)));
        }
        Ranges::Parts(parts) => {
            // Without randomness the boundary is a constant: correct, if easier to guess.
            range::apply(response, &parts, size, getrandom::u64().unwrap_or(0));
            response.ranges = false;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_keep_their_arguments() {
        for (uri, args, expected) in [
            ("/a", None, "/a/"),
            ("/a", Some(""), "/a/"),
            ("/a b", Some("x=%20"), "/a%20b/?x=%20"),
            ("/a?b", None, "/a%3Fb/"),
        ] {
            let location = with_slash(uri.as_bytes(), args.map(str::as_bytes));
            assert_eq!(String::from_utf8(location).unwrap(), expected);
        }
    }

    #[test]
    fn a_missing_file_is_quiet_only_where_asked() {
        for (status, log_not_found, quiet) in [(404, true, false), (404, false, true), (403, false, false)] {
            let mut error = HttpError::new(status, "x").log(Level::Error, "line");
            quieten(&Conf { log_not_found, ..Conf::default() }, &mut error);
            assert_eq!(error.report.is_none(), quiet, "{status} {log_not_found}");
        }
    }
}
