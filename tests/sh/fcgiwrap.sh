#!/bin/sh
# git over HTTP by git-http-backend behind fcgiwrap: clone, push, and a fetch of the last commit alone.
. "$(dirname "$0")/lib.sh"

wrap=$(command -v fcgiwrap || echo /usr/sbin/fcgiwrap)
backend=$(git --exec-path 2>/dev/null)/git-http-backend
if [ ! -x "$wrap" ] || [ ! -x "$backend" ]; then
    plan 1
    skip 1 "fcgiwrap or git-http-backend is not installed"
    exit
fi
plan 13

git_as_aurora
mkdir "$DIR/repos"
git init -q --bare "$DIR/repos/one.git"
git -C "$DIR/repos/one.git" config http.receivepack true
git -C "$DIR/repos/one.git" symbolic-ref HEAD refs/heads/main
chmod 777 "$DIR"

file cgi/told.sh <<'CGI'
#!/bin/sh
echo complaint >&2
printf 'Content-Type: text/plain\n\n'
echo "$REQUEST_METHOD $PATH_INFO $QUERY_STRING"
CGI
chmod 755 "$DIR/cgi/told.sh"

"$wrap" -f -c 2 -s "unix:$DIR/wrap.sock" >"$DIR/wrap.log" 2>&1 &
wrap_pid=$!
leave() {
    # Its children outlive it.
    children=$(ps -o pid= --ppid "$wrap_pid" 2>/dev/null || :)
    # shellcheck disable=SC2086
    kill -TERM "$wrap_pid" $children 2>/dev/null || :
    wait "$wrap_pid" 2>/dev/null || :
}
trap 'leave; clean_up' EXIT
wait_until test -S "$DIR/wrap.sock"
chmod 777 "$DIR/wrap.sock"

serve <<CONF
server {
    listen 127.0.0.1:%PORT1%;
    client_max_body_size 0;
    location ~ ^/git(/.*)\$ {
        fastcgi_pass unix:%DIR%/wrap.sock;
        fastcgi_param SCRIPT_FILENAME $backend;
        fastcgi_param PATH_INFO \$1;
        fastcgi_param REQUEST_METHOD \$request_method;
        fastcgi_param QUERY_STRING \$query_string;
        fastcgi_param CONTENT_TYPE \$content_type;
        fastcgi_param CONTENT_LENGTH \$content_length if_not_empty;
        fastcgi_param GIT_PROJECT_ROOT %DIR%/repos;
        fastcgi_param GIT_HTTP_EXPORT_ALL "";
        fastcgi_param REMOTE_USER somebody;
    }
    location ~ ^(/told\.sh)(/.*)?\$ {
        fastcgi_split_path_info ^(/told\.sh)(/.*)?\$;
        fastcgi_pass unix:%DIR%/wrap.sock;
        fastcgi_param SCRIPT_FILENAME %DIR%/cgi\$fastcgi_script_name;
        fastcgi_param PATH_INFO \$fastcgi_path_info;
        fastcgi_param REQUEST_METHOD \$request_method;
        fastcgi_param QUERY_STRING \$query_string;
    }
    location = /nowhere.sh {
        fastcgi_pass unix:%DIR%/wrap.sock;
        fastcgi_param SCRIPT_FILENAME %DIR%/cgi/nowhere.sh;
        fastcgi_param REQUEST_METHOD \$request_method;
    }
}
CONF

note "a script"
fetch "$URL1/told.sh/a/b?c=d"
is "$status $body" "200 GET /a/b c=d" "a shell script as CGI behind FastCGI"
ok "its standard error is in the log" grep -q 'FastCGI sent in stderr: "complaint"' "$DIR/error.log"
fetch "$URL1/nowhere.sh"
is "$status" 403 "a script that is not there"

note "git"
git_there_and_back "$URL1/git/one.git"
ok "and fetches the rest" git -C "$DIR/shallow" fetch -q --unshallow

stop
