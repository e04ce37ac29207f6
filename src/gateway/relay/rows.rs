//! The rows that all gateways share: one list, made once for each prefix, each row with its own name and text.

/// Rows for one prefix, followed by the gateway's own. `$conf` is the feature's settings, whose field `relay` holds
/// [`Conf`](super::Conf); `$what` names the other end in texts.
#[macro_export]
macro_rules! gateway_rows {
    ($prefix:literal, $what:literal, $conf:ty, [$($own:expr),* $(,)?]) => {
        &[
            $crate::gateway_row!($prefix, "_connect_timeout", &["time"], Some("60s"), Words(1, 1),
                concat!("How long ", $what, " may take to accept a connection, its TLS handshake included. After that it counts as failed (504)."),
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::time(&mut std::sync::Arc::make_mut(&mut conf.relay).connect_timeout, args)),
            $crate::gateway_row!($prefix, "_send_timeout", &["time"], Some("60s"), Words(1, 1),
                concat!("How long ", $what, " may take nothing of a request, between two writes. After that the answer is 504."),
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::time(&mut std::sync::Arc::make_mut(&mut conf.relay).send_timeout, args)),
            $crate::gateway_row!($prefix, "_read_timeout", &["time"], Some("60s"), Words(1, 1),
                concat!("How long ", $what, " may be silent, between two reads. After that the answer is 504, or breaks off if its head \
                    was sent. A request that waits holds no worker, however long this is. Interim \
                    responses of HTTP do not make it longer."),
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::time(&mut std::sync::Arc::make_mut(&mut conf.relay).read_timeout, args)),
            $crate::gateway_row!($prefix, "_buffering", &["on | off"], Some("on"), Flag,
                concat!("Whether an answer is taken as fast as ", $what, " writes it, into memory and then into a temporary file, when its \
                    client is slower. What has come is sent at once in any case. An answer decides for itself by `X-Accel-Buffering: yes` or `no`."),
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::flag(&mut std::sync::Arc::make_mut(&mut conf.relay).buffering, args)),
            $crate::gateway_row!($prefix, "_request_buffering", &["on | off"], Some("on"), Flag,
                concat!("Whether the body of a request is read before ", $what, " hears of the request. With `off` it is passed on as it \
                    comes, and the request cannot go to a next server once a byte of it was sent."),
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::flag(&mut std::sync::Arc::make_mut(&mut conf.relay).request_buffering, args)),
            $crate::gateway_row!($prefix, "_buffer_size", &["size"], Some("4k"), Words(1, 1),
                "The most bytes that the head of an answer may have; a longer one is answered 502.",
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.relay).set_buffer_size(args)),
            $crate::gateway_row!($prefix, "_buffers", &["number size"], Some("8 4k"), Words(2, 2),
                "How much of an answer is kept in memory for a client that is slower: so many buffers of this size.",
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.relay).set_buffers(args)),
            $crate::gateway_row!($prefix, "_max_temp_file_size", &["size"], Some("1024m"), Words(1, 1),
                concat!("How much of an answer is kept in a temporary file for a client that is slower, beyond what memory holds. Past \
                    it ", $what, " waits for the client. 0 keeps nothing in files."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.relay).set_max_temp_file(args)),
            $crate::gateway_row!($prefix, "_temp_path", &["path [level1 [level2 [level3]]]"], Some(concat!($prefix, "_temp")), Words(1, 4),
                "The folder for answers that memory does not hold, made when it is first needed. The files have no name, so the levels of \
                 subfolders have no effect.",
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.relay).set_temp_path(args)),
            $crate::gateway_row!($prefix, "_next_upstream", &["error | timeout | invalid_header | http_500 | http_502 | http_503 | http_504 | \
                http_403 | http_404 | http_429 | non_idempotent | off ..."], Some("error timeout"), AtLeast(1),
                "When a request is passed to the next server of an upstream, as long as nothing was sent to the client. A request that was \
                 sent already is passed on only if its method is known to mean the same when it is sent twice (GET, PUT, DELETE, and others of the \
                 registry; not POST, PATCH, LOCK, nor one that nobody knows), or with `non_idempotent`.",
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.relay).set_next(args)),
            $crate::gateway_row!($prefix, "_next_upstream_tries", &["number"], Some("0"), Words(1, 1),
                "How many servers are asked for one request; 0 is as many as there are.",
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.relay).set_next_tries(args)),
            $crate::gateway_row!($prefix, "_next_upstream_timeout", &["time"], Some("0"), Words(1, 1),
                "How long after its beginning a request may be passed to a next server; 0 is for ever.",
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::time(&mut std::sync::Arc::make_mut(&mut conf.relay).next_timeout, args)),
            $crate::gateway_row!($prefix, "_intercept_errors", &["on | off"], Some("off"), Flag,
                "Whether answers with a status of 300 and above are answered by `error_page` where it names their status.",
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::flag(&mut std::sync::Arc::make_mut(&mut conf.relay).intercept_errors, args)),
            $crate::gateway_row!($prefix, "_ignore_client_abort", &["on | off"], Some("off"), Flag,
                concat!("Whether a request goes on though its client has left. With `off` the connection to ", $what, " is closed at once."),
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::flag(&mut std::sync::Arc::make_mut(&mut conf.relay).ignore_client_abort, args)),
            $crate::gateway_row!(list "hide", hide; $prefix, "_hide_header", &["field"],
                "A field of answers that is not passed to the client, beside those that never are. It may stand several times; a block that \
                 has its own replaces those around it.",
                $conf),
            $crate::gateway_row!(list "pass", pass; $prefix, "_pass_header", &["field"],
                "A field of answers that is passed to the client though it usually is not. It may stand several times; a block that has its \
                 own replaces those around it.",
                $conf),
            $crate::conf::directive::Directive {
                manual: $crate::gateway_row!(manual $prefix, "_ignore_headers", &["field ..."], None, AtLeast(1),
                    "Fields of answers that are not obeyed: `X-Accel-Redirect`, `X-Accel-Expires`, `X-Accel-Limit-Rate`, `X-Accel-Buffering`, \
                     `X-Accel-Charset`, `Expires`, `Cache-Control`, `Set-Cookie`, `Vary`. The last four and `X-Accel-Expires` \
                     concern caches alone."),
                repeat: $crate::conf::directive::Repeat::List {
                    key: "ignored",
                    clear: |conf: &mut $conf| std::sync::Arc::make_mut(&mut conf.relay).ignored = Default::default(),
                },
                inherit: $crate::conf::directive::Inherit::Yes,
                set: |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.relay).set_ignored(args),
            },
            $crate::gateway_row!($prefix, "_bind", &["address", "off"], None, Words(1, 2),
                concat!("The address that connections to ", $what, " come from. It may contain variables; an empty value leaves the choice to \
                    the system, as `off` does."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.relay).set_bind(args)),
            $crate::gateway_row!($prefix, "_limit_rate", &["rate"], Some("0"), Words(1, 1),
                concat!("How many bytes a second are read of an answer's body, for each request; 0 is no limit. What comes with the head, \
                    at most `", $prefix, "_buffer_size`, is taken at once and counts. It holds only where answers are buffered (`", $prefix,
                    "_buffering`). It may contain variables."),
                |conf: &mut $conf, args| std::sync::Arc::make_mut(&mut conf.relay).set_limit_rate(args)),
            $crate::gateway_row!($prefix, "_socket_keepalive", &["on | off"], Some("off"), Flag,
                concat!("Whether the system looks now and then whether a silent connection to ", $what, " still stands (SO_KEEPALIVE)."),
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::flag(&mut std::sync::Arc::make_mut(&mut conf.relay).socket_keepalive, args)),
            $crate::gateway_row!($prefix, "_pass_request_body", &["on | off"], Some("on"), Flag,
                "Whether the client's request body is passed on.",
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::flag(&mut std::sync::Arc::make_mut(&mut conf.relay).pass_request_body, args)),
            $crate::gateway_row!($prefix, "_pass_request_headers", &["on | off"], Some("on"), Flag,
                "Whether the fields of the client's request are passed on.",
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::flag(&mut std::sync::Arc::make_mut(&mut conf.relay).pass_request_headers, args)),
            $crate::gateway_row!($prefix, "_force_ranges", &["on | off"], Some("off"), Flag,
                concat!("Whether a request for ranges is answered from the whole answer, whatever ", $what, " says of ranges."),
                |conf: &mut $conf, args| $crate::gateway::relay::Conf::flag(&mut std::sync::Arc::make_mut(&mut conf.relay).force_ranges, args)),
            $crate::gateway_row!($prefix, "_store", &["off"], Some("off"), Words(1, 1),
                "Answers are not stored in files, so `off` is all it takes.",
                |_: &mut $conf, args| $crate::gateway::relay::Conf::read_store(args)),
            $($own,)*
        ]
    };
}

/// One row of them.
#[macro_export]
macro_rules! gateway_row {
    (manual $prefix:literal, $name:literal, $syntax:expr, $default:expr, $arity:ident $(($($n:literal),*))?, $doc:expr) => {
        $crate::conf::directive::Manual {
            name: concat!($prefix, $name),
            syntax: $syntax,
            default: $default,
            contexts: $crate::conf::directive::Contexts::SCOPES,
            arity: $crate::conf::directive::Arity::$arity $(($($n),*))?,
            block: false,
            doc: $doc,
        }
    };
    (list $key:literal, $field:ident; $prefix:literal, $name:literal, $syntax:expr, $doc:expr, $conf:ty) => {
        $crate::conf::directive::Directive {
            manual: $crate::gateway_row!(manual $prefix, $name, $syntax, None, Words(1, 1), $doc),
            repeat: $crate::conf::directive::Repeat::List {
                key: $key,
                clear: |conf: &mut $conf| std::sync::Arc::make_mut(&mut conf.relay).$field.clear(),
            },
            inherit: $crate::conf::directive::Inherit::Yes,
            set: |conf: &mut $conf, args| $crate::gateway::relay::Conf::add_name(&mut std::sync::Arc::make_mut(&mut conf.relay).$field, args),
        }
    };
    ($prefix:literal, $name:literal, $syntax:expr, $default:expr, $arity:ident $(($($n:literal),*))?, $doc:expr, $set:expr) => {
        $crate::conf::directive::Directive {
            manual: $crate::gateway_row!(manual $prefix, $name, $syntax, $default, $arity $(($($n),*))?, $doc),
            repeat: $crate::conf::directive::Repeat::Refused,
            inherit: $crate::conf::directive::Inherit::Yes,
            set: $set,
        }
    };
}
