//! The rows of `error_page` and of those that say how its pages look: setters only, no request is seen here.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Conf, Debugger, NewStatus, Page};
use crate::conf::args::{Args, Fault};
use crate::conf::ast::Word;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::{Piece, Text};

/// The page of `error_template on`.
const PAGE: &[u8] = include_bytes!("page.html");

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
            syntax: &["file | on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "One HTML page for every error that has no `error_page`: with `on` a page that fits a telephone and has a dark mode, or a file, read at start, in which `$status`, `$status_text`, \
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

/// Templates are held in memory.
const MOST_TEMPLATE: u64 = 1 << 20;

fn set_page(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let last = args.len() - 1;
    let words = args.words();
    let (codes, new_status) = match words[last - 1].text.split_first() {
        Some((b'=', _)) if last == 1 => return Err(Fault::at(&words[0], "needs a code before `=`")),
        Some((b'=', code)) => (&words[..last - 1], new_status(&words[last - 1], code)?),
        _ => (&words[..last], NewStatus::Keep),
    };
    let target = args.text(last)?;
    let span = args.node.span;
    for word in codes {
        let status = std::str::from_utf8(&word.text).ok().and_then(|text| text.parse().ok());
        let Some(status) = status.filter(|status| (300..=599).contains(status) && *status != 499) else {
            return Err(Fault::at(word, format!("takes codes from 300 to 599 but 499, not `{}`", word.show())));
        };
        conf.pages.push(Page { status, new_status, target: target.clone(), span });
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
    if args.word(0).text == b"on" {
        conf.template = Some(Arc::new(compile_template(PAGE, |name| args.refer(0, name))));
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
    Text { pieces, is_field: false }
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
}
