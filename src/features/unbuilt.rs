//! Directives that are known and not built yet, when a conf is started all the same (`--partial`): what they
//! would have made is answered 501, and what guards access is never let pass.

use bytes::Bytes;

use crate::conf::directive::Directive;
use crate::exchange::Exchange;
use crate::exchange::error::{HttpError, Level};
use crate::exchange::step::Step;
use crate::exchange::variables::Variable;

/// The settings: names of directives that stand here and are not built.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// One that would make the answer (`proxy_pass`). As in nginx, locations inside do not inherit it.
    pub handler: Option<Bytes>,
    /// One that would decide where a request goes (`internal_redirect`). It holds for all locations inside.
    pub rewrite: Option<Bytes>,
}

/// The directives: none, since these have no rows.
pub const DIRECTIVES: &[Directive<Conf>] = &[];

/// The variables.
pub const VARIABLES: &[Variable<Conf>] = &[];

/// What leaving a directive out would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It guards access: without it, too many would get in.
    Guard,
    /// It makes the answer.
    Handler,
    /// It decides where requests go.
    Rewrite,
    /// Something else: the answer would be a little different.
    Other,
}

/// What leaving this directive out would do.
pub fn kind(name: &str) -> Kind {
    const GUARDS: [&str; 14] = [
        "auth_",
        "limit_conn",
        "limit_req",
        "ssl_verify_client",
        "ssl_client_certificate",
        "ssl_crl",
        "ssl_ocsp",
        "valid_referers",
        "secure_link",
        "js_access",
        "js_preread",
        "set_real_ip_from",
        "real_ip_",
        "oidc_",
    ];
    const HANDLERS: [&str; 9] =
        ["flv", "mp4", "hls", "f4f", "perl", "js_content", "random_index", "ssi", "xslt_stylesheet"];
    const REWRITES: [&str; 1] = ["internal_redirect"];
    match name {
        _ if GUARDS.iter().any(|guard| name.starts_with(guard)) => Kind::Guard,
        _ if REWRITES.contains(&name) => Kind::Rewrite,
        _ if HANDLERS.contains(&name) || name.ends_with("_pass") => Kind::Handler,
        _ => Kind::Other,
    }
}

impl Conf {
    /// Notes that a directive stands here.
    pub fn note(&mut self, name: &str) {
        match kind(name) {
            Kind::Handler => self.handler = Some(Bytes::copy_from_slice(name.as_bytes())),
            Kind::Rewrite => self.rewrite = Some(Bytes::copy_from_slice(name.as_bytes())),
            Kind::Guard | Kind::Other => {}
        }
    }
}

/// Before anything else is decided here: 501 where a request might have been led elsewhere, or turned away.
pub fn before(_: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    conf.rewrite.as_ref().map_or(Ok(Step::Next), |name| Err(refusal(name)))
}

/// In place of a handler that is not built: 501.
pub fn step(_: &mut Exchange, conf: &Conf) -> Result<Step, HttpError> {
    conf.handler.as_ref().map_or(Ok(Step::Next), |name| Err(refusal(name)))
}

fn refusal(name: &Bytes) -> HttpError {
    let name = String::from_utf8_lossy(name);
    HttpError::new(501, "not-built").log(Level::Error, format!("`{name}` of this location is not built yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_matters_differently() {
        for (name, want) in [
            ("auth_basic", Kind::Guard),
            ("auth_request", Kind::Guard),
            ("limit_req_zone", Kind::Guard),
            ("valid_referers", Kind::Guard),
            ("proxy_pass", Kind::Handler),
            ("fastcgi_pass", Kind::Handler),
            ("proxy_pass_header", Kind::Other),
            ("internal_redirect", Kind::Rewrite),
            ("if_modified_since", Kind::Other),
            ("gzip", Kind::Other),
        ] {
            assert_eq!(kind(name), want, "{name}");
        }
    }
}
