//! `stub_status`: the process's counters as a page and as variables.

use crate::conf::directive::{Arity, Contexts, Directive, Inherit, Manual, Repeat};
use crate::exchange::Exchange;
use crate::exchange::counters::{self, Connections, Counters};
use crate::exchange::error::HttpError;
use crate::exchange::step::Step;
use crate::exchange::variables::{Value, Variable};
use crate::http::method::Method;
use crate::http::response::{Body, ContentType, Response};

/// The settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conf {
    /// Whether the page is here.
    pub on: bool,
}

/// The directives.
pub const DIRECTIVES: &[Directive<Conf>] = &[Directive {
    manual: Manual {
        name: "stub_status",
        syntax: &["", "on"],
        default: None,
        contexts: Contexts::SERVER.or(Contexts::LOCATION),
        arity: Arity::Words(0, 1),
        block: false,
        doc: "Answers with the process's counters: open connections, connections accepted and handled and requests since the start, \
              and how many connections are reading a request, writing an answer, or waiting.",
    },
    repeat: Repeat::Refused,
    inherit: Inherit::IntoIf(|conf| conf.on = false),
    set: |conf, _| {
        conf.on = true;
        Ok(())
    },
}];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[
    Variable { name: "connections_active", family: false, doc: "How many connections are open.", get: active },
    Variable {
        name: "connections_reading",
        family: false,
        doc: "How many connections are reading a request's head.",
        get: reading,
    },
    Variable {
        name: "connections_writing",
        family: false,
        doc: "How many connections are answering a request.",
        get: writing,
    },
    Variable {
        name: "connections_waiting",
        family: false,
        doc: "How many connections wait for a request.",
        get: waiting,
    },
    Variable {
        name: "errands_active",
        family: false,
        doc: "How many requests of the server's own (`mirror`) are under way. They are not among the connections.",
        get: |_, _, _| Some(counters::look().connections.errands.to_string().into_bytes().into()),
    },
    Variable {
        name: "errands_sent",
        family: false,
        doc: "How many requests of the server's own there were since the start.",
        get: |_, _, _| Some(counters::look().errands.to_string().into_bytes().into()),
    },
    Variable {
        name: "errands_unsent",
        family: false,
        doc: "How many more there were to be since the start, for which `errands` of `thread_pool` left no room.",
        get: |_, _, _| Some(counters::look().unsent.to_string().into_bytes().into()),
    },
];

/// Answers with the counters.
pub fn step(x: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    if !conf.on {
        return Ok(Step::Next);
    }
    if !matches!(x.method(), Method::Get | Method::Head) {
        return Err(HttpError::new(405, "method").field("Allow", "GET, HEAD"));
    }
    let mut response = Response::new(200);
    response.content_type = ContentType::Is("text/plain".into());
    response.body = Body::bytes(page(&counters::look()));
    Ok(Step::done(response))
}

fn page(counters: &Counters) -> String {
    let Counters { accepted, handled, requests, connections, .. } = counters;
    let Connections { active, reading, writing, waiting, .. } = connections;
    format!(
        "Active connections: {active} \nserver accepts handled requests\n {accepted} {handled} {requests} \n\
         Reading: {reading} Writing: {writing} Waiting: {waiting} \n"
    )
}

fn active<'a>(_: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(counters::look().connections.active.to_string().into_bytes().into())
}

fn reading<'a>(_: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(counters::look().connections.reading.to_string().into_bytes().into())
}

fn writing<'a>(_: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(counters::look().connections.writing.to_string().into_bytes().into())
}

fn waiting<'a>(_: &'a Exchange, _: &'a Conf, _: &str) -> Value<'a> {
    Some(counters::look().connections.waiting.to_string().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_the_one_that_monitors_read() {
        let connections = Connections { active: 1, reading: 2, writing: 3, waiting: 4, errands: 8 };
        let counters = Counters { accepted: 5, handled: 6, requests: 7, errands: 9, unsent: 9, connections };
        assert_eq!(
            page(&counters),
            "Active connections: 1 \nserver accepts handled requests\n 5 6 7 \nReading: 2 Writing: 3 Waiting: 4 \n"
        );
    }
}
