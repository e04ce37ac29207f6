//! Reads the text of a `.case` file; docs/cases.md describes it. Knows no sockets and no servers.
//! A file is a comment (what it shows), then sections that begin with `--- `.

use super::case::{
    Act, Action, Backend, BodyCheck, Case, Entry, Exchange, Expected, Kind, LogCheck, LogLine, MTIME, Matcher, Order,
    Protocol, Reference, Target,
};
use super::certs::Certificate;
use super::tls::Tls;

/// A line number and what is wrong there.
pub type Fault = (usize, String);

struct Section {
    line: usize,
    kind: String,
    rest: String,
    text: Vec<String>,
}

/// Reads the text of one case file.
pub fn parse(text: &str) -> Result<Case, Fault> {
    let mut case = Case::default();
    let mut has_conf = false;
    let mut orders = Vec::new();
    for section in sections(text)? {
        let at = |why: String| (section.line, why);
        match section.kind.as_str() {
            "conf" => {
                has_conf = true;
                case.whole = section.rest == "main";
                case.conf = lines(&section.text);
                if section.rest == "escaped" {
                    case.conf =
                        String::from_utf8(unescape(&case.conf)).map_err(|_| at("a conf must be UTF-8".into()))?;
                }
            }
            "file" => case.files.push(entry(&section).map_err(at)?),
            "backend" => case.backends.push(backend(&section).map_err(at)?),
            "certificate" => case.certificates.push(certificate(&section).map_err(at)?),
            "reload" => orders.push(Order::Reload { conf: lines(&section.text), bad: section.rest == "bad" }),
            "reopen" => orders.push(Order::Reopen(section.rest.clone())),
            "request" => {
                request(&mut case.exchanges, &section).map_err(at)?;
                if let Some(last) = case.exchanges.last_mut() {
                    last.orders.append(&mut orders);
                }
            }
            "response" => {
                let own = expected(&section).map_err(at)?;
                let exchange = case.exchanges.last_mut().ok_or_else(|| at("a response without a request".into()))?;
                if section.rest.split(' ').any(|word| word == "nginx") {
                    let before = exchange.responses.last_mut();
                    before.ok_or_else(|| at("`response nginx` without a response".into()))?.nginx = Some(Box::new(own));
                } else {
                    exchange.responses.push(own);
                }
            }
            "log" => {
                let (file, only) = section.rest.split_once(' ').unwrap_or((&section.rest, ""));
                let only = (!only.is_empty()).then(|| only.to_string());
                case.logs.push(LogCheck {
                    file: if file == "access" || file == "error" { format!("{file}.log") } else { file.into() },
                    lines: section.text.iter().filter(|l| !l.is_empty()).map(|l| log_line(l)).collect(),
                    only,
                });
            }
            "mask" => case.masks.extend(section.text.iter().filter(|l| !l.is_empty()).cloned()),
            "refused" if section.rest == "nginx" => {
                case.refused_there = Some(section.text.iter().filter(|l| !l.is_empty()).cloned().collect());
            }
            "refused" => case.refused = Some(section.text.iter().filter(|l| !l.is_empty()).cloned().collect()),
            "nginx" => case.nginx = reference(&section).map_err(at)?,
            other => return Err(at(format!("unknown section `{other}`"))),
        }
    }
    match () {
        () if !has_conf => Err((1, "no conf section".into())),
        () if case.exchanges.is_empty() && case.refused.is_none() && case.refused_there.is_none() => {
            Err((1, "no request section".into()))
        }
        () => match case.exchanges.iter().find(|x| x.responses.is_empty()) {
            Some(silent) => Err((silent.line, "a request without a response".into())),
            None => Ok(case),
        },
    }
}

fn sections(text: &str) -> Result<Vec<Section>, Fault> {
    let mut found: Vec<Section> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(head) = line.strip_prefix("--- ") {
            let (kind, rest) = head.split_once([' ', ':']).unwrap_or((head, ""));
            found.push(Section { line: number + 1, kind: kind.into(), rest: rest.trim().into(), text: Vec::new() });
        } else if let Some(section) = found.last_mut() {
            section.text.push(line.to_string());
        } else if !line.starts_with('#') && !line.is_empty() {
            return Err((number + 1, "text before the first section is not a comment".into()));
        }
    }
    for section in &mut found {
        while section.text.last().is_some_and(String::is_empty) {
            section.text.pop();
        }
    }
    Ok(found)
}

fn lines(text: &[String]) -> String {
    text.iter().map(|line| format!("{line}\n")).collect()
}

fn entry(section: &Section) -> Result<Entry, String> {
    let mut words = section.rest.split(' ').filter(|w| !w.is_empty());
    let path = words.next().ok_or("a file needs a path")?;
    let path = String::from_utf8(unescape(path)).map_err(|_| "a path must be UTF-8")?;
    let mut made = Entry { path, kind: Kind::File(Vec::new()), mtime: MTIME, mode: None };
    let mut content = lines(&section.text).into_bytes();
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("mtime", value) => made.mtime = value.parse().map_err(|_| "mtime is not a number")?,
            ("mode", value) => made.mode = Some(u32::from_str_radix(value, 8).map_err(|_| "mode is not octal")?),
            ("symlink", value) => made.kind = Kind::Symlink(value.into()),
            ("dir", _) => made.kind = Kind::Dir,
            ("fifo", _) => made.kind = Kind::Fifo,
            ("bare", _) => drop(content.pop()),
            ("escaped", _) => content = unescape(&String::from_utf8_lossy(&content)),
            ("size", value) => {
                let size = value.parse().map_err(|_| "size is not a number")?;
                let seed =
                    if content.is_empty() { b"0123456789".to_vec() } else { section.text.join("\n").into_bytes() };
                content = seed.iter().copied().cycle().take(size).collect();
            }
            (other, _) => return Err(format!("unknown file attribute `{other}`")),
        }
    }
    if matches!(made.kind, Kind::File(_)) {
        made.kind = Kind::File(content);
    }
    Ok(made)
}

fn certificate(section: &Section) -> Result<Certificate, String> {
    let mut words = section.rest.split(' ').filter(|w| !w.is_empty());
    let name = words.next().ok_or("a certificate needs a name")?.to_string();
    let mut made = Certificate { name, days: 365, ..Certificate::default() };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("for", hosts) => made.hosts = hosts.split(',').map(str::to_string).collect(),
            ("by", name) => made.by = Some(name.into()),
            ("authority", _) => made.is_authority = true,
            ("sealed", word) => made.sealed = Some(word.to_string()),
            ("chain", _) => made.chain = true,
            ("old", _) => made.is_old = true,
            ("forged", _) => made.is_forged = true,
            ("path", number) => made.path = Some(number.parse().map_err(|_| "path is not a number")?),
            ("usage", words) => made.usage = words.split(',').map(str::to_string).collect(),
            ("purpose", words) => made.purpose = words.split(',').map(str::to_string).collect(),
            ("lists", words) => made.lists = words.split(',').map(str::to_string).collect(),
            ("kind", kind) => made.kind = kind.into(),
            ("serial", number) => made.serial = Some(number.parse().map_err(|_| "serial is not a number")?),
            ("days", number) => made.days = number.parse().map_err(|_| "days is not a number")?,
            ("revokes", numbers) => {
                let numbers = numbers.split(',').filter(|n| !n.is_empty()).map(str::parse).collect::<Result<_, _>>();
                made.revokes = Some(numbers.map_err(|_| "revokes takes numbers")?);
            }
            (part @ ("C" | "O" | "OU" | "CN"), value) => made.parts.push((part.into(), value.replace('_', " "))),
            (other, _) => return Err(format!("unknown certificate attribute `{other}`")),
        }
    }
    Ok(made)
}

fn request(exchanges: &mut Vec<Exchange>, section: &Section) -> Result<(), String> {
    let (mut target, mut same, mut raw, mut until, mut pieces) = (None, false, false, false, None);
    let mut port = 1;
    let mut tls: Option<Tls> = None;
    let mut address = None;
    for word in section.rest.split(' ').filter(|w| !w.is_empty()) {
        match word.split_once('=').unwrap_or((word, "")) {
            ("same", _) => same = true,
            ("raw", _) => raw = true,
            ("until", _) => until = true,
            ("port", value) => port = value.parse().map_err(|_| "port is 1 to 9")?,
            ("address", value) => address = Some(value.to_string()),
            ("tls", value) => tls.get_or_insert_default().name = (!value.is_empty()).then(|| value.to_string()),
            ("version", value) => tls.get_or_insert_default().version = Some(value.into()),
            ("shows", value) => tls.get_or_insert_default().certificate = Some(value.into()),
            ("alpn", value) => tls.get_or_insert_default().alpn = Some(value.into()),
            ("resumes", _) => tls.get_or_insert_default().resumes = true,
            ("unix", value) => target = Some(Target::Unix(value.into())),
            ("pieces", value) => pieces = Some(value.parse::<usize>().map_err(|_| "pieces is not a number")?),
            (other, _) => return Err(format!("unknown request attribute `{other}`")),
        }
    }
    let target = target.unwrap_or(match address {
        Some(address) => Target::Address(address, port),
        None => Target::Port(port),
    });
    let mut actions = actions(&section.text, raw)?;
    if let Some(size) = pieces.filter(|size| *size > 0) {
        actions = actions.into_iter().flat_map(|action| split(action, size)).collect();
    }
    let head = section.text.first().is_some_and(|line| line.starts_with("HEAD "));
    match exchanges.last_mut() {
        // Two requests with no answer between them are pipelined: they leave in one write.
        Some(last) if same && last.responses.is_empty() => {
            last.heads.push(head);
            last.actions.extend(actions);
        }
        _ => exchanges.push(Exchange {
            target,
            tls,
            fresh: !same,
            orders: Vec::new(),
            until,
            actions,
            heads: vec![head],
            responses: Vec::new(),
            line: section.line,
        }),
    }
    Ok(())
}

fn split(action: Action, size: usize) -> Vec<Action> {
    match action {
        Action::Send(bytes) => bytes.chunks(size).map(|piece| Action::Send(piece.to_vec())).collect(),
        other => vec![other],
    }
}

/// Each line gets CRLF; a `\` at its end keeps that away. The last line of a body gets none.
fn actions(text: &[String], raw: bool) -> Result<Vec<Action>, String> {
    let mut found = Vec::new();
    let mut bytes = Vec::new();
    let has_body = text.iter().any(String::is_empty);
    let last = text.iter().rposition(|line| !line.starts_with('@'));
    for (index, line) in text.iter().enumerate() {
        if let Some(order) = line.strip_prefix('@') {
            found.push(Action::Send(std::mem::take(&mut bytes)));
            found.push(match order.split_once(' ').unwrap_or((order, "")) {
                ("pause", ms) => Action::Pause(ms.parse().map_err(|_| "@pause needs milliseconds")?),
                ("shutdown", _) => Action::Shutdown,
                ("heard", _) => Action::Heard,
                _ => return Err(format!("unknown order `@{order}`")),
            });
            continue;
        }
        let (line, continued) = match line.strip_suffix('\\') {
            Some(stem) if !stem.ends_with('\\') => (stem, true),
            _ => (line.as_str(), false),
        };
        bytes.extend(unescape(line));
        let is_last = last == Some(index);
        // An empty last line, which only an order can follow, is the blank line that ends the head.
        if !continued && !(is_last && (has_body || raw) && !line.is_empty()) {
            bytes.extend(b"\r\n");
        }
        if is_last && !has_body && !raw && !continued {
            bytes.extend(b"\r\n");
        }
    }
    found.push(Action::Send(bytes));
    found.retain(|action| !matches!(action, Action::Send(bytes) if bytes.is_empty()));
    Ok(found)
}

fn backend(section: &Section) -> Result<Backend, String> {
    let (mut at, mut protocol, mut early, mut keep) = (String::new(), Protocol::Http, false, false);
    let mut certificate = None;
    for word in section.rest.split(' ').filter(|w| !w.is_empty()) {
        match word.split_once('=').unwrap_or((word, "")) {
            ("http", _) => protocol = Protocol::Http,
            ("fastcgi", _) => protocol = Protocol::FastCgi,
            ("scgi", _) => protocol = Protocol::Scgi,
            ("uwsgi", _) => protocol = Protocol::Uwsgi,
            ("early", _) => early = true,
            ("keep", _) => keep = true,
            ("port", value) => at = value.into(),
            ("unix", value) => at = format!("unix:{value}"),
            ("shows", value) => certificate = Some(value.into()),
            (other, _) => return Err(format!("unknown backend attribute `{other}`")),
        }
    }
    Ok(Backend { at, protocol, early, keep, certificate, script: acts(&section.text)? })
}

/// Lines are sent with CRLF behind each but the last; a `\` at the end of a line keeps it away, orders begin with `@`.
fn acts(text: &[String]) -> Result<Vec<Act>, String> {
    let (mut found, mut bytes) = (Vec::new(), Vec::new());
    for (index, line) in text.iter().enumerate() {
        let Some(order) = line.strip_prefix('@') else {
            let (line, continued) = match line.strip_suffix('\\') {
                Some(stem) if !stem.ends_with('\\') => (stem, true),
                _ => (line.as_str(), false),
            };
            bytes.extend(unescape(line));
            if !continued && (index + 1 < text.len() || line.is_empty()) {
                bytes.extend(b"\r\n");
            }
            continue;
        };
        if !bytes.is_empty() {
            found.push(Act::Send(std::mem::take(&mut bytes)));
        }
        found.push(match order.split_once(' ').unwrap_or((order, "")) {
            ("flush", _) => continue,
            ("raw", text) => Act::Raw(unescape(text)),
            ("errors", text) => Act::Errors(unescape(text)),
            ("params", _) => Act::Params,
            ("body", _) => Act::Body,
            ("head", _) => Act::Head,
            ("number", _) => Act::Number,
            ("tls", _) => Act::Tls,
            ("note", _) => Act::Note,
            ("pause", ms) => Act::Pause(ms.parse().map_err(|_| "@pause needs milliseconds")?),
            ("close", _) => Act::Close,
            ("shutdown", _) => Act::HalfClose,
            ("reset", _) => Act::Reset,
            ("hold", _) => Act::Hold,
            _ => return Err(format!("unknown order `@{order}`")),
        });
    }
    if !bytes.is_empty() {
        found.push(Act::Send(bytes));
    }
    Ok(found)
}

fn expected(section: &Section) -> Result<Expected, String> {
    let mut made = Expected::default();
    for word in section.rest.split(' ').filter(|w| !w.is_empty()) {
        match word {
            "nginx" => {}
            "bare" => made.bare = true,
            "nothing" => made.nothing = true,
            word if word.starts_with("alert=") => {
                (made.nothing, made.alert) = (true, word.strip_prefix("alert=").map(str::to_string));
            }
            other => return Err(format!("unknown response attribute `{other}`")),
        }
    }
    let mut rest = section.text.iter();
    if !made.bare && !made.nothing {
        let line = rest.next().ok_or("a response needs a status")?;
        let (code, reason) = line.split_once(' ').unwrap_or((line, ""));
        made.status = code.parse().map_err(|_| format!("`{line}` does not begin with a status"))?;
        made.reason = (!reason.is_empty()).then(|| reason.to_string());
    }
    while let Some(line) = rest.next() {
        if line == "body:" {
            made.bodies
                .push(BodyCheck::Exact(rest.by_ref().map(|l| format!("{l}\n")).collect::<String>().into_bytes()));
        } else if let Some(text) = line.strip_prefix("body: ") {
            made.bodies.push(BodyCheck::Exact(unescape(text)));
        } else if let Some(pattern) = line.strip_prefix("body~ ") {
            made.bodies.push(BodyCheck::Pattern(pattern.into()));
        } else if let Some(pattern) = line.strip_prefix("body!~ ") {
            made.bodies.push(BodyCheck::NoPattern(pattern.into()));
        } else if let Some(size) = line.strip_prefix("body size ") {
            made.bodies.push(BodyCheck::Size(size.parse().map_err(|_| "size is not a number")?));
        } else if let Some(path) = line.strip_prefix("body file ") {
            made.bodies.push(BodyCheck::File(path.into()));
        } else if line == "body empty" {
            made.bodies.push(BodyCheck::Exact(Vec::new()));
        } else if let Some(fields) = line.strip_prefix("hint").filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
            made.hints.push(fields.trim_start().into());
        } else if line == "closed" {
            made.closed = true;
        } else if line == "reset" {
            made.reset = true;
        } else if line == "short" {
            (made.short, made.closed) = (true, true);
        } else if let Some(name) = line.strip_prefix('!') {
            made.absent.push(name.into());
        } else if let Some((name, value)) = line.split_once(':') {
            made.headers.push((name.into(), matcher(value.trim_start())));
        } else if !line.is_empty() {
            return Err(format!("cannot read `{line}`"));
        }
    }
    Ok(made)
}

fn matcher(value: &str) -> Matcher {
    match value.strip_prefix('~') {
        Some(pattern) => Matcher::Pattern(pattern.trim_start().into()),
        None => Matcher::Exact(value.into()),
    }
}

fn log_line(line: &str) -> LogLine {
    if let Some(pattern) = line.strip_prefix("!~ ") {
        LogLine::NoPattern(pattern.into())
    } else if let Some(pattern) = line.strip_prefix("~ ") {
        LogLine::Pattern(pattern.into())
    } else {
        LogLine::Exact(line.into())
    }
}

fn reference(section: &Section) -> Result<Reference, String> {
    let (word, rest) = section.rest.split_once([' ', ':']).unwrap_or((&section.rest, ""));
    let reason = rest.trim_start_matches([':', ' ']).to_string();
    match word {
        "since" => Ok(Reference::Since(reason)),
        "differs" | "skip" if reason.is_empty() => Err(format!("`{word}` needs a reason")),
        "differs" => Ok(Reference::Differs(reason)),
        "skip" => Ok(Reference::Skip(reason)),
        other => Err(format!("unknown nginx mode `{other}`")),
    }
}

/// `\r \n \t \\ \xHH`; any other backslash stays.
pub fn unescape(text: &str) -> Vec<u8> {
    let mut made = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let hex = || text.get(i + 2..i + 4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[i], bytes.get(i + 1)) {
            (b'\\', Some(b'x')) if hex().is_some() => {
                made.extend(hex());
                i += 4;
                continue;
            }
            (b'\\', Some(b'r')) => made.push(b'\r'),
            (b'\\', Some(b'n')) => made.push(b'\n'),
            (b'\\', Some(b't')) => made.push(b'\t'),
            (b'\\', Some(b'\\')) => made.push(b'\\'),
            (byte, _) => {
                made.push(byte);
                i += 1;
                continue;
            }
        }
        i += 2;
    }
    made
}
