#!/bin/sh
# `longshore serve`: a folder at once, and the conf it stands for. `longshore compat`: what becomes of nginx's confs.
. "$(dirname "$0")/lib.sh"

plan 49
if is_nginx; then
    skip 49 "nginx has no such words"
    exit
fi

mkdir "$DIR/site" "$DIR/site/cgi-bin" "$DIR/site/sub"
echo hello >"$DIR/site/a.txt"
echo secret >"$DIR/site/.env"
repeat 'größer ' 100 >"$DIR/site/words.txt"
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
answers() { curl -s -o /dev/null "$1/"; }
wait_until answers "$URL1"
# Who answers may do so a moment before that is printed.
wait_until grep -q "^http://127.0.0.1:$PORT1/" "$DIR/output"
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
fetch "$URL1/a.txt" -H "Host: evil.test"
is "$status" 421 "a name that is not this machine's is not answered"
like "$body" "longshore serve --host NAME" "and the page says how it would be"
fetch "$URL1/none"
like "$status $body" 'name="viewport"' "an error page fits a telephone"
fetch "$URL1/favicon.ico"
is "$status" 204 "a browser's search for an icon is no error"
unlike "$(cat "$DIR/requests" "$DIR/output")" favicon "and stands in no log"
fetch "$URL1/words.txt"
is "$(header Content-Type)" "text/plain; charset=utf-8" "text is in UTF-8"
fetch "$URL1/words.txt" -H "Accept-Encoding: gzip"
is "$(header Content-Encoding)" gzip "and compressed"
like "$(curl -s "$URL1/sub/")" 'Modified \([A-Z0-9+-]+\)' "a list says which zone its times are of"
for name in localhost a.localhost printer.local 192.0.2.1 '[2001:db8::1]:80'; do
    fetch "$URL1/a.txt" -H "Host: $name"
    is "$status" 200 "$name is"
done
stop

# --upload: a page, files from a form, and the same from the conf that is printed.
mkdir "$DIR/drop"
asks_upload() {
    fetch "$1/uploads/"
    like "$status $body" '^200 .*' "$2: the page is there"
    like "$body" 'enctype="multipart/form-data"' "$2: with a form"
    fetch "$1/uploads/" -F 'file=@-;filename=b.txt' -H 'Accept: application/json' <"$DIR/site/a.txt"
    is "$status" 201 "$2: a file is taken"
    fetch "$1/uploads/b.txt"
    is "$body" hello "$2: and given out"
}
"$SERVER" serve "$DIR/drop" --upload --cgi --port "$PORT2" >/dev/null 2>"$DIR/output" &
server_pid=$!
wait_until answers "$URL2"
like "$(cat "$DIR/output")" "http://localhost:$PORT2/uploads/ and go into .*/drop/uploads;" "serve --upload says where files go"
asks_upload "$URL2" "serve --upload"
is "$(cat "$DIR/drop/uploads/b.txt")" hello "the file lies in the folder"
curl -s -o /dev/null -F "file=@$DIR/site/cgi-bin/a;filename=evil.cgi" "$URL2/uploads/"
chmod 755 "$DIR/drop/uploads/evil.cgi"
fetch "$URL2/uploads/evil.cgi"
like "$status $body" '^200 #!/bin/sh' "what was uploaded is not run"
stop
rm -f "$DIR/drop/uploads/b.txt"
"$SERVER" serve "$DIR/drop" --upload --port "$PORT3" --print-conf >"$DIR/drop.conf"
"$SERVER" -c "$DIR/drop.conf" >/dev/null 2>"$DIR/output" &
server_pid=$!
wait_until answers "$URL3"
asks_upload "$URL3" "the conf of serve --upload"
stop

"$SERVER" serve "$DIR/site" --host http://a.test --print-conf >/dev/null 2>"$DIR/said"
like "$? $(cat "$DIR/said")" "^1 .*without http://" "--host takes a name"

# Root's server becomes the folder's owner, and does not start where nothing could be served.
mkdir "$DIR/owned"
echo mine >"$DIR/owned/a.txt"
chmod 700 "$DIR/owned"
if [ "$(id -u)" -eq 0 ] && id daemon >/dev/null 2>&1; then
    "$SERVER" serve "$DIR/owned" --port "$PORT4" >"$DIR/said" 2>&1
    like "$? $(cat "$DIR/said")" "^1 .*the user nobody cannot enter .*/owned, .*--user" "a folder that nobody may enter is not served"
    chown -R daemon "$DIR/owned"
    "$SERVER" serve "$DIR/owned" --upload --port "$PORT4" >/dev/null 2>"$DIR/output" &
    server_pid=$!
    wait_until answers "$URL4"
    like "$(cat "$DIR/output")" "as the user daemon" "its owner serves it, which is said"
    fetch "$URL4/a.txt"
    is "$body" mine "and gives out what only the owner reads"
    fetch "$URL4/uploads/" -F "file=@$DIR/site/a.txt"
    is "$body" "Stored a.txt (6 B) at /uploads/a.txt" "curl gets a line"
    is "$(stat -c %U "$DIR/owned/uploads/a.txt")" daemon "and the file is the owner's"
    stop
    "$SERVER" serve "$DIR/owned" --user nobody --port "$PORT4" >"$DIR/said" 2>&1
    like "$? $(cat "$DIR/said")" "^1 .*the user nobody cannot enter" "--user names another"
else
    skip 7 "only root becomes another user"
fi

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
printf 'server { listen 8080; }\ninclude none/here.conf;\n' >"$DIR/part.conf"
"$SERVER" compat "$DIR/part.conf" >"$DIR/said"
is "$? $(grep -c 'cannot read .*none/here.conf' "$DIR/said") $(grep -c 'is not counted' "$DIR/said")" "1 1 1" "compat: a file that is not there"
