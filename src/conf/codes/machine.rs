//! Codes of what this machine refuses, of values that are hardly meant, and of what was left out.

use super::{Code, Kind, kind};

pub(super) const KINDS: &[Kind] = &[
    kind(
        Code::CannotListen,
        "an address that cannot be listened on",
        "Another program has the port, the address is none of this machine's, or a port below 1024 needs root. `ss -ltnp` shows who \
         listens where; `--rootless` moves low ports up by 8000.",
        ["server {\n    listen 192.0.2.1:8080;\n}\n", "server {\n    listen 127.0.0.1:8080;\n}\n"],
    ),
    kind(
        Code::CannotOpen,
        "a file or folder that the start needs cannot be had",
        "A log file, the pid file or a folder for temporary files (`client_body_temp_path`) cannot be made: the folder above it is not there, or \
         may not be written. A relative path starts at the prefix (`-p`). nginx refuses such a conf too.",
        [
            "error_log no/such/folder/error.log;\nserver {\n    listen 8080;\n}\n",
            "error_log error.log;\nserver {\n    listen 8080;\n}\n",
        ],
    ),
    kind(
        Code::OddValue,
        "a value that is hardly meant",
        "The conf is taken, and something in it does not do what it seems to: a word that has no effect, a type given twice, \
         address bits that are ignored.",
        [
            "server {\n    listen 8080;\n    location / { allow 192.0.2.7/24; deny all; }\n}\n",
            "server {\n    listen 8080;\n    location / { allow 192.0.2.0/24; deny all; }\n}\n",
        ],
    ),
    kind(
        Code::ServerNameTaken,
        "a server name that another server has",
        "Two servers on the same address have the same name. The first one gets all requests for it, the other is never asked for \
         that name.",
        [
            "server {\n    listen 8080;\n    server_name a.test;\n}\nserver {\n    listen 8080;\n    server_name a.test;\n}\n",
            "server {\n    listen 8080;\n    server_name a.test;\n}\nserver {\n    listen 8080;\n    server_name b.test;\n}\n",
        ],
    ),
    kind(
        Code::Loose,
        "something the server believes may be written by others",
        "Who may change a key, a file of passwords or the folder of sessions may let themselves in. Their mode, or that of a folder \
         on the way, lets others than the owner write: `chmod go-w`, and a folder of their own outside of `/tmp`.",
        [
            "server {\n    listen 8080;\n}\nsession_zone s store=file:/tmp;\n",
            "server {\n    listen 8080;\n}\nsession_zone s store=file:/var/lib/longshore-sessions;\n",
        ],
    ),
    kind(
        Code::LeftOut,
        "something was left out, or ours was put in its place",
        "The rest of the line holds: a newer version of HTTP, a module, a cipher or a command of OpenSSL is not built in, a stock file \
         that is missing was replaced by our own copy, or `--partial` left a directive out.",
        ["http {\n    include mime.types;\n}\n", "http {\n    types { text/html html; }\n}\n"],
    ),
    kind(
        Code::UnknownRule,
        "a comment that silences nothing",
        "A comment that begins with `longshore:` goes on with `allow` and the names of rules, such as `alias-slash`, or their codes. What \
         it says here is none of these, so the warning that it was meant for comes, or would come.",
        [
            "server {\n    listen 8080;\n    autoindex on; # longshore: allow listing\n}\n",
            "server {\n    listen 8080;\n    autoindex on;\n}\n",
        ],
    ),
];
