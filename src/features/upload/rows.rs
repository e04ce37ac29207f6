//! The directives of `upload_store` and what they set.

use std::os::unix::ffi::OsStrExt;

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::step::Target;
use crate::exchange::variables::Variable;

use super::strangers;

/// A folder for uploads, and the URI that it stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// The folder, absolute.
    pub folder: Bytes,
    /// The location's prefix.
    pub prefix: Bytes,
}

impl Conf {
    /// The URI of the store; empty where there is none.
    pub fn prefix(&self) -> &[u8] {
        self.store.as_ref().map_or(&b""[..], |store| &store.prefix)
    }
}

/// What becomes of a file whose name is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Conflict {
    /// It is refused.
    #[default]
    Error,
    /// It gets a number.
    Rename,
    /// It takes the place of the other.
    Overwrite,
}

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// Where files are stored; none where nothing is uploaded.
    pub store: Option<Store>,
    /// The most bytes of one file; 0 for no limit of its own.
    pub max_file_size: u64,
    /// The most files of one request.
    pub max_files: u64,
    /// What becomes of a file whose name is taken.
    pub conflict: Conflict,
    /// The most bytes of all files in the store; 0 for no limit.
    pub quota: u64,
    /// The media types that are taken, in lower case, `image/*` for a family; empty for all.
    pub types: Vec<Bytes>,
    /// Where a request goes when its files are stored.
    pub pass: Option<Target>,
    /// The file inputs of the forms; empty for any.
    pub fields: Vec<Bytes>,
    /// Other sites whose pages may send forms, as `strangers::normal` writes them.
    pub origins: Vec<Bytes>,
    /// Whether files and their names are on disk before the answer is sent.
    pub sync: bool,
    /// Whether clients may remove files.
    pub delete: bool,
    /// Whether the page shows what is stored.
    pub list: bool,
}

impl Default for Conf {
    fn default() -> Self {
        Conf {
            store: None,
            max_file_size: 0,
            max_files: 20,
            conflict: Conflict::Error,
            quota: 0,
            types: Vec::new(),
            pass: None,
            fields: Vec::new(),
            origins: Vec::new(),
            sync: false,
            delete: false,
            list: true,
        }
    }
}

impl Conf {
    /// Whether files of this media type are taken.
    pub fn takes(&self, kind: &[u8]) -> bool {
        let kind = kind.split(|&b| b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        self.types.is_empty()
            || self.types.iter().any(|known| match known.strip_suffix(b"*") {
                Some(family) => kind.starts_with(family),
                None => kind == *known,
            })
    }
}

const fn one(
    name: &'static str,
    syntax: &'static [&'static str],
    default: Option<&'static str>,
    doc: &'static str,
) -> Manual {
    Manual { name, syntax, default, contexts: Contexts::SCOPES, arity: Arity::Words(1, 1), block: false, doc }
}

const fn flag(name: &'static str, default: &'static str, doc: &'static str) -> Manual {
    Manual { arity: Arity::Flag, ..one(name, &["on | off"], Some(default), doc) }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "upload_store",
            syntax: &["folder"],
            default: None,
            contexts: Contexts::LOCATION,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "Takes files from browser forms: `GET` of the location is a page to upload with, `POST` of multipart/form-data to it \
                  stores the files in this folder, and each can be fetched under the location and its name. The answer is a page for a client whose `Accept` names \
                  `text/html`, JSON with name, size, url and sha256 for one that prefers `application/json`, else a line of text for each file. Names are made safe; a file \
                  appears when it is whole, and a broken upload leaves nothing. What is stored is never run, and served with `nosniff` \
                  and without scripts. `client_max_body_size` bounds the whole request, so raise it here.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::IntoIf(|conf| conf.store = None),
        set: set_store,
    },
    Directive {
        manual: one(
            "upload_max_file_size",
            &["size"],
            Some("0"),
            "The largest file that is taken; a larger one is answered 413. 0 leaves it to `client_max_body_size`.",
        ),
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.max_file_size = args.size(0)?;
            Ok(())
        },
    },
    Directive {
        manual: one(
            "upload_max_files",
            &["number"],
            Some("20"),
            "How many files one request may bring; more are answered 413, and none of them is stored.",
        ),
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.max_files = args.number(0, 1..=1000)?;
            Ok(())
        },
    },
    Directive {
        manual: one(
            "upload_on_conflict",
            &["error | rename | overwrite"],
            Some("error"),
            "What becomes of a file whose name is taken: it is refused with 409, it gets a number before its extension (`a-1.txt`), or it takes the \
                  place of the other in one step.",
        ),
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            use Conflict::{Error, Overwrite, Rename};
            conf.conflict = args.one_of(0, &[("error", Error), ("rename", Rename), ("overwrite", Overwrite)])?;
            Ok(())
        },
    },
    Directive {
        manual: one(
            "upload_quota",
            &["size"],
            Some("0"),
            "The most bytes that all files of the store may have together, those in folders below it and those that are still on \
                  their way included; what would be more is answered 507. It holds for whatever this server writes there, by forms, `PUT`, `COPY` and `MOVE`: \
                  a location with another quota for the same folder obeys its own, one without obeys the smallest. 0 turns the limit off. The \
                  store is counted once, in the background, and what this server writes and removes is kept account of. Files that others put there or \
                  remove are seen when it is counted again: a minute after the last count if it is full, else after ten minutes.",
        ),
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.quota = args.size(0)?;
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            arity: Arity::AtLeast(1),
            ..one(
                "upload_types",
                &["type ..."],
                None,
                "The media types that are taken, for example `image/png`, or `image/*` for a family; other files are answered 415. What counts is the \
                  type that this server gives to the file's extension (`types`), since that is how it will be served, and not what the \
                  client says.",
            )
        },
        repeat: Repeat::List { key: "upload_types", clear: |conf| conf.types.clear() },
        inherit: Inherit::Yes,
        set: set_types,
    },
    Directive {
        manual: one(
            "upload_pass",
            &["uri | @name"],
            None,
            "Where a request goes on when its files are stored, for example to a script. It gets a form of the same kind in which each file `f` \
                  has become the fields `f.name`, `f.content_type`, `f.path`, `f.size` and `f.sha256`, behind all others. Other fields stay as they are, \
                  but one that would pass for these is refused with 400: any `NAME.path` (`NAME_path` to PHP), and any of the others where a file input has the name before it. \
                  What the script answers is the answer, and the files stay whatever it says.",
        ),
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_pass,
    },
    Directive {
        manual: Manual {
            arity: Arity::AtLeast(1),
            ..one(
                "upload_fields",
                &["name ..."],
                None,
                "The file inputs of the forms: a file in any other is refused with 400. With `upload_pass` no other field is refused for its name then \
                  but those that stand for files of these inputs, so a form may have a `return_path`.",
            )
        },
        repeat: Repeat::List { key: "upload_fields", clear: |conf| conf.fields.clear() },
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.fields.extend(args.words().iter().map(|word| Bytes::copy_from_slice(&word.text)));
            Ok(())
        },
    },
    Directive {
        manual: Manual {
            arity: Arity::AtLeast(1),
            ..one(
                "upload_origins",
                &["origin ..."],
                None,
                "Other sites whose pages may send forms here, for example `https://app.example.com`. A form from any other site is refused with 403, since \
                  a browser sends it with the visitor's cookies and from within the visitor's network, and asks nobody. What counts is `Sec-Fetch-Site`, \
                  else `Origin`, else `Referer`; a program that sends none of them is let in. For requests that a browser does ask about \
                  first (PUT, DELETE) there are `add_header` and `if`.",
            )
        },
        repeat: Repeat::List { key: "upload_origins", clear: |conf| conf.origins.clear() },
        inherit: Inherit::Yes,
        set: set_origins,
    },
    Directive {
        manual: flag(
            "upload_sync",
            "off",
            "Whether a file and its name are on disk before the answer is sent, so that no power cut takes back what was said.",
        ),
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.sync = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: flag(
            "upload_delete",
            "off",
            "Whether clients may remove stored files, by `DELETE` and with a button on the page. Who may is for `auth_basic`, `allow` and `limit_except` to say.",
        ),
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.delete = args.flag(0)?;
            Ok(())
        },
    },
    Directive {
        manual: flag(
            "upload_list",
            "on",
            "Whether the page shows what is stored. A file can be fetched by its name either way.",
        ),
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: |conf, args| {
            conf.list = args.flag(0)?;
            Ok(())
        },
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_store(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let Some(location) = args.load.location.clone().filter(|location| !location.regex && !location.named) else {
        return Err(Fault::new("stands in a location without a prefix: the files have no URI there")
            .help("write it in a location such as `location /upload/ { ... }`"));
    };
    let folder = args.path(0);
    let folder = folder.as_os_str().as_bytes();
    let folder = Bytes::copy_from_slice(folder.strip_suffix(b"/").unwrap_or(folder));
    conf.store = Some(Store { folder, prefix: location.name.into() });
    Ok(())
}

fn set_types(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    for word in args.words() {
        let kind = word.text.to_ascii_lowercase();
        let is_type =
            matches!(kind.split(|&b| b == b'/').collect::<Vec<_>>()[..], [a, b] if !a.is_empty() && !b.is_empty());
        if !is_type {
            return Err(Fault::at(
                word,
                format!("takes media types such as `image/png` or `image/*`, not `{}`", word.show()),
            ));
        }
        conf.types.push(kind.into());
    }
    Ok(())
}

fn set_origins(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    for word in args.words() {
        let origin = strangers::normal(&word.text).filter(|origin| !origin.contains(&b'*'));
        let fault =
            || Fault::at(word, format!("takes origins such as `https://app.example.com`, not `{}`", word.show()));
        let origin = origin
            .ok_or_else(|| fault().help("write scheme and host, a port if it is not the usual one, and no path"))?;
        conf.origins.push(origin.into());
    }
    Ok(())
}

fn set_pass(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    let word = args.word(0);
    conf.pass = Some(match word.text.first() {
        Some(b'@') => Target::Named(word.text.clone()),
        Some(b'/') => {
            let at = word.text.iter().position(|&b| b == b'?');
            let (path, args) = word.text.split_at(at.unwrap_or(word.text.len()));
            Target::Uri { path: path.to_vec(), args: at.map(|_| args[1..].to_vec()) }
        }
        _ => {
            return Err(Fault::at(
                word,
                "takes a URI that begins with `/`, or the name of a location that begins with `@`",
            ));
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_families() {
        let types = ["image/*", "text/plain"].map(|kind| Bytes::from_static(kind.as_bytes())).to_vec();
        let conf = Conf { types, ..Conf::default() };
        for (kind, taken) in [
            ("image/png", true),
            ("IMAGE/GIF", true),
            ("text/plain; charset=utf-8", true),
            ("text/html", false),
            ("", false),
        ] {
            assert_eq!(conf.takes(kind.as_bytes()), taken, "{kind}");
        }
        assert!(Conf::default().takes(b""));
    }
}
