#!/bin/sh
# One process, several ports: every server block listens where it likes, and a reload opens another port.
. "$(dirname "$0")/lib.sh"
plan 17

echo "the shop" | file html/shop/index.html
echo "the blog" | file html/blog/index.html

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root html/shop;
}
server {
    listen 127.0.0.1:%PORT2%;
    root html/blog;
}
# One block may listen in several places. $server_port tells where a request came in.
server {
    listen 127.0.0.1:%PORT3%;
    listen unix:%DIR%/socket;
    location / { return 200 "port $server_port\n"; }
}
CONF

# Each port answers from its own folder.
fetch "$URL1/"
is "$status" 200 "the first port answers"
is "$body" "the shop" "with its own files"

fetch "$URL2/"
is "$status" 200 "the second port answers"
is "$body" "the blog" "with its own files"

fetch "$URL3/"
is "$body" "port $PORT3" "the third port knows its number"

# A unix socket is one more place to listen on.
fetch "http://localhost/" --unix-socket "$DIR/socket"
is "$status" 200 "a unix socket answers too"

# Nothing listens where no block says so.
fetch "$URL4/"
is "$status" 000 "a port that no block names is closed"

# What goes wrong on one port leaves the others alone.
printf 'this is not HTTP\r\n\r\n' | talk "$PORT1" >"$DIR/nonsense"
like "$(cat "$DIR/nonsense")" "400 Bad Request" "nonsense on the first port is refused"
fetch "$URL2/"
is "$status" 200 "the second port does not notice"

# Two programs cannot have one port. The second says which port it was, and exits with 1.
sed "s|server.pid|second.pid|" "$DIR/server.conf" >"$DIR/second.conf"
"$SERVER" -p "$DIR/" -c second.conf -e second.log -g 'daemon off;' >"$DIR/second.out" 2>&1
is "$?" 1 "a second server on the same ports does not start"
like "$(cat "$DIR/second.out" "$DIR/second.log")" "$PORT1.*in use" "and names the port that is taken"

# A conf can be tried before it is used: -t reads it and opens nothing for good.
"$SERVER" -p "$DIR/" -c server.conf -e test.log -t >"$DIR/test.out" 2>&1
is "$?" 0 "-t accepts the conf"
like "$(cat "$DIR/test.out")" "test is successful" "and says so"

# HUP reads the conf again. A new port opens, an old one that is no longer named closes, the rest stays.
reload <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root html/blog;
}
server {
    listen 127.0.0.1:%PORT4%;
    return 200 "new\n";
}
CONF
answers() { curl -sf -o /dev/null "$1"; }
refuses() { ! answers "$1"; }
ok "after a reload the new port answers" wait_until answers "$URL4/"
ok "the port that went away is closed" wait_until refuses "$URL2/"
fetch "$URL1/"
is "$body" "the blog" "the port that stayed serves by the new conf"

stop
