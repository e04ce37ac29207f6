#!/bin/sh
# `longshore serve`: a folder at once, and the conf it stands for. `longshore compat`: what becomes of nginx's confs.
. "$(dirname "$0")/lib.sh"

plan 14
if is_nginx; then
    skip 14 "nginx has no such words"
    exit
fi

mkdir "$DIR/site" "$DIR/site/cgi-bin" "$DIR/site/sub"
echo hello >"$DIR/site/a.txt"
echo secret >"$DIR/site/.env"
printf '#!/bin/sh\nprintf "Content-Type: text/plain\\n\\nscript\\n"\n' >"$DIR/site/cgi-bin/a"
chmod 755 "$DIR/site/cgi-bin/a"

# The conf it stands for is a conf.
"$SERVER" serve "$DIR/site" --cgi --print-conf >"$DIR/site.conf"
is "$?" 0 "serve --print-conf writes a conf"
"$SERVER" -t -q -c "$DIR/site.conf"
is "$?" 0 "which passes -t"

choose_ports
: >"$DIR/error.log"
"$SERVER" serve "$DIR/site" --port "$PORT1" --cgi >"$DIR/requests" 2>"$DIR/output" &
server_pid=$!
answers() { curl -s -o /dev/null "$URL1/"; }
wait_until answers
like "$(cat "$DIR/output")" "^http://127.0.0.1:$PORT1/" "its address is printed"
"$SERVER" serve "$DIR/site" --port "$PORT1" >/dev/null 2>"$DIR/taken"
like "$? $(cat "$DIR/taken")" "^1 .*port $PORT1 is taken.*--port" "a port that is taken is told, with another"
fetch "$URL1/sub/"
is "$status" 200 "a folder is a list"
fetch "$URL1/a.txt"
is "$body" hello "a file is a file"
fetch "$URL1/.env"
is "$status" 404 "what is hidden is not given out"
fetch "$URL1/cgi-bin/a"
is "$body" script "--cgi runs scripts"
stop

"$SERVER" serve / --print-conf >/dev/null 2>"$DIR/said"
is "$? $(grep -c -e --yes "$DIR/said")" "1 1" "serve / is refused without --yes"
"$SERVER" serve "$DIR/none" >/dev/null 2>&1
is "$?" 1 "a folder that is not there is refused"

printf 'events { multi_accept on; }\nhttp { server { listen 8080; } }\n' >"$DIR/fine.conf"
"$SERVER" compat "$DIR/fine.conf" >"$DIR/said"
is "$? $(grep -c '100.0 %' "$DIR/said")" "0 1" "compat: a conf that is taken"
printf 'server { listen 8080; location / { ssi on; } }\n' >"$DIR/part.conf"
"$SERVER" compat "$DIR/part.conf" >"$DIR/said"
is "$? $(grep -c 'ssi .* changes meaning' "$DIR/said")" "1 1" "compat: one that is not, and why"
"$SERVER" compat "$DIR/none.conf" >/dev/null 2>&1
is "$?" 2 "compat: one that cannot be read"
