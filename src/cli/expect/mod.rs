//! `longshore expect FILE...`: what a conf must answer, line by line, in TAP (<https://testanything.org>). Asks either the real
//! engine in this process, without a port, or any server at a URL. Reads no request and no conf itself.

mod answer;
mod jar;
mod judge;
mod outgoing;
mod packs;
mod play;
mod process;
pub mod script;
mod stage;
mod tap;
mod trust;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::options::{Expect, Options};
use super::paths::{self, Home};
use super::{plain, say};
pub use packs::NAMES as PACKS;
use packs::Pack;
use play::{Ground, Script, Way};
use process::Watch;
use script::{Line, Variables};
use stage::Stage;
use tap::Tap;
use trust::Trust;

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
    if asked.list_packs {
        return packs::list().map(|()| true);
    }
    if let Some(name) = &asked.print_pack {
        return packs::named(name)?.print().map(|()| true);
    }
    let packs: Vec<&Pack> = asked.packs.iter().map(|name| packs::named(name)).collect::<Result<_, _>>()?;
    if let Some(folder) = &asked.unpack {
        packs.iter().try_for_each(|pack| pack.unpack(folder))?;
        packs.iter().for_each(|pack| say(&pack.unpacked(folder)));
        return Ok(true);
    }
    if asked.pid.is_some() && asked.live.is_none() {
        return Err("--pid looks at a server that runs: name its URL with --live".into());
    }
    let scripts = scripts(asked, &packs)?;
    let (way, _site) = way(asked, options, &packs)?;
    let ground = Ground { way, trust: Trust::new(asked.ca.as_deref()), insecure: asked.insecure };
    let mut watch = asked.pid.map(Watch::begin).transpose()?;
    let checks: usize = scripts.iter().map(|script| script.lines.iter().filter(|line| line.is_check()).count()).sum();
    let mut tap = Tap::new(checks + if watch.is_some() { Watch::LINES } else { 0 });
    scripts.iter().for_each(|script| play::play(script, &ground, &mut tap, false));
    if let Some(watch) = &mut watch {
        let is_load = |line: &Line| matches!(line, Line::Check(exchange) if exchange.request.times > 1);
        if scripts.iter().any(|script| script.lines.iter().any(is_load)) {
            watch.warm();
            scripts.iter().for_each(|script| play::play(script, &ground, &mut tap, true));
        }
        watch.report(&mut tap);
    }
    tap.end();
    Ok(tap.is_fine())
}

/// The packs and files, read; what is wrong with any of them is said.
fn scripts<'a>(asked: &'a Expect, packs: &[&Pack]) -> Result<Vec<Script<'a>>, String> {
    let mut variables = Variables::default();
    for pair in &asked.set {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("--set {pair}: write NAME=VALUE"))?;
        variables.given.insert(name.to_string(), value.to_string());
    }
    let mut texts: Vec<(String, &Path, Vec<u8>)> =
        packs.iter().map(|pack| (pack.name.to_string(), Path::new(""), pack.expect.as_bytes().to_vec())).collect();
    for file in &asked.files {
        let text = std::fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        texts.push((file.display().to_string(), file.parent().unwrap_or(Path::new("")), text));
    }
    let mut scripts = Vec::new();
    let mut wrong = Vec::new();
    for (name, folder, text) in texts {
        // What a file sets is known from there on, and not in the next file.
        let mut own = Variables { given: variables.given.clone(), ..Variables::default() };
        let (lines, faults) = script::read(&text, &mut own);
        variables.set.append(&mut own.set);
        wrong.extend(faults.iter().map(|fault| format!("{name}:{}: {}", fault.line, fault.message)));
        scripts.push(Script { name, folder, lines });
    }
    wrong.extend(variables.unknown().map(|name| {
        let known: Vec<&str> = variables.set.keys().map(String::as_str).collect();
        format!("--set {name}: no line says `set {name}`; there are: {}", known.join(" "))
    }));
    match wrong.is_empty() {
        true => Ok(scripts),
        false => {
            wrong.iter().for_each(|text| say(&format!("longshore: {text}")));
            Err(String::new())
        }
    }
}

/// Where requests go, and the folder that must stay as long: a pack without a conf is tried on its own.
fn way(asked: &Expect, options: &Options, packs: &[&Pack]) -> Result<(Way, Option<tempfile::TempDir>), String> {
    if let Some(url) = &asked.live {
        let url = script::url(url.as_bytes()).map_err(|why| format!("--live: {why}"))?;
        return match url.host {
            Some(_) => Ok((Way::Live(url), None)),
            None => Err("--live takes a whole URL, such as http://localhost:8080".into()),
        };
    }
    let (file, prefix, site) = match (&asked.conf, packs) {
        (Some(_), _) => {
            let (file, prefix) = conf_file(asked)?;
            (file, prefix, None)
        }
        (None, [pack, others @ ..]) if others.iter().all(|other| other.name == pack.name) => {
            let folder = tempfile::tempdir().map_err(|error| format!("there is no temporary folder: {error}"))?;
            pack.unpack(folder.path())?;
            say(&format!(
                "longshore: note: without -c and --live the pack tries the conf that comes with it, {}.conf",
                pack.name
            ));
            (folder.path().join(format!("{}.conf", pack.name)), folder.path().to_path_buf(), Some(folder))
        }
        (None, []) => {
            let Home { prefix, file } = usual_conf(asked)?;
            say(&format!("longshore: note: without -c and --live the conf is {}", file.display()));
            (file, prefix, None)
        }
        _ => return Err("name a conf with -c, or a server that runs with --live URL".into()),
    };
    Ok((Way::Here(Stage::open(file, prefix, asked.partial, options)?), site))
}

/// The conf that the server would take here without `-c`.
fn usual_conf(asked: &Expect) -> Result<Home, String> {
    let here = std::env::current_dir().map_err(|error| format!("the current folder cannot be entered: {error}"))?;
    let options = Options { prefix: asked.prefix.clone(), ..Options::default() };
    paths::home(&options, &here).map_err(|(_, why)| format!("{why}, or a server that runs with --live URL"))
}

/// The conf that is asked for and the prefix, absolute.
fn conf_file(asked: &Expect) -> Result<(PathBuf, PathBuf), String> {
    let here = std::env::current_dir().map_err(|error| format!("the current folder cannot be entered: {error}"))?;
    let prefix = plain(&asked.prefix.as_ref().map_or(here.clone(), |prefix| here.join(prefix)));
    let file = asked.conf.as_ref().ok_or("name a conf with -c, or a server that runs with --live URL")?;
    Ok((plain(&prefix.join(file)), prefix))
}
