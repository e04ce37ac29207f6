//! Codes of directives that cannot be taken, and of what does not fit together in a whole conf.

use super::{Code, Kind, kind};

pub(super) const KINDS: &[Kind] = &[
    kind(
        Code::UnknownDirective,
        "nobody knows this directive",
        "The name is neither ours nor one of nginx's. Where a known one is close, it is named; names that other servers use for \
         the same thing are answered with ours.",
        ["server {\n    listen 8080;\n    autoindx on;\n}\n", "server {\n    listen 8080;\n    autoindex on;\n}\n"],
    ),
    kind(
        Code::WrongPlace,
        "a directive stands in the wrong block",
        "Each directive has its places, as in nginx: `listen` stands in `server`, `worker_connections` in `events`. The message \
         lists them.",
        [
            "server {\n    location / {\n        listen 8080;\n    }\n}\n",
            "server {\n    listen 8080;\n    location / {\n    }\n}\n",
        ],
    ),
    kind(
        Code::Duplicate,
        "a directive stands twice in one block",
        "Most directives may be given once in a block; which of two were meant cannot be known. The first place is shown.",
        [
            "server {\n    listen 8080;\n    root html;\n    root html;\n}\n",
            "server {\n    listen 8080;\n    root html;\n}\n",
        ],
    ),
    kind(
        Code::WordCount,
        "too many or too few words",
        "The directive takes another number of words. The message shows its form. A value with blanks in it needs quotes.",
        [
            "server {\n    listen 8080;\n    root my files;\n}\n",
            "server {\n    listen 8080;\n    root \"my files\";\n}\n",
        ],
    ),
    kind(
        Code::BlockOrNot,
        "a block where none belongs, or the reverse",
        "Some directives hold a block in `{ }`, the others end with `;`.",
        ["server {\n    listen 8080 {\n    }\n}\n", "server {\n    listen 8080;\n}\n"],
    ),
    kind(
        Code::WrongValue,
        "a value that the directive does not take",
        "The message says what belongs there: `on` or `off`, a size such as `8k`, a time such as `30s`, a number in a range, an \
         address.",
        [
            "server {\n    listen 8080;\n    client_max_body_size 10 megabytes;\n}\nserver {\n    listen 8081;\n    autoindex yes;\n}\n",
            "server {\n    listen 8080;\n    client_max_body_size 10m;\n}\nserver {\n    listen 8081;\n    autoindex on;\n}\n",
        ],
    ),
    kind(
        Code::NotBuilt,
        "known, and not built yet",
        "The name is one of nginx's or of a module for it, and leaving it out would change what is served or who may see it. \
         `--partial` starts the rest: such a location answers 501. What guards access is never left out.",
        [
            "server {\n    listen 8080;\n    location /svn/ {\n        perl svn::handler;\n    }\n}\n",
            "server {\n    listen 8080;\n    location /svn/ {\n    }\n}\n",
        ],
    ),
    kind(
        Code::UnknownVariable,
        "nobody knows this variable",
        "A `$name` is neither built in (docs/variables.md) nor made by `set`, `map`, `geo` or a named group of a regex. A `$` that \
         belongs to the text cannot be written in most values.",
        [
            "server {\n    listen 8080;\n    return 301 https://$hots/;\n}\n",
            "server {\n    listen 8080;\n    return 301 https://$host/;\n}\n",
        ],
    ),
    kind(
        Code::BuiltInVariable,
        "a built-in variable gets another value",
        "`set`, `map` and `geo` make variables of your own; the built-in ones say what the request is.",
        [
            "server {\n    listen 8080;\n    set $uri /other;\n}\n",
            "server {\n    listen 8080;\n    set $other /other;\n}\n",
        ],
    ),
    kind(
        Code::DuplicateLocation,
        "two locations of the same name",
        "Of two locations with the same path only one could ever be taken. Join them.",
        [
            "server {\n    listen 8080;\n    location /a { autoindex on; }\n    location /a { root html; }\n}\n",
            "server {\n    listen 8080;\n    location /a { autoindex on; root html; }\n}\n",
        ],
    ),
    kind(
        Code::ListenConflict,
        "two `listen` lines that contradict each other",
        "Servers may share an address and are told apart by their names. One of them at most is the default server, and the \
         socket's own options stand on one line only.",
        [
            "server {\n    listen 8080 default_server;\n    server_name a.test;\n}\nserver {\n    listen 8080 default_server;\n    server_name b.test;\n}\n",
            "server {\n    listen 8080 default_server;\n    server_name a.test;\n}\nserver {\n    listen 8080;\n    server_name b.test;\n}\n",
        ],
    ),
    kind(
        Code::UnknownZone,
        "a zone that nobody declares",
        "A limit names a zone, the memory in which it counts, and no line in `http` makes one of that name.",
        [
            "server {\n    listen 8080;\n    limit_conn clients 10;\n}\n",
            "limit_conn_zone $binary_remote_addr zone=clients:1m;\nserver {\n    listen 8080;\n    limit_conn clients 10;\n}\n",
        ],
    ),
    kind(
        Code::UnknownUpstream,
        "a server to pass requests to that is not found",
        "The name is neither that of an `upstream` block nor of a host that can be looked up. The conf is read without it, since \
         requests would fail one by one later.",
        [
            "server {\n    listen 8080;\n    location / { proxy_pass http://backend.invalid; }\n}\n",
            "upstream backend.invalid { server 127.0.0.1:9000; }\nserver {\n    listen 8080;\n    location / { proxy_pass http://backend.invalid; }\n}\n",
        ],
    ),
    kind(
        Code::NoCharsetMap,
        "no way from one charset to the other",
        "Answers would have to be recoded from `source_charset` to `charset`, and no `charset_map` says how.",
        [
            "server {\n    listen 8080;\n    source_charset koi8-r;\n    charset windows-1251;\n}\n",
            "server {\n    listen 8080;\n    source_charset koi8-r;\n    charset koi8-r;\n}\n",
        ],
    ),
    kind(
        Code::Certificate,
        "TLS without a certificate that can be used",
        "A server that speaks TLS needs a certificate and its key, readable and fitting each other. `longshore cert self-signed \
         localhost` makes a pair for a laptop.",
        [
            "server {\n    listen 8443 ssl;\n}\n",
            "server {\n    listen 8443 ssl;\n    ssl_certificate localhost.pem;\n    ssl_certificate_key localhost.key;\n}\n",
        ],
    ),
];
