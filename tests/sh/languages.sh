#!/bin/sh
# Programs as people write them: Python with its own libraries, C, sh. What each reads and writes, whole and in pieces.
. "$(dirname "$0")/lib.sh"

if is_nginx; then
    plan 1
    skip 1 "nginx runs no scripts"
    exit
fi
plan 28

# program PATH: an executable file from standard input.
program() {
    file "$1"
    chmod 755 "$DIR/$1"
}

# An application for Python's own gateway interface, run by the handler that Python brings for CGI.
program python/app.py <<'PY'
#!/usr/bin/env python3
from wsgiref.handlers import CGIHandler

def app(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length)
    fields = [("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    start_response("201 Created" if body else "200 OK", fields)
    yield f"{environ['REQUEST_METHOD']} {environ['SCRIPT_NAME']} {environ.get('PATH_INFO', '-')} {len(body)}\n".encode()

CGIHandler().run(app)
PY
# A form with a file, by the library that every tutorial shows.
program python/form.py <<'PY'
#!/usr/bin/env python3
import warnings
warnings.simplefilter("ignore")
try:
    import cgi
except ImportError:
    print("Content-Type: text/plain\n\nno library")
else:
    form = cgi.FieldStorage()
    print("Content-Type: text/plain\n")
    if "file" in form:
        print(form["file"].filename, len(form["file"].file.read()))
    print("name", form.getfirst("name", "nobody"))
PY
program python/fails.py <<'PY'
#!/usr/bin/env python3
print("Content-Type: text/plain")
raise ValueError("no such cargo")
PY
# Answers each line as it comes.
program python/lines.py <<'PY'
#!/usr/bin/env python3
import sys
print("Content-Type: text/plain\n", flush=True)
for line in sys.stdin:
    print("got", line.strip(), flush=True)
PY
program sh/echo.sh <<'SH'
#!/bin/sh
printf 'Content-Type: application/octet-stream\n\n'
cat
SH
program sh/errors.sh <<'SH'
#!/bin/sh
# A mistake that the shell itself reports.
printf 'Content-Type: text/plain\n\n'
cat /no/such/file
echo "went on"
SH
file c/echo.c <<'C'
/* Answers with what it was sent, turned round, or with a status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
    const char *length = getenv("CONTENT_LENGTH"), *method = getenv("REQUEST_METHOD");
    size_t n = length ? strtoul(length, 0, 10) : 0;
    char *body = malloc(n + 1);
    if (argc > 1 && !strcmp(argv[1], "abort")) abort();
    if (fread(body, 1, n, stdin) != n || !method) return 1;
    printf("Status: %s\r\nContent-Type: text/plain\r\nX-Method: %s\r\n\r\n", n ? "202 Taken" : "200 OK", method);
    while (n) putchar(body[--n]);
    return 0;
}
C
head -c 3000000 /dev/urandom >"$DIR/random"

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    client_max_body_size 10m;
    location / { alias %DIR%/; cgi on; cgi_path /usr/local/bin:/usr/bin:/bin; }
    location /live/ { alias %DIR%/; cgi on; cgi_request_buffering off; cgi_buffering off; }
}
CONF

# there_and_back URL [curl options]: 3 MB go there, and what comes back is in $DIR/back.
there_and_back() {
    curl -s --max-time 20 --data-binary "@$DIR/random" -o "$DIR/back" "$@"
}

note "sh"
for way in "" live/; do
    there_and_back "$URL1/${way}sh/echo.sh"
    ok "3 MB come back as they went${way:+, in pieces}" cmp "$DIR/random" "$DIR/back"
    there_and_back "$URL1/${way}sh/echo.sh" -H "Transfer-Encoding: chunked"
    ok "in chunks too${way:+, in pieces}" cmp "$DIR/random" "$DIR/back"
    fetch "$URL1/${way}sh/errors.sh"
    is "$status $body" "200 went on" "a mistake does not stop a shell${way:+, in pieces}"
done
is "$(grep -c 'errors.sh\\*" says: cat: /no/such/file' "$DIR/error.log")" 2 "and the log has what it says"

note "Python"
# The system's: a version that somebody put before it may be out of reach for the server's user.
if /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin python3 -c 1 2>/dev/null; then
    fetch "$URL1/python/app.py/more?x=1"
    is "$status $body" "200 GET /python/app.py /more 0" "an application by wsgiref"
    is "$(grep -ci '^set-cookie' "$DIR/answer.head")" 2 "each of its fields"
    fetch "$URL1/python/app.py" --data-binary "@$DIR/random"
    is "$status $body" "201 POST /python/app.py - 3000000" "and its body"
    fetch "$URL1/live/python/app.py" --data hello
    is "$status $body" "201 POST /live/python/app.py - 5" "in pieces too"
    fetch "$URL1/python/form.py" -F "file=@$DIR/random" -F "name=Aurora"
    case $body in
    "no library") skip 3 "this Python has no cgi any more" ;;
    *)
        like "$body" "^random 3000000$" "a file of a form"
        like "$body" "^name Aurora$" "and its field"
        fetch "$URL1/python/form.py?name=Borealis"
        like "$body" "^name Borealis$" "a form by GET"
        ;;
    esac
    fetch "$URL1/python/fails.py"
    is "$status" 502 "an exception before the empty line: 502"
    ok "and the log has it" grep -q 'says: ValueError: no such cargo, id: ' "$DIR/error.log"
    # Each line is answered before the next one is sent.
    mkfifo "$DIR/to"
    curl -sN -T . -X POST -H "Expect:" "$URL1/live/python/lines.py" <"$DIR/to" >"$DIR/from" 2>/dev/null &
    talk=$!
    exec 3>"$DIR/to"
    heard() { grep -q "got $1" "$DIR/from"; }
    for word in one two; do
        echo $word >&3
        ok "a line is answered while the body goes on: $word" wait_until heard $word
    done
    exec 3>&-
    wait "$talk"
    is "$(wc -l <"$DIR/from" | tr -d ' ')" 2 "and the end is the end"
else
    skip 12 "python3 is not installed"
fi

note "C"
if command -v cc >/dev/null && cc -o "$DIR/c/echo" "$DIR/c/echo.c" 2>"$DIR/cc.said"; then
    fetch "$URL1/c/echo"
    is "$status $(header X-Method) $body" "200 GET " "a program by GET"
    fetch "$URL1/c/echo" --head
    is "$status $(header X-Method)" "200 HEAD" "by HEAD"
    fetch "$URL1/c/echo" --data "abc"
    is "$status $body" "202 cba" "by POST"
    fetch "$URL1/c/echo" --data "abc" -H "Transfer-Encoding: chunked"
    is "$status $body" "202 cba" "in chunks, with a length"
    fetch "$URL1/live/c/echo" --data "abc"
    is "$status $body" "202 cba" "in pieces"
    fetch "$URL1/c/echo?abort"
    is "$status" 502 "one that aborts: 502"
    ok "and the log has the signal" grep -q 'was ended by signal 6 (SIGABRT)' "$DIR/error.log"
    fetch "$URL1/c/echo.c"
    is "$status" 403 "its source is no program"
else
    skip 8 "there is no C compiler"
fi

stop
