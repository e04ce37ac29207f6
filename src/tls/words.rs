//! The words of `ssl_certificate`, `ssl_protocols`, `ssl_ciphers`, `ssl_ecdh_curve` and `ssl_conf_command`, and of their siblings for other servers: from
//! a directive's arguments to what rustls has. Names the directive as the conf does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::SupportedCipherSuite;
use rustls::crypto::SupportedKxGroup;

use super::ciphers;
use super::late::{Cache, Limits};
use crate::conf::args::{Args, Fault, parse_seconds};
use crate::conf::value::Text;

/// Cipher suites, the preferred one first.
pub type Suites = Vec<&'static SupportedCipherSuite>;
/// Curves, the preferred one first.
pub type Curves = Vec<&'static dyn SupportedKxGroup>;

/// What a command of OpenSSL changes.
pub enum Command {
    /// The suites of TLS 1.3.
    Suites(Suites),
    /// The curves.
    Curves(Curves),
    /// Nothing here.
    None,
}

/// The file of a certificate or a key: its name where variables are in it, and its path, which means something where none are.
pub fn file(args: &mut Args<'_>) -> Result<(Option<Text>, PathBuf), Fault> {
    if args.word(0).text.contains(&b'$') {
        let text = args.text(0)?;
        return Ok((text.constant().is_none().then_some(text), args.conf_path(0)));
    }
    Ok((None, constant_file(args)?))
}

/// The path of a file that is read when the conf is.
pub fn constant_file(args: &Args<'_>) -> Result<PathBuf, Fault> {
    let word = args.word(0);
    if word.text.contains(&b'$') {
        let message = format!("has a variable in `{}`, and the file is read at the start", word.show());
        return Err(Fault::at(word, message).help("write one `location` for each, with a file of its own"));
    }
    if [&b"engine:"[..], b"store:"].iter().any(|scheme| word.text.starts_with(scheme)) {
        let message = "names a key in a device of OpenSSL, which is not had here";
        return Err(Fault::at(word, message).help("name a file in PEM"));
    }
    Ok(args.conf_path(0))
}

/// A memory of certificates whose names hang on variables; `None` for `off`.
pub fn cache(args: &Args<'_>) -> Result<Option<Arc<Cache>>, Fault> {
    let mut limits = Limits { max: 0, inactive: Duration::from_secs(10), valid: Duration::from_secs(60) };
    for word in args.words() {
        let bad =
            || Fault::at(word, format!("takes no `{}`", word.show())).help("write `max=1000 inactive=20s valid=1m`");
        let text = word.show();
        match text.split_once('=') {
            None if text == "off" && args.len() == 1 => return Ok(None),
            Some(("max", number)) => limits.max = number.parse().ok().filter(|max| *max > 0).ok_or_else(bad)?,
            Some(("inactive", time)) => limits.inactive = parse_seconds(time.as_bytes()).ok_or_else(bad)?,
            Some(("valid", time)) => limits.valid = parse_seconds(time.as_bytes()).ok_or_else(bad)?,
            _ => return Err(bad()),
        }
    }
    match limits.max {
        0 => Err(Fault::new("says not how many certificates are kept").help("write `max=1000`")),
        _ => Ok(Some(Arc::new(Cache::new(limits)))),
    }
}

/// Whether TLS 1.2 and 1.3 are named.
pub fn protocols(args: &mut Args<'_>) -> Result<(bool, bool), Fault> {
    let name = args.node.name.show();
    let (mut tls12, mut tls13) = (false, false);
    let mut old = Vec::new();
    for word in args.words() {
        match word.text.to_ascii_lowercase().as_slice() {
            b"tlsv1.2" => tls12 = true,
            b"tlsv1.3" => tls13 = true,
            b"sslv2" | b"sslv3" | b"tlsv1" | b"tlsv1.1" => old.push(word),
            _ => {
                let message = format!("takes `TLSv1.2` and `TLSv1.3`, not `{}`", word.show());
                return Err(Fault::at(word, message));
            }
        }
    }
    let names: Vec<String> = old.iter().map(|word| word.show()).collect();
    let Some(first) = old.first() else { return Ok((tls12, tls13)) };
    let one = names.len() == 1;
    let text = format!(
        "{} {} not spoken: {} no longer safe",
        names.join(" and "),
        if one { "is" } else { "are" },
        if one { "it is" } else { "they are" }
    );
    match tls12 || tls13 {
        true => {
            args.warn_left_out(first, format!("`{name}`: {text}"));
            Ok((tls12, tls13))
        }
        false => Err(Fault::at(first, format!("leaves nothing to speak: {text}"))
            .help(format!("write `{name} TLSv1.2 TLSv1.3;`"))),
    }
}

/// The suites of TLS 1.2 that a cipher list names.
pub fn ciphers(args: &mut Args<'_>) -> Result<Suites, Fault> {
    let (name, text) = (args.node.name.show(), args.word(0).show());
    let chosen = ciphers::choose(&text);
    for word in &chosen.unknown {
        args.warn_left_out(args.word(0), format!("`{name}` has `{word}`, which no cipher is called"));
    }
    if chosen.suites.is_empty() {
        let fault = Fault::at(args.word(0), format!("names no cipher that is had in `{text}`"));
        return Err(fault.help(format!("leave the line out, or write `{name} HIGH:!aNULL:!MD5;`")));
    }
    if let Some(first) = chosen.lacking.first() {
        let more = match chosen.lacking.len() - 1 {
            0 => "is".to_string(),
            n => format!("and {n} more are"),
        };
        args.note(0, format!("`{name}`: {first} {more} not had; clients of this decade know a better one"));
    }
    Ok(chosen.suites)
}

/// The curves that word `at` names.
pub fn curves(args: &mut Args<'_>, at: usize) -> Result<Curves, Fault> {
    let text = args.word(at).show();
    let (found, lacking) = ciphers::curves(&text);
    if found.is_empty() {
        return Err(Fault::at(args.word(at), format!("names no curve that is had in `{text}`"))
            .help("had are `X25519`, `prime256v1` and `secp384r1`"));
    }
    for name in lacking {
        args.warn_left_out(args.word(at), format!("`{}` has `{name}`, which is not had", args.node.name.show()));
    }
    Ok(found)
}

/// A command of OpenSSL and its value.
pub fn command(args: &mut Args<'_>) -> Result<Command, Fault> {
    let directive = args.node.name.show();
    let (name, value) = (args.word(0).show(), args.word(1).show());
    match name.to_ascii_lowercase().as_str() {
        "ciphersuites" => {
            let words: Vec<&str> = value.split(':').filter(|word| !word.is_empty()).collect();
            for word in words.iter().filter(|word| ciphers::suite13(word).is_none()) {
                args.warn_left_out(args.word(1), format!("`{directive} Ciphersuites` has `{word}`, which is not had"));
            }
            let found: Suites = words.into_iter().filter_map(ciphers::suite13).collect();
            if found.is_empty() {
                return Err(Fault::at(args.word(1), format!("names no suite of TLS 1.3 that is had in `{value}`")));
            }
            Ok(Command::Suites(found))
        }
        "groups" | "curves" => Ok(Command::Curves(curves(args, 1)?)),
        _ => {
            args.warn_left_out(args.word(0), format!("`{directive} {name}` has no effect: it is a command of OpenSSL"));
            Ok(Command::None)
        }
    }
}
