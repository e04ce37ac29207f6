#!/bin/sh
# A real program behind CGI: git over HTTP by git-http-backend. Clone, push, and a fetch of the last commit alone.
. "$(dirname "$0")/lib.sh"

backend=$(git --exec-path 2>/dev/null)/git-http-backend
if is_nginx || [ ! -x "$backend" ]; then
    plan 1
    skip 1 "nginx runs no scripts, or git-http-backend is not installed"
    exit
fi
plan 11

git_as_aurora
mkdir "$DIR/repos"
git init -q --bare "$DIR/repos/one.git"
git -C "$DIR/repos/one.git" config http.receivepack true
git -C "$DIR/repos/one.git" symbolic-ref HEAD refs/heads/main
chmod -R a+rwX "$DIR/repos"

serve <<CONF
server {
    listen 127.0.0.1:%PORT1%;
    location ~ ^/git(/.*)\$ {
        client_max_body_size 0;
        cgi_pass $backend;
        cgi_set_var PATH_INFO \$1;
        cgi_set_var GIT_PROJECT_ROOT %DIR%/repos;
        cgi_set_var GIT_HTTP_EXPORT_ALL 1;
        # The repositories belong to whoever runs this script, the server may be somebody else.
        cgi_set_var GIT_CONFIG_COUNT 1;
        cgi_set_var GIT_CONFIG_KEY_0 safe.directory;
        cgi_set_var GIT_CONFIG_VALUE_0 *;
    }
    # The same, passed on while it comes.
    location ~ ^/pieces(/.*)\$ {
        client_max_body_size 0;
        cgi_request_buffering off;
        cgi_buffering off;
        cgi_pass $backend;
        cgi_set_var PATH_INFO \$1;
        cgi_set_var GIT_PROJECT_ROOT %DIR%/repos;
        cgi_set_var GIT_HTTP_EXPORT_ALL 1;
        # The repositories belong to whoever runs this script, the server may be somebody else.
        cgi_set_var GIT_CONFIG_COUNT 1;
        cgi_set_var GIT_CONFIG_KEY_0 safe.directory;
        cgi_set_var GIT_CONFIG_VALUE_0 *;
    }
}
CONF

git_there_and_back "$URL1/git/one.git"
echo three >"$work/file"
head -c 3000000 /dev/urandom >"$work/large"
git -C "$work" commit -q -a -m three
ok "a push that is passed on while it comes" git -C "$work" push -q "$URL1/pieces/one.git" main
git clone -q "$URL1/pieces/one.git" "$DIR/third"
ok "arrives byte for byte" cmp "$work/large" "$DIR/third/large"

stop
