//! Codes of what is allowed and dangerous: `-t` warns of it. `# longshore: allow RULE` on the line or the line above
//! silences one.

use super::{Code, Kind};

pub(super) const fn danger(
    code: Code,
    rule: &'static str,
    title: &'static str,
    text: &'static str,
    [bad, fixed]: [&'static str; 2],
) -> Kind {
    Kind { code, rule: Some(rule), title, text, bad, fixed }
}

pub(super) const KINDS: &[Kind] = &[
    danger(
        Code::AliasSlash,
        "alias-slash",
        "`location` and `alias` do not end alike",
        "`alias` takes the place of the location's prefix, character by character. With `location /files` and `alias /srv/files/;` the \
         URI `/files../key` names `/srv/files/../key`, a file outside the folder: nginx serves it, Longshore refuses it. With \
         `location /files/` and `alias /srv/files;` the URI `/files/a` names `/srv/filesa`, which is hardly there. End both with a slash.",
        [
            "server {\n    listen 8080;\n    location /files { alias html/; }\n}\n",
            "server {\n    listen 8080;\n    location /files/ { alias html/; }\n}\n",
        ],
    ),
    danger(
        Code::AllowWithoutDeny,
        "allow-without-deny",
        "`allow` without `deny` keeps nobody out",
        "Whom no rule names may come in. `allow` only makes exceptions from a `deny` behind it in the same block; rules further out \
         count no longer where a block has its own.",
        [
            "server {\n    listen 8080;\n    location /admin/ { allow 192.0.2.0/24; }\n}\n",
            "server {\n    listen 8080;\n    location /admin/ { allow 192.0.2.0/24; deny all; }\n}\n",
        ],
    ),
    danger(
        Code::RuleBehindAll,
        "rule-behind-all",
        "a rule stands behind `all` and is never asked",
        "The rules of `allow` and `deny` are asked in the order they stand, and the first that fits decides. Behind `deny all;` or \
         `allow all;` nothing is asked any more. Put `all` last.",
        [
            "server {\n    listen 8080;\n    location /admin/ { deny all; allow 192.0.2.0/24; }\n}\n",
            "server {\n    listen 8080;\n    location /admin/ { allow 192.0.2.0/24; deny all; }\n}\n",
        ],
    ),
    danger(
        Code::ReturnBeforeAccess,
        "return-before-access",
        "`return` answers before anybody is asked who they are",
        "`return` runs before rules of access, passwords and limits, so those of the same block guard nothing. Serve a file, or put \
         the answer behind the guard with `try_files /none @answer;` and `return` in the named location.",
        [
            "server {\n    listen 8080;\n    location /key { deny all; return 200 secret; }\n}\n",
            "server {\n    listen 8080;\n    location /key { deny all; try_files /none @key; }\n    location @key { return 200 secret; }\n}\n",
        ],
    ),
    danger(
        Code::AddHeaderHides,
        "add-header-hides",
        "an `add_header` takes away fields that protect",
        "A block with an `add_header` of its own gets none of those further out. Here one of them protects browsers and is not \
         repeated. Repeat it, put all of them into a file that both blocks include, or write `add_header_inherit merge;`.",
        [
            "server {\n    listen 8080;\n    add_header X-Frame-Options DENY;\n    location /a/ { add_header Cache-Control no-store; }\n}\n",
            "server {\n    listen 8080;\n    add_header X-Frame-Options DENY;\n    location /a/ { add_header_inherit merge; add_header Cache-Control no-store; }\n}\n",
        ],
    ),
    danger(
        Code::UploadRunsScripts,
        "upload-runs-scripts",
        "clients can store files where scripts run",
        "Who may store a file here can store a script, and the next request runs it. Store uploads in a location without `cgi on;`, \
         in a folder of their own that lies in no tree of scripts.",
        [
            "server {\n    listen 8080;\n    location /up/ { dav_methods PUT; cgi on; }\n}\n",
            "server {\n    listen 8080;\n    location /up/ { dav_methods PUT; }\n    location /cgi-bin/ { cgi on; }\n}\n",
        ],
    ),
    danger(
        Code::UnreachableLocation,
        "unreachable-location",
        "a location that no request reaches",
        "Regex locations are asked in the order they stand, and the first that matches is taken: one that stands twice, or behind one \
         that matches every path, is never reached. Nor is any location of a server that has a `return` of its own, which \
         answers before locations are looked for.",
        [
            "server {\n    listen 8080;\n    location ~ \\.php$ { return 403; }\n    location ~ \\.php$ { return 404; }\n}\n",
            "server {\n    listen 8080;\n    location ~ \\.php$ { return 403; }\n    location ~ \\.py$ { return 404; }\n}\n",
        ],
    ),
    danger(
        Code::UnreachableLine,
        "unreachable-line",
        "a line behind `return` that never runs",
        "`return`, `rewrite`, `set`, `if` and `break` run in the order they stand, and `return` ends the run. What stands behind it \
         in the same block is never reached.",
        [
            "server {\n    listen 8080;\n    location / {\n        return 301 /new/;\n        rewrite ^/old /older;\n    }\n}\n",
            "server {\n    listen 8080;\n    location / {\n        return 301 /new/;\n    }\n}\n",
        ],
    ),
    danger(
        Code::ErrorPageMissing,
        "error-page-missing",
        "the file of an error page is not there",
        "The page of this error would be fetched from a file that does not exist, and clients would get the built-in page for 404 in its \
         place, with the status of the error.",
        [
            "server {\n    listen 8080;\n    root html;\n    error_page 404 /gone.html;\n}\n",
            "server {\n    listen 8080;\n    root html;\n    error_page 404 /404.html;\n}\n",
        ],
    ),
    danger(
        Code::ErrorPageRelative,
        "error-page-relative",
        "an error page without a slash is a redirect",
        "What begins neither with `/` nor with `@` is taken for a URL: clients get a redirect (302) to it in place of the error, and \
         programs that look at the status see no error at all.",
        [
            "server {\n    listen 8080;\n    root html;\n    error_page 404 404.html;\n}\n",
            "server {\n    listen 8080;\n    root html;\n    error_page 404 /404.html;\n}\n",
        ],
    ),
    danger(
        Code::NoNamedLocation,
        "no-named-location",
        "a named location that the server does not have",
        "`error_page` or `try_files` leads to `@name`, and no `location @name` stands in this server: such requests would be answered 500.",
        [
            "server {\n    listen 8080;\n    location / { try_files $uri @app; }\n}\n",
            "server {\n    listen 8080;\n    location / { try_files $uri @app; }\n    location @app { return 404; }\n}\n",
        ],
    ),
    danger(
        Code::StatusOpen,
        "status-open",
        "the status page is open to everybody",
        "`stub_status` tells how busy the server is. Nothing here keeps anybody out, and the server listens on an address that others \
         can reach.",
        [
            "server {\n    listen 8080;\n    location = /status { stub_status; }\n}\n",
            "server {\n    listen 8080;\n    location = /status { stub_status; allow 127.0.0.1; deny all; }\n}\n",
        ],
    ),
    danger(
        Code::RootHoldsSecrets,
        "root-holds-secrets",
        "files are served from a folder that holds secrets",
        "The folder is the system's, or the conf itself or the key of a certificate lies below it, and every file below a root can be \
         asked for. Serve from a folder that holds nothing else.",
        ["server {\n    listen 8080;\n    root /etc;\n}\n", "server {\n    listen 8080;\n    root html;\n}\n"],
    ),
    danger(
        Code::ReturnDecodedPath,
        "return-decoded-path",
        "a redirect with `$uri` can be made to hold line ends",
        "`$uri` is decoded: a client that asks for `/%0d%0aSet-Cookie:...` would put a field of its own into the answer. nginx sends it, \
         Longshore answers 500. Write `$request_uri`, which stays as the client sent it.",
        [
            "server {\n    listen 8080;\n    return 301 https://$host$uri;\n}\n",
            "server {\n    listen 8080;\n    return 301 https://$host$request_uri;\n}\n",
        ],
    ),
    danger(
        Code::CertificateUnused,
        "certificate-unused",
        "a certificate, and no port that speaks TLS",
        "The server names a certificate, and none of its `listen` lines has `ssl`: everything goes over the wire unencrypted.",
        [
            "server {\n    listen 8443;\n    ssl_certificate localhost.pem;\n    ssl_certificate_key localhost.key;\n}\n",
            "server {\n    listen 8443 ssl;\n    ssl_certificate localhost.pem;\n    ssl_certificate_key localhost.key;\n}\n",
        ],
    ),
    danger(
        Code::OpenProxy,
        "open-proxy",
        "clients choose the server that requests are passed to",
        "The host of `proxy_pass` comes from what the client wrote, so anybody can reach whatever this machine can reach, its own \
         services included. Choose among known servers with a `map`.",
        [
            "server {\n    listen 8080;\n    resolver 127.0.0.1;\n    location / { proxy_pass http://$arg_host; }\n}\n",
            "map $arg_host $backend {\n    default 127.0.0.1:9000;\n    b 127.0.0.1:9001;\n}\nserver {\n    listen 8080;\n    location / { proxy_pass http://$backend; }\n}\n",
        ],
    ),
    danger(
        Code::UploadLimitWithoutStore,
        "upload-limit-without-store",
        "a limit of uploads where nothing is a store",
        "`upload_quota`, `upload_max_file_size` and `upload_types` belong to the folder that `upload_store` names. In a location with \
         `dav_methods` alone they bound nothing, and clients may fill the disk.",
        [
            "server {\n    listen 8080;\n    location /up/ { dav_methods PUT; upload_quota 10g; }\n}\n",
            "server {\n    listen 8080;\n    location /up/ { dav_methods PUT; upload_store html/up; upload_quota 10g; }\n}\n",
        ],
    ),
    danger(
        Code::AskedLocationGuardsItself,
        "asked-location-guards-itself",
        "a location that `auth_request` asks has rules of its own",
        "Rules of access hold for clients' requests. The request that `auth_request` asks from inside passes them by, so a location that only checks \
         a password, or asks another, lets everybody in. Put the rule beside `auth_request`, where both are asked; where it is meant for clients who \
         ask for that location themselves, write `internal;` in its place. Where no \
         other location takes the path, the one that asks does: an application that answers everything lets everybody in.",
        [
            "server {\n    listen 8080;\n    location / { auth_request /who; }\n    location = /who { auth_basic site; auth_basic_user_file users; proxy_pass http://127.0.0.1:9000; }\n}\n",
            "server {\n    listen 8080;\n    location / { auth_basic site; auth_basic_user_file users; auth_request /who; }\n    location = /who { internal; proxy_pass http://127.0.0.1:9000; }\n}\n",
        ],
    ),
    danger(
        Code::PathMissing,
        "path-missing",
        "something that the conf names is not on this machine, or not for the server",
        "A folder, a file of passwords, a program or another program's socket is not there, is of another kind, or may not be used by \
         the user that the server runs as. The server starts all the same, as nginx does, and requests that need it are answered 403, 404, \
         500 or 502. Only what the conf names without a variable is looked at.",
        [
            "server {\n    listen 8080;\n    root /no/such/folder;\n}\n",
            "server {\n    listen 8080;\n    root html;\n}\n",
        ],
    ),
];
