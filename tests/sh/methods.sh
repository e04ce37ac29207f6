#!/bin/sh
# Methods: what a file allows, what limit_except forbids, and the list of allow_methods.
. "$(dirname "$0")/lib.sh"
plan 25

echo "hello" | file html/hello.txt
echo "hello" | file html/notes/hello.txt
echo "hello" | file html/locked/hello.txt

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root html;

    # All but GET is forbidden (403). GET stands for HEAD too.
    location /notes/ {
        limit_except GET { deny all; }
    }

    # Writing is for this machine only, reading for everybody.
    location /locked/ {
        limit_except GET { allow 127.0.0.1; deny all; }
    }

    location = /echo { return 200 "$request_method\n"; }
}
CONF

note "a file"
fetch "$URL1/hello.txt"
is "$status" 200 "GET sends the file"
is "$(header Content-Length)" 6 "and its length"

fetch "$URL1/hello.txt" --head
is "$status" 200 "HEAD is GET without the body"
is "$(header Content-Length)" 6 "the length is that of the file"
is "$body" "" "the body is not sent"

for method in POST PUT DELETE; do
    fetch "$URL1/hello.txt" -X "$method"
    is "$status" 405 "$method to a file: 405"
done

note "names of methods"
fetch "$URL1/echo" -X REPORT
is "$body" "REPORT" "a method that nobody knows is passed on"
fetch "$URL1/echo" -X get
is "$status" 400 "methods are written in capitals: 400"
fetch "$URL1/echo" -X OPTIONS
is "$body" "OPTIONS" "OPTIONS is a method like any other"
fetch "$URL1/echo" -X TRACE
is "$status" 405 "TRACE is refused: it would show cookies to scripts"

note "limit_except"
fetch "$URL1/notes/hello.txt"
is "$status" 200 "limit_except GET lets GET through"
fetch "$URL1/notes/hello.txt" --head
is "$status" 200 "and HEAD with it"
fetch "$URL1/notes/hello.txt" -X POST
is "$status" 403 "POST is forbidden: 403"
fetch "$URL1/notes/hello.txt" -X DELETE
is "$status" 403 "DELETE as well"
fetch "$URL1/locked/hello.txt" -X DELETE
is "$status" 405 "where an address is allowed, the file itself answers: 405"

note "ours only: allow_methods"
if is_nginx; then
    skip 7 "allow_methods is not in nginx"
else
    stop
    serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root html;
    allow_methods GET;
    location = /form { allow_methods GET POST; return 200 "$request_method\n"; }
}
CONF
    fetch "$URL1/hello.txt"
    is "$status" 200 "what is on the list is served"
    fetch "$URL1/hello.txt" --head
    is "$status" 200 "GET stands for HEAD too"
    fetch "$URL1/hello.txt" -X DELETE
    is "$status" 405 "what is not gets 405"
    like "$(header Allow)" "GET" "and is told what is allowed"
    fetch "$URL1/form" -X POST
    is "$body" "POST" "a location may have a list of its own"
    fetch "$URL1/form" -X DELETE
    is "$status" 405 "which holds there"
fi

stop
