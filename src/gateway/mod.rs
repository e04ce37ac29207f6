//! What every gateway to a program shares: the variables that a request becomes (RFC 3875 section 4.1), the
//! head of the program's answer (section 6), the protocols between, and the servers that requests are passed to.
//! Knows no process and no feature.

pub mod accel;
pub mod answer;
pub mod env;
pub mod fastcgi;
pub mod head;
pub mod names;
pub mod params;
pub mod passing;
pub mod program;
pub mod relay;
pub mod resolver;
pub mod responder;
pub mod scgi;
pub mod secure;
pub mod unframed;
pub mod upstream;
pub mod uwsgi;
