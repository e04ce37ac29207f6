//! The bench's command line. It must not know how a row is measured, only what rows are called.

use std::path::PathBuf;

/// Every row, in the order in which they are measured and printed.
pub const ROWS: [&str; 26] = [
    "small",
    "conns",
    "one",
    "close",
    "files",
    "log",
    "regex",
    "hard",
    "floor",
    "idle",
    "slow",
    "cgi",
    "fcgi",
    "script",
    "reload",
    "soak",
    "siege",
    "tables",
    "tls",
    "session",
    "handshake",
    "proxy",
    "auth",
    "ws",
    "hung",
    "upload",
];

/// What was asked for.
pub struct Arguments {
    pub rows: Vec<&'static str>,
    /// Alternating rounds of each comparison.
    pub rounds: usize,
    /// Length of one run of wrk.
    pub seconds: u64,
    pub reload_seconds: u64,
    pub soak_minutes: f64,
    /// Idle kept-alive connections.
    pub idle: usize,
    /// Slow clients: as many heads and bodies as this, and a third of it readers.
    pub slow: usize,
    /// MiB of the file that is uploaded.
    pub upload_mib: usize,
    pub longshore: PathBuf,
    pub nginx: PathBuf,
}

/// What `--help` prints.
pub const USAGE: &str = "\
usage: cargo bench --bench figures -- [--only ROW,ROW] [--rounds 9] [--seconds 1] [--reload-seconds 60]
           [--soak-minutes 2] [--idle 10000] [--slow 3000] [--upload-mib 4096]
           [--longshore BINARY] [--nginx BINARY]
rows: small conns one close files log regex hard floor idle slow cgi fcgi script reload soak siege tables tls handshake
      session proxy auth ws hung upload
Prints what Longshore does beside nginx, over loopback only. docs/performance.md says what each row means.";

impl Arguments {
    /// Reads the words after the program's name. `None`: help was asked for, or this is no bench run (cargo says
    /// `--bench` when it is one; a plain test run of all targets must not start half an hour of load).
    ///
    /// # Errors
    /// A sentence that names the wrong word.
    pub fn parse(words: impl Iterator<Item = String>, longshore: &str) -> Result<Option<Arguments>, String> {
        let mut arguments = Arguments {
            rows: ROWS.to_vec(),
            rounds: 9,
            seconds: 1,
            reload_seconds: 60,
            soak_minutes: 2.0,
            idle: 10_000,
            slow: 3_000,
            upload_mib: 4096,
            longshore: longshore.into(),
            nginx: "/usr/sbin/nginx".into(),
        };
        let mut words = words;
        let mut bench = false;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--bench" => bench = true,
                "--help" | "-h" => return Ok(None),
                "--only" => arguments.rows = rows(&value()?)?,
                "--rounds" => arguments.rounds = number(&word, &value()?)?.max(1),
                "--seconds" => arguments.seconds = number(&word, &value()?)?.max(1) as u64,
                "--reload-seconds" => arguments.reload_seconds = number(&word, &value()?)?.max(1) as u64,
                "--soak-minutes" => {
                    let text = value()?;
                    let minutes: Option<f64> = text.parse().ok().filter(|minutes| (0.1..=1440.0).contains(minutes));
                    arguments.soak_minutes = minutes.ok_or(format!("--soak-minutes: {text} is not 0.1 to 1440"))?;
                }
                "--idle" => arguments.idle = number(&word, &value()?)?.max(1),
                "--slow" => arguments.slow = number(&word, &value()?)?.max(3),
                "--upload-mib" => arguments.upload_mib = number(&word, &value()?)?.max(1),
                "--longshore" => arguments.longshore = value()?.into(),
                "--nginx" => arguments.nginx = value()?.into(),
                _ => return Err(format!("{word} is not known")),
            }
        }
        Ok(bench.then_some(arguments))
    }
}

fn rows(list: &str) -> Result<Vec<&'static str>, String> {
    let find = |word: &str| ROWS.into_iter().find(|row| *row == word).ok_or(format!("there is no row {word}"));
    list.split(',').map(find).collect()
}

fn number(option: &str, text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number <= 1_000_000).ok_or(format!("{option}: {text} is not a whole number"))
}
