//! Random confs: servers with guards, locations, rewrites and pages that overlap, out of words that the requests know too. What they
//! mean is for the two servers to say.

use super::random::Random;

/// Names of files and folders below the root, and what leads to them.
pub const WORDS: [&str; 14] = [
    "a.txt",
    "b.html",
    "dir",
    "sub",
    "secret",
    "key.txt",
    "index.html",
    "x.php",
    "up",
    "old",
    "Dir",
    "sp ace.txt",
    "link",
    "none",
];

/// Patterns that overlap.
const PATTERNS: [&str; 12] = [
    r"\.txt$",
    r"\.php(/|$)",
    r"^/secret/",
    r"/key",
    r"^/(dir|up)/(.*)$",
    r"/sub",
    r"\.(txt|html)$",
    r"^/old",
    r"/$",
    r"^/[^/]+$",
    r"(?<rest>[a-z]+)$",
    r"%|\\|;",
];

const STEPS: [&str; 44] = [
    "deny all;",
    "deny 127.0.0.1;",
    "allow 127.0.0.1; deny all;",
    "allow 10.0.0.0/8; deny all;",
    "allow all;",
    "internal;",
    "auth_basic in; auth_basic_user_file %DIR%/users;",
    "satisfy any; deny all; auth_basic in; auth_basic_user_file %DIR%/users;",
    "satisfy any; allow 10.1.2.3; deny all;",
    "auth_basic off;",
    "limit_except GET { deny all; }",
    "limit_except POST PUT { allow 10.0.0.0/8; deny all; }",
    "if ($request_method = POST) { return 403; }",
    "if ($http_x_key != open) { return 403; }",
    "if ($arg_key = open) { break; }",
    "if ($guard) { return 401; }",
    "if ($uri ~ \"^/secret\") { return 404; }",
    "if ($request_uri ~* secret) { return 444; }",
    "if (-f $request_filename) { rewrite ^ /b.html last; }",
    "if (!-e $request_filename) { return 410; }",
    "if ($invalid_referer) { return 403; }",
    "error_page 403 404 /b.html;",
    "error_page 401 403 =200 /a.txt;",
    "error_page 404 = @last;",
    "error_page 403 405 = /dir/index.html;",
    "error_page 404 /secret/key.txt;",
    "try_files $uri $uri/ /b.html;",
    "try_files $uri/index.html $uri =403;",
    "try_files /secret/key.txt @last;",
    "rewrite ^/old/(.*)$ /secret/$1 last;",
    "rewrite ^/(.*)/old$ /$1/a.txt break;",
    "rewrite \\.php$ /a.txt;",
    "rewrite ^/up(.*) /dir$1 redirect;",
    "rewrite ^/none/(.*) /$1? permanent;",
    "return 204;",
    "return 301 /dir/$uri;",
    "return 200 \"$uri $args $host $request_method\";",
    "autoindex on;",
    "index index.html a.txt;",
    "disable_symlinks on;",
    "client_max_body_size 10;",
    "etag off;",
    "expires max;",
    "default_type text/odd;",
];

/// The body of `http`.
pub fn conf(random: &mut Random) -> String {
    let mut out = String::from(
        "client_header_timeout 1s; client_body_timeout 1s; lingering_time 1s; lingering_timeout 1s; keepalive_timeout 5s;\n\
         types { text/plain txt; text/html html; }\n\
         map $uri $guard { default 0; ~^/secret 1; /dir/ 1; ~*\\.TXT$ 1; /none \"\"; }\n",
    );
    for line in [
        "merge_slashes off;",
        "server_tokens off;",
        "absolute_redirect off;",
        "underscores_in_headers on;",
        "ignore_invalid_headers off;",
        "max_ranges 2;",
        "if_modified_since before;",
        "port_in_redirect off;",
        "msie_padding off;",
        "large_client_header_buffers 2 1k;",
        "gzip on; gzip_min_length 1; gzip_types text/plain;",
        "set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For;",
        "set_real_ip_from 10.0.0.0/8; set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; real_ip_recursive on;",
        "recursive_error_pages on;",
        "server_name_in_redirect on;",
        "charset utf-8;",
        "log_subrequest on;",
        "server_names_hash_bucket_size 64;",
    ] {
        if random.chance(15) {
            out += line;
            out.push('\n');
        }
    }
    out += &server(random, "listen 127.0.0.1:%PORT%;");
    if random.chance(50) {
        let name =
            random.one_of(&["a.test", "*.test", ".b.test", "~^(?<who>w+)\\.test$", "\"\"", "a.test b.test", "h"]);
        let listen = random.one_of(&["listen 127.0.0.1:%PORT%;", "listen 127.0.0.1:%PORT% default_server;"]);
        out += &server(random, &format!("{listen} server_name {name};"));
    }
    // Where requests are passed on to: says what it was asked.
    out += "server { listen 127.0.0.1:%PORT2%; return 200 \"$request|$http_host|$http_x_key|$http_connection|$content_length|$http_transfer_encoding|$http_x_odd\"; }\n";
    out
}

fn server(random: &mut Random, head: &str) -> String {
    let mut out = format!(
        "server {{ {head} root %DIR%/html;\nlocation = /last {{ return 200 last; }}\nlocation @last {{ return 200 \"named $uri\"; }}\n"
    );
    if random.chance(30) {
        out += "add_header X-Seen \"$scheme|$args|$is_args|$remote_user|$server_port|$remote_addr\" always;\n";
    }
    if random.chance(30) {
        out += "valid_referers none server_names *.good.test ~good;\n";
    }
    for _ in 0..random.below(3) {
        out += random.one_of(&STEPS);
        out.push('\n');
    }
    for _ in 0..1 + random.below(5) {
        out += &location(random, "", 2);
    }
    out + "}\n"
}

fn location(random: &mut Random, below: &str, depth: usize) -> String {
    let (first, second) = (random.one_of(&WORDS), random.one_of(&WORDS));
    let path = match random.below(5) {
        0 => format!("{below}/{first}"),
        1 => format!("{below}/{first}/"),
        2 => format!("{below}/{first}/{second}"),
        3 => format!("{below}/"),
        _ => format!("{below}/{}", &first[..1]),
    };
    let pattern = random.one_of(&PATTERNS);
    let (head, below) = match random.below(8) {
        0 => (format!("= \"{path}\""), None),
        1 => (format!("^~ \"{path}\""), Some(path.as_str())),
        2 => (format!("~ \"{}\"", pattern.replace('\\', "\\\\")), None),
        3 => (format!("~* \"{}\"", pattern.replace('\\', "\\\\")), None),
        _ => (format!("\"{path}\""), Some(path.as_str())),
    };
    let mut out = format!("location {head} {{\n");
    for _ in 0..random.below(4) {
        out += random.one_of(&STEPS);
        out.push('\n');
    }
    match random.below(12) {
        0 => out += &format!("alias %DIR%/html/{};\n", random.one_of(&["dir/", "secret/", "", "dir/sub/"])),
        1 => out += &format!("root %DIR%/html/{};\n", random.one_of(&["dir", "secret", "none"])),
        2 if below.is_some() => {
            out += &format!("proxy_pass http://127.0.0.1:%PORT2%{};\n", random.one_of(&["", "/", "/x", "/x/"]))
        }
        3 => out += "proxy_pass http://127.0.0.1:%PORT2%;\n",
        _ => {}
    }
    if let Some(below) = below.filter(|_| depth > 0 && random.chance(30)) {
        let below = below.to_string();
        out += &location(random, below.trim_end_matches('/'), depth - 1);
    } else if depth > 0 && random.chance(10) {
        out += &format!("location ~ \"{}\" {{ {} }}\n", pattern.replace('\\', "\\\\"), random.one_of(&STEPS));
    }
    out + "}\n"
}
