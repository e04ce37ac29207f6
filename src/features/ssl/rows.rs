//! The directives of TLS. Setters read words; the files that they name are read once the server is whole.

use std::time::Duration;

use super::{Conf, Named, Own, Verify};
use crate::conf::args::{Args, Fault, parse_size};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::tls::words::{self, Command};

const PLACES: Contexts = Contexts::HTTP.or(Contexts::SERVER);

type Set = fn(&mut Conf, &mut Args<'_>) -> Result<(), Fault>;

const fn row(
    name: &'static str,
    syntax: &'static [&'static str],
    default: Option<&'static str>,
    arity: Arity,
    doc: &'static str,
    set: Set,
) -> Directive<Conf> {
    let manual = Manual { name, syntax, default, contexts: PLACES, arity, block: false, doc };
    Directive { manual, repeat: Repeat::Refused, inherit: Inherit::Yes, set }
}

const ONE: Arity = Arity::Words(1, 1);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    row(
        "ssl",
        &["on | off"],
        Some("off"),
        Arity::Flag,
        "The old way to say `listen ... ssl`: every port of the server speaks TLS. nginx took it out in 1.25.1; write \
         `listen 443 ssl;` instead.",
        |conf, args| {
            conf.on = args.flag(0)?;
            if conf.on {
                args.warn(None, "`ssl on` is the old way; write `ssl` behind the port: `listen 443 ssl;`");
            }
            Ok(())
        },
    ),
    Directive {
        repeat: Repeat::List { key: "certificates", clear: |conf| conf.certificates.clear() },
        ..row(
            "ssl_certificate",
            &["file"],
            None,
            ONE,
            "The server's certificate in PEM, then those that vouch for it; the path begins at the conf's folder. A \
             second line with a key of another kind (RSA and ECDSA) gives each client the one that it can check. The \
             file is read at the start and at each reload. Where the name contains variables, such as `$ssl_server_name`, it is found in \
             each handshake and read by the server's user, see `ssl_certificate_cache`; `data:$variable` takes the certificate from the \
             variable. `longshore cert self-signed NAME` makes one for a laptop.",
            |conf, args| {
                let own = own(conf, args)?;
                conf.certificates.push(own);
                Ok(())
            },
        )
    },
    Directive {
        repeat: Repeat::List { key: "keys", clear: |conf| conf.keys.clear() },
        ..row(
            "ssl_certificate_key",
            &["file"],
            None,
            ONE,
            "The private key of the certificate in PEM: RSA from 2048 bits, ECDSA with P-256 or P-384, or Ed25519. It \
             may be under a password, see `ssl_password_file`. Only the server's user should be able to read it. The name may contain \
             variables as that of the certificate may.",
            |conf, args| {
                let own = own(conf, args)?;
                if own.late.is_none() {
                    args.warn_if_loose(args.word(0), &own.named.path);
                }
                conf.keys.push(own);
                Ok(())
            },
        )
    },
    row(
        "ssl_certificate_cache",
        &["off", "max=N [inactive=time] [valid=time]"],
        Some("off"),
        Arity::Words(1, 3),
        "Keeps up to `N` certificates with their keys whose names contain variables, so that a handshake reads no file. One that was not \
         used for `inactive` (10 seconds) goes, one that was read before `valid` (60 seconds) is read again, and the one that was not used \
         for the longest time makes room. Servers that inherit the line share them.",
        |conf, args| {
            conf.kept = words::cache(args)?;
            Ok(())
        },
    ),
    row(
        "ssl_certificate_compression",
        &["on | off"],
        Some("on"),
        Arity::Flag,
        "Whether the certificates are sent in fewer bytes to clients of TLS 1.3 that can open them (RFC 8879), by Brotli or zlib. \
         In nginx it is off without the line.",
        |conf, args| {
            conf.compression = args.flag(0)?;
            Ok(())
        },
    ),
    row(
        "ssl_password_file",
        &["file"],
        None,
        ONE,
        "A file with passwords for the private keys, one on each line; they are tried in turn. Keys in the form of \
         PKCS#8 can be opened. It may be a named pipe, as may certificates and keys: whoever writes into it is waited for, 30 \
         seconds at most, at the start and at each reload.",
        |conf, args| {
            conf.passwords = Some(file(args));
            Ok(())
        },
    ),
    row(
        "ssl_protocols",
        &["[SSLv2] [SSLv3] [TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]"],
        Some("TLSv1.2 TLSv1.3"),
        Arity::AtLeast(1),
        "The versions of TLS that are spoken. What is older than TLS 1.2 is not had: such a name brings a warning. \
         Unlike nginx the server that the client names (SNI) decides, not the default server.",
        set_protocols,
    ),
    row(
        "ssl_ciphers",
        &["ciphers"],
        Some("HIGH:!aNULL:!MD5"),
        ONE,
        "The cipher suites of TLS 1.2, in the language of OpenSSL's lists: names, `HIGH`, `ECDHE+AESGCM`, `!aNULL`. \
         Had are ECDHE with AES-GCM or ChaCha20, for RSA and ECDSA; other names of OpenSSL are passed over, words that \
         nobody knows bring a warning, and a list with nothing left is an error. The suites of TLS 1.3 are all had.",
        set_ciphers,
    ),
    row(
        "ssl_prefer_server_ciphers",
        &["on | off"],
        Some("off"),
        Arity::Flag,
        "Whether the order of `ssl_ciphers` counts, or the client's.",
        |conf, args| {
            conf.prefer_server = args.flag(0)?;
            Ok(())
        },
    ),
    row(
        "ssl_ecdh_curve",
        &["curve[:curve...]"],
        Some("auto"),
        ONE,
        "The curves of the key exchange: `X25519`, `prime256v1`, `secp384r1`; `auto` is all of them. Others bring a \
         warning.",
        set_curves,
    ),
    Directive {
        repeat: Repeat::Allowed,
        ..row(
            "ssl_conf_command",
            &["name value"],
            None,
            Arity::Words(2, 2),
            "A command of OpenSSL. `Ciphersuites` names the suites of TLS 1.3, `Groups` or `Curves` is the same as \
             `ssl_ecdh_curve`; any other brings a warning and has no effect.",
            set_command,
        )
    },
    row(
        "ssl_session_cache",
        &["off", "none", "[builtin[:size]] [shared:name:size]"],
        Some("none"),
        Arity::Words(1, 2),
        "A memory of sessions that clients may take up again, for those that know no tickets. A megabyte holds some 4000; \
         servers that give the same name and size share it, and it outlives a reload.",
        set_cache,
    ),
    row(
        "ssl_session_timeout",
        &["time"],
        Some("5m"),
        ONE,
        "How long a session can be taken up again.",
        |conf, args| {
            conf.timeout = args.seconds(0)?.max(Duration::from_secs(1));
            Ok(())
        },
    ),
    row(
        "ssl_session_tickets",
        &["on | off"],
        Some("on"),
        Arity::Flag,
        "Whether a client gets its session to keep, sealed with a key that only the server has. The key is made anew \
         each `ssl_session_timeout` and forgotten after twice that time; it outlives a reload.",
        |conf, args| {
            conf.tickets = args.flag(0)?;
            Ok(())
        },
    ),
    Directive {
        repeat: Repeat::List { key: "ticket keys", clear: |conf| conf.ticket_keys.clear() },
        ..row(
            "ssl_session_ticket_key",
            &["file"],
            None,
            ONE,
            "A file of 48 or 80 random bytes that tickets are sealed with, so that several machines read each other's. The \
             first line seals, all open. nginx's tickets cannot be read.",
            |conf, args| {
                let named = file(args);
                args.warn_if_loose(args.word(0), &named.path);
                conf.ticket_keys.push(named);
                Ok(())
            },
        )
    },
    row(
        "ssl_verify_client",
        &["on | off | optional | optional_no_ca"],
        Some("off"),
        ONE,
        "Whether a client must show a certificate. With `optional` it may, with `optional_no_ca` it may be from anybody. A \
         missing or bad one is answered with 400; `error_page 495 496` can say more. `$ssl_client_verify` tells what was found.",
        |conf, args| {
            const CHOICES: [(&str, Verify); 4] = [
                ("on", Verify::On),
                ("off", Verify::Off),
                ("optional", Verify::Optional),
                ("optional_no_ca", Verify::OptionalNoCa),
            ];
            conf.verify = args.one_of(0, &CHOICES)?;
            conf.verify_span = Some(args.node.span);
            Ok(())
        },
    ),
    row(
        "ssl_client_certificate",
        &["file"],
        None,
        ONE,
        "Certificates in PEM that vouch for clients'. Their names are sent to the client so that it knows which of its own is meant.",
        |conf, args| {
            conf.client_certificate = Some(file(args));
            Ok(())
        },
    ),
    row(
        "ssl_trusted_certificate",
        &["file"],
        None,
        ONE,
        "More certificates in PEM that vouch for clients', whose names are not sent.",
        |conf, args| {
            conf.trusted_certificate = Some(file(args));
            Ok(())
        },
    ),
    row(
        "ssl_verify_depth",
        &["number"],
        Some("1"),
        ONE,
        "How many certificates may stand between a client's and the one that vouches for it.",
        |conf, args| {
            conf.depth = args.number(0, 0..=1000)? as usize;
            Ok(())
        },
    ),
    row(
        "ssl_crl",
        &["file"],
        None,
        ONE,
        "Lists of revoked certificates in PEM. Once there is one, each authority of a client's chain needs its own.",
        |conf, args| {
            conf.crl = Some(file(args));
            Ok(())
        },
    ),
    row(
        "ssl_reject_handshake",
        &["on | off"],
        Some("off"),
        Arity::Flag,
        "Whether every handshake for this server is refused (`unrecognized_name`); it needs no certificate then. In the default \
         server it turns away names that nobody serves.",
        |conf, args| {
            conf.reject = args.flag(0)?;
            Ok(())
        },
    ),
    row(
        "ssl_stapling",
        &["on | off"],
        Some("off"),
        Arity::Flag,
        "Whether the authority's word that the certificate is good (OCSP) is sent along. It is sent from `ssl_stapling_file`; it is \
         not fetched, which brings a warning.",
        |conf, args| {
            conf.stapling = args.flag(0)?.then_some(args.node.span);
            Ok(())
        },
    ),
    row(
        "ssl_stapling_file",
        &["file"],
        None,
        ONE,
        "The authority's word as `openssl ocsp` wrote it, in DER.",
        |conf, args| {
            conf.stapling_file = Some(file(args));
            Ok(())
        },
    ),
    row(
        "ssl_buffer_size",
        &["size"],
        Some("16k"),
        ONE,
        "The most that stands in one record. A smaller one lets the client begin sooner; 16k is the most that TLS has.",
        |conf, args| {
            const MOST: u64 = 16 << 10;
            conf.buffer_size = match args.size(0)? {
                0..64 => return Err(Fault::at(args.word(0), "takes at least 64 bytes")),
                bytes if bytes >= MOST => None,
                bytes => Some(bytes as usize),
            };
            Ok(())
        },
    ),
];

fn file(args: &Args<'_>) -> Named {
    Named { path: args.conf_path(0), span: args.word(0).span }
}

/// A certificate or a key: a file that is read at the start, or a name with variables.
fn own(conf: &mut Conf, args: &mut Args<'_>) -> Result<Own, Fault> {
    conf.folder.clone_from(&args.load.conf_dir);
    let ((late, path), word) = (words::file(args)?, args.word(0));
    Ok(Own { named: Named { path, span: word.span }, late, text: word.text.clone().into() })
}

fn set_protocols(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    (conf.tls12, conf.tls13) = words::protocols(args)?;
    Ok(())
}

fn set_ciphers(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.suites12 = words::ciphers(args)?;
    Ok(())
}

fn set_curves(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.curves = words::curves(args, 0)?;
    Ok(())
}

fn set_command(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    match words::command(args)? {
        Command::Suites(suites) => conf.suites13 = suites,
        Command::Curves(curves) => conf.curves = curves,
        Command::None => {}
    }
    Ok(())
}

fn set_cache(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.cache = None;
    for word in args.words() {
        let bad = |what: &str| {
            Fault::at(word, format!("{what} in `{}`", word.show())).help("write `ssl_session_cache shared:SSL:10m;`")
        };
        let text = word.show();
        let parts: Vec<&str> = text.split(':').collect();
        match parts.as_slice() {
            ["off" | "none"] if args.len() == 1 => {}
            // One process has one cache, whichever of the two words names it.
            ["builtin"] => conf.cache = conf.cache.take().or(Some(("builtin".into(), 20 << 20))),
            ["builtin", sessions] => {
                let sessions: u64 = sessions.parse().map_err(|_| bad("has an invalid number"))?;
                conf.cache = conf.cache.take().or(Some(("builtin".into(), sessions.saturating_mul(256))));
            }
            ["shared", name, size] if !name.is_empty() => {
                let bytes = parse_size(size.as_bytes()).ok_or_else(|| bad("has an invalid size"))?;
                if bytes < 8 * 4096 {
                    return Err(bad("has a size below 32k"));
                }
                conf.cache = Some(((*name).to_string(), bytes));
            }
            _ => return Err(bad("has something that is no cache")),
        }
    }
    Ok(())
}
