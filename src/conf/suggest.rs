//! What somebody may have meant by a name that nobody knows: the closest of the names that would
//! do, or our word for what other servers spell otherwise.

/// The name that is fewest slips away (a letter more, less, wrong, or two swapped), if any is
/// close enough to be meant: one slip in a short word, at most three in a long one.
pub fn closest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let most = match word.len() {
        0..=2 => 0,
        3..=4 => 1,
        5..=9 => 2,
        10..=64 => 3,
        _ => return None,
    };
    names
        .filter(|name| name.len().abs_diff(word.len()) <= most)
        .map(|name| (distance(word.as_bytes(), name.as_bytes()), name))
        .filter(|(slips, _)| *slips <= most)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, name)| name)
}

/// The optimal string alignment distance: edits and swaps of neighbours.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// Names of other servers' confs, and what to write here.
#[rustfmt::skip]
const SPELLINGS: &[(&[&str], &str)] = &[
    (&["allowed_methods", "allow_method", "allowed_method", "methods", "method", "available_methods", "method_accept",
       "accepted_methods", "http_methods", "cgi_methods"], "write `allow_methods GET POST;`"),
    (&["deny_method", "deny_methods", "get_allowed", "post_allowed", "delete_allowed"],
     "name what is allowed: `allow_methods GET POST;`"),
    (&["cgi_ext", "cgi_extensions", "cgi_map", "cgi_executor", "cgi_handler", "extension", "is_cgi", "exec_name", "script_path",
       "cgi_bin", "cgi_dir"], "write `cgi_extension .py /usr/bin/python3;` or `cgi on;`"),
    (&["max_concurrent_cgi", "max_cgi_backlog"], "write `cgi_max_procs N queue=M;`"),
    (&["upload_path", "upload_dir", "upload_folder", "upload_to", "upload_location", "upload", "uploads", "upload_file",
       "set_upload", "enable_upload", "upload_enable"],
     "write `upload_store DIR;` for browser forms, or `dav_methods PUT DELETE;` for plain uploads"),
    (&["needcontentlen"], "remove it: bodies come with a length or in chunks, and both are checked"),
    (&["autoindex_page"], "write `autoindex_theme on;` for a listing to look at"),
    (&["directory_listing", "auto_index", "dir_listing", "listing"], "write `autoindex on;`"),
    (&["max_body_size", "client_body_size", "limit_client_body_size", "max_client_body_size", "body_size", "client_max_body"],
     "write `client_max_body_size 1m;`"),
    (&["client_header_size", "max_header_size"], "write `large_client_header_buffers 4 8k;`"),
    (&["host", "port", "bind"], "write `listen ADDRESS:PORT;` for where to listen, `server_name NAME;` for the name"),
    (&["server_names", "servername"], "write `server_name NAME ...;`"),
    (&["redirect", "redirection", "http_redirection", "rewrite_to"], "write `return 301 URL;`"),
    (&["error", "error_pages", "errorfolder", "path_error_page"], "write `error_page 404 /404.html;`"),
    (&["default_file", "directory_file", "default", "index_file"], "write `index index.html;`"),
    (&["try_file"], "write `try_files $uri =404;`"),
    (&["route", "path", "location_back"], "write `location /path { ... }`"),
    (&["document_root", "docroot", "root_dir"], "write `root DIR;`"),
    (&["keep_alive_timeout", "timeout_keep_alive", "keep_alive"], "write `keepalive_timeout 75s;`"),
    (&["timeout_full_header"], "write `client_header_timeout 60s;`"),
    (&["timeout_inter_receive", "receive_timeout", "client_timeout"],
     "write `client_header_timeout 60s;` and `client_body_timeout 60s;`"),
    (&["timeout_inter_send"], "write `send_timeout 60s;`"),
    (&["gateway_timeout"], "write `cgi_timeout 60s;`"),
    (&["max_connections", "worker", "connection_queue_length"], "write `events { worker_connections 1024; }`"),
    (&["max_workers", "workers", "threads"], "write `thread_pool default threads=32;`"),
    (&["log", "log_level", "log_to_terminal", "debug"], "write `error_log FILE LEVEL;` or `access_log FILE;`"),
    (&["authfolder", "isprotected", "auth_file"], "write `auth_basic TEXT;` and `auth_basic_user_file FILE;`"),
];

/// What is to come, and what others have built for nginx: beginnings of names, and what they belong to.
const UNBUILT: &[(&[&str], &str)] = &[
    (&["dav_ext_"], "nginx's dav-ext module"),
    (&["more_set_", "more_clear_"], "nginx's headers-more module"),
    (&["brotli", "brotli_"], "nginx's brotli module"),
    (&["fancyindex", "fancyindex_"], "nginx's fancyindex module (`autoindex_theme on;` makes listings to look at)"),
    (&["echo", "echo_"], "nginx's echo module (`return 200 \"text\";` answers with a text)"),
    (&["modsecurity", "modsecurity_"], "nginx's ModSecurity module"),
    (
        &[
            "lua_",
            "access_by_lua",
            "content_by_lua",
            "header_filter_by_lua",
            "init_by_lua",
            "log_by_lua",
            "rewrite_by_lua",
            "set_by_lua",
        ],
        "nginx's Lua module",
    ),
    (&["geoip2", "geoip2_"], "nginx's geoip2 module"),
    (&["passenger_"], "Passenger"),
    (&["pagespeed"], "PageSpeed"),
    (&["rtmp", "rtmp_"], "nginx's RTMP module"),
    (&["subs_filter"], "nginx's substitutions module"),
    (&["vhost_traffic_status"], "nginx's vhost traffic status module"),
];

/// What a directive belongs to that is not built; `name` is one that nobody knows. A beginning that ends in `_`, or a
/// whole name, fits.
pub fn unbuilt(name: &str) -> Option<&'static str> {
    let fits = |start: &&str| name == *start || name.starts_with(start) && (start.ends_with('_') || start.len() > 8);
    let part = UNBUILT.iter().find(|(starts, _)| starts.iter().any(&fits)).map(|(_, part)| *part)?;
    // Spellings of other projects have an answer of their own.
    (!SPELLINGS.iter().any(|(names, _)| names.contains(&name))).then_some(part)
}

/// Advice for a name as other servers spell it. `is_built` tells whether a directive can be used today.
pub fn spelling(name: &str, is_built: impl Fn(&str) -> bool) -> Option<String> {
    let name = name.to_ascii_lowercase();
    if let Some(code) = name.strip_prefix("error_").filter(|code| code.len() == 3 && code.parse::<u16>().is_ok()) {
        return Some(format!("write `error_page {code} /{code}.html;`"));
    }
    let advice = SPELLINGS.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, advice)| *advice)?;
    let meant = advice.split('`').skip(1).step_by(2).filter_map(|code| code.split([' ', ';']).next());
    let missing: Vec<_> = meant.filter(|name| !is_built(name) && !matches!(*name, "events" | "location")).collect();
    Some(match missing.as_slice() {
        [] => advice.to_string(),
        [one] => format!("{advice}, once `{one}` is built"),
        [one, others @ ..] if others.iter().all(|other| other == one) => format!("{advice}, once `{one}` is built"),
        _ => format!("{advice}, once they are built"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen_through() {
        let names = ["listen", "server_name", "root", "index", "location", "allow_methods"];
        for (word, want) in [
            ("lsiten", Some("listen")),
            ("sever_name", Some("server_name")),
            ("servername", Some("server_name")),
            ("Listen", Some("listen")),
            ("rot", Some("root")),
            ("ro", None),
            ("loction", Some("location")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(closest(word, names.into_iter()), want, "{word}");
        }
        assert_eq!(closest(&"a".repeat(100_000), names.into_iter()), None);
    }

    #[test]
    fn spellings_are_unique_and_answered() {
        let mut names: Vec<_> = SPELLINGS.iter().flat_map(|(names, _)| names.iter()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        let built = |name: &str| !name.starts_with("cgi");
        for (name, want) in [
            ("methods", Some("write `allow_methods GET POST;`")),
            ("cgi_ext", Some("write `cgi_extension .py /usr/bin/python3;` or `cgi on;`, once they are built")),
            ("gateway_timeout", Some("write `cgi_timeout 60s;`, once `cgi_timeout` is built")),
            ("errorFolder", Some("write `error_page 404 /404.html;`")),
            ("error_413", Some("write `error_page 413 /413.html;`")),
            ("max_connections", Some("write `events { worker_connections 1024; }`")),
            ("route", Some("write `location /path { ... }`")),
            ("listen", None),
        ] {
            assert_eq!(spelling(name, built).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn what_is_to_come_is_named() {
        for (name, want) in [
            ("dav_ext_methods", Some("nginx's dav-ext module")),
            ("upload_dir", None),
            ("echo", Some("nginx's echo module (`return 200 \"text\";` answers with a text)")),
            ("echoes", None),
            ("content_by_lua_block", Some("nginx's Lua module")),
            ("listen", None),
        ] {
            assert_eq!(unbuilt(name), want, "{name}");
        }
    }
}
