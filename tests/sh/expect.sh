#!/bin/sh
# `longshore expect`: the same lines asked of a conf without a server, and of a server that runs. Lines that must fail do.
. "$(dirname "$0")/lib.sh"
plan 27
if is_nginx; then
    skip 27 "nginx has no such word"
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

# --- TLS: who is trusted, and by which name ---

(cd "$DIR" && "$SERVER" cert self-signed a.test localhost >/dev/null 2>&1)
serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1% ssl;
    server_name a.test;
    ssl_certificate a.test.pem;
    ssl_certificate_key a.test.key;
    location / { return 200 "safe $ssl_server_name"; }
}
server {
    listen 127.0.0.1:%PORT2%;
    location / { return 200 plain; }
}
CONF
printf 'GET https://a.test/ -> 200 body="safe a.test"\nGET /same same -> 200\nGET http://x:%s/ -> 200 body=plain\n' "$PORT2" >"$DIR/tls.expect"
tls() {
    said=$("$SERVER" expect "$DIR/tls.expect" --live "https://localhost:$PORT1" "$@" 2>&1)
    code=$?
    note "$(printf '%s\n' "$said" | grep -v '^ok ')"
}
tls
like "$code $said" '^# .*tls.expect:1: wanted 200; the server.s certificate is not trusted: nobody .*--ca FILE.*insecure on' "nobody vouches for it"
tls --ca "$DIR/a.test.pem"
is "$code" 0 "the certificate itself does"
tls --insecure
is "$code" 0 "any is taken with --insecure"
{ echo 'insecure on' && cat "$DIR/tls.expect"; } >"$DIR/with.expect" && mv "$DIR/with.expect" "$DIR/tls.expect"
tls
is "$code" 0 "and behind \`insecure on\`"
echo 'GET https://other.test/ -> 200' >"$DIR/tls.expect"
tls --ca "$DIR/a.test.pem"
like "$said" 'wanted 200; the server.s certificate is not trusted: it is for a.test, localhost, not for other.test' "another name is not trusted"
printf 'GET https://a.test:%s/ -> 200\n' "$PORT2" >"$DIR/tls.expect"
tls --insecure
like "$said" 'wanted 200; the server does not speak TLS here: is http:// meant' "a port without TLS is told"
tls --ca "$DIR/none.pem"
like "$said" 'cannot read .*none.pem' "authorities that are not there are told"
stop

# --- The usual conf, and slips ---

mkdir "$DIR/usual" "$DIR/usual/conf"
printf 'events { }\nhttp { server { listen 8080; return 204; } }\n' >"$DIR/usual/conf/nginx.conf"
echo 'GET / -> 204' >"$DIR/usual/a.expect"
said=$(cd "$DIR/usual" && "$SERVER" expect a.expect 2>&1)
like "$? $(printf '%s\n' "$said" | tr '\n' ' ')" '^0 .*the conf is .*/usual/conf/nginx.conf.*ok 1 - GET / -> 204' "without -c the usual conf is asked"
echo 'GTE / -> 204' >"$DIR/usual/a.expect"
said=$(cd "$DIR/usual" && "$SERVER" expect a.expect 2>&1)
like "$? $(printf '%s\n' "$said" | tr '\n' ' ')" '^2 .*a.expect:1: did you mean .GET.' "a slip is told with its line"

# --- Variables, and lines that are left out ---

file vary.expect <<'END'
set page /a
set nothing ""
GET ${page} -> 200
GET ${nothing} -> 200
END
said=$("$SERVER" expect "$DIR/vary.expect" --live "$URL1" --set page= 2>&1)
is "$? $(printf '%s\n' "$said" | grep -c '# SKIP')" "0 2" "lines with an empty variable are left out"
like "$said" '^ok 1 - GET [$]{page} -> 200 # SKIP page is empty' "with the reason"
said=$("$SERVER" expect "$DIR/vary.expect" --live "$URL1" --set pgae=/b 2>&1)
like "$? $said" '^2 .*--set pgae: no line says .set pgae.; there are: nothing page' "a name that no file knows is told"

# --- The process: a server that leaves everything behind ---

if ! command -v python3 >/dev/null; then
    skip 6 "python3 is not installed"
    exit
fi
file leaky.py <<'END'
import http.server, os, sys
kept = []
class Leaky(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kept.append(open("/dev/null"))
        kept.append(bytearray(100_000))
        if len(kept) < 5 and os.fork() == 0:
            os._exit(0)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *args): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Leaky)
print(server.server_port, flush=True)
server.serve_forever()
END
python3 "$DIR/leaky.py" >"$DIR/port" &
leaky=$!
wait_until test -s "$DIR/port"
echo 'GET / times=100 at-once=4 -> 200 body=ok' >"$DIR/leaky.expect"
said=$("$SERVER" expect "$DIR/leaky.expect" --live "http://127.0.0.1:$(cat "$DIR/port")" --pid "$leaky" 2>&1)
is "$?" 1 "what stays behind makes it fail"
like "$said" '^# 2 children ended and nobody waited for them: python3 .[0-9]+., .*waitpid' "children"
like "$said" '^# [0-9]+ were open before, [0-9]+ are after .*[0-9]+ more of /dev/null' "descriptors"
like "$said" '^# [0-9]+ KiB before, [0-9]+ KiB after the same requests again' "memory"
kill "$leaky"
wait "$leaky" 2>/dev/null
said=$("$SERVER" expect "$DIR/leaky.expect" --live "$URL1" --pid "$leaky" 2>&1)
like "$? $said" "^2 .*there is no process $leaky" "a process that is gone is told"
said=$("$SERVER" expect "$DIR/leaky.expect" -c "$DIR/server.conf" --pid "$leaky" 2>&1)
like "$? $said" '^2 .*--pid looks at a server that runs' "without one there is no process to look at"
