//! The table of figures: Longshore beside nginx on this machine, over the same files and under the same conf.
//! One command, `cargo bench --bench figures`; docs/performance.md says what each row means and how to read it.
//! Nothing here leaves the loopback interface, every load ends by itself, and every process ends with the bench.

mod arguments;
mod attack;
mod backend;
mod bench;
mod census;
mod children;
mod client;
mod contestant;
mod gateways;
mod load;
mod mixed;
mod rounds;
mod rows;
mod site;
mod table;
mod transfer;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use arguments::{Arguments, USAGE};
use bench::Bench;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1), env!("CARGO_BIN_EXE_longshore")) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            say(USAGE);
            return ExitCode::SUCCESS;
        }
        Err(complaint) => {
            eprintln!("figures: {complaint}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match measure(arguments) {
        _ if children::told_to_stop() => ExitCode::from(130),
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("figures: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let bench = Bench::prepare(arguments)?;
    let report = rows::measure(&bench);
    say(&format!("{}\n{report}", bench.describe()));
    Ok(())
}

/// Whoever reads may have seen enough and gone: that is no error.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
