//! Codes of slips: what a conf may say and hardly means, and what clients can make of it. `-t` warns of them, and
//! `# longshore: allow RULE` silences one, as with other dangers.

use super::dangers::danger;
use super::{Code, Kind};

pub(super) const KINDS: &[Kind] = &[
    danger(
        Code::LocationNeverMatches,
        "location-never-matches",
        "a location that no request reaches",
        "The path of a request begins with a slash, so a location whose path begins otherwise never matches.",
        [
            "server {\n    listen 8080;\n    location images/ { return 204; }\n}\n",
            "server {\n    listen 8080;\n    location /images/ { return 204; }\n}\n",
        ],
    ),
    danger(
        Code::CommaInList,
        "comma-in-list",
        "a comma that belongs to a word",
        "Words are parted by blanks alone. A comma at the end of one belongs to it, so `index a.html, b.html;` looks for a file \
         `a.html,`.",
        [
            "server {\n    listen 8080;\n    index index.html, index.htm;\n}\n",
            "server {\n    listen 8080;\n    index index.html index.htm;\n}\n",
        ],
    ),
    danger(
        Code::ProxyPassSlash,
        "proxy-pass-slash",
        "`location` and the URI of `proxy_pass` do not end alike",
        "The URI of `proxy_pass` takes the place of the location's prefix, character by character: with `location /x/` and `proxy_pass \
         http://h/y;` the path `/x/a` is passed on as `/ya`, with `location /x` and `proxy_pass http://h/y/;` as `/y//a`. End both \
         with a slash, or leave the URI out.",
        [
            "server {\n    listen 8080;\n    location /x/ { proxy_pass http://127.0.0.1:9000/y; }\n}\n",
            "server {\n    listen 8080;\n    location /x/ { proxy_pass http://127.0.0.1:9000/y/; }\n}\n",
        ],
    ),
    danger(
        Code::CaptureMissing,
        "capture-missing",
        "a group that the regex does not have",
        "`$1` to `$9` stand for what the groups in parentheses of the last regex matched. This one has fewer of them, so the variable \
         is always empty.",
        [
            "server {\n    listen 8080;\n    rewrite ^/old/(.*)$ /new/$2 last;\n}\n",
            "server {\n    listen 8080;\n    rewrite ^/old/(.*)$ /new/$1 last;\n}\n",
        ],
    ),
    danger(
        Code::GeoVariable,
        "geo-variable",
        "a variable among the values of `geo`",
        "The values of a `geo` block are plain text: a `$name` in one stands for itself. A `map` on the variable that `geo` makes may \
         have variables as values.",
        [
            "geo $place {\n    default $host;\n    10.0.0.0/8 inside;\n}\nserver {\n    listen 8080;\n    return 200 $place;\n}\n",
            "geo $place {\n    default outside;\n    10.0.0.0/8 inside;\n}\nserver {\n    listen 8080;\n    return 200 $place;\n}\n",
        ],
    ),
    danger(
        Code::ContentTypeAdded,
        "content-type-added",
        "`add_header Content-Type` makes a second one",
        "The response has its Content-Type already, from `types`, `default_type` or the program that wrote it; `add_header` adds \
         another beside it, and clients choose one of the two.",
        [
            "server {\n    listen 8080;\n    location /a { add_header Content-Type text/plain; return 200 hello; }\n}\n",
            "server {\n    listen 8080;\n    location /a { default_type text/plain; return 200 hello; }\n}\n",
        ],
    ),
    danger(
        Code::HostSpoofing,
        "host-spoofing",
        "clients choose the Host that the application sees",
        "`$http_host` and `$arg_NAME` are what the client wrote, whatever server the request came to. Applications that build links \
         and passwords' reset mails from Host would send people elsewhere. `$host` is the name that chose this server, in lower case \
         and without the port.",
        [
            "server {\n    listen 8080;\n    location / { proxy_set_header Host $http_host; proxy_pass http://127.0.0.1:9000; }\n}\n",
            "server {\n    listen 8080;\n    location / { proxy_set_header Host $host; proxy_pass http://127.0.0.1:9000; }\n}\n",
        ],
    ),
    danger(
        Code::ProxyPassDecoded,
        "proxy-pass-decoded",
        "a decoded path is passed on",
        "`$uri` and `$document_uri` are decoded and normalised: `%3f` has become `?`, `%2f` a slash and `%0a` a line end, so the \
         application sees another path than the client asked for, and what the client chooses. `$request_uri` is what the client sent, \
         and `proxy_pass` without a URI passes that on.",
        [
            "server {\n    listen 8080;\n    location / { proxy_pass http://127.0.0.1:9000$uri; }\n}\n",
            "server {\n    listen 8080;\n    location / { proxy_pass http://127.0.0.1:9000; }\n}\n",
        ],
    ),
    danger(
        Code::PublicResolver,
        "public-resolver",
        "a name server of the public",
        "Answers of a name server on the other side of the Internet can be forged on the way, and then requests go where somebody else \
         wants them. It knows no names of your own network either. Ask a resolver on this machine or in its network.",
        [
            "server {\n    listen 8080;\n    resolver 8.8.8.8;\n}\n",
            "server {\n    listen 8080;\n    resolver 127.0.0.53;\n}\n",
        ],
    ),
    danger(
        Code::SlowRegex,
        "slow-regex",
        "a regex that can take very long",
        "A repetition of a repetition, such as `(a+)+`, has many ways to match the same text, and one that fails tries all of them. \
         Longshore gives up after a while and answers 500; nginx is busy meanwhile. One repetition is enough.",
        [
            "server {\n    listen 8080;\n    location ~ ^/(a+)+$ { return 204; }\n}\n",
            "server {\n    listen 8080;\n    location ~ ^/a+$ { return 204; }\n}\n",
        ],
    ),
    danger(
        Code::ConnectionsAboveDescriptors,
        "connections-above-descriptors",
        "more connections than descriptors",
        "Each connection needs a descriptor, and one more where it is passed on or a file is read. The limit of the process is below \
         `worker_connections`, so new clients are turned away before it is reached. `worker_rlimit_nofile`, or LimitNOFILE of the \
         service, raises it.",
        [
            "worker_rlimit_nofile 500;\nevents { worker_connections 1000; }\nhttp { server { listen 8080; } }\n",
            "worker_rlimit_nofile 4000;\nevents { worker_connections 1000; }\nhttp { server { listen 8080; } }\n",
        ],
    ),
    danger(
        Code::AskedAloneSets,
        "auth-set-in-asked",
        "`auth_request_set` stands where nobody asks",
        "`auth_request_set` takes its values from the response to the question, so it belongs beside `auth_request`. In the location \
         that is asked it sets nothing for the request that asks.",
        [
            "server {\n    listen 8080;\n    location / { auth_request /who; }\n    location = /who { internal; auth_request_set $user $upstream_http_x_user; proxy_pass http://127.0.0.1:9000; }\n}\n",
            "server {\n    listen 8080;\n    location / { auth_request /who; auth_request_set $user $upstream_http_x_user; }\n    location = /who { internal; proxy_pass http://127.0.0.1:9000; }\n}\n",
        ],
    ),
    danger(
        Code::LoginGuarded,
        "login-guarded",
        "the log-in page is guarded as well",
        "Who is not logged in is sent to a page that only those see who are: browsers go in circles, or show a bare 401. The location \
         of the log-in page says `auth_request off;`.",
        [
            "server {\n    listen 8080;\n    auth_request /who;\n    error_page 401 /login/;\n    location = /who { internal; proxy_pass http://127.0.0.1:9000; }\n    location /login/ { proxy_pass http://127.0.0.1:9000; }\n}\n",
            "server {\n    listen 8080;\n    auth_request /who;\n    error_page 401 /login/;\n    location = /who { internal; auth_request off; proxy_pass http://127.0.0.1:9000; }\n    location /login/ { auth_request off; proxy_pass http://127.0.0.1:9000; }\n}\n",
        ],
    ),
    danger(
        Code::HintsWithoutHttp11,
        "hints-without-http11",
        "`early_hints` and a server that is spoken to in HTTP/1.0",
        "Interim responses such as 103 belong to HTTP/1.1. A server that is asked in HTTP/1.0, which `proxy_http_version` says where \
         it is not written, sends none.",
        [
            "server {\n    listen 8080;\n    location / { early_hints 1; proxy_pass http://127.0.0.1:9000; }\n}\n",
            "server {\n    listen 8080;\n    location / { early_hints 1; proxy_http_version 1.1; proxy_pass http://127.0.0.1:9000; }\n}\n",
        ],
    ),
];
