#!/bin/sh
# The confs of docs/cgi.md, word for word as they stand there: only paths and ports are others. Git, cgit and PHP are the real ones; where
# MapServer is not installed, a script that shows what it would be told stands in for it.
. "$(dirname "$0")/lib.sh"

page=$checkout/docs/cgi.md
backend=$(git --exec-path 2>/dev/null)/git-http-backend
cgit=/usr/lib/cgit/cgit.cgi
if is_nginx || [ ! -r "$page" ] || [ ! -x "$backend" ] || [ ! -x "$cgit" ] || ! command -v php-cgi >/dev/null; then
    plan 1
    skip 1 "nginx runs no scripts, or git-http-backend, cgit or php-cgi is not installed"
    exit
fi
plan 31

# add HEADING PORT: the recipe of this name, for a port of ours. One without a line to listen on would be a wrong one.
add() {
    recipe "$page" "$1" |
        sed -e "s|listen 80;|listen 127.0.0.1:%$2%;|" \
            -e "s|/usr/lib/git-core/git-http-backend|$backend|" \
            -e "s|/etc/longshore/git.users|%DIR%/git.users|" \
            -e "s|/srv/git|%DIR%/repos|" \
            -e "s|/etc/cgitrc|%DIR%/cgitrc|" \
            -e "s|/usr/lib/cgi-bin/mapserv|%DIR%/mapserv|" \
            -e "s|/srv/maps/|%DIR%/maps/|" \
            -e "s|/srv/www|%DIR%/www|" >>"$DIR/recipes"
}

git_as_aurora
mkdir "$DIR/repos"
for name in one two; do
    git init -q --bare "$DIR/repos/$name.git"
    git -C "$DIR/repos/$name.git" symbolic-ref HEAD refs/heads/main
done
echo "about tides" >"$DIR/repos/one.git/description"
echo 'ann:{PLAIN}low-tide' | file git.users
echo "scan-path=$DIR/repos" | file cgitrc
file www/index.php <<'PHP'
<?php
header('Content-Type: text/plain');
echo $_SERVER['PHP_AUTH_USER'] ?? 'nobody', '|', $_SERVER['PHP_AUTH_PW'] ?? '', '|', $_SERVER['QUERY_STRING'], '|', $_SERVER['REQUEST_URI'], "\n";
PHP
file www/plain.txt <<'TEXT'
no script
TEXT
file mapserv <<'SCRIPT'
#!/bin/sh
printf 'Content-Type: text/xml\n\n<OnlineResource href="http://%s%s?map=%s"/>%s' "$HTTP_HOST" "$SCRIPT_NAME" "$MS_MAPFILE" "${PATH_INFO-}"
SCRIPT
chmod 755 "$DIR/mapserv"
# The repositories belong to the server's user, as the page says: to nobody where root runs this.
[ "$(id -u)" -ne 0 ] || chown -R nobody "$DIR/repos"

add "Git, with passwords" PORT1
add "Git, open to read" PORT2
add "cgit" PORT3
add "MapServer" PORT4
is "$(grep -c '^    listen 127' "$DIR/recipes")" 4 "the page has four confs with a port"
serve <"$DIR/recipes"

note "git, with passwords"
ok "nobody reads without one" test "$(git ls-remote "$URL1/git/one.git" 2>&1 | grep -c 'could not read Username')" = 1
git_there_and_back "http://ann:low-tide@127.0.0.1:$PORT1/git/one.git"
ok "nobody pushes without one" sh -c "! git -C '$work' push -q '$URL1/git/one.git' main"
ok "or with a wrong one" sh -c "! git -C '$work' push -q 'http://ann:high-tide@127.0.0.1:$PORT1/git/one.git' main"

note "git, open to read"
ok "everybody clones" git clone -q "$URL2/git/one.git" "$DIR/open"
is "$(cat "$DIR/open/file")" two "and has all of it"
ok "nobody pushes without a password" sh -c "! git -C '$work' push -q '$URL2/git/two.git' main"
ok "who has one does" git -C "$work" push -q "http://ann:low-tide@127.0.0.1:$PORT2/git/two.git" main
is "$(git ls-remote "$URL2/git/two.git" refs/heads/main | cut -f 1)" "$(git -C "$work" rev-parse main)" "it is there"
for spelling in "info/refs?service=git%2Dreceive%2Dpack" "info/refs?%73ervice=git%2dreceive-pac%6b" "git%2dreceive%2dpack"; do
    fetch "$URL2/git/two.git/$spelling" -H "Content-Type: application/x-git-receive-pack-request"
    like "$status" '^(401|403|405)$' "other spellings of a push are no way in: $spelling"
done

note "cgit"
fetch "$URL3/cgit/"
like "$body" "about tides" "the list of repositories"
like "$body" "href='/cgit/one.git/'" "whose links lead back to it"
fetch "$URL3/cgit/one.git/tree/file"
is "$status" 200 "a file below it"
fetch "$URL3/cgit"
is "$status $(header Location)" "301 $URL3/cgit/" "without the slash it is found as well"
fetch "$URL3/cgit-css/cgit.css"
is "$status $(header Content-Type)" "200 text/css" "its style is a file"

note "MapServer: a stand-in"
fetch "$URL4/mapserv?SERVICE=WMS&REQUEST=GetCapabilities"
is "$status $body" "200 <OnlineResource href=\"http://127.0.0.1:$PORT4/mapserv?map=$DIR/maps/world.map\"/>" "its links lead back to it"
stop

note "PHP, with Authorization"
: >"$DIR/recipes"
add "PHP, with Authorization" PORT1
serve <"$DIR/recipes"
fetch "$URL1/index.php?a=1" -u ann:low-tide
is "$status $body" "200 ann|low-tide|a=1|/index.php?a=1" "a script knows who asks"
fetch "$URL1/no/such/page?a=1"
is "$status $body" "200 nobody||a=1|/no/such/page?a=1" "and that nobody does"
fetch "$URL1/plain.txt" -u ann:low-tide
is "$status $body" "200 no script" "a file is a file"
stop
