//! `longshore expect FILE...`: what a conf must answer, line by line, in TAP (<https://testanything.org>). Asks either the real
//! engine in this process, without a port, or any server at a URL. Reads no request and no conf itself.

mod client;
mod judge;
pub mod script;
mod stage;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::options::{Expect, Options};
use super::{plain, say};
use client::{Answer, Place};
use script::{Line, Request};
use stage::Stage;

/// Runs the files; the exit code is that of success if every line got what it wants.
pub fn run(asked: &Expect, options: &Options) -> ExitCode {
    match try_run(asked, options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            if !text.is_empty() {
                say(&format!("longshore: {text}"));
            }
            ExitCode::from(2)
        }
    }
}

fn try_run(asked: &Expect, options: &Options) -> Result<bool, String> {
    let mut files = Vec::new();
    let mut wrong = Vec::new();
    for file in &asked.files {
        let text = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let (lines, faults) = script::read(&text);
        wrong.extend(faults.iter().map(|fault| format!("{}:{}: {}", file.display(), fault.line, fault.message)));
        files.push((file.as_path(), lines));
    }
    if !wrong.is_empty() {
        wrong.iter().for_each(|text| say(&format!("longshore: {text}")));
        return Err(String::new());
    }
    let stage = match &asked.live {
        Some(_) => None,
        None => Some(Stage::open(asked, options)?),
    };
    let way = match (&asked.live, &stage) {
        (Some(url), _) => Way::Live(script::url(url.as_bytes()).map_err(|why| format!("--live: {why}"))?),
        (None, Some(stage)) => Way::Here(stage),
        (None, None) => return Err("neither a conf nor a URL is named".into()),
    };
    let mut tap = Tap::new(files.iter().map(|(_, lines)| lines.iter().filter(|line| line.is_check()).count()).sum());
    for (file, lines) in &files {
        play(file, lines, &way, &mut tap);
    }
    Ok(tap.failed == 0)
}

/// Where requests go.
enum Way<'a> {
    /// To a server that runs already.
    Live(script::Url),
    /// To the engine in this process.
    Here(&'a Stage),
}

impl Way<'_> {
    fn place(&self, url: &script::Url) -> Result<Place, String> {
        match self {
            Way::Live(live) => {
                let host = live.host.clone().unwrap_or_else(|| "127.0.0.1".into());
                Ok(Place::Tcp(host, url.port.or(live.port).unwrap_or(80)))
            }
            Way::Here(stage) => stage.place(url.port),
        }
    }

    /// The Host of a line that names none.
    fn host(&self) -> String {
        match self {
            Way::Live(live) => live.authority().unwrap_or_else(|| "localhost".into()),
            Way::Here(_) => "localhost".into(),
        }
    }
}

/// The lines of a file, one after the other.
fn play(file: &Path, lines: &[Line], way: &Way<'_>, tap: &mut Tap) {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut base = script::Url::default();
    let mut jar: Option<Jar> = None;
    for line in lines {
        let (number, request, wanted, text) = match line {
            Line::Base(url) => {
                base = url.clone();
                continue;
            }
            Line::Cookies(keep) => {
                jar = keep.then(Jar::default);
                continue;
            }
            Line::Check { number, request, wanted, text } => (*number, request, wanted, text),
        };
        let url = request.url.within(&base);
        let host = url.authority().unwrap_or_else(|| way.host());
        let cookies = jar.as_ref().and_then(|jar| jar.field(&host));
        let said = match (way.place(&url), client::bytes(request, &url, &host, cookies.as_deref(), folder)) {
            (Ok(place), Ok(bytes)) => ask_all(request, &place, &bytes, wanted, folder, &host, &mut jar),
            (Err(why), _) | (_, Err(why)) => vec![why],
        };
        tap.tell(text, &said.iter().map(|said| format!("{}:{number}: {said}", file.display())).collect::<Vec<_>>());
    }
}

/// Asks as often as the line says, so many at once; what is told is the first answer that is not what was wanted.
fn ask_all(
    request: &Request,
    place: &Place,
    bytes: &[u8],
    wanted: &script::Wanted,
    folder: &Path,
    host: &str,
    jar: &mut Option<Jar>,
) -> Vec<String> {
    let one = || {
        let begun = Instant::now();
        let answer = client::ask(place, bytes, request.is_head(), wanted.within.unwrap_or(PATIENCE) + PATIENCE);
        let said = judge::judge(wanted, &answer, begun.elapsed(), folder);
        (answer, said)
    };
    if request.times <= 1 {
        let (answer, said) = one();
        if let (Some(jar), Ok(Some(answer))) = (jar, &answer) {
            jar.take(host, answer);
        }
        return said;
    }
    let left = std::sync::atomic::AtomicUsize::new(request.times);
    let wrong = std::sync::Mutex::new((0, Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..request.at_once.min(request.times) {
            scope.spawn(|| {
                use std::sync::atomic::Ordering::Relaxed;
                while left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let (_, said) = one();
                    let mut wrong = wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    if !said.is_empty() {
                        wrong.0 += 1;
                        if wrong.1.is_empty() {
                            wrong.1 = said;
                        }
                    }
                }
            });
        }
    });
    let (count, mut said) = wrong.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if count > 0 {
        said.insert(0, format!("{count} of {} answers were not what was wanted; the first of them:", request.times));
    }
    said
}

/// How long a server may take where the line says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Cookies that lines behind `cookies on` keep, by host and name.
#[derive(Default)]
struct Jar(BTreeMap<(String, Vec<u8>), Vec<u8>>);

impl Jar {
    fn field(&self, host: &str) -> Option<Vec<u8>> {
        let own = self.0.iter().filter(|((at, _), _)| at == host);
        let pairs: Vec<Vec<u8>> = own.map(|((_, name), value)| [name.as_slice(), b"=", value].concat()).collect();
        (!pairs.is_empty()).then(|| pairs.join(b"; ".as_slice()))
    }

    fn take(&mut self, host: &str, answer: &Answer) {
        for value in answer.values("set-cookie") {
            let mut parts = value.split(|&byte| byte == b';');
            let pair = parts.next().unwrap_or_default().trim_ascii();
            let Some(at) = pair.iter().position(|&byte| byte == b'=') else { continue };
            let key = (host.to_string(), pair[..at].to_vec());
            // What is set to nothing for no time is gone (RFC 6265, section 5.2.2).
            let gone = |part: &[u8]| part.trim_ascii().eq_ignore_ascii_case(b"max-age=0");
            match parts.any(gone) {
                true => drop(self.0.remove(&key)),
                false => drop(self.0.insert(key, pair[at + 1..].to_vec())),
            }
        }
    }
}

/// The report.
struct Tap {
    count: usize,
    failed: usize,
}

impl Tap {
    fn new(planned: usize) -> Tap {
        put(&format!("1..{planned}"));
        Tap { count: 0, failed: 0 }
    }

    fn tell(&mut self, name: &str, said: &[String]) {
        self.count += 1;
        self.failed += usize::from(!said.is_empty());
        let word = if said.is_empty() { "ok" } else { "not ok" };
        put(&format!("{word} {} - {}", self.count, name.replace('#', "\\#")));
        said.iter().flat_map(|said| said.lines()).for_each(|line| put(&format!("# {line}")));
    }
}

fn put(line: &str) {
    // A reader that closed its end wants no more.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The conf that is asked for, absolute.
fn conf_file(asked: &Expect) -> Result<(std::path::PathBuf, std::path::PathBuf), String> {
    let here = std::env::current_dir().map_err(|error| format!("the current folder cannot be entered: {error}"))?;
    let prefix = plain(&asked.prefix.as_ref().map_or(here.clone(), |prefix| here.join(prefix)));
    let file = asked.conf.as_ref().ok_or("name a conf with -c, or a server that runs with --live URL")?;
    Ok((plain(&prefix.join(file)), prefix))
}
