//! Rules about those that keep clients out, and do not.

use super::block::{Block, Place, is, literal};
use super::{Conf, danger, router};
use crate::conf::ast::Node;
use crate::conf::codes::Code;
use crate::conf::diagnostic::Diagnostic;

const LIST: &[&str] = &["allow", "deny"];

/// What asks something of a session or changes it: where one of these is in force everybody is asked before `return`.
const OF_SESSIONS: &[&str] =
    &["session_require", "session_set", "session_incr", "session_unset", "session_rotate", "session_destroy"];

pub fn allow_without_deny(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some(first) = block.own(&["allow"]).find(|node| !is_all(node)) else { return };
    // With `satisfy any` an address that is allowed needs no password; the others do.
    if block.has("deny") || block.is_set("satisfy", "any") {
        return;
    }
    let message = "`allow` without a `deny` in its block keeps nobody out";
    found.push(danger(Code::AllowWithoutDeny, first.span, message, "write `deny all;` behind it"));
}

pub fn rule_behind_all(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let mut rules = block.own(LIST).skip_while(|node| !is_all(node));
    let (Some(all), Some(behind)) = (rules.next(), rules.next()) else { return };
    let message = format!("this rule is never asked: `{} all` stands before it", all.name.show());
    let found_here = danger(Code::RuleBehindAll, behind.span, message, "put `all` behind the other rules");
    found.push(found_here.also(all.span, "fits everybody"));
}

pub fn return_before_access(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some(answer) = always_returns(block).filter(|_| block.place == Place::Location) else { return };
    let status = answer.args.first().and_then(|word| std::str::from_utf8(&word.text).ok()?.parse::<u16>().ok());
    if status.is_some_and(|status| status >= 400) {
        return;
    }
    let is_on = |node: &Node| !node.args.first().is_some_and(|word| is(word, "off"));
    if OF_SESSIONS.iter().any(|name| block.in_force(name).is_some_and(is_on)) {
        return;
    }
    let guards = ["allow", "deny", "auth_basic", "auth_request", "limit_except"];
    let guard = block.own(&guards).find(|node| is_on(node) && !allows_all(node));
    if let Some(guard) = guard {
        let message = format!("`return` answers before `{}` is asked: it guards nothing here", guard.name.show());
        let help =
            "put the answer behind the guard: `try_files /none @answer;` here, and `return` in `location @answer { }`";
        found.push(danger(Code::ReturnBeforeAccess, guard.span, message, help).also(answer.span, "answers first"));
    }
}

/// What is asked from inside passes by the rules of the location that is asked.
pub fn asked_location_guards_itself(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some(server) = block.server() else { return };
    for asks in block.own(&["auth_request"]) {
        let Some(path) = asks.args.first().and_then(literal).filter(|path| path.starts_with('/')) else { continue };
        router::take(&server, path, &mut |asked| {
            let is_itself = match (asked.node, block.node) {
                (Some(asked), Some(block)) => std::ptr::eq(asked, block) && asked.name.text == b"location",
                _ => false,
            };
            if is_itself {
                let message = format!("this location takes `{path}` itself: what it answers there lets clients in");
                let help = format!("write `location = {path} {{ internal; ... }}` for the program that is asked");
                found.push(danger(Code::AskedLocationGuardsItself, asks.span, message, help));
                return;
            }
            let is_partial = |node: &Node| node.name.text != b"deny" || !is_all(node);
            let mut guards = asked.own(&["auth_basic", "auth_request", "deny"]);
            let guard = guards.find(|node| !node.args.first().is_some_and(|word| is(word, "off")) && is_partial(node));
            if let Some(guard) = guard.filter(|_| asked.place == Place::Location) {
                let message =
                    format!("`{}` is not asked for what `auth_request` asks of this location", guard.name.show());
                let or_internal = if asked.has("internal") { "" } else { ", or write `internal;` here" };
                let help = format!("put it beside `auth_request {path}`{or_internal}");
                let danger = danger(Code::AskedLocationGuardsItself, guard.span, message, help);
                found.push(danger.also(asks.span, "asks from inside, past all rules of access"));
            }
        });
    }
}

/// Limits of a store where none is: they bound nothing there.
pub fn upload_limit_without_store(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let limits = ["upload_quota", "upload_max_file_size", "upload_types"];
    let Some(limit) = limits.iter().find_map(|name| block.in_force(name)) else { return };
    let stores = block
        .own(&["dav_methods"])
        .find(|node| node.args.iter().any(|word| ["PUT", "COPY", "MOVE"].into_iter().any(|method| is(word, method))));
    let own = block.own(&limits).next();
    // A store is its own location's alone; what only passes uploads on bounds these.
    let is_bounded = match stores {
        Some(_) => block.has("upload_store"),
        None => own.is_none() || takes_uploads(block),
    };
    if is_bounded {
        return;
    }
    let message = format!("`{}` bounds nothing here: no `upload_store` is in force", limit.name.show());
    let help = "name the folder that is meant: `upload_store FOLDER;`";
    let place = own.or(stores).map_or(limit.span, |node| node.span);
    let danger = danger(Code::UploadLimitWithoutStore, place, message, help);
    found.push(match stores.filter(|_| own.is_some()) {
        Some(methods) => danger.also(methods.span, "stores what clients send, without a bound"),
        None => danger,
    });
}

/// What sets variables from a response belongs where the question is asked.
pub fn auth_set_in_asked(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some(server) = block.server() else { return };
    for asks in block.own(&["auth_request"]) {
        let Some(path) = asks.args.first().and_then(literal).filter(|path| path.starts_with('/')) else { continue };
        router::take(&server, path, &mut |asked| {
            let sets = asked.own(&["auth_request_set"]).next().filter(|_| asked.place == Place::Location);
            if let Some(sets) = sets.filter(|_| !asked.has("auth_request")) {
                let message = "`auth_request_set` sets nothing here: this location is asked, and asks nobody";
                let help = format!("put it beside `auth_request {path};`");
                found
                    .push(danger(Code::AskedAloneSets, sets.span, message, help).also(asks.span, "asks this location"));
            }
        });
    }
}

/// Whoever is not logged in must be able to see the page that lets people log in.
pub fn login_guarded(_: &Conf<'_>, block: &Block<'_>, found: &mut Vec<Diagnostic>) {
    let Some(server) = block.server() else { return };
    for page in block.own(&["error_page"]) {
        let is_401 = page.args.iter().any(|word| is(word, "401"));
        let target = page.args.last().filter(|_| is_401).and_then(literal).and_then(|text| text.split('?').next());
        let Some(path) = target.filter(|path| path.starts_with('/')) else { continue };
        router::take(&server, path, &mut |login| {
            let asks =
                login.in_force("auth_request").filter(|node| !node.args.first().is_some_and(|word| is(word, "off")));
            if let Some(asks) = asks.filter(|_| !login.is_set("satisfy", "any")) {
                let message = format!("`{path}` is guarded as well: who is not logged in never sees it");
                let help = format!("write `auth_request off;` into the location of `{path}`");
                let danger = danger(Code::LoginGuarded, page.span, message, help);
                found.push(danger.also(asks.span, "asks there too"));
            }
        });
    }
}

/// Whether forms with files are taken here or in a block inside.
fn takes_uploads(block: &Block<'_>) -> bool {
    block.has("upload_store")
        || block.nearest(&["upload_pass"]).is_some()
        || block.blocks().any(|inner| takes_uploads(&inner))
}

/// The `return` that every request comes to which enters this block, if one does: nothing before it can end the run of lines.
pub fn always_returns<'b>(block: &Block<'b>) -> Option<&'b Node> {
    let lines = ["return", "rewrite", "break", "if"];
    block
        .own(&lines)
        .find(|node| !(node.name.text == b"if" && only_returns(node)))
        .filter(|node| node.name.text == b"return")
}

fn only_returns(node: &Node) -> bool {
    let leaves = |line: &Node| matches!(line.name.text.as_slice(), b"break" | b"rewrite");
    !node.block.iter().flatten().any(leaves)
}

/// Whether something keeps clients out of here, or some of them.
pub fn is_guarded(block: &Block<'_>) -> bool {
    let has_denials = block.nearest(LIST).is_some_and(|list| list.has("deny"));
    let asks =
        |name: &str| block.in_force(name).is_some_and(|node| !node.args.first().is_some_and(|word| is(word, "off")));
    has_denials
        || block.has("internal")
        || asks("auth_basic")
        || asks("auth_request")
        || block.is_set("ssl_verify_client", "on")
}

fn is_all(node: &Node) -> bool {
    node.args.first().is_some_and(|word| is(word, "all"))
}

fn allows_all(node: &Node) -> bool {
    node.name.text == b"allow" && is_all(node)
}
