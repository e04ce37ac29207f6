//! Rules about error pages and named locations.

use super::block::{Block, Matching, Place, literal};
use super::{Conf, danger, router};
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;

pub fn relative(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    for node in block.own(&["error_page"]) {
        let Some(word) = node.args.last().filter(|_| node.args.len() > 1) else { continue };
        let text = word.show();
        if let Some(code) = text.strip_prefix('=') {
            let message = format!("`{text}` is taken as the page's address: clients are redirected (302) to it");
            let codes: Vec<_> = node.args.iter().take(node.args.len() - 1).map(|word| word.show()).collect();
            let help = match code {
                "" => format!("write `error_page {} = /page.html;`", codes.join(" ")),
                _ => format!("write `error_page {} ={code} /page.html;`", codes.join(" ")),
            };
            found.push(danger(Code::ErrorPageRelative, word.span, message, help));
            continue;
        }
        let begins = ["/", "@", "$", "http:", "https:"];
        if !begins.iter().any(|start| text.starts_with(start)) {
            let message = format!("`{text}` does not begin with a slash: clients are redirected (302) to it");
            found.push(danger(
                Code::ErrorPageRelative,
                word.span,
                message,
                format!("write `/{}`", text.trim_start_matches("./")),
            ));
        }
    }
}

/// Error pages of a server, and of `http` where the server has none of its own.
pub fn missing_file(conf: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    if !conf.is_whole || block.place != Place::Server {
        return;
    }
    let Some(holder) = block.nearest(&["error_page"]) else { return };
    for node in holder.own(&["error_page"]) {
        let Some(word) = node.args.last().filter(|_| node.args.len() > 1) else { continue };
        let path = literal(word).map(|text| text.split('?').next().unwrap_or_default());
        let Some(path) = path.filter(|path| path.starts_with('/') && !path.ends_with('/')) else { continue };
        router::file_of(block, conf.prefix, path, &mut |_, root, file| {
            let is_gone = |error: std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
            // Where the root itself is not there, the conf is being tested elsewhere.
            if root.is_dir() && std::fs::metadata(file).err().is_some_and(is_gone) {
                let message =
                    format!("the error page `{path}` would be the file `{}`, which is not there", file.display());
                found.push(danger(Code::ErrorPageMissing, word.span, message, "put a page there, or name one that is"));
            }
        });
    }
}

pub fn no_named_location(conf: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some(server) = block.server().filter(|_| conf.is_whole) else { return };
    for node in block.own(&["error_page", "try_files"]) {
        let Some(word) = node.args.last().filter(|word| word.text.starts_with(b"@") && literal(word).is_some()) else {
            continue;
        };
        let is_it = |location: Block<'_>| location.matching() == Some((Matching::Named, word.text.as_slice()));
        if !server.locations().any(is_it) {
            let name = word.show();
            let message = format!("the server has no `location {name}`: requests that come here would be answered 500");
            found.push(danger(
                Code::NoNamedLocation,
                word.span,
                message,
                format!("write `location {name} {{ ... }}` into the server"),
            ));
        }
    }
}
