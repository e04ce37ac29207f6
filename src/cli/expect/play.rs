//! Plays the lines of a file: each request goes out, its answer is judged, and the report hears of it. Keeps what goes from one
//! line to the next: base, cookies, a connection.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::answer::{self, Asked};
use super::jar::Jar;
use super::judge::{self, Outcome};
use super::outgoing::{self, Around};
use super::script::{Exchange, Line, Piece, Status, Url, Wanted};
use super::stage::Stage;
use super::tap::Tap;
use super::trust::Trust;
use super::wire::{Place, Secure, Unopened, Wire};

/// How long a server may take where the line says nothing, and how much longer than a line says is waited to tell how long it took.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a server may take to close a connection.
const CLOSING: Duration = Duration::from_secs(3);

/// Where requests go.
pub enum Way {
    /// To a server that runs already.
    Live(Url),
    /// To the engine in this process.
    Here(Stage),
}

impl Way {
    /// Where a URL leads, and whether TLS is spoken there.
    fn place(&self, url: &Url) -> Result<(Place, bool), String> {
        match self {
            Way::Live(live) => {
                let host = live.host.clone().unwrap_or_else(|| "127.0.0.1".into());
                let tls = url.tls.or(live.tls).unwrap_or(false);
                let usual = if tls { 443 } else { 80 };
                // The port of the other scheme is none for this one.
                let given = live.port.filter(|_| live.tls.unwrap_or(false) == tls);
                Ok((Place::Tcp(host, url.port.or(given).unwrap_or(usual)), tls))
            }
            Way::Here(stage) => stage.place(url),
        }
    }

    /// The Host of a line that names none, and the name that TLS asks for.
    fn host(&self) -> (String, String) {
        let here = || "localhost".to_string();
        match self {
            Way::Live(live) => (live.authority().unwrap_or_else(here), live.host.clone().unwrap_or_else(here)),
            Way::Here(_) => (here(), here()),
        }
    }

    /// Whether any certificate will do: that of a conf lies beside it, and whom others trust is no matter of the conf.
    fn takes_any(&self) -> bool {
        matches!(self, Way::Here(_))
    }
}

/// What all lines share.
pub struct Ground {
    /// Where requests go.
    pub way: Way,
    /// Whom to trust.
    pub trust: Trust,
    /// Whether any certificate is taken, whatever the files say.
    pub insecure: bool,
}

/// A file that is played.
pub struct Script<'a> {
    /// How messages name it.
    pub name: String,
    /// The folder of `@FILE`.
    pub folder: &'a Path,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// Plays a file; with `only_loads` those lines alone that ask more than once, and reports nothing.
pub fn play(script: &Script<'_>, ground: &Ground, tap: &mut Tap, only_loads: bool) {
    let mut at = Position { base: Url::default(), jar: None, insecure: ground.insecure, kept: None };
    for line in &script.lines {
        match line {
            Line::Base(url) => at.base = url.clone(),
            Line::Cookies(keep) => at.jar = keep.then(Jar::default),
            Line::Insecure(on) => at.insecure = *on || ground.insecure,
            Line::Section(title) if !only_loads => tap.section(title),
            Line::Section(_) => {}
            Line::Skipped { text, name } if !only_loads => tap.skip(text, &format!("{name} is empty")),
            Line::Skipped { .. } => {}
            Line::Check(exchange) if only_loads && exchange.request.times == 1 => {}
            Line::Check(exchange) => {
                let said = match prepared(exchange, &at, ground, script.folder) {
                    Ok(ask) => asked(&ask, exchange, &mut at, script.folder),
                    Err(why) => vec![why],
                };
                if !only_loads {
                    let told = |said: &String| format!("{}:{}: {said}", script.name, exchange.number);
                    tap.tell(&exchange.text, &said.iter().map(told).collect::<Vec<_>>());
                }
            }
        }
    }
}

/// What goes from one line to the next.
struct Position {
    base: Url,
    jar: Option<Jar>,
    insecure: bool,
    kept: Option<Wire>,
}

/// A request that is ready to be sent.
struct Ask<'a> {
    place: Place,
    secure: Option<Secure>,
    host: String,
    pieces: Vec<Piece>,
    asked: Asked,
    wanted: &'a Wanted,
    pauses: Duration,
}

fn prepared<'a>(exchange: &'a Exchange, at: &Position, ground: &Ground, folder: &Path) -> Result<Ask<'a>, String> {
    let request = &exchange.request;
    let url = request.url.within(&at.base);
    let (place, tls) = ground.way.place(&url)?;
    let (usual, name) = ground.way.host();
    let host = url.authority().unwrap_or(usual);
    let secure = match tls {
        false => None,
        true => {
            let config = ground.trust.config(at.insecure || ground.way.takes_any())?;
            Some(Secure { config, host: url.host.clone().unwrap_or(name) })
        }
    };
    let cookies = at.jar.as_ref().and_then(|jar| jar.field(&host));
    let around = Around { url: &url, host: &host, cookies: cookies.as_deref(), is_kept: exchange.is_kept, folder };
    let pieces = outgoing::pieces(request, &around)?;
    let asked = Asked { is_head: request.is_head(), is_old: request.is_old };
    Ok(Ask { place, secure, host, pieces, asked, wanted: &exchange.wanted, pauses: request.pauses() })
}

/// Asks as often as the line says; what is told is what is wrong.
fn asked(ask: &Ask<'_>, exchange: &Exchange, at: &mut Position, folder: &Path) -> Vec<String> {
    let kept = at.kept.take();
    if exchange.request.times > 1 {
        return many(ask, exchange, folder);
    }
    if exchange.request.same && kept.is_none() {
        return vec!["the connection of the line before is gone, so nothing can go on with it".into()];
    }
    let (outcome, wire) = one(ask, kept.filter(|_| exchange.request.same));
    if let (Some(jar), Ok(Some(answer))) = (&mut at.jar, &outcome.answer) {
        jar.take(&ask.host, answer);
    }
    at.kept = wire.filter(|_| exchange.is_kept && matches!(outcome.answer, Ok(Some(_))));
    judge::judge(ask.wanted, &outcome, folder)
}

/// One request and its answer; the connection as it is then.
fn one(ask: &Ask<'_>, kept: Option<Wire>) -> (Outcome, Option<Wire>) {
    let begun = Instant::now();
    let until = begun + ask.pauses + ask.wanted.within.unwrap_or(Duration::ZERO) + PATIENCE;
    let was_kept = kept.is_some();
    let opened = match kept {
        Some(mut wire) => {
            wire.good_until(until);
            Ok(wire)
        }
        None => Wire::open(&ask.place, ask.secure.as_ref(), until),
    };
    let mut wire = match opened {
        Ok(wire) => wire,
        // A handshake that the server ends is a connection that it closes without an answer.
        Err(Unopened::Refused(_)) if ask.wanted.statuses.contains(&Status::Closed) => {
            return (Outcome { answer: Ok(None), took: begun.elapsed(), was_kept: false, ends: None }, None);
        }
        Err(Unopened::Refused(why) | Unopened::Failed(why)) => return (Outcome::failed(why), None),
    };
    let answer = send(ask, &mut wire).and_then(|()| answer::read(&mut wire, ask.asked));
    let took = begun.elapsed().saturating_sub(ask.pauses);
    let mut outcome = Outcome { answer, took, was_kept, ends: None };
    if ask.wanted.closes && matches!(outcome.answer, Ok(Some(_))) {
        match wire.ends_within(CLOSING) {
            Ok(ends) => outcome.ends = Some((ends, wire.ahead.len())),
            Err(why) => outcome.answer = Err(why),
        }
    }
    (outcome, Some(wire))
}

fn send(ask: &Ask<'_>, wire: &mut Wire) -> Result<(), String> {
    for piece in &ask.pieces {
        match piece {
            Piece::Bytes(bytes) => wire.send(bytes)?,
            Piece::Pause(time) if wire.pause(*time)? => {}
            // It has answered, or has gone.
            Piece::Pause(_) => break,
        }
    }
    Ok(())
}

/// So many requests, so many of them at once. What is told is how many were wrong, and the first of them.
fn many(ask: &Ask<'_>, exchange: &Exchange, folder: &Path) -> Vec<String> {
    let (times, at_once) = (exchange.request.times, exchange.request.at_once);
    let left = AtomicUsize::new(times);
    let wrong: Mutex<(usize, Vec<String>)> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(times) {
            scope.spawn(|| {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let said = judge::judge(ask.wanted, &one(ask, None).0, folder);
                    let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
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
    let (count, mut said) = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    // As many may be wrong as the share leaves.
    if (times - count) * 1000 >= ask.wanted.availability.unwrap_or(1000) * times {
        return Vec::new();
    }
    let share = (times - count) as f64 * 100.0 / times as f64;
    said.insert(
        0,
        format!("{count} of {times} answers were not what was wanted (availability {share:.2}%); the first of them:"),
    );
    said
}
