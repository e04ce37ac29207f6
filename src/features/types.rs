//! `types` and `default_type`: the Content-Type of an answer from the extension of its path. As a filter it stands
//! first: those that follow ask for the type (`gzip_types`, `charset_types`).

use std::collections::HashMap;

use bytes::Bytes;

use crate::conf::args::{Args, Fault};
use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::variables::Variable;
use crate::http::response::{ContentType, Response};
use crate::http::status;

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    /// Types by extension in lower case, without the dot.
    pub types: HashMap<Box<[u8]>, Bytes, foldhash::fast::RandomState>,
    /// The type of all other answers; empty for none.
    pub default_type: Bytes,
}

impl Default for Conf {
    fn default() -> Self {
        let known = [("html", "text/html"), ("gif", "image/gif"), ("jpg", "image/jpeg")];
        let types = known.map(|(extension, kind)| (extension.as_bytes().into(), Bytes::from_static(kind.as_bytes())));
        Conf { types: types.into_iter().collect(), default_type: Bytes::from_static(b"text/plain") }
    }
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[
    Directive {
        manual: Manual {
            name: "types",
            syntax: &[""],
            default: None,
            contexts: Contexts::SCOPES,
            arity: Arity::Words(0, 0),
            block: true,
            doc: "The content type of files by their extension: each line in the block is a type and the extensions it stands for, \
                  such as `text/html html htm;`. Case does not matter. A block takes the place of the map further out as a whole; \
                  several blocks in one place add up. Without any, `html`, `gif` and `jpg` are known.",
        },
        repeat: Repeat::List { key: "types", clear: |conf| conf.types.clear() },
        inherit: Inherit::Yes,
        set: set_types,
    },
    Directive {
        manual: Manual {
            name: "default_type",
            syntax: &["type"],
            default: Some("text/plain"),
            contexts: Contexts::SCOPES,
            arity: Arity::Words(1, 1),
            block: false,
            doc: "The content type of answers whose extension is not in `types`. An empty one sends no `Content-Type`.",
        },
        repeat: Repeat::Refused,
        inherit: Inherit::Yes,
        set: set_default,
    },
];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

fn set_types(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    for node in args.node.block.as_deref().unwrap_or_default() {
        if node.block.is_some() {
            return Err(Fault::at(&node.name, "holds a block where a type and its extensions belong"));
        }
        if node.args.is_empty() {
            return Err(Fault::at(&node.name, format!("has no extension for the type `{}`", node.name.show()))
                .help("write `text/html html htm;`"));
        }
        let kind = Args::field_word(&node.name);
        for word in &node.args {
            let extension = word.text.to_ascii_lowercase().into_boxed_slice();
            if let Some(before) = conf.types.insert(extension, kind.clone())
                && before != kind
            {
                let before = String::from_utf8_lossy(&before).into_owned();
                args.warn_at(word, format!("duplicate extension \"{}\": its type was `{before}`", word.show()));
            }
        }
    }
    Ok(())
}

fn set_default(conf: &mut Conf, args: &mut Args<'_>) -> Result<(), Fault> {
    conf.default_type = Args::field_word(args.word(0));
    Ok(())
}

/// The type for an extension, in any case.
pub fn lookup<'c>(conf: &'c Conf, extension: &[u8]) -> &'c Bytes {
    let found = match extension.iter().any(u8::is_ascii_uppercase) {
        false => conf.types.get(extension),
        true => conf.types.get(extension.to_ascii_lowercase().as_slice()),
    };
    found.unwrap_or(&conf.default_type)
}

/// Settles the Content-Type of an answer.
pub fn filter(x: &Exchange, conf: &Conf, response: &mut Response) {
    if status::is_bodiless(response.status) {
        response.content_type = ContentType::None;
    }
    if response.content_type == ContentType::ByExtension {
        let kind = lookup(conf, x.extension());
        response.content_type = if kind.is_empty() { ContentType::None } else { ContentType::Is(kind.clone()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions() {
        let conf = Conf::default();
        for (extension, kind) in [
            ("html", "text/html"),
            ("HTML", "text/html"),
            ("gif", "image/gif"),
            ("jpeg", "text/plain"),
            ("", "text/plain"),
        ] {
            assert_eq!(lookup(&conf, extension.as_bytes()), kind.as_bytes(), "{extension}");
        }
    }
}
