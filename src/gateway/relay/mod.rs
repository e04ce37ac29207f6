//! The relay under all gateways: one state machine that takes a request to an upstream and its answer back. It is entered again
//! at each piece of news and never holds a worker: choose a server, take a kept connection or open one, send head and body while
//! looking for the answer, read the answer's head, decide whether the next server is asked, hand the body on as it comes.
//! What is particular to a protocol stands behind [`Protocol`].

mod account;
mod answer;
mod conf;
mod finish;
mod flow;
mod held;
mod link;
mod outgoing;
mod protocol;
mod rows;
mod run;
mod socket;
mod switched;
mod tls;
mod trouble;

pub use answer::Rewrite;
pub use conf::{Bind, Cases, Conf, Ignored};
pub use outgoing::Payload;
pub use protocol::{Fault, Head, Part, Protocol};
pub use run::{Around, Order, Relay, abandon};
pub use tls::Secure;

use crate::exchange::step::Spool;
use crate::exchange::{Exchange, Received};
use crate::http::head::BodyLength;

/// Whether the request's body is still to be read before it can be relayed. An empty one is, where every body gets a file.
pub fn expects_body(x: &Exchange, spool: &Spool<'_>) -> bool {
    let announced = match x.head.body_length {
        BodyLength::None => false,
        BodyLength::Length(0) => spool.naming.is_some(),
        _ => true,
    };
    announced && matches!(x.received, Received::Nothing)
}
