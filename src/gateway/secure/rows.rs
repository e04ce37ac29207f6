//! The rows of a family that speaks TLS to other servers, made for each prefix beside those that all gateways share.

/// Rows for one prefix as [`gateway_rows`](crate::gateway_rows) makes them, with those of `ssl` behind the gateway's own. The
/// field `secure` of `$conf` holds [`Conf`](super::Conf); `$whom` names in texts who is spoken to in TLS, `$host` is
/// the default of the name that is meant where no line names one.
#[macro_export]
macro_rules! secure_gateway_rows {
    ($prefix:literal, $what:literal, $whom:literal, $host:expr, $conf:ty, [$($own:expr),* $(,)?]) => {
        $crate::gateway_rows!($prefix, $what, $conf, [
            $($own,)*
            $crate::gateway_row!($prefix, "_ssl_server_name", &["on | off"], Some("off"), Flag,
                concat!("Whether ", $whom, " is told in the handshake which name is meant (SNI), as most servers of several names need it."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_server_name(args)),
            $crate::gateway_row!($prefix, "_ssl_name", &["name"], $host, Words(1, 1),
                concat!("The name that the certificate of ", $whom, " is checked for, and that SNI names; without the line the host of `", $prefix, "_pass`. It \
                    may contain variables; a port at its end is left out."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_name(args)),
            $crate::gateway_row!($prefix, "_ssl_verify", &["on | off"], Some("off"), Flag,
                concat!("Whether the certificate of ", $whom, " must come from an authority of `", $prefix, "_ssl_trusted_certificate` and bear its name."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_verify(args)),
            $crate::gateway_row!($prefix, "_ssl_trusted_certificate", &["file"], None, Words(1, 1),
                concat!("A PEM file with the authorities that `", $prefix, "_ssl_verify` trusts."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_trusted(args)),
            $crate::gateway_row!($prefix, "_ssl_certificate", &["file"], None, Words(1, 1),
                concat!("A PEM file with the certificate that is shown to ", $whom, " which asks for one. Where the name contains variables the file is \
                    found for each request and read by the server's user; an empty name shows none."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_certificate(args)),
            $crate::gateway_row!($prefix, "_ssl_certificate_key", &["file"], None, Words(1, 1),
                concat!("A PEM file with the key of `", $prefix, "_ssl_certificate`; it may be under a password, see `", $prefix, "_ssl_password_file`. The name \
                    may contain variables."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_key(args)),
            $crate::gateway_row!($prefix, "_ssl_certificate_cache", &["off", "max=N [inactive=time] [valid=time]"], Some("off"), Words(1, 3),
                concat!("Keeps up to `N` certificates of `", $prefix, "_ssl_certificate` with their keys where the names contain variables, as \
                    `ssl_certificate_cache` does."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_kept(args)),
            $crate::gateway_row!($prefix, "_ssl_session_reuse", &["on | off"], Some("on"), Flag,
                concat!("Whether a new connection to ", $whom, " takes up a session of an earlier one."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_reuse(args)),
            $crate::gateway_row!($prefix, "_ssl_protocols", &["[SSLv2] [SSLv3] [TLSv1] [TLSv1.1] [TLSv1.2] [TLSv1.3]"], Some("TLSv1.2 TLSv1.3"), AtLeast(1),
                concat!("The versions of TLS that are spoken with ", $whom, ". What is older than TLS 1.2 is not had: such a name brings a warning."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_protocols(args)),
            $crate::gateway_row!($prefix, "_ssl_ciphers", &["ciphers"], Some("DEFAULT"), Words(1, 1),
                concat!("The cipher suites of TLS 1.2 that ", $whom, " may choose from, in the language of OpenSSL's lists, as `ssl_ciphers` has it. The \
                    suites of TLS 1.3 are all had."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_ciphers(args)),
            $crate::conf::directive::Directive {
                manual: $crate::gateway_row!(manual $prefix, "_ssl_conf_command", &["name value"], None, Words(2, 2),
                    concat!("A command of OpenSSL for connections to ", $whom, ". `Ciphersuites` names the suites of TLS 1.3, `Groups` or \
                        `Curves` the curves; any other brings a warning and has no effect.")),
                repeat: $crate::conf::directive::Repeat::Allowed,
                inherit: $crate::conf::directive::Inherit::Yes,
                set: |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_command(args),
            },
            $crate::gateway_row!($prefix, "_ssl_password_file", &["file"], None, Words(1, 1),
                concat!("A file with passwords for the key of `", $prefix, "_ssl_certificate_key`, one on each line; they are tried in turn. Keys in the \
                    form of PKCS#8 can be opened."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_passwords(args)),
            $crate::gateway_row!($prefix, "_ssl_crl", &["file"], None, Words(1, 1),
                concat!("Lists of revoked certificates in PEM, for `", $prefix, "_ssl_verify`. Once there is one, each authority of a server's chain \
                    needs its own."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_crl(args)),
            $crate::gateway_row!($prefix, "_ssl_verify_depth", &["number"], Some("1"), Words(1, 1),
                concat!("How many certificates may stand between that of ", $whom, " and the one that vouches for it."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.secure).set_depth(args)),
        ])
    };
}
