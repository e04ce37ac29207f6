//! How the words behind CGI's directives become settings.

use std::time::Duration;

use bytes::Bytes;

use super::conf::{Cap, Conf, Errors, KILL, Limits, Mode, WAITING};
use crate::conf::args::{Args, Fault, bytes_to_path, parse_size, parse_time};
use crate::conf::value::Text;
use crate::exchange::error::Level;
use crate::exchange::queue::Queue;

/// `cgi`.
pub fn set_mode(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    match args.word(0).text.as_slice() {
        b"pass" if args.len() < 2 => return Err(Fault::at(args.word(0), "needs a script behind `pass`")),
        b"pass" => return set_pass(conf, args, 1),
        _ if args.len() > 1 => {
            return Err(Fault::at(args.word(1), "takes `on`, `off`, or `pass` and a script"));
        }
        b"on" => {
            conf.mode = Mode::On;
            let around = args.load.location.as_ref().filter(|around| !around.regex && !around.named);
            conf.floor = around.map_or(0, |around| around.name.len());
        }
        b"off" => {
            conf.mode = Mode::Off;
            conf.extensions.clear();
        }
        _ => {
            let text = format!("takes `on`, `off`, or `pass` and a script, not `{}`", args.word(0).show());
            return Err(Fault::at(args.word(0), text));
        }
    }
    Ok(())
}

/// The program and arguments of `cgi_pass`, from word `from` on.
pub fn set_pass(conf: &mut Conf, args: &mut Args<'_>, from: usize) -> Result<(), Fault> {
    if args.word(from).text.is_empty() {
        return Err(Fault::at(args.word(from), "needs a path, not an empty word"));
    }
    conf.mode = Mode::Pass(texts(args, from)?);
    conf.exact = args.load.location.as_ref().filter(|around| around.exact).map(|around| around.name.clone());
    Ok(())
}

fn texts(args: &mut Args<'_>, from: usize) -> Result<Vec<Text>, Fault> {
    (from..args.len()).map(|i| args.text(i)).collect()
}

/// `cgi_interpreter`.
pub fn set_interpreter(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.interpreter = if args.word(0).text.is_empty() { Vec::new() } else { texts(args, 0)? };
    Ok(())
}

/// `cgi_extension`.
pub fn set_extension(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    if word.text.len() < 2 || word.text.first() != Some(&b'.') || word.text.contains(&b'/') {
        let text = format!("takes an extension with its dot, such as `.py`, not `{}`", word.show());
        return Err(Fault::at(word, text));
    }
    let interpreter = texts(args, 1)?;
    conf.extensions.push((Bytes::copy_from_slice(&word.text), interpreter));
    Ok(())
}

/// `cgi_working_dir`.
pub fn set_working_dir(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let text = args.text(0)?;
    conf.working_dir = (!text.pieces.is_empty()).then_some(text);
    Ok(())
}

/// `cgi_set_var`.
pub fn set_variable(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    let legal = word.text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    if word.text.is_empty() || !legal || word.text[0].is_ascii_digit() {
        let text = format!("takes a name of letters, digits and `_`, not `{}`", word.show());
        return Err(Fault::at(word, text));
    }
    let value = args.text(1)?;
    conf.variables.push((Bytes::copy_from_slice(&word.text), value));
    Ok(())
}

/// `cgi_timeout`.
pub fn set_timeout(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let some = |time: Duration| (!time.is_zero()).then_some(time);
    conf.term = some(args.time(0)?);
    conf.kill = if args.len() > 1 { some(args.time(1)?) } else { Some(KILL) };
    conf.kills_at_once = args.len() > 1 && conf.term.is_none();
    Ok(())
}

/// `cgi_stderr`.
pub fn set_errors(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    conf.errors = match (word.text.as_slice(), args.len()) {
        (b"file", 2) => Errors::File(args.path(1)),
        (_, 2) => return Err(Fault::at(args.word(1), "takes a path only behind `file`")),
        (b"off" | b"", _) => Errors::Off,
        ([b'/', ..], _) => Errors::File(bytes_to_path(&word.text).to_path_buf()),
        _ => match Level::NAMES.iter().find(|(name, _)| name.as_bytes() == word.text) {
            Some((_, level)) => Errors::Log(*level),
            None => {
                let text = format!("takes `off`, a level such as `warn`, or `file` and a path, not `{}`", word.show());
                return Err(Fault::at(word, text));
            }
        },
    };
    Ok(())
}

/// `cgi_limit`.
pub fn set_limits(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let mut limits = Limits::default();
    for word in args.words() {
        let shown = word.show();
        let Some((name, value)) = shown.split_once('=') else {
            return Err(Fault::at(word, format!("takes pairs such as `cpu=10s` and `mem=256m`, not `{shown}`")));
        };
        let number = || value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse::<u64>().ok()).flatten();
        let (slot, parsed, form) = match name {
            // The system counts whole seconds: what is asked for beyond is rounded up.
            "cpu" => {
                let time = parse_time(value.as_bytes()).map(|time| time.as_millis().div_ceil(1000) as u64);
                (&mut limits.cpu, time, "a time such as `10s`")
            }
            "mem" => (&mut limits.memory, parse_size(value.as_bytes()), "a size such as `256m`"),
            "fsize" => (&mut limits.file_size, parse_size(value.as_bytes()), "a size such as `100m`"),
            "procs" => (&mut limits.processes, number(), "a number"),
            "files" => (&mut limits.files, number(), "a number"),
            _ => {
                let text = format!("knows `cpu`, `mem`, `procs`, `files` and `fsize`, not `{name}`");
                return Err(Fault::at(word, text));
            }
        };
        let parsed = parsed.ok_or_else(|| Fault::at(word, format!("takes {form} behind `{name}=`, not `{value}`")))?;
        *slot = Some(parsed);
    }
    conf.limits = limits;
    Ok(())
}

/// `cgi_max_procs`.
pub fn set_cap(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let running = args.number(0, 1..=100_000)? as usize;
    let mut waiting = WAITING;
    if args.len() > 1 {
        let word = args.word(1);
        let shown = word.show();
        let number = shown.strip_prefix("queue=").filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        waiting = number
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Fault::at(word, format!("takes `queue=number`, not `{shown}`")))?;
    }
    // Scripts that were started before a reload still count.
    let queue = Queue::named(format!("cgi_max_procs\0{}", args.load.key()));
    conf.cap = Some(Cap { running, waiting, queue });
    Ok(())
}
