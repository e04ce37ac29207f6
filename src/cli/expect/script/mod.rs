//! The language of expect files: one line, one request, and what must come back. Text to values; sends nothing.
//! docs/testing.md describes it.

mod asked;
mod url;
mod wanted;
mod words;

use std::collections::BTreeMap;

use words::Words;

pub use asked::{Content, Part, Piece, Request};
pub use url::{Url, url};
pub use wanted::{Check, Status, Test, Wanted};

/// A line that means something.
#[derive(Debug, Clone)]
pub enum Line {
    /// `base URL`: what the URLs behind it are relative to.
    Base(Url),
    /// `cookies on` begins with none and keeps them; `cookies off` keeps none.
    Cookies(bool),
    /// `insecure on` takes any certificate.
    Insecure(bool),
    /// `section TEXT`: a title for the lines behind it.
    Section(String),
    /// A request and what is wanted of its answer.
    Check(Box<Exchange>),
    /// A request that is not made, because a variable in it is empty.
    Skipped {
        /// The line as it stands.
        text: String,
        /// The variable.
        name: String,
    },
}

impl Line {
    /// Whether the report has a line for it.
    pub fn is_check(&self) -> bool {
        matches!(self, Line::Check(_) | Line::Skipped { .. })
    }
}

/// A request and what is wanted of its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The line in the file, from 1.
    pub number: usize,
    /// What is asked.
    pub request: Request,
    /// What must come back.
    pub wanted: Wanted,
    /// Whether the next line goes on with this one's connection.
    pub is_kept: bool,
    /// The line as it stands, its variables replaced.
    pub text: String,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what to write.
    pub message: String,
}

/// Variables: what the command line says of them, and what the files say.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// `--set NAME=VALUE`, which comes before what files say.
    pub given: BTreeMap<String, String>,
    /// `set NAME VALUE`.
    pub set: BTreeMap<String, String>,
}

impl Variables {
    fn value(&self, name: &str) -> Option<&str> {
        self.given.get(name).or_else(|| self.set.get(name)).map(String::as_str)
    }

    /// Those of the command line that no file asks for.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        self.given.keys().filter(|name| !self.set.contains_key(*name)).map(String::as_str)
    }
}

/// Reads a file: its lines, and all that is wrong with it.
pub fn read(text: &[u8], variables: &mut Variables) -> (Vec<Line>, Vec<Fault>) {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (index, bytes) in text.split(|&byte| byte == b'\n').enumerate() {
        let number = index + 1;
        match line(number, bytes, variables).and_then(|found| joined(found, &mut lines)) {
            Ok(found) => lines.extend(found),
            Err(message) => faults.push(Fault { line: number, message }),
        }
    }
    (lines, faults)
}

/// Tells the line before that its connection goes on.
fn joined(found: Option<Line>, lines: &mut [Line]) -> Result<Option<Line>, String> {
    let is_same = matches!(&found, Some(Line::Check(exchange)) if exchange.request.same);
    if !is_same {
        return Ok(found);
    }
    match lines.iter_mut().rev().find(|line| line.is_check()) {
        Some(Line::Check(before)) if before.request.times > 1 => {
            Err("`same` goes on with the connection of the line before, which has more than one".into())
        }
        Some(Line::Check(before)) => {
            before.is_kept = true;
            Ok(found)
        }
        // What would go on with nothing is not asked either.
        Some(Line::Skipped { name, .. }) => Ok(found.map(|line| match line {
            Line::Check(exchange) => Line::Skipped { text: exchange.text, name: name.clone() },
            other => other,
        })),
        _ => Err("`same` goes on with the connection of the line before, and there is none".into()),
    }
}

fn line(number: usize, bytes: &[u8], variables: &mut Variables) -> Result<Option<Line>, String> {
    if let Some(title) = shown(bytes).trim().strip_prefix("section ") {
        return Ok(Some(Line::Section(title.trim().to_string())));
    }
    let Words { all: words, empty } = words::split(bytes, variables)?;
    let Some(first) = words.first() else { return Ok(None) };
    match (first.as_slice(), words.as_slice()) {
        (b"set", [_, name, value]) => {
            let (name, value) = (words::variable(name)?, words::utf8(value)?);
            variables.set.insert(name, value);
            return Ok(None);
        }
        (b"set", _) => return Err("`set` takes a name and a value".into()),
        _ => {}
    }
    if let Some(name) = empty {
        return Ok(Some(Line::Skipped { text: words::squeezed(bytes), name }));
    }
    let switch = |name: &str| match &words[1..] {
        [word] if word == b"on" || word == b"off" => Ok(word == b"on"),
        _ => Err(format!("`{name}` takes `on` or `off`")),
    };
    match (first.as_slice(), words.as_slice()) {
        (b"base", [_, to]) => return url(to).map(|url| Some(Line::Base(url))),
        (b"base", _) => return Err("`base` takes one URL".into()),
        (b"cookies", _) => return switch("cookies").map(|on| Some(Line::Cookies(on))),
        (b"insecure", _) => return switch("insecure").map(|on| Some(Line::Insecure(on))),
        _ => {}
    }
    let arrow = words.iter().position(|word| word == b"->");
    let arrow = arrow.ok_or("there is no `->` between what is asked and what must come back")?;
    let request = asked::request(&words[..arrow])?;
    let wanted = wanted::wanted(&words[arrow + 1..])?;
    if wanted.availability.is_some() && request.times == 1 {
        return Err("`availability` is of many answers: ask with `times=`".into());
    }
    let text = words::replaced_text(bytes, variables);
    Ok(Some(Line::Check(Box::new(Exchange { number, request, wanted, is_kept: false, text }))))
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &[u8]) -> (Vec<Line>, Vec<Fault>) {
        read(text, &mut Variables::default())
    }

    #[test]
    fn lines_that_are_right() {
        for text in [
            "GET http://a.test/old -> 301 location=/new",
            "POST /up body=101b -> 413",
            "DELETE /x -> 405 allow~GET # a remark",
            "GET /a.py?x=1 -> 200 body~x=1 within 2s",
            "POST /a body=\"a b\\r\\n\\x00\" chunked accept=text/html -> 2xx|404 !x-a body=@file",
            "POST /up form:title=\"a b\" file:a.txt=hello file:b.bin=101b file:c.png=@c.png -> 201",
            "RAW http://a.test:81 \"GET / HTTP/1.1\\r\\n\\r\\n\" -> closed",
            "RAW / \"GET / HT\" pause 200ms \"TP/1.1\\r\\n\" pause 1s -> 408|closed within 70s",
            "GET / http/1.0 !host -> 200 closed",
            "GET http://[::1]:8080 times=100 at-once=10 -> 200 !body~error availability 99.5%",
            "GET https://a.test:8443/ -> 200",
            "base http://a.test:8080",
            "cookies on",
            "insecure on",
            "section Ports and host names",
        ] {
            let (lines, faults) = plain(text.as_bytes());
            assert_eq!((lines.len(), faults.len()), (1, 0), "{text}: {faults:?}");
        }
        assert_eq!(plain(b"\n  # nothing\r\n").0.len(), 0);
    }

    #[test]
    fn lines_that_are_wrong_are_told() {
        for (text, want) in [
            ("GTE / -> 200", "did you mean `GET`"),
            ("get / -> 200", "did you mean `GET`"),
            ("PSOT / -> 200", "did you mean `POST`"),
            ("POST / body=10xb -> 200", "is no size"),
            ("POST / body=10k -> 200", "is no size"),
            ("POST / body=1GB -> 200", "is no size"),
            ("GET / -> 200 body=10kib", "is no size"),
            ("GET / a:b=c -> 200", "is no name of a field"),
            ("GET /", "no `->`"),
            ("-> 200", "METHOD URL"),
            ("GET nothing -> 200", "is no URL"),
            ("GET ftp://a.test/ -> 200", "is no URL"),
            ("GET http://a:99999/ -> 200", "is no URL"),
            ("GET / -> ", "a status"),
            ("GET / -> 2000", "is no status"),
            ("GET / -> 200 body~(", "is no regex"),
            ("GET / -> 200 within 2h", "a time such as"),
            ("GET / odd -> 200", "neither name=value"),
            ("GET / x=\"a\\nb\" -> 200", "would end its line"),
            ("GET / x=\"a -> 200", "not closed"),
            ("GET / x=\"\\q\" -> 200", "after `\\`"),
            ("GET / times=0 -> 200", "is no number"),
            ("GET / body=9999mb -> 200", "more than a gigabyte"),
            ("GET / -> 200 availability 100.1%", "a share such as"),
            ("GET / -> 200 availability 99.5%", "`times=`"),
            ("RAW / -> 200", "bytes in quotes"),
            ("RAW / \"\" body=a -> 200", "as they are"),
            ("RAW / \"a\" pause 9 \"b\" -> 200", "a time such as"),
            ("POST / form:a=b body=x -> 200", "one body"),
            ("POST / form:=b -> 200", "a name"),
            ("GET / same -> 200", "there is none"),
            ("GET / times=2 -> 200\nGET / same -> 200", "more than one"),
            ("GET / same times=2 -> 200", "`same`"),
            ("cookies maybe", "`on` or `off`"),
            ("insecure", "`on` or `off`"),
            ("base", "one URL"),
            ("set x", "a name and a value"),
            ("set x-y 1", "letters, digits"),
            ("GET ${x} -> 200", "`set x VALUE`"),
            ("GET /${x -> 200", "`}`"),
        ] {
            let (_, faults) = plain(text.as_bytes());
            assert!(faults.len() == 1 && faults[0].message.contains(want), "{text}: {faults:?}");
        }
    }

    #[test]
    fn variables_are_replaced_and_lines_with_empty_ones_left_out() {
        let text =
            b"set up /up\nset none \"\"\nPUT  ${up}/a   x=\"a  b\" -> 201\nGET ${none}/a -> 200\nGET /b same -> 200\n";
        let (lines, faults) = plain(text);
        assert!(faults.is_empty(), "{faults:?}");
        let [Line::Check(first), Line::Skipped { name, .. }, Line::Skipped { .. }] = lines.as_slice() else {
            panic!("{lines:?}")
        };
        assert_eq!(
            (first.text.as_str(), first.request.url.path.as_str(), name.as_str()),
            ("PUT /up/a x=\"a  b\" -> 201", "/up/a", "none")
        );
        let mut variables = Variables::default();
        variables.given.insert("up".into(), "/other".into());
        variables.given.insert("odd".into(), String::new());
        let (lines, _) = read(text, &mut variables);
        let [Line::Check(first), ..] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!(first.request.url.path, "/other/a");
        assert_eq!(variables.unknown().collect::<Vec<_>>(), ["odd"]);
    }

    #[test]
    fn a_connection_is_kept_for_the_line_that_goes_on() {
        let (lines, faults) = plain(b"GET /a -> 200\n# a remark\nGET /b same -> 200\n");
        assert!(faults.is_empty(), "{faults:?}");
        let [Line::Check(first), Line::Check(second)] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((first.is_kept, second.is_kept, second.request.same), (true, false, true));
    }
}
