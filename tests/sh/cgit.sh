#!/bin/sh
# A real program behind CGI: cgit, page by page, with clones through it.
. "$(dirname "$0")/lib.sh"

cgit=/usr/lib/cgit/cgit.cgi
if is_nginx || [ ! -x "$cgit" ] || ! command -v git >/dev/null; then
    plan 1
    skip 1 "nginx runs no scripts, or cgit is not installed"
    exit
fi
plan 34

git_as_aurora
work=$DIR/work
git init -q -b main "$work"
mkdir "$work/docs"
echo "low tide at six" >"$work/docs/tides.txt"
git -C "$work" add . && git -C "$work" commit -q -m "first tide"
echo "high tide at noon" >>"$work/docs/tides.txt"
git -C "$work" commit -q -a -m "second tide"
git -C "$work" tag v1
mkdir "$DIR/repos"
git clone -q --bare "$work" "$DIR/repos/tides.git"
echo "about tides" >"$DIR/repos/tides.git/description"
# cgit serves clones as plain files.
git -C "$DIR/repos/tides.git" update-server-info
chmod -R a+rX "$DIR/repos"
file cgitrc <<CONF
css=/cgit-css/cgit.css
logo=/cgit-css/cgit.png
virtual-root=/
max-stats=year
snapshots=tar.gz zip
enable-commit-graph=1
enable-blame=1
enable-http-clone=1
scan-path=$DIR/repos
CONF

# The conf that cgit's users know from nginx, without a second daemon.
serve <<CONF
server {
    listen 127.0.0.1:%PORT1%;
    location /cgit-css/ { alias /usr/share/cgit/; types { text/css css; image/png png; } }
    location / {
        cgi_pass $cgit;
        cgi_set_var CGIT_CONFIG %DIR%/cgitrc;
        cgi_set_var GIT_CONFIG_COUNT 1;
        cgi_set_var GIT_CONFIG_KEY_0 safe.directory;
        cgi_set_var GIT_CONFIG_VALUE_0 *;
    }
}
CONF

# page PATH TEXT NAME: a page that holds the text.
page() {
    fetch "$URL1/$1"
    is "$status" 200 "$3"
    ok "$3: $2" grep -Fq "$2" "$DIR/answer.body"
}

page "" "about tides" "the list of repositories"
page "tides.git/" "second tide" "a summary"
page "tides.git/log/" "first tide" "the log"
page "tides.git/log/?qt=grep&q=first" "first tide" "a search in it"
page "tides.git/refs/" "v1" "branches and tags"
page "tides.git/commit/" "Aurora" "a commit"
page "tides.git/diff/" "noon" "a difference"
page "tides.git/patch/" "second tide" "a patch"
page "tides.git/tree/docs/" "tides.txt" "a folder"
page "tides.git/tree/docs/tides.txt" "six" "a file"
page "tides.git/blame/docs/tides.txt" "noon" "who wrote what"
page "tides.git/stats/" "Aurora" "statistics"
page "tides.git/atom/" "<feed" "a feed"
fetch "$URL1/tides.git/plain/docs/tides.txt"
is "$body" "$(cat "$work/docs/tides.txt")" "a file as it is"
fetch "$URL1/tides.git/snapshot/tides-v1.tar.gz"
is "$(tar -tzf "$DIR/answer.body" | grep -c 'tides.txt$')" 1 "an archive"
fetch "$URL1/tides.git/tree/none.txt"
is "$status" 404 "no such file"
fetch "$URL1/none.git/"
is "$status" 404 "no such repository"
fetch "$URL1/cgit-css/cgit.css"
is "$status $(header Content-Type)" "200 text/css" "its style is a file"
git clone -q "$URL1/tides.git" "$DIR/clone" 2>"$DIR/clone.said"
is "$(git -C "$DIR/clone" log --format=%s | head -n 1)" "second tide" "a clone through it"
ok "nothing went wrong on the way" test "$(grep -c 'ended by signal' "$DIR/error.log")" = 0

stop
