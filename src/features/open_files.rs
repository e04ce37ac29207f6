//! `open_file_cache` and its family, `disable_symlinks`: by which policy files are opened.

use std::sync::Arc;
use std::time::Duration;

use crate::conf::args::{Args, Fault, parse_seconds};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::files::{Cache, Caching, Policy};
use crate::exchange::symlinks::Symlinks;
use crate::exchange::variables::Variable;

/// The settings.
#[derive(Debug, Clone)]
pub struct Conf {
    /// What it all comes to.
    pub policy: Arc<Policy>,
    /// `open_file_cache`; none for off. Blocks inside share the one of the block around them.
    cache: Option<Arc<Cache>>,
    valid: Duration,
    min_uses: u32,
    errors: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { policy: Arc::default(), cache: None, valid: Duration::from_secs(60), min_uses: 1, errors: false }
    }
}

impl Conf {
    fn settle(&mut self) {
        let (valid, min_uses, errors) = (self.valid, self.min_uses, self.errors);
        Arc::make_mut(&mut self.policy).caching =
            self.cache.clone().map(|table| Caching { table, valid, min_uses, errors });
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "open_file_cache",
            syntax: &["max=N [inactive=time]", "off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "Keeps what is known of up to `N` files, so that they are served without a look at the disk until \
                  `open_file_cache_valid` has passed; what was not used for `inactive` (60 seconds) goes. Off, small files are still kept in \
                  memory, and each request looks whether they have changed.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_cache,
    },
    Directive {
        manual: Manual {
            name: "open_file_cache_valid",
            syntax: &["time"],
            default: Some("60s"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How long `open_file_cache` believes what it knows of a file.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.valid = args.seconds(0)?;
            conf.settle();
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "open_file_cache_min_uses",
            syntax: &["number"],
            default: Some("1"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How often a file must be asked for before `open_file_cache` believes what it knows of it.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            // The reader keeps it within 32 bits.
            conf.min_uses = args.number(0, 0..=i32::MAX as u64)? as u32;
            conf.settle();
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "open_file_cache_errors",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether `open_file_cache` remembers files that could not be opened too.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.errors = args.flag(0)?;
            conf.settle();
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "disable_symlinks",
            syntax: &["off", "on | if_not_owner [from=part]"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 2),
            block: false,
            doc: "Whether symbolic links on a file's path are followed: always (`off`), never (`on`), or only where link and target belong \
                  to one owner (`if_not_owner`). A path that begins with `from=` (usually `$document_root`) may hold links up to there. A refused link is 403.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_symlinks,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_cache(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let (mut max, mut inactive) = (None, Duration::from_secs(60));
    let mut off = false;
    for word in args.words() {
        let bad = || Fault::at(word, format!("takes `max=N`, `inactive=time` or `off`, not `{}`", word.show()));
        if word.text == b"off" {
            off = true;
        } else if let Some(number) = word.text.strip_prefix(b"max=") {
            let number = std::str::from_utf8(number).ok().and_then(|number| number.parse::<u32>().ok());
            max = Some(number.filter(|number| *number > 0).ok_or_else(bad)? as usize);
        } else if let Some(time) = word.text.strip_prefix(b"inactive=") {
            inactive = parse_seconds(time).ok_or_else(bad)?;
        } else {
            return Err(bad());
        }
    }
    conf.cache = match (off, max) {
        (true, _) => None,
        (false, Some(max)) => Some(Arc::new(Cache::new(max, Some(inactive)))),
        (false, None) => return Err(Fault::new("needs `max=N`").help("write `open_file_cache max=1000;`")),
    };
    conf.settle();
    Ok(())
}

fn set_symlinks(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let on = Symlinks::Refused { from: 0 };
    let owner = Symlinks::OwnersOnly { from: 0 };
    let rule = args.one_of(0, &[("off", Symlinks::Followed), ("on", on), ("if_not_owner", owner)])?;
    let trusted = match args.words().get(1) {
        None => None,
        Some(word) if rule == Symlinks::Followed => return Err(Fault::at(word, "takes no `from=` after `off`")),
        Some(word) => match word.text.strip_prefix(b"from=") {
            None | Some(b"") => return Err(Fault::at(word, format!("takes `from=part`, not `{}`", word.show()))),
            Some(part) => Some(args.text_of(1, part)?),
        },
    };
    let policy = Arc::make_mut(&mut conf.policy);
    policy.symlinks = rule;
    policy.trusted = trusted;
    Ok(())
}
