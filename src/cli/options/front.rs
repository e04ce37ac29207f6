//! Options that were written in front of a command: those that the command has too are handed to it, all others are refused. Must
//! not know what commands do with them.

use super::{Cert, Cgi, Command, Form, Options, Shape, TableForm};

/// Hands over what was written in front of the command. The error names what the command has no use for.
pub fn hand_over(options: &mut Options) -> Result<(), String> {
    let Some(mut command) = options.command.take() else { return Ok(()) };
    let given = give(options, &mut command);
    let left = if given.is_ok() { left(options, &command) } else { Vec::new() };
    let words = words(&command).join(" ");
    options.command = Some(command);
    given?;
    let names = left.iter().map(|name| format!("no {name}")).collect::<Vec<_>>().join(" and ");
    match left.as_slice() {
        [] => Ok(()),
        ["-g"] if words == "serve" => Err(format!(
            "`serve` takes {names}; write your lines into the conf that `longshore serve --print-conf` shows, and start that with -c"
        )),
        _ => Err(format!("`{words}` takes {names}; `longshore {words} --help` shows what it takes")),
    }
}

/// The words that name a command.
pub fn words(command: &Command) -> Vec<&'static str> {
    match command {
        Command::Cgi(Cgi::Run(_)) => vec!["cgi", "run"],
        Command::Cert(Cert::SelfSigned(_)) => vec!["cert", "self-signed"],
        Command::Explain(_) => vec!["explain"],
        Command::Compat(_) => vec!["compat"],
        Command::Serve(_) => vec!["serve"],
        Command::Expect(_) => vec!["expect"],
        Command::Help(_) => vec!["help"],
        Command::Completions(_) => vec!["completions"],
    }
}

/// What a command says itself counts more.
fn give(options: &mut Options, command: &mut Command) -> Result<(), String> {
    match command {
        Command::Cgi(Cgi::Run(own)) => {
            fill(&mut own.conf, &mut options.conf);
            fill(&mut own.prefix, &mut options.prefix);
        }
        Command::Explain(own) => {
            fill(&mut own.conf, &mut options.conf);
            fill(&mut own.prefix, &mut options.prefix);
            fill(&mut own.globals, &mut options.globals);
            own.partial |= std::mem::take(&mut options.partial);
            own.rootless |= std::mem::take(&mut options.rootless);
            if options.format == Form::Json {
                own.format = Shape::Json;
                options.format = Form::Long;
            }
        }
        Command::Compat(own) => {
            fill(&mut own.prefix, &mut options.prefix);
            if options.format == Form::Json {
                own.format = TableForm::Json;
                options.format = Form::Long;
            }
        }
        Command::Expect(own) => {
            if options.conf.is_some() && own.live.is_some() {
                return Err("`expect` asks the conf of -c or the server of --live, not both".into());
            }
            fill(&mut own.conf, &mut options.conf);
            fill(&mut own.prefix, &mut options.prefix);
            own.partial |= std::mem::take(&mut options.partial);
        }
        Command::Cert(_) | Command::Serve(_) | Command::Help(_) | Command::Completions(_) => {}
    }
    Ok(())
}

fn fill<T>(own: &mut Option<T>, front: &mut Option<T>) {
    let front = front.take();
    if own.is_none() {
        *own = front;
    }
}

/// The names of the options that nobody took.
fn left(options: &Options, command: &Command) -> Vec<&'static str> {
    // These show what is wrong with a conf as a start does.
    let shows = matches!(command, Command::Serve(_) | Command::Expect(_));
    [
        ("-v", options.version),
        ("-V", options.build),
        ("-t", options.test),
        ("-T", options.dump),
        ("-q", options.quiet),
        ("-s", options.signal.is_some()),
        ("-p", options.prefix.is_some()),
        ("-e", options.error_log.is_some()),
        ("-c", options.conf.is_some()),
        ("-g", options.globals.is_some()),
        ("--rootless", options.rootless),
        ("--partial", options.partial),
        ("--format", !shows && options.format != Form::Long),
    ]
    .into_iter()
    .filter_map(|(name, is_left)| is_left.then_some(name))
    .collect()
}
