#!/bin/sh
# A request that goes through this server to nginx and from there back to this server: what leaves must come back as it was, by
# length and in chunks, plain and coded, kept alive all the way; and a protocol that is switched through both.
. "$(dirname "$0")/lib.sh"

nginx=$(command -v nginx || command -v /usr/sbin/nginx)
if [ -z "$nginx" ]; then
    plan 1
    skip 1 "nginx is not installed"
    exit
fi
plan 29

head -c 3000000 /dev/urandom >"$DIR/html/large"
head -c 100000 /dev/zero | tr '\0' 'a' >"$DIR/html/text.txt"
echo "hello" | file html/index.html
# The end of the way back, for what a file server has no words for: takes a body, switches protocols, echoes.
file echo.py <<'PY'
import os, socketserver, sys

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            line = self.rfile.readline().decode().split(' ')
            if len(line) < 3:
                return
            fields = {}
            for field in iter(self.rfile.readline, b'\r\n'):
                name, value = field.decode().rstrip('\r\n').split(': ', 1)
                fields[name.lower()] = value
            if 'upgrade' in fields:
                self.wfile.write(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n')
                for piece in iter(lambda: self.rfile.read1(65536), b''):
                    self.wfile.write(piece)
                return
            body = self.body(fields)
            if line[1] == '/chunks':
                self.wfile.write(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
                for at in range(0, len(body), 10000):
                    piece = body[at:at + 10000]
                    self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
                self.wfile.write(b'0\r\n\r\n')
            else:
                self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(body))
                self.wfile.write(body)

    def body(self, fields):
        if 'transfer-encoding' not in fields:
            return self.rfile.read(int(fields.get('content-length', 0)))
        body = b''
        while True:
            size = int(self.rfile.readline(), 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

server = Server(sys.argv[1], Handler)
os.chmod(sys.argv[1], 0o666)
server.serve_forever()
PY
# Says what a browser would, then sends bytes through the switched connection and compares what comes back.
file upgrade.py <<'PY'
import os, socket, sys, threading

def converse(n):
    s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)
    s.settimeout(10)
    s.sendall(b'GET /echo/upgrade HTTP/1.1\r\nHost: a.test\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n')
    got = b''
    while b'\r\n\r\n' not in got:
        piece = s.recv(65536)
        assert piece, got
        got += piece
    head, got = got.split(b'\r\n\r\n', 1)
    assert head.startswith(b'HTTP/1.1 101 '), head
    data = os.urandom(300000 + n)
    threading.Thread(target=s.sendall, args=(data,)).start()
    while len(got) < len(data):
        piece = s.recv(65536)
        assert piece, len(got)
        got += piece
    assert got == data
    s.close()

for n in range(5):
    converse(n)
print('echoed')
PY
chmod 777 "$DIR"
mkdir "$DIR/nginx"
chmod 777 "$DIR/nginx"

echo_pid='' nginx_pid=''
leave() {
    for one in $echo_pid $nginx_pid; do kill -TERM "$one" 2>/dev/null; done
    for one in $echo_pid $nginx_pid; do wait "$one" 2>/dev/null; done
    echo_pid='' nginx_pid=''
}
trap 'leave; clean_up' EXIT
python=$(command -v /usr/bin/python3 || command -v python3)
if [ -n "$python" ]; then
    "$python" "$DIR/echo.py" "$DIR/echo.sock" >"$DIR/echo.log" 2>&1 &
    echo_pid=$!
    wait_until test -S "$DIR/echo.sock" || note "$(cat "$DIR/echo.log")"
fi

serve <<'CONF'
map $http_upgrade $upgraded { default upgrade; '' ''; }
log_format hops '$connection_requests $server_port $request_uri $http_via $status';
access_log %DIR%/hops.log hops;
upstream nginx { server 127.0.0.1:%PORT3%; keepalive 8; }
upstream echo { server unix:%DIR%/echo.sock; keepalive 8; }
client_max_body_size 20m;
# Where clients come in.
server {
    listen 127.0.0.1:%PORT1%;
    location / {
        proxy_pass http://nginx;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $upgraded;
        proxy_set_header Via "1.1 front";
    }
    location /live/ {
        proxy_pass http://nginx/;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Connection "";
        proxy_request_buffering off;
        proxy_buffering off;
    }
    location /old/ { proxy_pass http://nginx/; proxy_set_header Host $http_host; }
}
# Where nginx leads them.
server {
    listen 127.0.0.1:%PORT2%;
    root html;
    port_in_redirect off;
    gzip on;
    gzip_types text/plain;
    gzip_proxied any;
    location = /moved { return 301 /large; }
    location = /told { return 200 "$http_host $http_via $server_protocol\n"; }
    location = /cookie { add_header Set-Cookie "a=b; Path=/"; return 204; }
    location /echo/ {
        proxy_pass http://echo/;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $upgraded;
        proxy_request_buffering off;
    }
}
CONF
file nginx/nginx.conf <<CONF
daemon off;
pid $DIR/nginx.pid;
error_log $DIR/nginx/error.log;
events {}
http {
    access_log off;
    client_body_temp_path $DIR/nginx/body; proxy_temp_path $DIR/nginx/proxy; fastcgi_temp_path $DIR/nginx/fastcgi;
    uwsgi_temp_path $DIR/nginx/uwsgi; scgi_temp_path $DIR/nginx/scgi;
    client_max_body_size 20m;
    map \$http_upgrade \$upgraded { default upgrade; '' ''; }
    upstream back { server 127.0.0.1:$PORT2; keepalive 8; }
    server {
        listen 127.0.0.1:$PORT3;
        location / {
            proxy_pass http://back;
            proxy_http_version 1.1;
            proxy_set_header Host \$http_host;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection \$upgraded;
            proxy_set_header Via "\$http_via, 1.1 nginx";
        }
    }
}
CONF
"$nginx" -p "$DIR/nginx" -c nginx.conf -e "$DIR/nginx/error.log" >"$DIR/nginx/output" 2>&1 &
nginx_pid=$!
wait_until test -s "$DIR/nginx.pid" || note "$(cat "$DIR/nginx/output" "$DIR/nginx/error.log")"

# same FILE CURL-ARGUMENTS...: whether the answer is this file, byte for byte.
same() {
    wanted=$1
    shift
    curl -sS --max-time 20 "$@" | cmp -s - "$wanted"
}

note "the way there"
fetch "$URL1/told" -H "Host: a.test"
is "$body" "a.test 1.1 front, 1.1 nginx HTTP/1.1" "the request went through both, Host as it was"
fetch "$URL1/"
is "$status $body" "200 hello" "a file"
ok "a large one, byte for byte" same "$DIR/html/large" "$URL1/large"
ok "and unbuffered" same "$DIR/html/large" "$URL1/live/large"
ok "and by HTTP/1.0" same "$DIR/html/large" "$URL1/old/large"
ok "and read slowly" same "$DIR/html/large" --limit-rate 3m "$URL1/large"
tail -c +1001 "$DIR/html/large" | head -c 1000 >"$DIR/part"
ok "a range of it" same "$DIR/part" -r 1000-1999 "$URL1/large"
fetch "$URL1/large" -r 1000-1999
is "$status $(header Content-Range)" "206 bytes 1000-1999/3000000" "says which"
fetch "$URL1/large" --head
is "$status $(header Content-Length)" "200 3000000" "HEAD knows its length"
tag=$(header ETag)
fetch "$URL1/large" -H "If-None-Match: $tag"
is "$status $body" "304 " "who has it already is told so"
ok "what is coded on the way back is decoded by the client" same "$DIR/html/text.txt" --compressed "$URL1/text.txt"
fetch "$URL1/text.txt" -H "Accept-Encoding: gzip"
# With a length if all of it was there at once, else in chunks.
is "$(header Content-Encoding)" "gzip" "it was coded"
fetch "$URL1/moved" -H "Host: a.test"
is "$status $(header Location)" "301 http://a.test/large" "a redirect keeps the name that the client used"
fetch "$URL1/cookie"
is "$status $(header Set-Cookie)" "204 a=b; Path=/" "an answer without a body, with a cookie"
fetch "$URL1/nowhere"
is "$status" 404 "a status of the last server"

note "bodies"
if [ -n "$echo_pid" ]; then
    for way in "" /live; do
        for back in length chunks; do
            ok "$way a body by its length, back by $back" same "$DIR/html/large" --data-binary "@$DIR/html/large" "$URL1$way/echo/$back"
            ok "$way a body in chunks, back by $back" same "$DIR/html/large" -H "Transfer-Encoding: chunked" \
                --data-binary "@$DIR/html/large" "$URL1$way/echo/$back"
        done
    done
    ok "a body that waits for 100" same "$DIR/html/large" -H "Expect: 100-continue" --data-binary "@$DIR/html/large" "$URL1/echo/length"
    fetch "$URL1/echo/length" -X POST -H "Content-Length: 0"
    is "$status $body" "200 " "an empty one"
    is "$("$python" "$DIR/upgrade.py" "$PORT1" 2>&1 | tail -n 1)" "echoed" "a switched protocol, both ways through all three"
else
    skip 11 "python3 is not installed"
fi

note "connections"
connections=$(curl -sS --max-time 20 -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects}' "$URL1/" "$URL1/text.txt" "$URL1/nowhere")
is "$connections" 100 "three answers on one connection"
kept() { awk -v port="$PORT2" '$2 == port && $1 > 10 { found = 1 } END { exit !found }' "$DIR/hops.log"; }
i=0
while [ $i -lt 12 ]; do
    fetch "$URL1/"
    i=$((i + 1))
done
ok "the connections between the servers are kept as well" wait_until kept

stop
