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
    (&["directory_listing", "auto_index", "dir_listing", "listing"], "write `autoindex on;`"),
    (&["max_body_size", "client_body_size", "limit_client_body_size", "max_client_body_size", "body_size", "client_max_body"],
     "write `client_max_body_size 1m;`"),
    (&["client_header_size", "max_header_size"], "write `large_client_header_buffers 4 8k;`"),
    (&["host", "port", "bind"], "write `listen ADDRESS:PORT;` for where to listen, `server_name NAME;` for the name"),
    (&["server_names", "servername"], "write `server_name NAME ...;`"),
    (&["redirect", "redirection", "http_redirection", "rewrite_to"], "write `return 301 URL;`"),
    (&["error", "error_pages", "errorfolder", "path_error_page", "error_400", "error_401", "error_403", "error_404", "error_405",
       "error_413", "error_500"], "write `error_page 404 /404.html;`"),
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

/// Advice for a name as other servers spell it.
pub fn spelling(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    SPELLINGS.iter().find(|(names, _)| names.contains(&name.as_str())).map(|(_, advice)| *advice)
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
        assert!(spelling("cgi_ext").is_some_and(|advice| advice.contains("cgi_extension")));
        assert!(spelling("errorFolder").is_some());
        assert_eq!(spelling("listen"), None);
    }
}
