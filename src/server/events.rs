//! Events of the process, and what crates have to say, on their way into the error log: `log`'s records,
//! carried by simplelog, become lines of nginx's shape in the files of the outermost `error_log`.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, PoisonError, RwLock};

use log::{LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};

use super::logfile::Logs;
use crate::exchange::error::Level;
use crate::exchange::logging::{Place, Target};
use crate::pipeline;
use crate::settings::Settings;

/// Where events go; before there is a conf, to standard error.
static TARGETS: RwLock<Vec<(Arc<Logs>, Target)>> = RwLock::new(Vec::new());

/// Takes `log`'s records from now on. To be called once, by the program.
pub fn start() {
    let off = LevelFilter::Off;
    let plain = ConfigBuilder::new()
        .set_time_level(off)
        .set_level_padding(simplelog::LevelPadding::Off)
        .set_max_level(off)
        .set_thread_level(off)
        .set_target_level(off)
        .set_location_level(off)
        .build();
    let carrier = WriteLogger::new(LevelFilter::Debug, plain, Lines::default());
    // It fails only when there is a logger already, as in tests; then that one stays.
    if log::set_boxed_logger(Box::new(Events { carrier })).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

/// Sends events to the files of this conf from now on.
pub fn follow(settings: &Settings, logs: &Arc<Logs>) {
    let targets = settings.main.error_log.targets.iter().map(|target| (logs.clone(), target.clone())).collect();
    *TARGETS.write().unwrap_or_else(PoisonError::into_inner) = targets;
}

/// Writes one event. `log`'s macros do for all levels it has; nginx's others go by target: `emerg`, `alert`,
/// `crit`.
fn level_of(metadata: &Metadata<'_>) -> Level {
    match (metadata.target(), metadata.level()) {
        ("emerg", _) => Level::Emerg,
        ("alert", _) => Level::Alert,
        ("crit", _) => Level::Crit,
        (_, log::Level::Error) => Level::Error,
        (_, log::Level::Warn) => Level::Warn,
        (_, log::Level::Info) => Level::Notice,
        (_, log::Level::Debug) => Level::Info,
        (_, log::Level::Trace) => Level::Debug,
    }
}

/// Puts nginx's level before each record, since simplelog does not know it.
struct Events {
    carrier: Box<WriteLogger<Lines>>,
}

impl Log for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.carrier.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        let level = level_of(record.metadata());
        let mut text = String::from(char::from(b'0' + level as u8));
        // Writing to a String cannot fail.
        let _ = write!(text, "{}", record.args());
        // One event is one line, whatever a crate writes.
        let text = text.replace(['\n', '\r'], " ");
        let metadata = record.metadata().clone();
        self.carrier.log(&Record::builder().metadata(metadata).args(format_args!("{text}")).build());
    }

    fn flush(&self) {
        self.carrier.flush();
    }
}

/// Collects what simplelog writes until a line is whole.
#[derive(Default)]
struct Lines {
    part: Vec<u8>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        while let Some(end) = self.part.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.part.drain(..=end).collect();
            deliver(&line[..end]);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn deliver(line: &[u8]) {
    let Some((digit, text)) = line.split_first() else { return };
    let found = Level::NAMES.get(usize::from(digit.wrapping_sub(b'0')));
    let (level, text) = (found.map_or(Level::Error, |(_, level)| *level), String::from_utf8_lossy(text));
    let out = pipeline::event_line(level, &text);
    let targets = TARGETS.read().unwrap_or_else(PoisonError::into_inner);
    for (logs, target) in targets.iter().filter(|(_, target)| level <= target.level) {
        match &target.place {
            Place::Log(number) => logs.write_error(*number, &out),
            Place::Syslog(server) => {
                if let Some(complaint) = server.send(Some(level), &out) {
                    // An event about an event would come here again.
                    let _ = writeln!(io::stderr(), "longshore: [error] {complaint}");
                }
            }
        }
    }
    if targets.is_empty() && level <= Level::Error {
        // Where standard error is gone, there is nobody to tell.
        let _ = writeln!(io::stderr(), "longshore: [{}] {text}", level.name());
    }
}
