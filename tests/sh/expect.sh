#!/bin/sh
# `longshore expect`: the same lines asked of a conf without a server, and of a server that runs. Lines that must fail do.
. "$(dirname "$0")/lib.sh"
plan 8
if is_nginx; then
    skip 8 "nginx has no such word"
    exit
fi

file html/a.txt <<'END'
hello
END
file cgi/show <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\n\n%s %s\n' "$REMOTE_ADDR" "$(cat)"
END
chmod 755 "$DIR/cgi/show"
# Two servers of one port, and a second port.
serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root html;
    client_max_body_size 100;
    location = /old { return 301 /new; }
    location = /a.txt { allow_methods GET; }
    location /cgi/ { root .; cgi on; }
    location /here/ { allow 127.0.0.1; deny all; return 200 here; }
    location = /in { add_header Set-Cookie who=me; return 200 in; }
    location = /who { return 200 "$cookie_who"; }
}
server {
    listen 127.0.0.1:%PORT1%;
    server_name b.test;
    location / { return 200 "b $server_port"; }
}
server {
    listen %PORT2%;
    location / { return 200 "two $server_port"; }
}
CONF
file right.expect <<'END'
# What is right of both.
GET /a.txt -> 200 body="hello\n" content-length=6 !location within 5s
HEAD /a.txt -> 200 !body content-length=6
GET /old -> 301 location=/new
GET /none -> 404 content-type~^text/html
POST /cgi/show body=100b -> 200 body~"^127.0.0.1 x{100}\n"
POST /cgi/show body=100b chunked -> 200 body~"^127.0.0.1 x{100}\n"
POST /cgi/show body=101b -> 413
POST /a.txt -> 405 allow~GET
GET / host=b.test -> 200 body~"^b "
RAW / "GET / HTTP/1.1\r\n\r\n" -> 400
GET /here/ -> 200
cookies on
GET /in -> 200 set-cookie=who=me
GET /who -> 200 body=me
cookies off
GET /who -> 200 !body
GET /a.txt times=200 at-once=10 -> 200 body="hello\n"
END
printf 'GET http://x:%s/ -> 200 body="two %s"\n' "$PORT2" "$PORT2" >>"$DIR/right.expect"

said=$("$SERVER" expect "$DIR/right.expect" -c "$DIR/server.conf" -p "$DIR" 2>&1)
is "$? $(printf '%s\n' "$said" | grep -c '^ok ')" "0 16" "without a server"
note "$(printf '%s\n' "$said" | grep -v '^ok ')"
said=$("$SERVER" expect "$DIR/right.expect" --live "$URL1" 2>&1)
is "$? $(printf '%s\n' "$said" | grep -c '^ok ')" "0 16" "of a server that runs"
note "$(printf '%s\n' "$said" | grep -v '^ok ')"

file wrong.expect <<'END'
GET /old -> 200
GET /old -> 301 location=/other
GET /a.txt -> 200 body~goodbye
GET /a.txt -> closed
END
said=$("$SERVER" expect "$DIR/wrong.expect" -c "$DIR/server.conf" -p "$DIR" 2>&1)
is "$? $(printf '%s\n' "$said" | grep -c '^not ok ')" "1 4" "what is not so fails"
like "$said" "wrong.expect:1: wanted 200; 301 came" "and says what was wanted and what came"

echo "GET /a.txt 200" >"$DIR/odd.expect"
said=$("$SERVER" expect "$DIR/odd.expect" -c "$DIR/server.conf" 2>&1)
is "$?" 2 "a file that is wrong is refused"
like "$said" "odd.expect:1: there is no .->." "with the line and the reason"
stop
"$SERVER" expect "$DIR/right.expect" --live "$URL1" >/dev/null 2>&1
is "$?" 1 "where nobody listens every line fails"
