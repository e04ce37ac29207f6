//! What must hold for every input of a parser, whatever its bytes. Shared by the fuzz targets and by
//! `tests/fuzz_seeds.rs`, which runs the same checks on stable Rust; must not depend on either.

use longshore::cli::expect::script::{self, Line};
use longshore::conf::ast::Node;
use longshore::conf::diagnostic::Diagnostic;
use longshore::conf::pattern::Pattern;
use longshore::conf::render::{Format, render};
use longshore::conf::source::{Source, Sources, Span};
use longshore::features::proxy::wire::Http;
use longshore::features::session::record::Entry;
use longshore::gateway;
use longshore::gateway::answer::Search;
use longshore::gateway::fastcgi::{self, Fault, Piece};
use longshore::gateway::relay::{Head as Answer, Part, Protocol};
use longshore::gateway::resolver::packet::{self, Kind, Said};
use longshore::gateway::upstream::address::{self, Target};
use longshore::http::chunked::Decoder;
use longshore::http::escape::{self, LogEscape};
use longshore::http::etag::{self, Comparison};
use longshore::http::head::{Head, Limits, Scanner};
use longshore::http::multipart::{self, Event, Stop};
use longshore::http::proxy_protocol::{self, Announcement};
use longshore::http::range::{self, Ranges};
use longshore::http::response::{Body, Response};
use longshore::http::set_cookie::{self, Attributes, SameSite, Secure};
use longshore::http::{cookie, date, negotiate, target};
use longshore::tls::hello;
use longshore::tls::trust::{List, Purpose, Trust};
use rustls::pki_types::{CertificateDer, UnixTime};
use std::sync::Arc;
use std::time::Duration;

/// A head ends at the same byte however it arrives, and what was parsed lies within it.
pub fn head(data: &[u8]) {
    let limits = Limits { header_buffer: 64, large_buffers: (2, 128), max_headers: 6, ..Limits::default() };
    let whole = Scanner::default().scan(data, &limits);
    let mut scanner = Scanner::default();
    let trickled = (0..=data.len()).find_map(|end| scanner.scan(&data[..end], &limits).transpose()).transpose();
    // A head that trickles in may be refused before its end was seen, never the other way round.
    assert!(trickled == whole || trickled.is_err(), "{whole:?} in one piece, {trickled:?} in many");
    let Ok(Some(end)) = whole else { return };
    assert!(end <= data.len());
    let mut head = Head::default();
    if head.parse(&data[..end], &limits).is_err() {
        return;
    }
    assert!(trickled.is_ok(), "a good head was refused while it came: {trickled:?}");
    for (name, value) in head.fields() {
        assert!(!name.is_empty() && !name.contains(&b':'));
        assert!(!value.iter().any(|&b| b == b'\r' || b == b'\n' || b == 0));
        assert!(head.fields_named(name).any(|other| other == value));
    }
    assert!(head.host().is_none_or(|host| !host.iter().any(u8::is_ascii_uppercase)));
    let mut path = Vec::new();
    if target::parse(head.target(), true, &mut path).is_ok() {
        check_path(&path, true);
    }
}

/// The name in a first message of TLS does not change with what comes behind it.
pub fn hello(data: &[u8]) {
    let whole = hello::server_name(data);
    for end in 0..data.len() {
        let part = hello::server_name(&data[..end]);
        assert!(part.is_none() || part == whole, "{part:?} in {end} bytes, {whole:?} in all");
    }
}

/// Certificates and lists from anybody: none is believed where the conf names nobody, nor is one that the conf itself names and that
/// another signed.
pub fn chain(data: &[u8]) {
    let provider = rustls::crypto::ring::default_provider();
    let shown = [CertificateDer::from(data), CertificateDer::from(&data[..data.len() / 2])];
    let now = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));
    let (nobody, _) = Trust::new(&[], Arc::default(), 9, Purpose::Client, &provider);
    assert!(nobody.judge(&shown, now).is_err());
    let lists: Vec<List> = List::read(data).into_iter().collect();
    let is_list = !lists.is_empty();
    let (itself, bad) = Trust::new(&shown[..1], lists.into(), 9, Purpose::Server, &provider);
    if itself.judge(&shown, now).is_ok() {
        assert!(bad.is_none() && !is_list);
    }
}

/// A resolved path holds nothing that a later step would resolve again.
pub fn target(data: &[u8]) {
    let mut path = Vec::new();
    for merge in [true, false] {
        let Ok(parsed) = target::parse(data, merge, &mut path) else { continue };
        check_path(&path, merge);
        assert!(!parsed.plain || data[parsed.origin..].starts_with(&path) || path == b"*");
        if let Some(args) = parsed.args {
            assert!(data[args.start - 1] == b'?' && !data[args].contains(&b'#'));
        }
    }
}

fn check_path(path: &[u8], merge: bool) {
    if path.is_empty() || path == b"*" {
        return;
    }
    assert_eq!(path[0], b'/');
    assert!(!path.contains(&0));
    for segment in path.split(|&b| b == b'/') {
        assert!(segment != b"." && segment != b"..", "{}", path.escape_ascii());
    }
    assert!(!merge || !path.windows(2).any(|pair| pair == b"//"), "{}", path.escape_ascii());
}

/// The head of a script's answer ends at the same byte however it arrives, and what it says can be sent.
pub fn cgi_head(data: &[u8]) {
    let whole = gateway::head::end(data, 0);
    let mut looked = 0;
    let trickled = (0..=data.len()).find_map(|end| {
        let found = gateway::head::end(&data[..end], looked).transpose();
        looked = end;
        found
    });
    assert_eq!(trickled.transpose(), whole, "in one piece and in many");
    let Ok(Some(end)) = whole else { return };
    assert!(end <= data.len());
    let strict = gateway::head::parse(&data[..end]);
    let mut faults = 0;
    let lax = gateway::head::parse_leniently(&data[..end], &mut |_| faults += 1);
    assert!(strict.is_err() || (strict.ok() == lax && faults == 0));
    let Some(head) = lax else { return };
    assert!(head.status.is_none_or(|status| (200..=999).contains(&status)));
    let values =
        head.fields.iter().map(|(_, value)| value).chain(&head.location).chain(&head.content_type).chain(&head.etag);
    for value in values {
        assert!(!value.iter().any(|&b| b == b'\r' || b == b'\n' || b == 0));
    }
    assert!(head.fields.iter().all(|(name, _)| !name.is_empty() && !name.contains(&b':') && !name.contains(&b' ')));
}

/// The head of a running program's answer ends at the same byte however it arrives, and what it says can be sent.
pub fn program_head(data: &[u8]) {
    let whole = Search::default().end(data, 200);
    let mut search = Search::default();
    let trickled = (0..=data.len()).find_map(|end| search.end(&data[..end], 200).transpose()).transpose();
    // A long head may be refused before its end is there.
    assert!(trickled == whole || trickled.is_err() && data.len() > 200, "{whole:?} in one piece, {trickled:?} in many");
    let Ok(Some(end)) = whole else { return };
    assert!(end <= data.len() && end <= 200);
    for status_line in [false, true] {
        let Ok(head) = gateway::answer::read(&data[..end], status_line) else { continue };
        assert!(head.status == 101 || (200..=999).contains(&head.status));
        for (name, value) in head.fields.iter() {
            assert!(!name.is_empty() && !name.iter().any(|b| b": \r\n\0".contains(b)));
            assert!(!value.iter().any(|b| b"\r\n\0".contains(b)));
        }
        assert!(head.reason.is_none_or(|reason| !reason.iter().any(|b| b"\r\n".contains(b))));
    }
}

/// What a FastCGI program sends gives the same output, errors and end however it arrives.
pub fn fastcgi(data: &[u8]) {
    let whole = fastcgi_pieces(data, data.len().max(1));
    for step in [1, 3, 8] {
        assert_eq!(fastcgi_pieces(data, step), whole, "in pieces of {step}");
    }
    let (output, errors, ended, read, _) = whole;
    assert!(output.len() + errors.len() <= read && read <= data.len());
    assert!(ended <= 1);
}

/// However an answer of another server comes, the same is made of it, and no byte of the body is invented.
pub fn answer(data: &[u8]) {
    for method in [&b"GET"[..], b"HEAD"] {
        let whole = answer_pieces(data, method, data.len().max(1));
        for step in [1, 3, 8] {
            assert_eq!(answer_pieces(data, method, step), whole, "in pieces of {step}");
        }
        let (head, body, _) = whole;
        assert!(body.len() <= data.len() && (head.is_some() || body.is_empty()));
        if let Some(head) = head {
            assert!((200..=999).contains(&head.status) || head.status == 101);
        }
    }
}

/// The head, the body, and whether it ended well, where that is known.
fn answer_pieces(data: &[u8], method: &[u8], step: usize) -> (Option<Answer>, Vec<u8>, Option<bool>) {
    let mut http = Http::new(method, false, false);
    let (mut input, mut head, mut body) = (Vec::new(), None, Vec::new());
    for piece in data.chunks(step) {
        let rest = if head.is_some() {
            piece.to_vec()
        } else {
            input.extend_from_slice(piece);
            match http.read_head(&input) {
                Ok((used, found)) => {
                    input.drain(..used);
                    head = found;
                    if head.is_none() {
                        continue;
                    }
                }
                Err(_) => return (None, body, Some(false)),
            }
            std::mem::take(&mut input)
        };
        match http.read_body(&rest, &mut body) {
            Ok(Part::More) => {}
            Ok(Part::Whole) => return (head, body, Some(true)),
            Err(_) => return (head, body, Some(false)),
        }
    }
    (head, body, None)
}

/// Output, errors, how often the request ended, how many bytes were read, and the fault.
fn fastcgi_pieces(data: &[u8], step: usize) -> (Vec<u8>, Vec<u8>, usize, usize, Option<Fault>) {
    let (mut decoder, mut output, mut errors, mut ended, mut read) =
        (fastcgi::Decoder::default(), Vec::new(), Vec::new(), 0, 0);
    for piece in data.chunks(step) {
        let answer = decoder.decode(piece, &mut |piece| match piece {
            Piece::Output(bytes) => output.extend_from_slice(bytes),
            Piece::Errors(bytes) => errors.extend_from_slice(bytes),
            Piece::OutputEnd => {}
            Piece::ErrorsEnd => errors.push(b'\n'),
            Piece::End(_) => ended += 1,
        });
        match answer {
            Ok(n) => read += n,
            // How far it got within the bytes that hold the fault nobody uses.
            Err(fault) => return (output, errors, ended, data.len(), Some(fault)),
        }
    }
    assert_eq!(decoder.is_done(), ended == 1);
    (output, errors, ended, read, None)
}

/// A chunked body gives the same bytes and the same end however it arrives.
pub fn chunked(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    for step in [1, 3] {
        assert_eq!(decode(data, step), whole, "in pieces of {step}");
    }
    if let Some((body, consumed, _)) = whole {
        assert!(body.len() <= consumed && consumed <= data.len());
    }
}

fn decode(data: &[u8], step: usize) -> Option<(Vec<u8>, usize, bool)> {
    let (mut decoder, mut body, mut consumed, mut done) = (Decoder::default(), Vec::new(), 0, false);
    for piece in data.chunks(step) {
        let progress = decoder.decode(piece, &mut |bytes| body.extend_from_slice(bytes)).ok()?;
        consumed += progress.consumed;
        done = progress.done;
        if done {
            break;
        }
    }
    Some((body, consumed, done))
}

/// Ranges lie within what there is, and together are no longer than it.
pub fn range(data: &[u8]) {
    assert!(!range::if_range(data, None, None));
    for size in [0, 1, 10, 300, u64::MAX] {
        for most in [0, 1, 4, usize::MAX] {
            let Ranges::Parts(parts) = range::parse(data, size, most) else { continue };
            assert!(!parts.is_empty() && parts.len() <= most);
            assert!(parts.iter().all(|part| part.len > 0 && part.len <= size && part.start <= size - part.len));
            assert!(parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.len)).is_some_and(|sum| sum <= size));
            if size > 300 {
                continue;
            }
            let mut response = Response::new(200);
            response.body = Body::bytes(vec![b'x'; size as usize]);
            range::apply(&mut response, &parts, size, 7);
            let sent: u64 = parts.iter().map(|part| part.len).sum();
            assert!(response.status == 206 && response.body.len() >= sent);
            assert!(parts.len() > 1 || response.body.len() == sent);
        }
    }
}

/// A form gives the same parts however it arrives, and none of its bytes twice.
pub fn multipart(data: &[u8]) {
    type Read = (Vec<(multipart::Part, Vec<u8>, bool)>, bool, Option<multipart::Fault>);
    let read = |piece: usize| -> Read {
        let mut parser = multipart::Parser::new(b"b");
        let mut parts: Vec<(multipart::Part, Vec<u8>, bool)> = Vec::new();
        for piece in data.chunks(piece) {
            let fed = parser.feed(piece, &mut |event| {
                match event {
                    Event::Part(part) => parts.push((part, Vec::new(), false)),
                    Event::Data(bytes) => parts.last_mut().expect("bytes stand in a part").1.extend_from_slice(bytes),
                    Event::End => parts.last_mut().expect("only a part ends").2 = true,
                }
                Ok::<(), ()>(())
            });
            match fed {
                Ok(()) => {}
                Err(Stop::Fault(fault)) => return (parts, false, Some(fault)),
                Err(Stop::Taker(())) => unreachable!("this taker never refuses"),
            }
        }
        (parts, parser.is_over(), None)
    };
    let whole = read(data.len().max(1));
    assert!(whole.0.iter().map(|(_, bytes, _)| bytes.len()).sum::<usize>() <= data.len());
    for (_, bytes, ended) in &whole.0 {
        assert!(!ended || !bytes.windows(5).any(|window| window == b"\r\n--b"));
    }
    if whole.2.is_none() {
        assert_eq!(read(1), whole);
        assert_eq!(read(3), whole);
    }
    if let Some(boundary) = multipart::boundary(data) {
        assert!((1..=70).contains(&boundary.len()));
    }
}

/// A cookie's value is a piece of the field that ends before the next one.
pub fn cookie(data: &[u8]) {
    for name in [&b"a"[..], b"", b"session"] {
        let Some(value) = cookie::find([data], name) else { continue };
        assert!(!value.contains(&b';') && data.len() > value.len() + name.len());
    }
}

/// No value leaves its place in a Set-Cookie field, and flags that were added once are not added again.
pub fn set_cookie(data: &[u8]) {
    let attributes =
        Attributes { secure: Secure::On, http_only: true, same_site: Some(SameSite::Lax), ..Attributes::default() };
    let field = set_cookie::write(b"n", data, &attributes, false);
    assert!(field.starts_with(b"n=") && field.ends_with(b"; Secure; HttpOnly; SameSite=Lax"));
    assert_eq!(field.iter().filter(|&&b| b == b';').count(), 3);
    assert!(field.iter().all(|b| (0x20..0x7f).contains(b)));
    assert_eq!(set_cookie::name_of(&field), b"n");
    let once = set_cookie::reflag(data, &attributes, false);
    assert_eq!(set_cookie::reflag(&once, &attributes, false), once);
    assert_eq!(set_cookie::name_of(&once), set_cookie::name_of(data));
    for value in cookie::values(data, b"a") {
        assert!(!value.contains(&b';') && data.len() > value.len());
    }
}

/// What a store holds is read as it was written, or not at all.
pub fn session(data: &[u8]) {
    if let Some(entry) = Entry::decode(data) {
        assert_eq!(Entry::decode(&entry.encode()), Some(entry));
    }
}

/// An announcement ends at the same byte however it arrives, within what came, and is either whole, broken or not there yet.
pub fn proxy_protocol(data: &[u8]) {
    let whole = proxy_protocol::parse(data);
    let first =
        (0..=data.len()).map(|end| proxy_protocol::parse(&data[..end])).find(|got| *got != Announcement::Partial);
    assert_eq!(first.unwrap_or(Announcement::Partial), whole, "in one piece and in many");
    match whole {
        Announcement::Whole(len, ends) => {
            assert!(len <= data.len() && len <= proxy_protocol::LONGEST);
            assert!(ends.is_none_or(|(source, destination)| source.is_ipv4() == destination.is_ipv4()));
        }
        Announcement::Partial => assert!(data.len() < proxy_protocol::LONGEST),
        Announcement::Broken => {}
    }
}

/// What matches strongly matches weakly too, a weak tag matches nothing strongly, and `*` is no tag.
pub fn etag(data: &[u8]) {
    for ours in [&b"\"e\""[..], b"\"\"", b"\"69a7bdbf-a\""] {
        let strong = etag::list_names(data, ours, Comparison::Strong);
        assert!(!strong || etag::list_names(data, ours, Comparison::Weak));
        assert!(!strong || data.windows(ours.len()).any(|piece| piece == ours));
        assert!(!etag::list_names(data, &[b"W/", ours].concat(), Comparison::Strong));
        assert!(!strong || !etag::is_any(data));
    }
}

/// A date that was read is written and read back as the same moment.
pub fn date(data: &[u8]) {
    let Some(moment) = date::parse(data) else { return };
    assert_eq!(date::parse(date::imf(moment).as_bytes()), Some(moment));
}

/// Weights lie in their range, elements are not empty, and only a field that names something asks for JSON.
pub fn negotiate(data: &[u8]) {
    for element in negotiate::list(data) {
        assert!(element.weight <= 1000 && !element.item.is_empty());
        assert!(!element.item.contains(&b',') && !element.item.contains(&b';'));
    }
    assert!(!negotiate::prefers_json(Some(data)) || data.contains(&b'/'));
}

/// Escaped text holds nothing that has a meaning where it goes, and nothing of it is lost.
pub fn escape(data: &[u8]) {
    let html = escape::html(data).into_owned();
    assert!(!html.iter().any(|byte| b"<>\"".contains(byte)));
    for text in [escape::path(data), escape::component(data)] {
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"\\#?".contains(&byte)));
        assert_eq!(&escape::percent_decode(text.as_bytes())[..], data);
    }
    // A path that is sent as a redirect comes back as the same path.
    let (mut path, mut again) = (Vec::new(), Vec::new());
    if target::parse(data, true, &mut path).is_ok() && path.first() == Some(&b'/') {
        target::parse(escape::path(&path).as_bytes(), true, &mut again).expect("an escaped path is a target");
        assert_eq!(path, again);
    }
}

/// A client's text stays within its field and its line of a log.
pub fn log(data: &[u8]) {
    let mut line = Vec::new();
    escape::log(&mut line, data, LogEscape::Default);
    assert!(line.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'"'));
    line.clear();
    escape::log(&mut line, data, LogEscape::Json);
    assert!(!line.iter().any(|byte| *byte < b' '));
    let mut quotes = line.iter();
    while let Some(&byte) = quotes.next() {
        assert_ne!(byte, b'"', "a quote that nothing escapes");
        assert!(byte != b'\\' || quotes.next().is_some_and(|next| b"\"\\nrtbfu".contains(next)));
    }
    let text = escape::error_log(data);
    assert!(!text.chars().any(|c| c.is_control() || c == '"'));
}

/// Any text is read as a conf: places lie within it, and every message can be shown.
pub fn conf(data: &[u8]) {
    let mut sources = Sources::default();
    let file = sources.add(Source { name: "a.conf".into(), text: data.into(), included_from: None });
    let mut found: Vec<Diagnostic> = Vec::new();
    let tree = longshore::conf::parse::parse(&sources, file, &|word| word == b"root", &mut found);
    check_nodes(&tree, data.len(), 0);
    for diagnostic in found.iter().take(3) {
        diagnostic.span.iter().for_each(|span| check_span(*span, data.len()));
        for format in [Format::Long, Format::Short, Format::Json] {
            assert!(render(&sources, diagnostic, format, false).ends_with('\n'));
        }
    }
}

fn check_nodes(nodes: &[Node], len: usize, depth: usize) {
    assert!(depth <= 101);
    for node in nodes {
        check_span(node.span, len);
        for word in node.args.iter().chain([&node.name]) {
            check_span(word.span, len);
            assert!(word.text.len() <= (word.span.end - word.span.start) as usize);
        }
        check_nodes(node.block.as_deref().unwrap_or_default(), len, depth + 1);
    }
}

fn check_span(span: Span, len: usize) {
    assert!(span.start <= span.end && span.end as usize <= len, "{span:?} in {len} bytes");
}

/// The first line is an expression, the rest a text: what matched lies within it.
pub fn pattern(data: &[u8]) {
    let end = data.iter().position(|&b| b == b'\n').unwrap_or(data.len());
    let (expression, text) = (&data[..end], &data[(end + 1).min(data.len())..]);
    let text = &text[..text.len().min(24)];
    for caseless in [false, true] {
        let Ok(pattern) = Pattern::new(expression, caseless, &Default::default()) else { continue };
        let Ok(Some(captures)) = pattern.captures(text) else { continue };
        assert!(captures.groups.first().is_some_and(Option::is_some));
        for range in captures.groups.iter().flatten() {
            assert!(text.get(range.clone()).is_some(), "{range:?}");
        }
        assert!(pattern.names().iter().all(|(_, group)| *group < captures.groups.len()));
    }
}

/// An answer is of the kind that was asked for, and no bytes make the reader go on for ever.
pub fn dns(data: &[u8]) {
    for kind in [Kind::A, Kind::Aaaa] {
        let said = packet::answer(data, 7, "a.test", kind);
        if let Some(Said::Addresses(found, _)) = &said {
            assert!(found.iter().all(|ip| ip.is_ipv4() == (kind == Kind::A)), "{said:?}");
        }
        assert!(said.is_none() || data.starts_with(&[0, 7]), "{said:?}");
    }
}

/// What an address shows can be read again and is the same address.
pub fn upstream_address(data: &[u8]) {
    let Ok(Target::Address(found)) = address::parse(data, 80) else { return };
    let shown = found.to_string();
    // A path that is no UTF-8 is shown with its odd bytes replaced.
    if std::str::from_utf8(data).is_ok() {
        assert_eq!(address::parse(shown.as_bytes(), 1), Ok(Target::Address(found)), "{shown}");
    }
}

/// Each line of a file of expectations is read or told about, never both, and at its own number.
pub fn expect(data: &[u8]) {
    let (lines, faults) = script::read(data, &mut script::Variables::default());
    let all = data.split(|&byte| byte == b'\n').count();
    assert!(lines.len() + faults.len() <= all);
    let numbers = lines.iter().filter_map(|line| match line {
        Line::Check(exchange) => Some(exchange.number),
        _ => None,
    });
    let numbers: Vec<usize> = numbers.collect();
    assert!(numbers.is_sorted_by(|a, b| a < b) && numbers.last().is_none_or(|last| *last <= all));
    assert!(faults.iter().all(|fault| fault.line <= all && !numbers.contains(&fault.line)));
}
