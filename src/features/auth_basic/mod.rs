//! `auth_basic`: user and password, checked against a password file. It only says what it thinks of a request; `satisfy`
//! decides. Hashing is our own work and bounded: see `checks`.

mod checks;
mod scheme;
mod users;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::conf::args::{Args, Fault, bytes_to_path};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::conf::value::Text;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level, system_words};
use crate::exchange::queue::{Entry, Permit, Ticket};
use crate::exchange::step::{Verdict, Wait};
use crate::exchange::variables::Variable;
use crate::http::head::Known;
use crate::http::{credentials, escape};
use checks::{TooMany, Waiter};
use scheme::Scheme;

/// The settings.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    realm: Option<Text>,
    file: Option<Text>,
    /// The folder that the file's name starts from.
    folder: PathBuf,
}

impl Conf {
    /// Whether a password may be asked for.
    pub fn asks(&self) -> bool {
        self.realm.is_some() && self.file.is_some()
    }
}

const PLACES: Contexts = Contexts::SCOPES.or(Contexts::LIMIT_EXCEPT);

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "auth_basic",
            syntax: &["text | off"],
            default: Some("off"),
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Asks for a user name and a password (Basic authentication); browsers show the text, which may contain variables. Without \
                  valid ones the answer is 401. It needs `auth_basic_user_file`; `off` ends what a block around has set. Over plain HTTP \
                  passwords can be read by everybody on the way.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.realm = Some(args.field_text(0)?);
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "auth_basic_user_file",
            syntax: &["file"],
            default: None,
            contexts: PLACES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The file with users and passwords, as `htpasswd` writes it: lines `name:hash`, `#` begins a comment. It knows bcrypt (`htpasswd \
                  -B`), SHA-256 and SHA-512 crypt (`$5$`, `$6$`), yescrypt (`$y$`), `$apr1$`, `$1$`, `{SHA}`, `{SSHA}` and `{PLAIN}`. The name \
                  may contain variables and is relative to the main conf's folder. A change takes effect at once, without a reload. \
                  If the file is missing the answer is 403.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_file,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[Variable {
    name: "remote_user",
    family: false,
    doc: "The user name of Basic authentication, as it was sent.",
    get: |x, _, _| {
        let (user, _) = credentials::basic(x.head.known(Known::Authorization)?)?;
        (!user.is_empty()).then_some(user.into())
    },
}];

fn set_file(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let file = args.text(0)?;
    if let Some(name) = file.constant() {
        let path = args.load.conf_dir.join(bytes_to_path(name));
        args.warn_if_loose(args.word(0), &path);
        if let Some(said) = args.load.outside.gist(&path, users::LARGEST, users::locked_out) {
            let message = format!("`auth_basic_user_file` names `{}`, where {said}", path.display());
            let warning = Diagnostic::warning(args.word(0).span, message).code(Code::LeftOut);
            args.load.warnings.push(warning.help("have them choose a password anew: `htpasswd -B FILE USER`"));
        }
    }
    conf.file = Some(file);
    conf.folder.clone_from(&args.load.conf_dir);
    Ok(())
}

/// What a request keeps while it waits for its turn.
pub struct Queued {
    ticket: Ticket,
    waiter: Waiter,
    until: Instant,
}

/// How long a request waits for its turn at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// What user and password say: granted, refused with 401, or nothing where none are asked for.
pub fn ask(x: &mut Exchange, conf: &Conf, state: &mut Option<Box<Queued>>) -> Result<Verdict, HttpError> {
    let (Some(realm), Some(file)) = (&conf.realm, &conf.file) else { return Ok(Verdict::Silent) };
    let realm = x.eval(realm).into_owned();
    if realm == b"off" {
        return Ok(Verdict::Silent);
    }
    x.tell("auth_basic", None, || format!("a user and a password are asked for, for `{}`", escape::error_log(&realm)));
    let Some((user, password)) = x.head.known(Known::Authorization).and_then(credentials::basic) else {
        return Err(refusal(&realm).log(Level::Info, "no user/password was provided for basic authentication"));
    };
    let path = path(x, file, conf);
    if x.leads_astray(file) {
        let text = format!("the users' file \"{}\" is not looked at: a variable leads up", escape::error_log(&path));
        return Err(HttpError::new(403, "no-user-file").log(Level::Error, text));
    }
    let found = users::find(&path, &user).map_err(|error| unreadable(&path, &error))?;
    let shown = escape::error_log(&user);
    let unusable = match found.stored.as_deref().map(Scheme::of) {
        None => Some(format!("user \"{shown}\" was not found in \"{}\"", escape::error_log(&path))),
        Some(Err(what)) => Some(format!(
            "the password of user \"{shown}\" in \"{}\" cannot be checked: its scheme is {what}; write it anew with `htpasswd -B`",
            escape::error_log(&path)
        )),
        Some(Ok(_)) => None,
    };
    // A name that cannot be let in costs as much time and as many places in the queue as one that can.
    let stored = if unusable.is_some() { found.stand_in } else { found.stored };
    let fits = match check(x, &user, stored.as_deref(), &password, state)? {
        Check::Done(fits) => fits,
        Check::Waits(wait) => return Ok(Verdict::Wait(wait)),
    };
    match unusable {
        Some(text) => Err(refusal(&realm).log(Level::Error, text)),
        None if fits => {
            x.tell("auth_basic", None, || format!("user \"{shown}\" is let in: the password is right"));
            x.user = Some(user.into());
            Ok(Verdict::Granted)
        }
        None => Err(refusal(&realm).log(Level::Error, format!("user \"{shown}\": password mismatch"))),
    }
}

enum Check {
    Done(bool),
    Waits(Wait),
}

/// Checks a password, by memory or when its turn has come if that takes long.
fn check(
    x: &Exchange,
    user: &[u8],
    stored: Option<&[u8]>,
    password: &[u8],
    state: &mut Option<Box<Queued>>,
) -> Result<Check, HttpError> {
    let Some((scheme, stored)) = stored.and_then(|stored| Some((Scheme::of(stored).ok()?, stored))) else {
        return Ok(Check::Done(false));
    };
    if !scheme.is_slow() {
        return Ok(Check::Done(scheme.fits(stored, password)));
    }
    let print = checks::fingerprint(user, stored, password);
    let queued = state.take();
    if let Some(fits) = checks::remembered(&print) {
        return Ok(Check::Done(fits));
    }
    let permit = match queued {
        Some(queued) => (*queued).redeem(),
        None => enter(x, user),
    };
    match permit? {
        Turn::Now(permit) => {
            let fits = scheme.fits(stored, password);
            checks::remember(print, fits);
            drop(permit);
            Ok(Check::Done(fits))
        }
        Turn::Later(queued) => {
            let until = queued.until;
            *state = Some(queued);
            Ok(Check::Waits(Wait::News(until)))
        }
    }
}

enum Turn {
    Now(Permit),
    Later(Box<Queued>),
}

fn enter(x: &Exchange, user: &[u8]) -> Result<Turn, HttpError> {
    let (queue, most) = checks::queue();
    let address = x.client.peer.map(|peer| peer.ip());
    match queue.enter(most, checks::LONGEST, checks::whose(address, user), x.waker()) {
        Entry::Now(permit) => Ok(Turn::Now(permit)),
        Entry::Later(ticket) => match Waiter::new(address, user) {
            Ok(waiter) => Ok(Turn::Later(Box::new(Queued { ticket, waiter, until: Instant::now() + PATIENCE }))),
            Err(TooMany::FromAddress) => Err(busy("too many passwords from one address wait to be checked")),
            Err(TooMany::ForName) => Err(busy("too many passwords for one name from one address wait to be checked")),
        },
        Entry::Full => Err(busy("too many passwords wait to be checked")),
    }
}

impl Queued {
    fn redeem(self) -> Result<Turn, HttpError> {
        let Queued { ticket, waiter, until } = self;
        match ticket.redeem() {
            Ok(permit) => Ok(Turn::Now(permit)),
            Err(_) if until <= Instant::now() => Err(busy("a password waited too long to be checked")),
            Err(ticket) => Ok(Turn::Later(Box::new(Queued { ticket, waiter, until }))),
        }
    }
}

fn busy(why: &str) -> HttpError {
    HttpError::new(503, "auth-busy").log(Level::Error, why)
}

fn refusal(realm: &[u8]) -> HttpError {
    let challenge = [b"Basic realm=\"", realm, b"\""].concat();
    HttpError::new(401, "password").field("WWW-Authenticate", challenge)
}

fn path(x: &Exchange, file: &Text, conf: &Conf) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let name = x.eval(file);
    if name.first() == Some(&b'/') {
        return name.into_owned();
    }
    [conf.folder.as_os_str().as_bytes(), b"/", &name].concat()
}

fn unreadable(path: &[u8], error: &std::io::Error) -> HttpError {
    let text = format!(
        "open() \"{}\" failed ({}: {})",
        escape::error_log(path),
        error.raw_os_error().unwrap_or(0),
        system_words(error)
    );
    match error.kind() {
        std::io::ErrorKind::NotFound => HttpError::new(403, "no-user-file").log(Level::Error, text),
        _ => HttpError::new(500, "user-file").log(Level::Crit, text),
    }
}
