//! Why requests are refused: every reason that an answer of ours may have, with its status, what it means and how to fix
//! it. `longshore help 403/denied` and docs/reasons.md are made from these rows. Decides nothing: whoever refuses names the reason.

/// One reason.
#[derive(Debug)]
pub struct Reason {
    /// Its stable name.
    pub name: &'static str,
    /// The statuses it may come with; empty where the conf or another server chooses.
    pub statuses: &'static [u16],
    /// What it means.
    pub text: &'static str,
    /// What to do about it.
    pub fix: &'static str,
    /// The directives that decide it: the place of the first that is set is shown beside the reason.
    pub decided_by: &'static [&'static str],
}

/// The row of a reason.
pub fn of(name: &str) -> Option<&'static Reason> {
    REASONS.iter().find(|reason| reason.name == name)
}

const fn reason(
    name: &'static str,
    statuses: &'static [u16],
    decided_by: &'static [&'static str],
    [text, fix]: [&'static str; 2],
) -> Reason {
    Reason { name, statuses, text, fix, decided_by }
}

/// What clients get wrong has no other remedy.
const CLIENT: &str = "Fix the client.";

/// All reasons, in the order of their statuses.
#[rustfmt::skip]
pub const REASONS: &[Reason] = &[
    // The request's head.
    reason(
        "bad-method",
        &[400],
        &[],
        ["The first bytes are no method.", "Fix the client; TLS on a plain port looks like this too."],
    ),
    reason(
        "client-left",
        &[400, 499],
        &[],
        [
            "The client closed the connection before its request was complete, or before it was answered. It gets no answer; the status stands in logs.",
            "Nothing, unless it happens often: then look why answers take so long.",
        ],
    ),
    reason(
        "head-timeout",
        &[408],
        &["client_header_timeout"],
        ["The head of the request was not complete in time. There is no answer; the status stands in logs.", "Raise `client_header_timeout` for slow clients."],
    ),
    reason(
        "body-timeout",
        &[408],
        &["client_body_timeout"],
        ["Nothing of the body came for too long. There is no answer; the status stands in logs.", "Raise `client_body_timeout` for slow clients."],
    ),
    reason("bad-request-line", &[400], &[], ["The request line is malformed.", CLIENT]),
    reason("bad-target", &[400], &[], ["What is asked for is no path, no URL, no address.", CLIENT]),
    reason(
        "bad-escape",
        &[400],
        &[],
        ["A `%` in the path is not followed by two hexadecimal digits.", "Write `%25` for a percent sign."],
    ),
    reason("zero-byte-in-path", &[400], &[], ["The path holds a zero byte.", CLIENT]),
    reason("path-above-root", &[400], &[], ["The path leads above `/` by `..`.", CLIENT]),
    reason(
        "bad-field",
        &[400],
        &[],
        ["A line of the head is no field: no name, no colon, a control character.", CLIENT],
    ),
    reason("duplicate-field", &[400], &[], ["A field that may stand once stands twice.", CLIENT]),
    reason("no-host", &[400], &[], ["A request in HTTP/1.1 has no `Host`.", CLIENT]),
    reason("two-hosts", &[400], &[], ["A request has more than one `Host`.", CLIENT]),
    reason("bad-host", &[400], &[], ["`Host`, or the host of the URL, is none.", CLIENT]),
    reason("bad-content-length", &[400], &[], ["`Content-Length` is no number, or too large a one.", CLIENT]),
    reason("bad-transfer-encoding", &[400], &[], ["The last transfer coding is not `chunked`, so nobody can tell where the body ends.", CLIENT]),
    reason(
        "length-and-encoding",
        &[400],
        &[],
        ["`Content-Length` stands beside `Transfer-Encoding`, by which requests are smuggled past proxies.", CLIENT],
    ),
    reason("transfer-encoding-in-http10", &[400], &[], ["HTTP/1.0 has no `Transfer-Encoding`.", CLIENT]),
    reason("bad-chunk-size", &[400], &[], ["A chunk of the body has no size.", CLIENT]),
    reason("chunk-too-large", &[400], &[], ["The size of a chunk has too many digits.", CLIENT]),
    reason(
        "bad-chunk-extension",
        &[400],
        &[],
        ["What stands behind a chunk's size is malformed, or too long.", CLIENT],
    ),
    reason("bad-chunk-end", &[400], &[], ["A chunk does not end where its size says.", CLIENT]),
    reason("bad-trailer", &[400], &[], ["The fields behind a chunked body are malformed, or too long.", CLIENT]),
    reason(
        "colliding-fields",
        &[400],
        &["cgi", "cgi_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass"],
        ["Two fields would be the same variable for a program, such as `X-A` and `X_A`.", CLIENT],
    ),
    reason(
        "callback",
        &[400],
        &["autoindex_format"],
        ["The `callback` of a listing is no name of a function.", CLIENT],
    ),
    reason(
        "field-too-long",
        &[494],
        &["large_client_header_buffers"],
        [
            "A field is longer than a buffer; often a cookie that grows.",
            "Raise the size in `large_client_header_buffers`, or let the application set smaller cookies.",
        ],
    ),
    reason(
        "head-too-large",
        &[494],
        &["large_client_header_buffers"],
        ["All fields together fill all buffers.", "Raise the number in `large_client_header_buffers`."],
    ),
    reason(
        "too-many-fields",
        &[413, 494],
        &["max_headers"],
        ["The head has more fields than are taken.", "Raise `max_headers`."],
    ),
    reason(
        "client-certificate-bad",
        &[495],
        &["ssl_verify_client"],
        [
            "The client's certificate is not vouched for, or expired; the log says which.",
            "Give the client another, or name its authority with `ssl_client_certificate`.",
        ],
    ),
    reason(
        "client-certificate-missing",
        &[496],
        &["ssl_verify_client"],
        [
            "The server asks for a client's certificate, and none came.",
            "Give the client one, or write `ssl_verify_client optional;`.",
        ],
    ),
    reason(
        "tls-missing",
        &[497],
        &[],
        [
            "Plain HTTP came to a port that speaks TLS.",
            "Ask with `https://`; `error_page 497 https://$host$request_uri;` redirects.",
        ],
    ),
    // Who may.
    reason(
        "password",
        &[401],
        &["auth_basic"],
        [
            "A password is asked for, and none came or a wrong one; the log says which.",
            "Look at the lines of `auth_basic_user_file`.",
        ],
    ),
    reason(
        "auth-request-refused",
        &[401, 403],
        &["auth_request"],
        [
            "The location that `auth_request` names says that this client may not come in.",
            "Ask that program why; at the level `info` the error log has the path that was asked.",
        ],
    ),
    reason(
        "auth-request-status",
        &[500],
        &["auth_request"],
        [
            "The location that `auth_request` names answered with a status that says neither yes (2xx) nor no (401, 403); the log has the status, and why.",
            "Look whether the program behind it runs; a redirect to a log-in page belongs to `error_page 401`.",
        ],
    ),
    reason(
        "auth-request-closed",
        &[408, 444, 499],
        &["auth_request"],
        [
            "The location that `auth_request` names ends requests without a response, and the client's with its own.",
            "Let that location answer 401 or 403.",
        ],
    ),
    reason(
        "subrequest-cycle",
        &[500],
        &["auth_request"],
        [
            "A request that is asked from inside asks for another, and so on, deeper than eight.",
            "Look for a location that asks itself on a detour.",
        ],
    ),
    reason(
        "denied",
        &[403],
        &[],
        ["A rule of `deny` fits the client's address.", "Write `allow ADDRESS;` before it, if the client may come in."],
    ),
    reason(
        "no-user-file",
        &[403],
        &["auth_basic_user_file"],
        ["The file of `auth_basic_user_file` is not there.", "Make it: `htpasswd -cB FILE USER`, or fix the path."],
    ),
    reason(
        "autoindex-off",
        &[403],
        &["autoindex"],
        [
            "The path is a folder without an index file, and it is not listed.",
            "Put an `index.html` there, name another file with `index`, or write `autoindex on;`.",
        ],
    ),
    reason(
        "folder-post",
        &[403],
        &["root", "alias"],
        [
            "A POST asked for a folder, which only GET and HEAD can do. The status is nginx's; other methods get 405.",
            "Send the form to a script, an application or an `upload_store`.",
        ],
    ),
    reason(
        "no-permission",
        &[403],
        &["root", "alias", "disable_symlinks"],
        [
            "The system does not let the server's user open the file, enter a folder on the way, or follow a symbolic link.",
            "`namei -l FILE` shows each step; the log names the file.",
        ],
    ),
    reason(
        "cgi-not-executable",
        &[403],
        &["cgi"],
        ["The script may not be run.", "`chmod +x SCRIPT`, or name an interpreter with `cgi_extension`."],
    ),
    // What is asked for.
    reason(
        "no-file",
        &[404],
        &["root", "alias"],
        [
            "There is no such file. The log names the path that was looked for.",
            "Compare that path with where the file is: `root` appends the whole URI, `alias` replaces the location's prefix.",
        ],
    ),
    reason(
        "no-regular-file",
        &[404],
        &["root", "alias"],
        ["It is a device, a socket or a pipe.", "Serve regular files."],
    ),
    reason(
        "internal",
        &[404],
        &["internal"],
        ["The location is for inside only.", "Ask for the URI that leads to it."],
    ),
    reason(
        "try-files",
        &[],
        &["try_files"],
        [
            "None of the files of `try_files` is there, and its last word is this status.",
            "Look at its words, and at `root`.",
        ],
    ),
    reason(
        "no-handler",
        &[404],
        &[],
        ["Nothing in the conf answers this request.", "Give the location a `root` or something that answers."],
    ),
    reason(
        "outside-alias",
        &[404],
        &["alias"],
        [
            "The path would lead out of the alias's folder by `..`.",
            "End both the location and the `alias` with a slash.",
        ],
    ),
    reason(
        "outside-root",
        &[404],
        &[],
        ["A rewritten path would lead out of the root by `..`.", "Look at the `rewrite` and what it captures."],
    ),
    reason(
        "accel-redirect",
        &[404],
        &[],
        ["The `X-Accel-Redirect` of a program names no path, or one that leads up.", "Fix the program: the value begins with `/` or `@` and has no `..` segment, escaped or not."],
    ),
    reason(
        "cgi-no-script",
        &[404],
        &["cgi", "root", "alias"],
        ["There is no such script.", "The log names the path that was looked for."],
    ),
    reason(
        "method",
        &[405],
        &["allow_methods"],
        [
            "The method is not allowed here; `Allow` lists those that are.",
            "Add it to `allow_methods`, or let a program answer.",
        ],
    ),
    reason(
        "precondition",
        &[412],
        &[],
        ["A condition of the request (`If-Match`, `If-Unmodified-Since`) does not hold.", "Fetch the file anew."],
    ),
    reason(
        "body-too-large",
        &[413],
        &["client_max_body_size"],
        ["The body is larger than allowed, by its `Content-Length` or by its chunks.", "Raise `client_max_body_size`."],
    ),
    reason(
        "uri-too-long",
        &[414],
        &["large_client_header_buffers"],
        ["The request line is longer than a buffer.", "Raise the size in `large_client_header_buffers`."],
    ),
    reason("range", &[416], &[], ["None of the ranges lies within the file.", "`Content-Range` tells its size."]),
    reason(
        "misdirected",
        &[421],
        &["ssl_verify_client"],
        ["The name in the request is not the one of the TLS handshake.", "Open a connection of its own for each name."],
    ),
    reason(
        "limit-req",
        &[],
        &["limit_req"],
        ["More requests came than `limit_req` allows.", "Raise the rate or the burst, if they are wanted."],
    ),
    reason(
        "limit-conn",
        &[],
        &["limit_conn"],
        ["More requests are under way than `limit_conn` allows.", "Raise it, if they are wanted."],
    ),
    reason(
        "return",
        &[],
        &[],
        ["The conf answers so, by `return` or `rewrite`.", "Look at the line that is shown."],
    ),
    reason("redirect", &[301, 302, 303, 307, 308], &[], ["No failure: the request is led elsewhere.", "Nothing."]),
    // What is ours.
    reason(
        "file-error",
        &[500],
        &["root", "alias"],
        ["The system failed to open or read a file; the log says how.", "Look at the disk."],
    ),
    reason(
        "body-not-stored",
        &[500],
        &["client_body_temp_path"],
        [
            "The request's body could not be written to a temporary file.",
            "Look at the folder that the log names: its rights, its room.",
        ],
    ),
    reason(
        "panic",
        &[500],
        &[],
        ["A fault of Longshore's own. Other requests are not touched.", "Report it, with the line of the log."],
    ),
    reason(
        "redirect-cycle",
        &[500],
        &[],
        [
            "The request was led in a circle inside the server, or eleven times.",
            "Look at `rewrite`, `try_files`, `index` and `error_page`: one of them leads back.",
        ],
    ),
    reason(
        "no-named-location",
        &[500],
        &[],
        ["A `@name` is meant that the server does not have.", "Write `location @name { }` into the server."],
    ),
    reason(
        "unsafe-field",
        &[500],
        &[],
        ["A field of the answer would hold a line break or a zero byte.", "Write `$request_uri` where `$uri` stands."],
    ),
    reason(
        "regex-too-hard",
        &[500],
        &[],
        [
            "A regex needs more steps for this text than `regex_match_limit` allows.",
            "Write it without nested repeats such as `(a+)+`.",
        ],
    ),
    reason(
        "regex-not-utf8",
        &[500],
        &[],
        ["A regex begins with `(*UTF)` and the text that it is asked about is not UTF-8.", "Leave `(*UTF)` out."],
    ),
    reason(
        "text-too-long",
        &[500],
        &[],
        ["A text that `rewrite` or `set` makes has more than 16 MiB.", "Look for a capture or a variable that a loop repeats."],
    ),
    reason(
        "empty-uri",
        &[500],
        &[],
        ["A `rewrite` leaves nothing of the path.", "Let its replacement begin with `/`."],
    ),
    reason(
        "if-without-handler",
        &[500],
        &["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass", "cgi_pass"],
        [
            "Two `if` blocks are true; the first one says who makes the response, and the settings of the last one, which does not, are in force.",
            "Say it in both, or decide by `map` and one line.",
        ],
    ),
    reason(
        "alias-of-rewritten",
        &[500],
        &["alias"],
        [
            "The path was rewritten and its location has an `alias`, whose prefix is not in it any more.",
            "Use `root` there, or `rewrite ... last`.",
        ],
    ),
    reason(
        "user-file",
        &[500],
        &["auth_basic_user_file"],
        ["The file of users cannot be read.", "Look at its rights."],
    ),
    reason(
        "cgi-spool",
        &[500],
        &["cgi"],
        ["A script's output could not be written to a temporary file.", "Look at the folder that the log names."],
    ),
    reason(
        "listing-spool",
        &[500],
        &["client_body_temp_path"],
        ["The listing of a folder could not be written to a temporary file.", "Look at the folder that the log names."],
    ),
    reason(
        "folder-too-large",
        &[500],
        &["autoindex", "upload_list"],
        ["The folder holds more than can be listed: some 500,000 files.", "Spread the files over several folders."],
    ),
    reason(
        "no-upstream",
        &[500],
        &["proxy_pass"],
        ["A destination is not in the table.", "Report it, with the line of the log."],
    ),
    reason(
        "no-link",
        &[500],
        &[],
        [
            "The connection to the other server was gone before its answer was taken.",
            "Report it, with the line of the log.",
        ],
    ),
    reason(
        "bad-upstream",
        &[500],
        &["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass"],
        ["A text with variables came to no name of a server.", "Look at the variables in the directive."],
    ),
    reason(
        "bad-upstream-url",
        &[500],
        &["proxy_pass"],
        ["A text with variables came to no URL.", "It is to begin with `http://` or `https://`."],
    ),
    reason(
        "bind-failed",
        &[500],
        &["proxy_bind", "fastcgi_bind", "scgi_bind", "uwsgi_bind"],
        ["The address for connections to the other server is not this machine's.", "Look at the address."],
    ),
    reason(
        "uwsgi-too-big",
        &[500],
        &["uwsgi_pass"],
        ["The request's parameters are more than the protocol can hold (64 KiB).", "Pass fewer, or smaller fields."],
    ),
    reason(
        "not-built",
        &[501],
        &[],
        ["The location needs a directive that is not built yet (`--partial`).", "Do without it."],
    ),
    reason("unknown-transfer-encoding", &[501], &[], ["A transfer coding before `chunked`.", CLIENT]),
    reason("bad-version", &[505], &[], ["A major version of HTTP that is not spoken here.", CLIENT]),
    // Scripts and other servers.
    reason(
        "cgi-no-interpreter",
        &[502],
        &["cgi_interpreter", "cgi_extension", "cgi"],
        ["The interpreter cannot be run.", "Install it, or fix the path that the log names."],
    ),
    reason(
        "cgi-no-interpreter-line",
        &[502],
        &["cgi"],
        [
            "The script does not begin with `#!`.",
            "Write `#!/bin/sh` or the like into its first line, or set `cgi_interpreter`.",
        ],
    ),
    reason(
        "cgi-crlf",
        &[502],
        &["cgi"],
        [
            "The script's first line ends in a carriage return.",
            "Save it with Unix line ends: `sed -i 's/\\r$//' SCRIPT`.",
        ],
    ),
    reason(
        "cgi-no-folder",
        &[502],
        &["cgi_working_dir", "cgi"],
        ["The folder that the script starts in is not there.", "Fix `cgi_working_dir`."],
    ),
    reason(
        "cgi-not-started",
        &[502],
        &["cgi"],
        ["The system did not start the script; the log says why.", "`longshore cgi run SCRIPT` shows more."],
    ),
    reason(
        "cgi-no-output",
        &[502],
        &["cgi"],
        ["The script ended without a word.", "`longshore cgi run SCRIPT` shows its errors."],
    ),
    reason(
        "cgi-bad-head",
        &[502],
        &["cgi_strict", "cgi"],
        [
            "The head of the script's output breaks the rules.",
            "Let it print `Content-Type: text/html` and an empty line first.",
        ],
    ),
    reason(
        "cgi-no-head-end",
        &[502],
        &["cgi"],
        ["The script's output has no empty line behind its head.", "Let it print one."],
    ),
    reason(
        "cgi-cut-short",
        &[502],
        &["cgi"],
        ["The script's answer broke off.", "`longshore cgi run SCRIPT` shows its end."],
    ),
    reason(
        "cgi-killed",
        &[502],
        &["cgi_limit", "cgi"],
        ["A signal ended the script before its answer.", "Look at `cgi_limit`, and at the script."],
    ),
    reason(
        "no-resolver",
        &[502],
        &["proxy_pass"],
        ["A name of a server comes with the request, and no `resolver` looks names up.", "Write `resolver ADDRESS;`."],
    ),
    reason(
        "name-not-resolved",
        &[502],
        &["resolver"],
        ["The name of the server was not found.", "Ask with `dig NAME @RESOLVER`."],
    ),
    reason(
        "no-live-upstream",
        &[502],
        &["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass"],
        [
            "All servers of the upstream failed lately.",
            "Look at them; `max_fails` and `fail_timeout` say how long they are left alone.",
        ],
    ),
    reason(
        "upstream-refused",
        &[502],
        &["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass"],
        ["The other server does not take connections.", "Is it running, and does it listen where the log says?"],
    ),
    reason(
        "upstream-broke-off",
        &[502],
        &["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass"],
        ["The connection to the other server broke.", "Look at that server's log."],
    ),
    reason(
        "upstream-closed",
        &[502],
        &["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass"],
        ["The other server closed without an answer.", "Look at that server's log."],
    ),
    reason(
        "upstream-bad-head",
        &[502],
        &["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass"],
        ["The head of the other server's answer is none.", "Is it the right protocol, and the right port?"],
    ),
    reason(
        "upstream-bad-body",
        &[502],
        &["proxy_pass", "fastcgi_pass", "scgi_pass", "uwsgi_pass"],
        ["The body of the other server's answer is malformed.", "Look at that server."],
    ),
    reason(
        "upstream-head-too-big",
        &[502],
        &["proxy_buffer_size", "fastcgi_buffer_size", "scgi_buffer_size", "uwsgi_buffer_size"],
        ["The head of the other server's answer is larger than the buffer.", "Raise the `_buffer_size`."],
    ),
    reason(
        "upstream-switched",
        &[502],
        &["proxy_pass"],
        ["The other server changed to a protocol that was not asked for.", "Look at that server."],
    ),
    reason(
        "upstream-tls",
        &[500, 502],
        &["proxy_pass"],
        [
            "The TLS handshake with the other server failed, or what is to be shown to it cannot be read (500); the log says how.",
            "Look at `proxy_ssl_verify`, `proxy_ssl_trusted_certificate` and `proxy_ssl_name`.",
        ],
    ),
    reason("no-session", &[301, 302, 303, 307, 308, 401], &["session_require"], ["The location wants a session, and the client has none.", "Let the client log in; `session_require` may name the page."]),
    reason("session-too-large", &[500], &[], ["A session would hold more than it may.", "Store less in it."]),
    reason("session-bad-field", &[502], &[], ["A program's field for the session is malformed.", "Fix the program; the log shows the field."]),
    reason("session-store", &[503], &[], ["Where sessions are kept cannot be reached or written.", "Look at the store that the log names."]),
    // Uploads.
    reason("bad-depth", &[400], &["dav_methods"], ["The `Depth` of a request is none that its method takes.", CLIENT]),
    reason("bad-destination", &[400], &["dav_methods"], ["The `Destination` of a request is no path of this server.", CLIENT]),
    reason("bad-overwrite", &[400], &["dav_methods"], ["`Overwrite` is neither `T` nor `F`.", CLIENT]),
    reason("no-destination", &[400], &["dav_methods"], ["A request to copy or move has no `Destination`.", CLIENT]),
    reason("other-host", &[400], &["dav_methods"], ["The `Destination` is on another host.", CLIENT]),
    reason("onto-itself", &[403], &["dav_methods"], ["A file would be copied or moved onto itself.", CLIENT]),
    reason("closed-destination", &[403], &["dav_methods"], ["A PUT of the `Destination` would be led elsewhere, or be answered by the conf.", "Name another destination, or let a PUT of it get to its path: see `longshore explain -X PUT`."]),
    reason("closed-entry", &[403], &["dav_methods"], ["Something that belongs to the request, such as a file in a folder that is copied, moved or removed, would be refused to this client in a request of its own, or is answered by something else. Nothing was done.", "Look up the path that the log names: `longshore explain -X DELETE` and the like tell what refuses it."]),
    reason("too-many-entries", &[403], &["dav_max_files"], ["A folder that is to be copied, moved or removed holds more files and folders than one request may be about. Nothing was done.", "Take the folders inside one by one, or raise `dav_max_files`."]),
    reason("under-way", &[503], &["dav_methods"], ["Another request copies, moves or removes the folder at this moment.", "Try again."]),
    reason("delete-depth", &[409], &["min_delete_depth"], ["The path has fewer parts than may be removed.", "Lower `min_delete_depth`, if such paths may be removed."]),
    reason("is-folder", &[400, 409], &["dav_methods", "upload_store"], ["The path is a folder, and a file is meant, or the reverse.", "Mind the slash at the end of the path."]),
    reason("mixed-destination", &[409], &["dav_methods"], ["Of source and destination one is a folder and the other is not.", "End both with a slash, or neither."]),
    reason("no-collection", &[409], &["create_full_put_path", "dav_methods"], ["The folder that the file belongs in is not there.", "Make it first, or write `create_full_put_path on;`."]),
    reason("exists", &[405, 409, 412], &["upload_on_conflict", "dav_methods"], ["There is a file of that name already.", "Choose another name, or write `upload_on_conflict rename;`."]),
    reason("put-range", &[501], &["dav_methods"], ["A part of a file cannot be put.", "Send the whole file."]),
    reason("no-such-place", &[404, 409], &["dav_methods"], ["The path leads through what is not there or is no folder.", "Make the folder first; mind what is a file."]),
    reason("not-removed", &[500], &["dav_methods"], ["The system did not remove a file; the log says why.", "Look at the rights of its folder."]),
    reason("bad-form", &[400], &["upload_store"], ["The form is malformed.", CLIENT]),
    reason("bad-name", &[400], &["upload_store"], ["A file's name cannot be a name here.", "Choose another name."]),
    reason("multipart-no-start", &[400], &["upload_store"], ["The form does not begin with its boundary.", CLIENT]),
    reason("multipart-delimiter", &[400], &["upload_store"], ["What follows a boundary of the form is neither a part nor the end.", CLIENT]),
    reason("multipart-long-head", &[400], &["upload_store"], ["The head of a part of the form is too long.", CLIENT]),
    reason("multipart-head", &[400], &["upload_store"], ["The head of a part of the form is malformed.", CLIENT]),
    reason("multipart-nested", &[400], &["upload_store"], ["A part of the form is a form itself.", "Send each file as a part of its own."]),
    reason("multipart-no-end", &[400], &["upload_store"], ["The form broke off.", CLIENT]),
    reason("forged-field", &[400], &["upload_pass"], ["A field of the form would pass for one that `upload_pass` makes of a file, such as `f.path`.", "Give the field another name, or name the file inputs with `upload_fields`."]),
    reason("field-name", &[400], &["upload_pass"], ["The name of a field is one that programs read in different ways: control characters, a backslash, an encoded word, more than 1024 bytes.", "Give the field another name."]),
    reason("other-field", &[400], &["upload_fields"], ["A file came in an input that `upload_fields` does not name.", "Add the input's name to `upload_fields`."]),
    reason("other-site", &[403], &["upload_origins", "upload_store"], ["The form was sent by a page of another site.", "Let the page and the upload have one host, or name the other site with `upload_origins`."]),
    reason("file-too-large", &[413], &["upload_max_file_size"], ["A file is larger than allowed.", "Raise `upload_max_file_size`."]),
    reason("large-fields", &[413], &["upload_store"], ["The fields of a form beside its files are too large.", CLIENT]),
    reason("too-many-files", &[413], &["upload_max_files"], ["A form has more files than allowed.", "Raise `upload_max_files`."]),
    reason("body-unsupported", &[415], &["dav_methods"], ["The method takes no body.", CLIENT]),
    reason("not-multipart", &[415], &["upload_store"], ["The body is no form with files.", "Send `multipart/form-data`."]),
    reason("type-refused", &[415], &["upload_types"], ["Files of this type are not taken.", "Add it to `upload_types`."]),
    reason("body-not-read", &[500], &["upload_store"], ["The body could not be read from where it was kept.", "Look at the folder that the log names."]),
    reason("body-passed", &[500], &["upload_store"], ["The body was taken already.", "Report it, with the line of the log."]),
    reason("no-space", &[507], &["upload_store", "dav_methods"], ["There is no room for the file: the disk is full, or what the server's user may have.", "Make room there."]),
    reason("store-missing", &[500], &["upload_store"], ["The folder of the store is not there.", "Make the folder that `upload_store` names."]),
    reason("store-closed", &[500], &["upload_store"], ["The server may not write into the folder of the store.", "Let the server's user write there."]),
    reason("store-error", &[500], &["upload_store", "dav_methods"], ["A file could not be written; the log says why.", "Look at the folder's rights and room."]),
    reason("length-required", &[411], &["upload_max_file_size"], ["A PUT came in chunks where a limit must be kept, so that nobody knows its size.", "Send it with `Content-Length`, or in a form."]),
    reason("quota", &[507], &["upload_quota"], ["The folder holds as much as it may.", "Remove files, or raise `upload_quota`."]),
    reason(
        "queue-full",
        &[503],
        &["thread_pool"],
        [
            "All workers are busy and the queue before them is full. The answer comes before the request is read, so no access log has it.",
            "Look what the workers do; `thread_pool default threads=N max_queue=M;` sets both.",
        ],
    ),
    reason(
        "connections-full",
        &[503],
        &["worker_connections"],
        [
            "As many connections are open as may, and none is idle. The answer comes before the request is read, so no access log has it.",
            "Raise `worker_connections`.",
        ],
    ),
    reason(
        "cgi-busy",
        &[503],
        &["cgi_max_procs"],
        [
            "As many scripts run as may, and the queue is full.",
            "Raise `cgi_max_procs N queue=M`, or look why they take so long.",
        ],
    ),
    reason(
        "no-resources",
        &[503],
        &["cgi"],
        ["The system has no room for another process.", "Look at memory and at the limit of processes."],
    ),
    reason(
        "no-descriptors",
        &[503],
        &["worker_rlimit_nofile"],
        ["The system has no room for another open file.", "Raise `worker_rlimit_nofile`."],
    ),
    reason(
        "auth-busy",
        &[503],
        &["auth_basic"],
        ["More passwords are being checked than may at once.", "Somebody may be trying passwords: look at the log."],
    ),
    reason(
        "cgi-timeout",
        &[504],
        &["cgi_timeout"],
        ["The script did not answer in time and was ended.", "Raise `cgi_timeout`, or look why it takes so long."],
    ),
    reason(
        "upstream-connect-timeout",
        &[504],
        &["proxy_connect_timeout", "fastcgi_connect_timeout", "scgi_connect_timeout", "uwsgi_connect_timeout"],
        ["The other server did not take the connection in time.", "Is there a firewall between, or is it overloaded?"],
    ),
    reason(
        "upstream-send-timeout",
        &[504],
        &["proxy_send_timeout", "fastcgi_send_timeout", "scgi_send_timeout", "uwsgi_send_timeout"],
        ["The other server did not read the request in time.", "Look why it is busy."],
    ),
    reason(
        "upstream-timeout",
        &[504],
        &["proxy_read_timeout", "fastcgi_read_timeout", "scgi_read_timeout", "uwsgi_read_timeout"],
        ["The other server did not answer in time.", "Raise the `_read_timeout`, or look why it takes so long."],
    ),
    reason(
        "intercepted",
        &[],
        &["proxy_intercept_errors", "fastcgi_intercept_errors", "scgi_intercept_errors", "uwsgi_intercept_errors"],
        ["The other server answered so, and the conf has a page of its own for it.", "Look at that server's log."],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn rows_are_unique_and_explained() {
        let mut seen = HashSet::new();
        for reason in REASONS {
            assert!(seen.insert(reason.name), "{} stands twice", reason.name);
            assert!(
                reason.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{}",
                reason.name
            );
            for text in [reason.text, reason.fix] {
                assert!(text.ends_with(['.', '?']) && !text.contains("  "), "{}: {text}", reason.name);
            }
        }
        assert!(of("denied").is_some() && of("").is_none());
    }
}
