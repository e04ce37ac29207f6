//! `error_page`, `recursive_error_pages`, `error_template`, `debug_clients`: what a client sees when a request fails. Which
//! failures there are is others' business; here each becomes a redirect or a page.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;

use crate::conf::args::{Args, Fault};
use crate::conf::ast::Word;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::{Piece, Text};
use crate::exchange::error::HttpError;
use crate::exchange::step::Target;
use crate::exchange::variables::{Value, Variable};
use crate::exchange::{Exchange, Failure, reasons};
use crate::http::head::Known;
use crate::http::response::{Body, ContentType, Response};
use crate::http::{escape, negotiate, status};

/// What becomes of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewStatus {
    /// The error's own stays.
    Keep,
    /// The page's answer decides (`=`).
    OfPage,
    /// This one (`=200`).
    Is(u16),
}

/// One status with its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The error's status.
    pub status: u16,
    /// The answer's status.
    pub new_status: NewStatus,
    /// A path, a named location, or a URL.
    pub target: Text,
}

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// The pages, the first of a status counts.
    pub pages: Vec<Page>,
    /// Whether errors of error pages have pages too.
    pub recursive: bool,
    /// The page for all statuses that have none of their own.
    pub template: Option<Arc<Text>>,
    /// Clients that are told why a request failed.
    pub debug: Vec<Debugger>,
}

/// Who is told why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Debugger {
    /// Who comes over a Unix socket.
    Unix,
    /// The addresses of a network.
    Net(IpNet),
}

/// How a failure is answered.
#[derive(Debug)]
pub enum Answer {
    /// By the answer of another place.
    Goto(Target),
    /// By the built-in page of this failure.
    Page(HttpError),
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "error_page",
            syntax: &["code ... [=[response]] uri"],
            default: None,
            contexts: Contexts::SCOPES.or(Contexts::IF_LOCATION),
            arity: Arity::AtLeast(2),
            block: false,
            doc: "What answers in the place of an error: a path (fetched by an internal GET), a named location (the method stays), or a \
                  URL (a redirect, 302 unless another code is given). The status stays the error's; `=200` makes it another, `=` leaves \
                  it to the page. The URI may contain variables. An error page that fails itself gives the built-in page. A block \
                  with an `error_page` of its own gets none of those further out.",
        },
        repeat: Repeat::List { key: "error_page", clear: |conf| conf.pages.clear() },
        inherit: Inherit::Yes,
        set: set_page,
    },
    Directive {
        manual: Manual {
            name: "recursive_error_pages",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether an error while an error page is fetched leads to an `error_page` again, up to ten times.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.recursive = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "error_template",
            syntax: &["file | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "One HTML page for every error that has no `error_page`: a file, read at start, in which `$status`, `$status_text`, \
                  `$request_id`, `$error_reason` and any other variable stand for their values, escaped for HTML. A `$` that no \
                  name follows stays. Clients that prefer JSON by their `Accept` field get the same as an object.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_template,
    },
    Directive {
        manual: Manual {
            name: "debug_clients",
            syntax: &["address | CIDR | unix: ...", "off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::AtLeast(1),
            block: false,
            doc: "Clients that are told why a request failed: answers to them carry the field `X-Longshore-Why`, such as `403/denied \
                  site.conf:31`, and built-in pages show it too. Nobody else is. docs/reasons.md says what each reason means, and so \
                  does `longshore help 403/denied`. The address is the one that `real_ip_header` may have changed.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_debug,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    Variable {
        name: "error_reason",
        family: false,
        doc: "Why the request failed: a stable code (docs/reasons.md) and the line of the conf that decided it, if one did, such as `403/denied site.conf:31`; empty for a request that did not fail.",
        get: error_reason,
    },
    Variable {
        name: "status_text",
        family: false,
        doc: "The words that belong to the status, such as `Not Found`.",
        get: status_text,
    },
];

/// Templates are held in memory.
const MOST_TEMPLATE: u64 = 1 << 20;

/// After these the connection closes, as in nginx: the request is not trusted, or not read to its end.
const CLOSING: [u16; 9] = [400, 413, 414, 494, 495, 496, 497, 500, 501];

fn set_page(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let last = args.len() - 1;
    let words = args.words();
    let (codes, new_status) = match words[last - 1].text.split_first() {
        Some((b'=', _)) if last == 1 => return Err(Fault::at(&words[0], "needs a code before `=`")),
        Some((b'=', code)) => (&words[..last - 1], new_status(&words[last - 1], code)?),
        _ => (&words[..last], NewStatus::Keep),
    };
    let target = args.text(last)?;
    for word in codes {
        let status = std::str::from_utf8(&word.text).ok().and_then(|text| text.parse().ok());
        let Some(status) = status.filter(|status| (300..=599).contains(status) && *status != 499) else {
            return Err(Fault::at(word, format!("takes codes from 300 to 599 but 499, not `{}`", word.show())));
        };
        conf.pages.push(Page { status, new_status, target: target.clone() });
    }
    Ok(())
}

fn new_status(word: &Word, code: &[u8]) -> Result<NewStatus, Fault> {
    if code.is_empty() {
        return Ok(NewStatus::OfPage);
    }
    let status = std::str::from_utf8(code).ok().and_then(|text| text.parse().ok()).filter(|n| (200..=999).contains(n));
    status.map(NewStatus::Is).ok_or_else(|| Fault::at(word, format!("has an invalid code in `{}`", word.show())))
}

fn set_template(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.template = None;
    if args.word(0).text == b"off" {
        return Ok(());
    }
    let path = args.path(0);
    let refuse = |what: String| Fault::at(args.word(0), format!("cannot read `{}`: {what}", path.display()));
    let text = args.load.outside.read(&path, MOST_TEMPLATE).map_err(|error| refuse(error.to_string()))?;
    conf.template = Some(Arc::new(compile_template(&text, |name| args.refer(0, name))));
    Ok(())
}

fn set_debug(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.debug.clear();
    for word in args.words() {
        let text = word.show();
        let net = || text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match text.as_str() {
            "off" if args.len() == 1 => {}
            "unix:" => conf.debug.push(Debugger::Unix),
            _ => {
                let net = net().ok_or_else(|| {
                    Fault::at(
                        word,
                        format!("takes an address, a network such as `192.0.2.0/24`, or `unix:`, not `{text}`"),
                    )
                })?;
                conf.debug.push(Debugger::Net(net));
            }
        }
    }
    Ok(())
}

/// Why the request failed, for a client that may know.
fn told(x: &Exchange, conf: &Conf) -> Option<String> {
    x.failure.as_ref().filter(|_| tells(conf, x.client.peer))?.why()
}

/// Whether a client may know why it is refused.
pub fn tells(conf: &Conf, peer: Option<SocketAddr>) -> bool {
    let address = peer.map(|peer| peer.ip().to_canonical());
    let is_it = |debugger: &Debugger| match (debugger, &address) {
        (Debugger::Unix, None) => true,
        (Debugger::Net(net), Some(address)) => net.contains(address),
        _ => false,
    };
    conf.debug.iter().any(is_it)
}

/// Tells those who may know why the request failed.
pub fn tell(x: &Exchange, conf: &Conf, response: &mut Response) {
    if let Some(why) = told(x, conf) {
        response.push("X-Longshore-Why", why);
    }
}

/// Unlike a text of the conf a template is full of `$` that mean nothing: only one before a name counts.
fn compile_template(text: &[u8], mut refer: impl FnMut(&str) -> Piece) -> Text {
    let (mut pieces, mut literal) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|&b| b == b'$') {
        let (before, after) = rest.split_at(at);
        literal.extend_from_slice(before);
        let Some((name, len)) = name_after(&after[1..]) else {
            literal.push(b'$');
            rest = &after[1..];
            continue;
        };
        if !literal.is_empty() {
            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
        }
        pieces.push(refer(&name.to_ascii_lowercase()));
        rest = &after[1 + len..];
    }
    literal.extend_from_slice(rest);
    pieces.push(Piece::Literal(literal.into()));
    Text { pieces }
}

/// The name after a `$`, and how many bytes it takes with its braces.
fn name_after(text: &[u8]) -> Option<(&str, usize)> {
    let inner = text.strip_prefix(b"{").unwrap_or(text);
    let len = inner.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let name = std::str::from_utf8(&inner[..len]).ok()?;
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        return None;
    }
    match text.len() == inner.len() {
        true => Some((name, len)),
        false => (inner.get(len) == Some(&b'}')).then_some((name, len + 2)),
    }
}

/// Decides what answers a failure, and notes it in the exchange with the line of the conf that decided it.
pub fn answer(x: &mut Exchange, conf: &Conf, error: &HttpError, place: Option<String>) -> Answer {
    let is_last = x.failure.as_ref().is_some_and(|failure| failure.is_last);
    note(x, error, place);
    if let Some(failure) = &mut x.failure {
        failure.is_last = is_last || !conf.recursive;
    }
    let page = conf.pages.iter().find(|page| page.status == error.status).filter(|_| !is_last);
    let (Some(page), Some(failure)) = (page, &mut x.failure) else { return Answer::Page(error.clone()) };
    let (status, new_status) = (page.status, page.new_status);
    match new_status {
        NewStatus::Keep => {}
        NewStatus::OfPage => failure.own_status = true,
        NewStatus::Is(status) => failure.status = status,
    }
    let target = x.eval(&page.target).into_owned();
    x.tell("error_page", None, || {
        let new = match new_status {
            NewStatus::Keep => String::new(),
            NewStatus::OfPage => ", and the page's own status counts".into(),
            NewStatus::Is(status) => format!(", and the status becomes {status}"),
        };
        format!("stands for {status}: `{}`{new}", escape::error_log(&target))
    });
    match target.first() {
        Some(b'/') => {
            x.as_get = !x.is_head();
            Answer::Goto(split(target))
        }
        Some(b'@') => Answer::Goto(Target::Named(target)),
        _ => Answer::Page(redirect(x, page.new_status, target)),
    }
}

/// Whether a page stands for a status.
pub fn names(conf: &Conf, status: u16) -> bool {
    conf.pages.iter().any(|page| page.status == status)
}

/// Notes a failure in the exchange. What an earlier one said of the connection stays.
pub fn note(x: &mut Exchange, error: &HttpError, place: Option<String>) {
    debug_assert!(
        reasons::of(error.reason).is_some(),
        "the reason `{}` is in no row of exchange/reasons.rs",
        error.reason
    );
    let close = x.failure.as_ref().is_some_and(|failure| failure.close);
    let fields = with_challenge(x, &error.fields);
    x.failure = Some(Failure {
        cause: error.status,
        status: status::on_wire(error.status),
        own_status: false,
        reason: error.reason,
        place,
        fields,
        close: close || error.close || CLOSING.contains(&error.status),
        is_last: true,
    });
}

fn split(target: Vec<u8>) -> Target {
    match target.iter().position(|&b| b == b'?') {
        None => Target::Uri { path: target, args: None },
        Some(at) => Target::Uri { path: target[..at].to_vec(), args: Some(target[at + 1..].to_vec()) },
    }
}

/// An error page at a URL: the failure becomes a redirect.
fn redirect(x: &mut Exchange, new_status: NewStatus, url: Vec<u8>) -> HttpError {
    let status = match new_status {
        NewStatus::Is(status @ (301 | 302 | 303 | 307 | 308)) => status,
        _ => 302,
    };
    let error = HttpError::redirect(status, url);
    let fields = with_challenge(x, &error.fields);
    if let Some(failure) = &mut x.failure {
        failure.status = status;
        failure.own_status = false;
        failure.fields = fields;
    }
    error
}

/// The fields of a failure, and the question for a password that the failure before it asked: as in nginx it stays, whatever
/// page answers it (RFC 9110 section 11.6.1 allows it beside any status).
fn with_challenge(x: &Exchange, fields: &[(Bytes, Bytes)]) -> Vec<(Bytes, Bytes)> {
    let mut fields = fields.to_vec();
    let before = x.failure.iter().flat_map(|failure| &failure.fields).find(|(name, _)| name == CHALLENGE);
    if let Some(challenge) = before.filter(|_| fields.iter().all(|(name, _)| name != CHALLENGE)) {
        fields.push(challenge.clone());
    }
    fields
}

/// The page of a failure that nothing else answers. `server_line` stands at its foot.
pub fn built_in(x: &Exchange, conf: &Conf, error: &HttpError, server_line: &str) -> Response {
    let mut response = Response::new(status::on_wire(error.status));
    let (kind, mut page) = match &conf.template {
        Some(_) if error.status >= 400 && negotiate::prefers_json(x.head.known(Known::Accept)) => {
            ("application/json", json(x, error.status))
        }
        Some(template) if error.status >= 400 => ("text/html", fill(x, template)),
        _ => ("text/html", status::error_page(error.status, server_line)),
    };
    if let (Some(why), Some(at)) = (told(x, conf), page.windows(4).position(|four| four == b"<hr>")) {
        // The place holds a file's name.
        let line = [b"<center>", escape::html(why.as_bytes()).as_ref(), b"</center>\r\n"].concat();
        page.splice(at..at, line);
    }
    response.content_type = ContentType::None;
    if !page.is_empty() {
        response.content_type = ContentType::Is(Bytes::from_static(kind.as_bytes()));
        response.body = Body::bytes(page);
    }
    if conf.template.is_some() && error.status >= 400 {
        // RFC 9110 section 12.5.5: the page depends on what the client prefers.
        response.push("Vary", "Accept");
    }
    response
}

/// What is filled in may come from the client: it is escaped, so that it stays text.
fn fill(x: &Exchange, template: &Text) -> Vec<u8> {
    let mut page = Vec::new();
    for piece in &template.pieces {
        match (piece, x.piece(piece)) {
            (Piece::Literal(text), _) => page.extend_from_slice(text),
            // In a template a value may stand between single quotes too.
            (_, Some(value)) => escape::html(&value).iter().for_each(|&byte| match byte {
                b'\'' => page.extend_from_slice(b"&#39;"),
                _ => page.push(byte),
            }),
            (_, None) => {}
        }
    }
    page
}

fn json(x: &Exchange, code: u16) -> Vec<u8> {
    let reason = x.failure.as_ref().and_then(Failure::why).unwrap_or_default();
    let reason = reason.split(' ').next().unwrap_or_default();
    let words = status::title(code).unwrap_or_default();
    let (code, id) = (status::on_wire(code), x.request_id());
    format!("{{\"status\":{code},\"error\":\"{words}\",\"reason\":\"{reason}\",\"request_id\":\"{id}\"}}\n")
        .into_bytes()
}

/// What a 401 asks.
const CHALLENGE: &[u8] = b"WWW-Authenticate";

/// Gives an answer the status and the fields of the failure that it answers.
pub fn keep_status(x: &mut Exchange, response: &mut Response) {
    let Some(failure) = &x.failure else { return };
    if !failure.own_status {
        response.status = failure.status;
    }
    response.close |= failure.close;
    for (name, value) in &failure.fields {
        match name.as_ref() {
            b"Location" => response.location = Some(value.clone()),
            CHALLENGE => response.fields.push((name.clone(), value.clone())),
            // They explain the error's status (Allow a 405), so they do not stand beside another.
            _ if response.status == status::on_wire(failure.cause) => {
                response.fields.push((name.clone(), value.clone()))
            }
            _ => {}
        }
    }
    if !matches!(response.status, 200 | 204 | 206 | 304) {
        // An error's page has no date of its own: a later success would look unchanged.
        response.last_modified = None;
    }
}

fn error_reason<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(x.failure.as_ref()?.why()?.into_bytes().into())
}

fn status_text<'a>(x: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    let status = x.status();
    Some(status::title(status).unwrap_or_else(|| status::reason(status)).as_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::value::VarId;

    #[test]
    fn templates() {
        for (text, expected) in [
            ("", "[]"),
            ("a$status b", "[a]<status>[ b]"),
            ("${Status}x", "<status>[x]"),
            ("$5 $ $$status${", "[$5 $ $]<status>[${]"),
            ("${a", "[${a]"),
        ] {
            let mut names = Vec::new();
            let text = compile_template(text.as_bytes(), |name| {
                names.push(name.to_string());
                Piece::Variable(VarId(names.len() as u32 - 1))
            });
            let show = |piece: &Piece| match piece {
                Piece::Literal(text) => format!("[{}]", String::from_utf8_lossy(text)),
                Piece::Variable(id) => format!("<{}>", names[id.0 as usize]),
                Piece::Capture(n) => format!("({n})"),
            };
            assert_eq!(text.pieces.iter().map(show).collect::<String>(), expected);
        }
    }

    #[test]
    fn targets_are_split_at_the_question_mark() {
        for (target, path, args) in [("/a", "/a", None), ("/a?", "/a", Some("")), ("/a?b?c", "/a", Some("b?c"))] {
            let args = args.map(|args| args.as_bytes().to_vec());
            assert_eq!(split(target.into()), Target::Uri { path: path.into(), args });
        }
    }
}
