//! What this program is and what is built in, in nginx's words, so that scripts and tools which ask nginx what it can
//! do get a true answer.

use std::fmt::Write as _;

use super::paths::Paths;
use crate::features::process::{BUILT_IN, LACKING};

/// The version of nginx whose conf language is spoken here.
const LANGUAGE: &str = "1.28.0";
/// The library that speaks TLS.
const TLS: &str = "rustls 0.23";
/// The first version of OpenSSL that has all the words which are understood here. Tools look for `built with OpenSSL VERSION `.
const WORDS: &str = "built with OpenSSL 1.1.1 ";

/// The optional modules of nginx that must be asked for when it is built.
const OPTIONAL: &[&str] = &[
    "ngx_http_auth_request_module",
    "ngx_http_stub_status_module",
    "ngx_http_dav_module",
    "ngx_http_gunzip_module",
    "ngx_http_gzip_static_module",
    "ngx_http_realip_module",
    "ngx_http_sub_module",
    "ngx_http_ssl_module",
];
/// Those that others have made.
const ADDED: &[&str] = &["ngx_http_cgi_module", "ngx_http_brotli_static_module", "ngx_http_zstd_static_module"];

/// The lines of `-v`; under nginx's name the only one is nginx's.
pub fn short(called_nginx: bool) -> String {
    let mut text = format!("nginx version: nginx/{LANGUAGE}\n");
    if !called_nginx {
        text.push_str(OWN);
    }
    text
}

const OWN: &str = concat!("longshore version: longshore/", env!("CARGO_PKG_VERSION"), "\n");

/// The lines of `-V`.
pub fn long(paths: &Paths) -> String {
    let mut text = format!("nginx version: nginx/{LANGUAGE}\n{OWN}");
    // Writing into a string cannot fail.
    let _ = writeln!(text, "TLS by {TLS}; the conf's words for it are understood as if {WORDS}or later");
    text.push_str("TLS SNI support enabled\nconfigure arguments:");
    for (name, path) in [
        ("prefix", &paths.prefix),
        ("conf-path", &paths.conf),
        ("pid-path", &paths.pid),
        ("error-log-path", &paths.error_log),
        ("http-log-path", &paths.access_log),
    ] {
        let _ = write!(text, " --{name}={}", path.display());
    }
    let built_in = |modules: &'static [&str]| modules.iter().filter(|module| BUILT_IN.contains(module));
    text.extend(built_in(OPTIONAL).map(|module| format!(" --with-{}", module.trim_start_matches("ngx_"))));
    text.extend(built_in(ADDED).map(|module| format!(" --add-module={module}")));
    text.extend(LACKING.iter().map(|module| format!(" --without-{module}")));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> Paths {
        let path = |text: &str| text.into();
        Paths {
            prefix: path("/etc/nginx"),
            conf: path("/etc/nginx/nginx.conf"),
            pid: path("/run/nginx.pid"),
            error_log: path("stderr"),
            access_log: path("/dev/stdout"),
        }
    }

    #[test]
    fn what_is_built_in_is_not_lacking() {
        for module in LACKING {
            assert!(!BUILT_IN.contains(&format!("ngx_{module}").as_str()), "{module}");
        }
        let text = long(&paths());
        assert!(OPTIONAL.iter().chain(ADDED).all(|module| BUILT_IN.contains(module)));
        assert!(
            text.contains(" --with-http_auth_request_module ")
                && text.contains(" --with-http_ssl_module ")
                && text.contains(" --add-module=ngx_http_cgi_module ")
        );
        assert!(!text.contains("--with-http_v2_module"));
        let cargo = include_str!("../../Cargo.toml");
        assert!(cargo.contains(&format!("rustls = {{ version = \"{}\"", TLS.trim_start_matches("rustls "))));
    }

    #[test]
    fn tools_find_what_they_look_for() {
        assert_eq!(short(true), "nginx version: nginx/1.28.0\n");
        assert!(short(false).starts_with("nginx version: nginx/1.28.0\nlongshore version: longshore/"));
        let text = long(&paths());
        assert!(text.lines().any(|line| line == "TLS SNI support enabled"));
        // What they look for ends with a blank.
        for word in [
            WORDS,
            " --prefix=/etc/nginx ",
            " --conf-path=/etc/nginx/nginx.conf ",
            " --pid-path=/run/nginx.pid ",
            " --error-log-path=stderr ",
        ] {
            assert!(text.contains(word), "{word} is missing in {text}");
        }
    }
}
