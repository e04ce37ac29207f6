#!/bin/sh
# The expectations under conf/packs hold: of the conf beside them, and of a server that runs it.
. "$(dirname "$0")/lib.sh"
plan 3
if is_nginx; then
    skip 3 "nginx has no scripts to run"
    exit
fi

packs=$DIR/packs
cp -r "$checkout/conf/packs" "$packs"
said=$("$SERVER" expect "$packs/webserv42.expect" -c webserv42.conf -p "$packs" 2>&1)
is "$?" 0 "webserv42, without a server"
note "$(printf '%s\n' "$said" | grep -v '^ok ')"

cp -r "$packs/site" "$DIR/site"
chmod 777 "$DIR/site/up" # started by root, the server is another user
sed 's/listen 8080/listen 127.0.0.1:%PORT1%/; s/listen 8081/listen 127.0.0.1:%PORT2%/' "$packs/webserv42.conf" >"$DIR/ports"
serve <"$DIR/ports"
sed "s/:8080/:$PORT1/; s/:8081/:$PORT2/" "$packs/webserv42.expect" >"$DIR/webserv42.expect"
said=$("$SERVER" expect "$DIR/webserv42.expect" --live "$URL1" 2>&1)
is "$?" 0 "webserv42, of a server that runs"
note "$(printf '%s\n' "$said" | grep -v '^ok ')"
stop
