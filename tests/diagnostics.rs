//! What is said of confs, through the program itself: every code's example gives that code and is silent once fixed, what other
//! servers call things is answered, dangers can be silenced, and the messages in the README are the real ones.

use std::path::Path;
use std::process::{Command, Output};

use longshore::conf::codes::{self, Code};

fn longshore(folder: &Path, words: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_longshore");
    let output = Command::new(program).current_dir(folder).args(words).env("NO_COLOR", "1").output();
    output.expect("the program runs")
}

/// What is said of a conf, and whether it was taken.
fn said(folder: &Path, text: &str, words: &[&str]) -> (String, bool) {
    std::fs::write(folder.join("longshore.conf"), text).expect("the folder can be written");
    let output = longshore(folder, &[words, &["-c", "longshore.conf"]].concat());
    (String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(), output.status.success())
}

/// A folder as the examples want it: an error page, a certificate, users, and a server that may enter.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("html")).expect("a folder");
    std::fs::write(folder.path().join("html/404.html"), "gone").expect("a file");
    std::fs::create_dir(folder.path().join("my files")).expect("a folder");
    std::fs::write(folder.path().join("users"), "").expect("a file");
    std::fs::create_dir(folder.path().join("html/up")).expect("a folder");
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path().join("html/up"), all).expect("it is ours");
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everybody).expect("it is ours");
    let made = longshore(folder.path(), &["cert", "self-signed", "localhost"]);
    assert!(made.status.success(), "{made:?}");
    folder
}

#[test]
fn every_example_gives_its_code_and_is_silent_once_mended() {
    let folder = folder();
    for kind in codes::kinds() {
        // An address that is not this machine's is found out when it is listened on.
        let words: &[&str] =
            if kind.code == Code::CannotListen { &["--format", "short"] } else { &["-t", "--format", "short"] };
        let (text, _) = said(folder.path(), kind.bad, words);
        if kind.code != Code::NotBuilt && text.contains("[LS036]") {
            println!("skipped: the example of {} waits for what is not built yet", kind.code);
            continue;
        }
        assert!(text.contains(&format!("[{}]", kind.code)), "{} is not said of\n{}\nbut\n{text}", kind.code, kind.bad);
        let (text, taken) = said(folder.path(), kind.fixed, &["-t", "--format", "short"]);
        assert!(taken && !text.contains("[LS"), "{}: of the fixed example is said\n{text}", kind.code);
    }
}

#[test]
fn a_comment_silences_one_rule() {
    let folder = folder();
    for kind in codes::kinds() {
        let Some(rule) = kind.rule else { continue };
        let silent: String = kind.bad.lines().map(|line| format!("# longshore: allow {rule}\n{line}\n")).collect();
        let (text, taken) = said(folder.path(), &silent, &["-t", "--format", "short"]);
        if text.contains("[LS036]") {
            println!("skipped: the example of {rule} waits for what is not built yet");
            continue;
        }
        assert!(taken && !text.contains("[LS"), "{rule} is not silenced:\n{text}");
        let other = silent.replace(rule, "another-rule");
        let (text, _) = said(folder.path(), &other, &["-t", "--format", "short"]);
        assert!(text.contains(&format!("[{}]", kind.code)), "{rule} is silenced by another name:\n{text}");
    }
}

#[test]
fn a_comment_at_a_block_silences_a_rule_within() {
    let folder = folder();
    let conf = |first: &str, second: &str| {
        let body = "    location /a { alias html/; }\n    location /c { alias html/; }\n";
        format!("server {{{first}\n    listen 8080;\n{body}}}\nserver {{{second}\n    listen 8081;\n{body}}}\n")
    };
    let allow = " # longshore: allow alias-slash";
    for (text, want) in [
        (conf("", ""), 4),
        (conf(allow, ""), 2),
        (conf(allow, allow), 0),
        (format!("http {{{allow}\n{}}}\n", conf("", "")), 0),
        (format!("http {{ # longshore: allow status-open\n{}}}\n", conf("", "")), 4),
    ] {
        let (said, taken) = said(folder.path(), &text, &["-t", "--format", "short"]);
        assert!(taken && said.matches("[LS101]").count() == want, "{text}\n{said}");
        assert!(!said.contains("[LS081]"), "{text}\n{said}");
    }
}

#[test]
fn a_comment_that_names_no_rule_is_named() {
    let folder = folder();
    let conf = "server {\n    listen 8080;\n    location /a { alias html/; } # longshore: allow alias-slsh\n}\n";
    let (text, taken) = said(folder.path(), conf, &["-t", "--format", "short"]);
    let want = ":3:53: warning[LS081]: there is no rule `alias-slsh` (did you mean `alias-slash`?)";
    assert!(taken && text.contains(want) && text.contains("[LS101]"), "{text}");
}

#[test]
fn a_return_that_comes_after_the_session_is_no_danger() {
    let folder = folder();
    for (session, dangers) in
        [("", 1), ("session app; session_set user x;", 0), ("session app; session_rotate off;", 1)]
    {
        let conf = format!(
            "session_zone app:1m;\nserver {{\n    listen 8080;\n    location = /login {{ deny all; {session} return 303 /; }}\n}}\n"
        );
        let (text, taken) = said(folder.path(), &conf, &["-t", "--format", "short"]);
        assert!(taken && text.matches("[LS104]").count() == dangers, "{session}: {text}");
    }
}

#[test]
fn a_cache_is_left_out_by_partial() {
    let folder = folder();
    let conf = "proxy_cache_path /var/cache/a keys_zone=a:1m;\nserver {\n    listen 8080;\n    location / { proxy_cache a; proxy_pass http://127.0.0.1:1; }\n}\n";
    let (text, taken) = said(folder.path(), conf, &["-t", "--format", "short"]);
    // Where a cache would stand matters only to who asks for it.
    assert!(!taken && text.matches("error[LS036]").count() == 1 && text.contains(":4:30: error"), "{text}");
    let (text, taken) = said(folder.path(), conf, &["--partial", "-t", "--format", "short"]);
    assert!(taken && text.matches("note[LS080]").count() == 1, "{text}");
}

#[test]
fn a_file_of_nginx_s_packages_is_found_where_they_put_it() {
    if !Path::new("/etc/nginx/snippets/fastcgi-php.conf").exists() {
        println!("skipped: nginx's package is not installed");
        return;
    }
    let folder = folder();
    let conf = |name: &str| format!("server {{\n    listen 8080;\n    location / {{ include {name}; }}\n}}\n");
    let (text, taken) = said(folder.path(), &conf("snippets/fastcgi-php.conf"), &["-t", "--format", "short"]);
    assert!(!taken && text.contains("write `include /etc/nginx/snippets/fastcgi-php.conf;`"), "{text}");
    let (text, taken) = said(folder.path(), &conf("snippets/none.conf"), &["-t", "--format", "short"]);
    assert!(!taken && !text.contains("/etc/nginx"), "{text}");
}

#[test]
fn a_block_that_is_never_opened_is_said_once() {
    let folder = folder();
    for (conf, want) in [
        (
            "http\n    server {\n        listen 8080;\n        location / { root html; }\n    }\n}\n",
            ":2:5: error[LS011]: `http` has no `{`",
        ),
        (
            "server {\n    listen 8080;\n    location ~ \\.php$\n        root html;\n        index a;\n    }\n    location / { }\n}\n",
            "(write `location ~ \\.php$ {`)",
        ),
        (
            "server {\n    listen 8080;\n    location / {\n        if ($arg_a)\n            return 403;\n        }\n    }\n}\n",
            "`if` has no `{`",
        ),
    ] {
        let (text, taken) = said(folder.path(), conf, &["-t", "--format", "short"]);
        assert!(!taken && text.contains(want) && text.matches("error[").count() == 1, "{conf}\n{text}");
    }
}

#[test]
fn what_is_meant_otherwise_is_answered() {
    let folder = folder();
    for (line, want) in [
        ("fastcgi_pass /usr/bin/php;", "`cgi_extension .py /usr/bin/php;` starts a program for each request"),
        ("return /new;", "write `return 302 /new;`"),
        ("allow GET POST;", "takes one word"),
        ("allow GET;", "for methods write `allow_methods GET;`"),
        ("listen 8080 9000;", "write `listen 9000;` below"),
        ("location /a { location *.php { } }", "`location ~ \\.php$`"),
        ("location $x /a { }", "write `location /path { ... }`"),
        ("proxy_set_header Connection $connection_upgrade;", "write `map $http_upgrade $connection_upgrade"),
    ] {
        let conf = match line.split(' ').next() {
            Some("listen" | "location" | "return") => format!("server {{\n    {line}\n}}\n"),
            _ => format!("server {{\n    listen 8080;\n    location / {{ {line} }}\n}}\n"),
        };
        let (text, taken) = said(folder.path(), &conf, &["-t", "--format", "short"]);
        assert!(!taken && text.contains(want), "{line}: {text}");
    }
}

#[test]
fn errors_come_before_warnings_and_both_are_counted() {
    let folder = folder();
    let conf = "server {\n    listen 8080;\n    server_name \u{201c}a\u{201d};\n    autoindx on;\n    root a b;\n}\n";
    let (text, taken) = said(folder.path(), conf, &["-t"]);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is not in\n{text}"));
    assert!(!taken && at("error[LS030]") < at("error[LS033]") && at("error[LS033]") < at("warning[LS009]"), "{text}");
    assert!(text.contains("2 errors, 1 warning; `longshore help LS030` explains the first"), "{text}");
    let (text, taken) =
        said(folder.path(), "server {\n    listen 8080;\n    location /a { alias html/; }\n}\n", &["-t"]);
    assert!(taken && text.contains("warning[LS101]") && text.contains("1 warning;"), "warnings never fail: {text}");
    let (text, _) =
        said(folder.path(), "server {\n    listen 8080;\n    location /a { alias html/; }\n}\n", &["-t", "-q"]);
    assert_eq!(text, "");
}

#[test]
fn a_typographic_quote_is_named_before_the_errors_that_it_makes() {
    let folder = folder();
    let conf = "server {\n    listen 8080;\n    autoindx on;\n    return 200 \u{201c}a b\u{201d};\n    server_name \u{2018}a\u{2019};\n}\n";
    let (text, taken) = said(folder.path(), conf, &["-t"]);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} is not in\n{text}"));
    assert!(!taken && at("error[LS030]") < at("(U+201C)") && at("(U+201C)") < at("error[LS033]"), "{text}");
    assert!(at("error[LS033]") < at("(U+2018)"), "a line without an error is a warning: {text}");
    let conf = "server {\n    listen 8080;\n    return 200 \u{201c}a b\u{201d};\n}\n";
    let (text, _) = said(folder.path(), conf, &["-t"]);
    assert!(text.contains("1 error, 2 warnings; `longshore help LS009` explains the first"), "{text}");
    assert!(text.contains("write the plain quote `\"` at both ends"), "{text}");
}

#[test]
fn who_included_a_file_is_shown() {
    let folder = folder();
    std::fs::write(folder.path().join("a.inc"), "include b.inc;\n").expect("a file");
    std::fs::write(folder.path().join("b.inc"), "rot x;\n").expect("a file");
    let conf = "server {\n    listen 8080;\n    include a.inc;\n}\n";
    let (text, _) = said(folder.path(), conf, &["-t"]);
    let (inner, outer) = ("included at ", "longshore.conf:3");
    assert!(text.contains(inner) && text.contains("a.inc:1") && text.contains(outer), "{text}");
    let (text, _) = said(folder.path(), conf, &["-t", "--format", "json"]);
    assert!(text.contains("\"code\":\"LS030\"") && text.contains("\"included_at\":[{\"file\":"), "{text}");
}

/// Names that other servers' confs use for what has another name here.
const ELSEWHERE: &str = "allowed_methods redirect host cgi_ext directory_listing max_body_size upload methods upload_path route \
    error_pages server_names port allow_method auto_index extension upload_to error upload_dir autoindex_page keep_alive_timeout path \
    client_body_size client_header_size max_concurrent_cgi max_connections max_cgi_backlog max_workers is_cgi timeout_full_header \
    timeout_inter_receive timeout_inter_send timeout_keep_alive cgi_executor directory_file enable_upload location_back upload_file \
    available_methods client_timeout exec_name log_level log_to_terminal redirection try_file SERVER Server allowed_method authFolder cgi_dir \
    cgi_extensions cgi_map cgi_methods connection_queue_length debug default_file delete_allowed deny_method errorFolder error_400 \
    error_404 error_500 gateway_timeout get_allowed http_redirection isProtected limit_client_body_size log max_client_body_size method \
    method_accept needContentLen path_error_page post_allowed receive_timeout script_path set_upload upload_location uploads worker";

#[test]
fn names_from_elsewhere_are_answered_with_ours() {
    let folder = folder();
    for name in ELSEWHERE.split_whitespace() {
        let conf = format!("server {{\n    listen 8080;\n    {name} a;\n}}\n");
        let (text, _) = said(folder.path(), &conf, &["-t", "--format", "short"]);
        assert!(
            text.contains("(write `")
                || text.contains("(did you mean")
                || text.contains("(remove it")
                || text.contains("name what is allowed"),
            "{name}: {text}"
        );
    }
}

#[test]
fn messages_in_the_readme_are_real() {
    let folder = folder();
    let conf = "server {\n    listen 8080\n    root html;\n    location /files { alias /srv/files/; }\n    location /up {\n        upload_dir /srv/up;\n        client_max_body_size 10 MB;\n    }\n}\n";
    let (text, _) = said(folder.path(), conf, &["-t"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md");
    let here = format!("{}/", folder.path().canonicalize().expect("it is there").display());
    let shown = text.replace(&here, "").replace(&format!("{}/", folder.path().display()), "");
    let block = format!("```nginx\n{conf}```\n\n```text\n$ longshore -t -c longshore.conf\n{shown}```\n");
    let (begin, end) = ("<!-- messages -->\n", "<!-- end of messages -->\n");
    let (before, rest) = readme.split_once(begin).expect("the README has a place for messages");
    let (_, after) = rest.split_once(end).expect("and an end of it");
    let wanted = format!("{before}{begin}{block}{end}{after}");
    if std::env::var_os("LONGSHORE_BLESS").is_some() {
        std::fs::write(&path, &wanted).expect("README.md can be written");
    }
    assert!(
        wanted == std::fs::read_to_string(&path).expect("README.md"),
        "the messages in README.md are out of date: run LONGSHORE_BLESS=1 cargo test --test diagnostics"
    );
}

#[test]
fn forms_of_messages_and_colours() {
    let folder = folder();
    let conf = "server {\n    listen 8080;\n    rot x;\n}\n";
    let (long, _) = said(folder.path(), conf, &["-t"]);
    let (pretty, _) = said(folder.path(), conf, &["-t", "--format", "pretty"]);
    assert!(long == pretty && long.contains("rot x;"), "{long}\n{pretty}");
    let (short, _) = said(folder.path(), conf, &["-t", "--format", "short"]);
    assert!(short.contains(":3:5: error[LS030]: ") && !short.contains("rot x;"), "{short}");
    for text in [long, short] {
        assert!(!text.contains('\u{1b}'), "where no terminal is there are no colours: {text:?}");
    }
}

#[test]
fn help_and_completions() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (words, want, fine) in [
        (&["help"][..], "LS001", true),
        (&["help", "LS101"], "alias-slash", true),
        (&["help", "403/denied"], "403/denied", true),
        (&["help", "autoindex"], "autoindex on | off;", true),
        (&["help", "autoindx"], "did you mean `autoindex`?", false),
        (&["completions", "bash"], "_longshore", true),
        (&["completions", "zsh"], "#compdef longshore", true),
        (&["completions", "fish"], "complete -c longshore", true),
    ] {
        let output = longshore(folder.path(), words);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(text.contains(want) && output.status.success() == fine, "{words:?}: {text}");
    }
}

#[test]
fn what_the_machine_lacks_is_told_with_its_place_and_a_remedy() {
    let folder = folder();
    let gone = folder.path().join("gone").display().to_string();
    let conf = |lines: &str| format!("{}\nserver {{\n    listen 8080;\n}}\n", lines.replace("GONE", &gone));
    let inside = |line: &str| format!("server {{\n    listen 8080;\n    {}\n}}\n", line.replace("GONE", &gone));
    for (text, want) in [
        (
            conf("pid GONE/a/x.pid;"),
            "1:5: error[LS061]: cannot write the pid file `GONE/a/x.pid`: No such file or directory (the folder is missing: `mkdir -p GONE/a`)",
        ),
        (
            conf("error_log GONE/a.log;"),
            "1:11: error[LS061]: cannot open the log file `GONE/a.log`: No such file or directory (the folder is missing: `mkdir -p GONE`)",
        ),
        (inside("access_log \"GONE/b.log\";"), "3:17: error[LS061]: cannot open the log file `GONE/b.log`"),
        (
            inside("client_body_temp_path GONE/a/b;"),
            "3:27: error[LS061]: cannot make the folder `GONE/a/b`: No such file or directory (the folder is missing: `mkdir -p GONE/a`)",
        ),
        (inside("fastcgi_temp_path gone/a/b 1 2;"), "3:23: error[LS061]"),
        (
            inside("root GONE;"),
            "3:10: warning[LS119]: the folder `GONE` is not there (`mkdir -p GONE`, or name the folder that is meant)",
        ),
        (inside("root \"two words\";"), "/two words' `, or"),
        (inside("root users;"), "warning[LS119]: the folder `"),
        (inside("location /a/ { alias gone/; }"), "3:26: warning[LS119]: the folder `GONE` is not there"),
        (
            inside("auth_basic a; auth_basic_user_file GONE;"),
            "3:40: warning[LS119]: the password file `GONE` is not there (`htpasswd -c GONE NAME` makes one, or name the file that is meant)",
        ),
        (inside("location /a/ { upload_store gone; }"), "3:33: warning[LS119]: the store `GONE` is not there"),
        (
            inside("location /a/ { cgi_extension .py GONE/python3; }"),
            "3:38: warning[LS119]: the program `GONE/python3` is not there (",
        ),
        (inside("location /a/ { cgi_pass GONE/sh; }"), "the program `GONE/sh` is not there (write `/"),
        (
            inside("location /a/ { proxy_pass http://unix:GONE/s:/; }"),
            "3:31: warning[LS119]: the socket `GONE/s` is not there (start the program",
        ),
        (
            inside("location /a/ { fastcgi_pass unix:/etc/passwd; }"),
            "3:33: warning[LS119]: the socket `/etc/passwd` is not a socket",
        ),
        (
            format!("upstream u {{ server unix:{gone}; }}\n{}", conf("")),
            "1:21: warning[LS119]: the socket `GONE` is not there",
        ),
    ] {
        let (said, taken) = said(folder.path(), &text, &["-t", "--format", "short"]);
        let want = want.replace("GONE", &gone).replace("' `, or", "'`, or");
        assert!(said.contains(&want), "{text}wanted: {want}\nsaid: {said}");
        assert_eq!(taken, !want.contains("error["), "{said}");
        assert_eq!(said.matches("[LS").count(), 1, "{said}");
    }
    for fine in ["pid x.pid;", "error_log a.log;", "error_log stderr;", "client_body_temp_path one;"] {
        let (said, taken) = said(folder.path(), &conf(fine), &["-t", "--format", "short"]);
        assert!(taken && !said.contains("[LS"), "{fine}: {said}");
    }
    // What the start cannot have, it says in the same words.
    let text = conf("error_log stderr; daemon off; pid GONE/a/x.pid; client_body_temp_path GONE/a/b;");
    let (said, taken) = said(folder.path(), &text, &["--format", "short"]);
    assert!(!taken && said.matches("mkdir -p").count() == 2, "{said}");
}
