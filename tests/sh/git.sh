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

# git reads no settings of this machine, and asks nobody anything.
export HOME="$DIR" GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com
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

work=$DIR/work
ok "an empty repository is cloned" git clone -q "$URL1/git/one.git" "$work"
echo one >"$work/file"
head -c 3000000 /dev/urandom >"$work/large"
git -C "$work" checkout -q -b main 2>/dev/null
git -C "$work" add . && git -C "$work" commit -q -m one
ok "three megabytes are pushed, in chunks" git -C "$work" push -q origin main
echo two >"$work/file"
git -C "$work" commit -q -a -m two
ok "and a change" git -C "$work" push -q origin main
ok "another clone" git clone -q "$URL1/git/one.git" "$DIR/second"
is "$(cat "$DIR/second/file")" two "has the change"
ok "and the large file, byte for byte" cmp "$work/large" "$DIR/second/large"
ok "a shallow clone" git clone -q --depth 1 "$URL1/git/one.git" "$DIR/shallow"
is "$(git -C "$DIR/shallow" rev-list --count HEAD)" 1 "has one commit"
echo three >"$work/file"
head -c 3000000 /dev/urandom >"$work/large"
git -C "$work" commit -q -a -m three
ok "a push that is passed on while it comes" git -C "$work" push -q "$URL1/pieces/one.git" main
git clone -q "$URL1/pieces/one.git" "$DIR/third"
ok "arrives byte for byte" cmp "$work/large" "$DIR/third/large"

stop
