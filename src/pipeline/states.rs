//! What features keep of a request between two entries of their steps, each in its own type. It belongs to the place where the
//! request is: an internal redirect drops it all, so no feature ever finds what it kept elsewhere.

use std::time::Instant;

use super::probe;
use super::subrequest::Subrequest;
use crate::exchange::account;
use crate::features::*;
use crate::gateway::passing::Passing;

/// The states of one request. Most requests have none, so each is a pointer at most.
#[derive(Default)]
pub struct States {
    pub(super) limit_req: Option<Instant>,
    pub(super) access: Option<Box<access::Held>>,
    pub(super) auth_basic: Option<Box<auth_basic::Queued>>,
    pub(super) autoindex: Option<Box<autoindex::State>>,
    pub(super) cgi: Option<Box<cgi::State>>,
    pub(super) dav: Option<Box<dav::State>>,
    pub(super) gateway: Passing,
    /// Another request of this client's, while it is asked whether that would be let in.
    pub(super) probe: probe::Kept,
    /// A request of our own that a step waits for.
    pub(super) subrequest: Option<Box<Subrequest>>,
    /// The quota that this location gives its store.
    pub(super) quota: Option<Box<(account::Id, u64)>>,
    pub(super) upload: Option<Box<upload::State>>,
}
