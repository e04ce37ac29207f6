//! `open_file_cache` and its family, `disable_symlinks`: by which policy files are opened.

use std::sync::Arc;
use std::time::Duration;

use crate::conf::args::{Args, Fault, parse_time};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::files::{Caching, Policy};
use crate::exchange::symlinks::Symlinks;
use crate::exchange::variables::Variable;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// What it all comes to.
    pub policy: Arc<Policy>,
    /// `open_file_cache`: how many entries, unused for how long; none for off.
    cache: Option<(usize, Duration)>,
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
            self.cache.map(|(max, inactive)| Caching { max, inactive, valid, min_uses, errors });
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
            conf.valid = args.time(0)?;
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
                  to one owner (`if_not_owner`). The leading part of the path named by `from=` is not looked at. A refused link is 403.",
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
            inactive = parse_time(time).ok_or_else(bad)?;
        } else {
            return Err(bad());
        }
    }
    conf.cache = match (off, max) {
        (true, _) => None,
        (false, Some(max)) => Some((max, inactive)),
        (false, None) => return Err(Fault::new("needs `max=N`").help("write `open_file_cache max=1000;`")),
    };
    conf.settle();
    Ok(())
}

fn set_symlinks(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let from = match args.words().get(1) {
        None => 0,
        Some(word) => from(word.text.strip_prefix(b"from=")).map_err(|message| Fault::at(word, message))?,
    };
    let (off, on, owner) = (Symlinks::Followed, Symlinks::Refused { from }, Symlinks::OwnersOnly { from });
    let rule = args.one_of(0, &[("off", off), ("on", on), ("if_not_owner", owner)])?;
    if rule == Symlinks::Followed && args.len() == 2 {
        return Err(Fault::at(args.word(1), "takes no `from=` after `off`"));
    }
    Arc::make_mut(&mut conf.policy).symlinks = rule;
    Ok(())
}

/// How many bytes of each path are not looked at.
fn from(part: Option<&[u8]>) -> Result<usize, &'static str> {
    match part {
        None | Some(b"") => Err("takes `from=part` after `on` or `if_not_owner`"),
        Some(part) if part.contains(&b'$') => Err("takes no variable in `from=`"),
        Some(part) => Ok(part.len()),
    }
}
