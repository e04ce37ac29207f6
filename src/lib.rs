//! Longshore: a web server that people drop an nginx-style conf file into.
//!
//! The rooms, from the ground up. A file imports only from rooms below its own:
//!
//! ```text
//! 0 http/      pure protocol: no sockets, no settings; sync: what threads share memory by
//! 1 conf/      the conf language: knows no directive
//! 2 exchange/  one request in flight; variables; tls/ certificates, keys and cipher lists at load
//! 3 features/  one directive family per file; gateway/ what gateways to programs share
//! 4 settings   composes the features' settings; route finds the location
//! 5 pipeline   the life of a request, read top to bottom
//! 6 server/    acceptor, pool, connections, listeners, signals, log files
//! 7 cli/       the command line
//! ```

pub mod cli;
pub mod conf;
pub mod exchange;
pub mod features;
pub mod gateway;
pub mod http;
pub mod pipeline;
pub mod route;
pub mod server;
pub mod settings;
pub mod sync;
pub mod tls;
