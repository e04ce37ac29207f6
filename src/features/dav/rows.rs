//! The directives of `dav_methods` and what they set.

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::variables::Variable;
use crate::http::method::Method;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// The methods that are taken, as bits.
    pub methods: u32,
    /// Whether missing folders are made for a file that is put.
    pub full_path: bool,
    /// Permission bits of new files.
    pub access: u32,
    /// How many segments a path must have at least for DELETE.
    pub min_delete_depth: u64,
    /// How many files and folders one request may be about.
    pub max_files: u64,
}

impl Default for Conf {
    fn default() -> Self {
        Conf { methods: 0, full_path: false, access: 0o600, min_delete_depth: 0, max_files: 100_000 }
    }
}

impl Conf {
    /// Permission bits of new folders: whoever may read or write in one may enter it.
    pub fn folder_access(&self) -> u32 {
        self.access | (self.access & 0o444) >> 2
    }
}

/// The methods that the first directive takes.
pub const METHODS: [(&str, Method); 5] = [
    ("PUT", Method::Put),
    ("DELETE", Method::Delete),
    ("MKCOL", Method::Mkcol),
    ("COPY", Method::Copy),
    ("MOVE", Method::Move),
];

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "dav_methods",
            syntax: &["off | method ..."],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::AtLeast(1),
            block: false,
            doc: "Methods of WebDAV (RFC 4918) that change files here: `PUT`, `DELETE`, `MKCOL`, `COPY`, `MOVE`. A file that is put goes \
                  into a nameless file on the same file system and gets its name when it is whole, so nobody sees half of it and a \
                  broken upload leaves nothing. The server's user must be allowed to write there. Who may do this is for \
                  `auth_basic`, `allow` and `limit_except` to say: without them everybody may. Each file and folder that a request would make, \
                  replace, remove or show is asked for as if it stood in a request of its own; if one is refused nothing is done. \
                  `client_max_body_size` bounds what is put.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_methods,
    },
    Directive {
        manual: Manual {
            name: "create_full_put_path",
            syntax: &["on | off"],
            default: Some("off"),
            contexts: Contexts::SCOPES,
            arity: Arity::Flag,
            block: false,
            doc: "Whether the folders on the way to a file that is put are made where they are missing. Otherwise the answer is 409, as \
                  RFC 4918 asks for.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.full_path = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "dav_access",
            syntax: &["who:rights ..."],
            default: Some("user:rw"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 3),
            block: false,
            doc: "The rights of new files and folders: `user`, `group` or `all`, a colon, and `r` or `rw`, for example \
                  `dav_access group:rw all:r;`. Without a word on `user` it is `user:rw`. Whoever may read a folder may enter it.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_access,
    },
    Directive {
        manual: Manual {
            name: "min_delete_depth",
            syntax: &["number"],
            default: Some("0"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How many segments the path of a `DELETE` must have at least, so that whole folders high up are safe: with 4, \
                  `/users/00/00/name` may go and `/users/00/00` may not (409).",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.min_delete_depth = args.number(0, 0..=1 << 20)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            name: "dav_max_files",
            syntax: &["number"],
            default: Some("100000"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "How many files and folders one `COPY`, `MOVE` or `DELETE` of a folder may be about; more are 403, and nothing is done. Each \
                  of them is asked for beforehand (`dav_methods`), which takes some ten microseconds and eight bytes.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.max_files = args.number(0, 1..=1 << 32)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_methods(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let mut bits = 0;
    let choices = METHODS.map(|(name, method)| (name, method.bit()));
    let with_off: Vec<(&str, u32)> = choices.into_iter().chain([("off", 0)]).collect();
    for (i, word) in args.words().iter().enumerate() {
        // As in nginx, these words count in any case.
        let known = with_off.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(&word.text));
        let bit = known.map_or_else(|| args.one_of(i, &with_off), |(_, bit)| Ok(*bit))?;
        if bits & bit != 0 {
            args.warn(Some(i), format!("duplicate value \"{}\"", word.show()));
        }
        bits |= bit;
    }
    conf.methods = bits;
    Ok(())
}

fn set_access(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let (mut access, mut names_user) = (0, false);
    for word in args.words() {
        let text = word.show();
        let parts = text.split_once(':').and_then(|(who, rights)| {
            let shift = [("user", 6), ("group", 3), ("all", 0)].into_iter().find(|(name, _)| *name == who)?.1;
            let rights = [("rw", 6), ("r", 4)].into_iter().find(|(name, _)| *name == rights)?.1;
            Some(rights << shift)
        });
        let Some(bits) = parts else {
            return Err(Fault::at(word, format!("takes `user`, `group` or `all` with `:r` or `:rw`, not `{text}`"))
                .help("for example `dav_access group:rw all:r;`"));
        };
        access |= bits;
        names_user |= text.starts_with("user");
    }
    conf.access = if names_user { access } else { access | 0o600 };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_may_read_a_folder_may_enter_it() {
        for (access, folder) in [(0o600, 0o700), (0o664, 0o775), (0o640, 0o750), (0o606, 0o707)] {
            assert_eq!(Conf { access, ..Conf::default() }.folder_access(), folder, "{access:o}");
        }
    }
}
