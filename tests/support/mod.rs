//! The parts of the whole-program test runner: the case format, the server, the wire, the judge.
//! None of them knows Longshore's own code, but for `random`, which asks it whether a regex is one.

pub mod backend;
pub mod case;
pub mod certs;
pub mod differences;
pub mod judge;
pub mod old;
pub mod ports;
pub mod random;
pub mod read;
pub mod sealed;
pub mod server;
pub mod tls;
pub mod trusting;
pub mod wire;
