#!/bin/sh
# A real program behind CGI: gitweb, page by page.
. "$(dirname "$0")/lib.sh"

gitweb=/usr/share/gitweb/gitweb.cgi
if is_nginx || [ ! -x "$gitweb" ] || ! command -v git >/dev/null; then
    plan 1
    skip 1 "nginx runs no scripts, or gitweb is not installed"
    exit
fi
plan 24

git_as_aurora
work=$DIR/work
git init -q "$work"
mkdir "$work/docs"
echo "low tide at six" >"$work/docs/tides.txt"
git -C "$work" add . && git -C "$work" commit -q -m "first tide"
echo "high tide at noon" >>"$work/docs/tides.txt"
git -C "$work" commit -q -a -m "second tide"
git -C "$work" tag v1
mkdir "$DIR/repos"
git clone -q --bare "$work" "$DIR/repos/tides.git"
echo "about tides" >"$DIR/repos/tides.git/description"
chmod -R a+rX "$DIR/repos"
file gitweb.conf <<CONF
our \$projectroot = '$DIR/repos';
our \$git_temp = '$DIR';
\$feature{'snapshot'}{'default'} = ['tgz'];
our @stylesheets = ('/static/gitweb.css');
CONF

serve <<CONF
server {
    listen 127.0.0.1:%PORT1%;
    location /static/ { alias /usr/share/gitweb/static/; types { text/css css; } }
    location / {
        cgi_pass $gitweb;
        cgi_set_var SCRIPT_NAME "";
        cgi_set_var GITWEB_CONFIG %DIR%/gitweb.conf;
        cgi_set_var GIT_CONFIG_COUNT 1;
        cgi_set_var GIT_CONFIG_KEY_0 safe.directory;
        cgi_set_var GIT_CONFIG_VALUE_0 *;
    }
}
CONF

# page QUERY TEXT NAME: a page that holds the text.
page() {
    fetch "$URL1/?$1"
    is "$status" 200 "$3"
    ok "$3: $2" grep -Fq "$2" "$DIR/answer.body"
}

page "" "about tides" "the list of projects"
page "p=tides.git" "second tide" "a summary"
page "p=tides.git;a=log" "first tide" "the log"
page "p=tides.git;a=commit;h=HEAD" "Aurora" "a commit"
page "p=tides.git;a=commitdiff;h=HEAD" "noon" "a difference"
page "p=tides.git;a=tree;f=docs" "tides.txt" "a folder"
page "p=tides.git;a=blob;f=docs/tides.txt" "six" "a file"
page "p=tides.git;a=tags" "v1" "the tags"
page "p=tides.git;a=rss" "<rss" "a feed"
fetch "$URL1/?p=tides.git;a=blob_plain;f=docs/tides.txt"
is "$body" "$(cat "$work/docs/tides.txt")" "a file as it is"
fetch "$URL1/?p=tides.git;a=snapshot;sf=tgz;h=HEAD"
is "$(tar -tzf "$DIR/answer.body" | grep -c 'tides.txt$')" 1 "an archive"
fetch "$URL1/?p=none.git"
is "$status" 404 "no such project"
fetch "$URL1/static/gitweb.css"
is "$status $(header Content-Type)" "200 text/css" "its style is a file"
ok "nothing went wrong on the way" test "$(grep -c 'ended by signal' "$DIR/error.log")" = 0

stop
