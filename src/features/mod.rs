//! One directive family per file: its settings, its directives, its variables, its steps. Features do not
//! know one another; the order they run in is written in the pipeline.

pub mod access;
pub mod access_log;
pub mod autoindex;
pub mod cgi;
pub mod error_log;
pub mod error_page;
pub mod events;
pub mod geo;
pub mod headers;
pub mod index;
pub mod internal;
pub mod keepalive;
pub mod limit_conn;
pub mod limit_req;
pub mod lingering;
pub mod listen;
pub mod map;
pub mod methods;
pub mod open_files;
pub mod process;
pub mod redirect;
pub mod request_body;
pub mod request_head;
pub mod request_variables;
pub mod rewrite;
pub mod root;
pub mod sending;
pub mod server_name;
pub mod server_tokens;
pub mod static_files;
pub mod stub_status;
pub mod try_files;
pub mod types;
pub mod unbuilt;
pub mod upstream;
