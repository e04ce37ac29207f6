//! What this program is and what is built in, in nginx's words, so that scripts which ask nginx what it can
//! do get a true answer.

use crate::features::process::{BUILT_IN, LACKING};

/// The version of nginx whose conf language is spoken here.
const LANGUAGE: &str = "1.28.0";

/// The optional modules of nginx that must be asked for when it is built.
const OPTIONAL: &[&str] = &[
    "ngx_http_stub_status_module",
    "ngx_http_dav_module",
    "ngx_http_gunzip_module",
    "ngx_http_gzip_static_module",
    "ngx_http_realip_module",
    "ngx_http_sub_module",
    "ngx_http_ssl_module",
];

/// The lines of `-v`, or with `build` those of `-V`.
pub fn text(build: bool) -> String {
    let mut text = format!("longshore version: longshore/{}\n", env!("CARGO_PKG_VERSION"));
    if build {
        let built_in = OPTIONAL.iter().filter(|module| BUILT_IN.contains(module));
        let with = built_in.map(|module| format!(" --with-{}", module.trim_start_matches("ngx_")));
        let without = LACKING.iter().map(|module| format!(" --without-{module}"));
        let arguments: String = with.chain(without).collect();
        text.push_str(&format!("nginx version: nginx/{LANGUAGE}\nconfigure arguments:{arguments}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_in_is_not_lacking() {
        assert_eq!(text(false).lines().count(), 1);
        let lines = text(true);
        assert!(lines.contains("\nnginx version: nginx/1.28.0\nconfigure arguments: --with-http_stub_status_module "));
        for module in LACKING {
            assert!(!BUILT_IN.contains(&format!("ngx_{module}").as_str()), "{module}");
        }
    }
}
