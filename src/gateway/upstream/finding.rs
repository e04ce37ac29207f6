//! Which upstream a text means that is known only once a request is there: a block's name, an address, or a host whose name is
//! looked up meanwhile. The same for every gateway.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::Poll;

use super::address::{Target, parse};
use super::{Upstream, Upstreams};
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::{Step, Wait};
use crate::gateway::resolver::{Lookup, Names};
use crate::http::escape;

/// What a search came to.
#[derive(Debug)]
pub enum Finding {
    /// This upstream.
    Here(Arc<Upstream>),
    /// The name is being looked up: answer with this step, and search again when it is entered anew.
    Later(Step),
}

/// A look-up that a request waits for between two entries of a step.
pub struct Awaited {
    text: Vec<u8>,
    lookup: Lookup,
}

/// The upstream that a text names, if no name has to be looked up for it.
pub fn known(upstreams: &Upstreams, text: &[u8], default_port: u16) -> Option<Arc<Upstream>> {
    if let Some(upstream) = upstreams.named(text, None, default_port) {
        return Some(upstream.clone());
    }
    match parse(text, default_port).ok()? {
        Target::Address(address) => {
            let name = escape::error_log(text).to_string();
            Some(Arc::new(Upstream::of_host(name, vec![address])))
        }
        Target::Host { name, port, .. } => upstreams.named(name.as_bytes(), Some(port), default_port).cloned(),
    }
}

/// Finds the upstream that a text names: `name`, `host:port`, an address or `unix:/path`.
pub fn find(
    x: &Exchange,
    (upstreams, names): (&Upstreams, &Names),
    text: &[u8],
    default_port: u16,
    awaited: &mut Option<Box<Awaited>>,
) -> Result<Finding, HttpError> {
    if let Some(upstream) = upstreams.named(text, None, default_port) {
        return Ok(Finding::Here(upstream.clone()));
    }
    let bad = |words: String| HttpError::new(500, "bad-upstream").log(Level::Error, format!("the upstream {words}"));
    let shown = || escape::error_log(text).to_string();
    let (name, port) = match parse(text, default_port).map_err(|_| bad(format!("\"{}\" is no address", shown())))? {
        Target::Address(address) => return Ok(Finding::Here(Arc::new(Upstream::of_host(shown(), vec![address])))),
        Target::Host { name, port, .. } => (name, port),
    };
    if let Some(upstream) = upstreams.named(name.as_bytes(), Some(port), default_port) {
        return Ok(Finding::Here(upstream.clone()));
    }
    let host = escape::error_log(name.as_bytes()).to_string();
    let Some(resolver) = &names.resolver else {
        let error = HttpError::new(502, "no-resolver");
        return Err(error.log(Level::Error, format!("no resolver defined to resolve {host}")));
    };
    let lookup = match awaited.take().filter(|awaited| awaited.text == text) {
        Some(awaited) => awaited.lookup,
        None => resolver.resolve(&name, x.waker(), names.timeout()),
    };
    match lookup.poll() {
        Poll::Ready(Ok(found)) => Ok(Finding::Here(of(&host, &found, port))),
        Poll::Ready(Err(lost)) => {
            let error = HttpError::new(502, "name-not-resolved");
            Err(error.log(Level::Error, format!("{host} could not be resolved ({lost})")))
        }
        Poll::Pending => {
            let until = lookup.deadline;
            *awaited = Some(Box::new(Awaited { text: text.to_vec(), lookup }));
            Ok(Finding::Later(Step::Wait(Wait::News(until))))
        }
    }
}

fn of(name: &str, found: &[IpAddr], port: u16) -> Arc<Upstream> {
    Arc::new(Upstream::of_addresses(name, found, port))
}
