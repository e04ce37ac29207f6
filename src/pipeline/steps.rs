//! Steps that more than one feature takes part in: what one of them has to know of another's settings is handed to it
//! here. Knows neither the order of the steps nor what becomes of what they answer.

use std::sync::Arc;

use super::moves::put_in_force;
use super::states::States;
use super::subrequest::{self, Answer, Home};
use super::{Run, probe};
use crate::exchange::Exchange;
use crate::exchange::admission::Question;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Verdict};
use crate::exchange::trace::Act;
use crate::features::*;
use crate::gateway::passing::Passing;
use crate::gateway::program;
use crate::http::response::Response;
use crate::http::{escape, etag};
use crate::settings::Scope;

/// For steps that look at the request itself.
pub(super) fn always(_: &Scope) -> bool {
    true
}

pub(super) fn leads_elsewhere(scope: &Scope) -> bool {
    scope.unbuilt.rewrite.is_some()
}

pub(super) fn rewrites(scope: &Scope) -> bool {
    !scope.rewrite.program.is_empty()
}

pub(super) fn session_acts(scope: &Scope) -> bool {
    scope.session.acts()
}

/// Whether anybody may be turned away.
pub(super) fn is_guarded(scope: &Scope) -> bool {
    !scope.access.rules.is_empty() || scope.auth_basic.asks() || scope.auth_request.asks()
}

/// The lines of the server: what they rewrite has its location searched anyway.
pub(super) fn rewrite_in_server(run: &mut Run) -> Result<Step, HttpError> {
    match rewrite::step(&mut run.x, &run.scope.rewrite, &mut |_, _| {})? {
        Step::Search => Ok(Step::Next),
        step => Ok(step),
    }
}

/// The lines of the location; a true `if` puts its own settings in force. Where no location was found, the server's lines
/// have run already.
pub(super) fn rewrite_in_location(run: &mut Run) -> Result<Step, HttpError> {
    // What the guards are made of may be another now.
    run.admitted = None;
    let Run { x, location: Some(location), scope, handler_of_if, .. } = run else { return Ok(Step::Next) };
    let conf = scope.rewrite.clone();
    rewrite::step(x, &conf, &mut |x, number| {
        if let Some((settings, handler)) = location.ifs.get(number) {
            put_in_force(x, scope, settings.clone());
            *handler_of_if = handler.or(*handler_of_if);
        }
    })
}

/// Under the last true `if` alone something makes content, or what makes it in the location around. As in nginx another `if` before it
/// that named something else leaves nothing that would: its file, a script's source say, is not for the client.
pub(super) fn miss_handler(run: &mut Run) -> Result<Step, HttpError> {
    match run.handler_of_if {
        Some(name) if !run.scope.has_handler(name) => {
            let text = format!("`{name}` stands in an `if` that is true, and not in the last one that is");
            Err(HttpError::new(500, "if-without-handler").log(Level::Error, text))
        }
        _ => Ok(Step::Next),
    }
}

pub(super) fn find_location(run: &mut Run) -> Result<Step, HttpError> {
    let server = run.server.clone();
    if let Some(location) = server.locations.folder(&run.x.uri) {
        run.x.tell("location", Some(location.span), || {
            "it is this folder without its slash, and its requests are passed on: the client is sent to the folder"
                .into()
        });
        run.enter_location(location);
        internal::step(&mut run.x, &run.scope.internal)?;
        return Err(HttpError::redirect(301, static_files::with_slash(&run.x.uri, run.x.args.as_deref())));
    }
    run.x.tell("search", None, || format!("the location of `{}` is searched", escape::error_log(&run.x.uri)));
    let found = server.locations.find(&mut run.x);
    let found = found.map_err(|why| HttpError::regex(why, "a location's regex", "this URI"))?;
    match found {
        Some(location) => {
            run.x.tell("location", Some(location.span), || "takes the request".into());
            run.enter_location(&location);
        }
        None => run.x.tell("search", None, || "no location takes it: the settings of the server are in force".into()),
    }
    Ok(Step::Next)
}

/// By address, by password, then by the answer to a request of our own; `satisfy` says whether one of them is enough. Where nothing happened
/// in between nobody is asked twice; after an internal redirect, or lines that may give variables other values, all are, as in nginx.
pub(super) fn admit(run: &mut Run) -> Result<Step, HttpError> {
    let scope = run.scope.clone();
    let redirects = run.x.course.redirects;
    let is_same = |(admitted, before): &(Arc<Scope>, u8)| *before == redirects && Arc::ptr_eq(admitted, &scope);
    if run.admitted.as_ref().is_some_and(is_same) {
        return Ok(Step::Next);
    }
    let Run { x, states, places, lines, took, settings, server, .. } = run;
    let States { access: held, auth_basic: queued, subrequest: kept, .. } = states;
    let mut home = Home { kept, lines, places, took, settings, server };
    let mut by_address = |x: &mut Exchange| access::ask(x, &scope.access);
    let mut by_password = |x: &mut Exchange| auth_basic::ask(x, &scope.auth_basic, queued);
    let mut by_request = |x: &mut Exchange| ask_location(&mut home, x, &scope);
    let step = access::step(x, &scope.access, &mut [&mut by_address, &mut by_password, &mut by_request], held)?;
    if matches!(step, Step::Next) {
        run.admitted = Some((scope.clone(), redirects));
    }
    Ok(step)
}

/// What the location that `auth_request` names says of the request.
fn ask_location(home: &mut Home<'_>, x: &mut Exchange, scope: &Scope) -> Result<Verdict, HttpError> {
    let conf = &scope.auth_request;
    let Some((uri, span)) = &conf.uri else { return Ok(Verdict::Silent) };
    let shown = || escape::error_log(uri);
    if home.kept.is_none() {
        x.tell("auth_request", Some(*span), || format!("`{}` is asked from inside, by GET", shown()));
    }
    match subrequest::ask(home, x, uri)? {
        Answer::Waits(wait) => Ok(Verdict::Wait(wait)),
        Answer::Is(mut reply) => {
            auth_request::assign(x, conf, &mut reply)?;
            x.tell("auth_request", Some(*span), || format!("`{}` answers {}", shown(), reply.status));
            auth_request::judge(conf, &reply)
        }
        Answer::Withheld(its) => {
            let act = its.trace.as_ref().and_then(|trace| trace.act.borrow().as_ref().map(Act::in_words));
            x.tell("auth_request", Some(*span), || {
                format!("{}. It was not asked: the rest is what follows a 2xx", act.unwrap_or_default())
            });
            let sets = if conf.sets() { ", and what `auth_request_set` takes from it is missing here" } else { "" };
            x.presume(|| format!("`{}` was not asked and is taken to answer 2xx{sets}", shown()));
            Ok(Verdict::Granted)
        }
    }
}

/// Notes how large the body may be, and refuses one that is announced larger.
pub(super) fn bound_body(run: &mut Run) -> Result<Step, HttpError> {
    run.most = Some(run.scope.request_body.max);
    request_body::step(&mut run.x, &run.scope.request_body)
}

pub(super) fn list_folder(run: &mut Run) -> Result<Step, HttpError> {
    let scope = &run.scope;
    let around = autoindex::Around {
        temporary: &scope.request_body.folder,
        server_line: &|x| server_tokens::page_line(x, &scope.server_tokens).to_string(),
        is_utf8: &|x| charset::is_utf8(x, &scope.charset),
    };
    autoindex::step(&mut run.x, &scope.autoindex, &around, &mut run.states.autoindex)
}

pub(super) fn pass_on(run: &mut Run) -> Result<Step, HttpError> {
    let (body, pages, hints) = (&run.scope.request_body, &run.scope.error_page, &run.scope.early_hints);
    if !run.x.may_act() {
        early_hints::tell(&run.x, hints);
        health_check::tell(&run.x, &run.scope.health_check, run.scope.places.of("health_check"));
    }
    let around = proxy::Around {
        upstreams: &run.settings.upstreams,
        names: &run.scope.resolver,
        catches: &|status| error_page::names(pages, status),
        hints: &|x| early_hints::are_wanted(x, hints),
        spool: body.spool(),
        checked: run.check.as_ref().map(|check| &check.to),
    };
    proxy::step(&mut run.x, &run.scope.proxy, &around, &mut run.states.gateway)
}

/// Before any script: what is stored here is never run.
pub(super) fn store_uploads(run: &mut Run) -> Result<Step, HttpError> {
    let Run { x, scope, settings, server, states, .. } = run;
    let mut admit = |x: &Exchange, question: &Question| probe::ask(&mut states.probe, x, settings, server, question);
    let around = upload::Around {
        type_of: &|extension| types::lookup(&scope.types, extension).clone(),
        answer: &|opened| static_files::answer(opened, &scope.static_files),
        tags: scope.static_files.etag,
        line: &|x| server_tokens::page_line(x, &scope.server_tokens).to_string(),
        most: scope.request_body.max,
        // Where each body is to be a file, no part of the form stays in memory.
        memory: if scope.request_body.spool().naming.is_some() { 0 } else { scope.request_body.spool().memory },
        folder: &scope.request_body.folder,
    };
    upload::step(x, &scope.upload, &around, &mut admit, &mut states.quota, &mut states.upload)
}

pub(super) fn run_script(run: &mut Run) -> Result<Step, HttpError> {
    let body = &run.scope.request_body;
    // A script that hangs must leave processors for the rest.
    let places = (run.scope.process.pool.threads / 2).max(2);
    let merges_slashes = run.scope.request_head.merge_slashes;
    let around = cgi::Around { places, spool: body.spool(), merges_slashes };
    cgi::step(&mut run.x, &run.scope.cgi, &around, &mut run.states.cgi)
}

/// All that a request would change or show is asked for first, as this client's own request for it.
pub(super) fn change_files(run: &mut Run) -> Result<Step, HttpError> {
    let Run { x, scope, settings, server, states, .. } = run;
    let mut admit = |x: &Exchange, question: &Question| probe::ask(&mut states.probe, x, settings, server, question);
    let around = dav::Around { tags: scope.static_files.etag, quota: states.quota.as_deref() };
    let went = dav::step(x, &scope.dav, around, &mut admit, &mut states.dav);
    went.map_err(|error| dav::name_methods(&scope.dav, error))
}

/// Whether requests for a file here are about the file itself, and not for a program.
pub(super) fn is_for_files(scope: &Scope, path: &[u8]) -> bool {
    let passes = scope.proxy.pass.is_some()
        || scope.fastcgi.pass.is_some()
        || scope.scgi.pass.is_some()
        || scope.uwsgi.pass.is_some();
    let answers = scope.stub_status.on || scope.empty_gif.on || scope.unbuilt.handler.is_some();
    !passes && !answers && !scope.cgi.takes(path)
}

/// Whether the limits of a store let a file be changed there.
pub(super) fn keeps_limits(run: &mut Run) -> Result<bool, HttpError> {
    match run.scope.upload.store.is_some() {
        // That it would be done is as good as a yes.
        true => Ok(matches!(store_uploads(run)?, Step::Next | Step::Close)),
        false => Ok(true),
    }
}

/// A file that was compressed beforehand where there is one for this client, else the file itself.
pub(super) fn serve_file(run: &mut Run) -> Result<Step, HttpError> {
    let Run { x, scope, .. } = run;
    // What a proxy may keep is not known yet: the answer that counts is one without any fields.
    let is_allowed = |x: &Exchange| gzip::is_allowed(x, &scope.gzip, &Response::new(200));
    let found = precompressed::find(x, &scope.precompressed, is_allowed);
    let mut response = match found.file {
        Some((opened, coding)) => {
            let mut response = Box::new(static_files::answer(opened, &scope.static_files));
            response.ranges = false;
            response.etag = response.etag.map(|tag| etag::coded(&tag, coding.ending));
            response.push("Content-Encoding", coding.name);
            response
        }
        None => {
            match static_files::step(x, &scope.static_files).map_err(|error| dav::name_methods(&scope.dav, error))? {
                Step::Done(response) => response,
                step => return Ok(step),
            }
        }
    };
    response.varies = found.varies;
    Ok(Step::Done(response))
}

/// A program that runs already answers, if the settings name one.
pub(super) fn ask_program(
    run: &mut Run,
    step: fn(&mut Exchange, &Scope, &program::Around<'_>, &mut Passing) -> Result<Step, HttpError>,
) -> Result<Step, HttpError> {
    let Run { x, scope, settings, states, .. } = run;
    let body = &scope.request_body;
    let catches = |status| error_page::names(&scope.error_page, status);
    let around = program::Around {
        catches: &catches,
        upstreams: &settings.upstreams,
        names: &scope.resolver,
        spool: body.spool(),
    };
    step(x, scope, &around, &mut states.gateway)
}
