#!/bin/sh
# Python applications, as people run them: WSGI behind uwsgi_pass and behind gunicorn, ASGI behind uvicorn with a WebSocket
# and an event stream, and a small SCGI server.
. "$(dirname "$0")/lib.sh"

# Debian's own Python is the one that Debian's packages belong to.
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3)
if [ -z "$python" ]; then
    plan 1
    skip 1 "python3 is not installed"
    exit
fi
plan 25

file app/wsgi.py <<'PY'
def application(environ, start_response):
    path = environ['PATH_INFO']
    if path.endswith('/echo'):
        body = environ['wsgi.input'].read(int(environ.get('CONTENT_LENGTH') or 0))
        status = '200 OK'
    elif path.endswith('/large'):
        start_response('200 OK', [('Content-Type', 'application/octet-stream')])
        return (bytes([32 + n]) * 65536 for n in range(64))
    elif path.endswith('/teapot'):
        body, status = b'short and stout\n', "418 I'm a teapot"
    else:
        names = 'REQUEST_METHOD PATH_INFO QUERY_STRING SERVER_PROTOCOL HTTP_X_FORWARDED_FOR'.split()
        body = ''.join('%s=%s\n' % (name, environ.get(name, '')) for name in names).encode()
        status = '200 OK'
    start_response(status, [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]
PY
file app/asgi.py <<'PY'
import asyncio

async def application(scope, receive, send):
    if scope['type'] == 'lifespan':
        while True:
            message = await receive()
            await send({'type': message['type'] + '.complete'})
            if message['type'] == 'lifespan.shutdown':
                return
    if scope['type'] == 'websocket':
        await receive()
        await send({'type': 'websocket.accept'})
        while True:
            message = await receive()
            if message['type'] != 'websocket.receive':
                return
            await send({'type': 'websocket.send', 'text': message.get('text'), 'bytes': message.get('bytes')})
    if scope['path'] == '/events':
        head = [(b'content-type', b'text/event-stream'), (b'x-accel-buffering', b'no')]
        await send({'type': 'http.response.start', 'status': 200, 'headers': head})
        for n in range(3):
            await send({'type': 'http.response.body', 'body': b'data: event %d\n\n' % n, 'more_body': True})
            await asyncio.sleep(0.2)
        await send({'type': 'http.response.body', 'body': b''})
        return
    size = 0
    while True:
        message = await receive()
        size += len(message.get('body', b''))
        if not message.get('more_body'):
            break
    fields = dict(scope['headers'])
    body = b'%s %s host=%s for=%s body=%d\n' % (scope['method'].encode(), scope['path'].encode(),
        fields.get(b'host', b''), fields.get(b'x-forwarded-for', b''), size)
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'text/plain')]})
    await send({'type': 'http.response.body', 'body': body})
PY
# An SCGI server in forty lines; Debian has none for Python 3.
file app/scgi.py <<'PY'
import os, socketserver, sys

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        size = b''
        while not size.endswith(b':'):
            size += self.rfile.read(1)
        texts = self.rfile.read(int(size[:-1])).split(b'\0')
        assert self.rfile.read(1) == b','
        environ = dict(zip(texts[::2], texts[1::2]))
        assert texts[0] == b'CONTENT_LENGTH' and environ[b'SCGI'] == b'1'
        body = self.rfile.read(int(environ[b'CONTENT_LENGTH']))
        if environ[b'DOCUMENT_URI'].endswith(b'/status'):
            self.wfile.write(b'Status: 404 Not Here\r\nContent-Type: text/plain\r\n\r\nnothing\n')
            return
        told = b' '.join(environ[name] for name in (b'REQUEST_METHOD', b'REQUEST_URI', b'QUERY_STRING'))
        self.wfile.write(b'Content-Type: text/plain\r\n\r\n' + told + b' %d\n' % len(body))

class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

server = Server(sys.argv[1], Handler)
os.chmod(sys.argv[1], 0o666)
server.serve_forever()
PY
file app/websocket.py <<'PY'
import asyncio, sys, websockets

async def main():
    async with websockets.connect(sys.argv[1]) as socket:
        for text in ('hello', 'x' * 100000, 'Łódź'):
            await socket.send(text)
            assert await socket.recv() == text
        await socket.send(b'\0\1\2')
        assert await socket.recv() == b'\0\1\2'
        others = [await websockets.connect(sys.argv[1]) for _ in range(20)]
        for n, other in enumerate(others):
            await other.send(str(n))
        for n, other in enumerate(others):
            assert await other.recv() == str(n)
            await other.close()
        print('echoed')

asyncio.run(main())
PY
chmod 777 "$DIR" "$DIR/app"

programs=
# start NAME COMMAND...: a program that ends with this script; what it says stands in NAME.log.
start() {
    name=$1
    shift
    (cd "$DIR/app" && exec "$@") >"$DIR/$name.log" 2>&1 &
    programs="$programs $!"
}
leave() {
    for program in $programs; do kill -TERM "$program" 2>/dev/null || :; done
    for program in $programs; do wait "$program" 2>/dev/null || :; done
    programs=
}
trap 'leave; clean_up' EXIT
has_module() { "$python" -c "import $1" 2>/dev/null; }
has_uwsgi() { command -v uwsgi && uwsgi --plugins python3 --help; }

PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
start scgi "$python" scgi.py "$DIR/scgi.sock"
uwsgi="" gunicorn="" uvicorn=""
if has_uwsgi >/dev/null 2>&1; then
    uwsgi=yes
    start uwsgi uwsgi --plugins python3 --socket "$DIR/uwsgi.sock" --chmod-socket=666 --wsgi-file wsgi.py --die-on-term \
        --need-app --master --workers 2
    wait_until test -S "$DIR/uwsgi.sock"
fi
if has_module gunicorn; then
    gunicorn=yes
    start gunicorn "$python" -m gunicorn --bind "unix:$DIR/gunicorn.sock" --umask 0 --workers 2 wsgi:application
    wait_until test -S "$DIR/gunicorn.sock"
fi
if has_module uvicorn && has_module websockets; then
    uvicorn=yes
    start uvicorn "$python" -m uvicorn --uds "$DIR/uvicorn.sock" --log-level warning asgi:application
    wait_until test -S "$DIR/uvicorn.sock"
fi
wait_until test -S "$DIR/scgi.sock"

serve <<'CONF'
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
upstream wsgi { server unix:%DIR%/gunicorn.sock; keepalive 4; }
server {
    listen 127.0.0.1:%PORT1%;
    client_max_body_size 10m;
    location /scgi/ {
        scgi_pass unix:%DIR%/scgi.sock;
        scgi_param SCGI 1;
        scgi_param REQUEST_METHOD $request_method;
        scgi_param REQUEST_URI $request_uri;
        scgi_param QUERY_STRING $query_string;
        scgi_param DOCUMENT_URI $document_uri;
    }
    location /uwsgi/ {
        uwsgi_pass unix:%DIR%/uwsgi.sock;
        uwsgi_param REQUEST_METHOD $request_method;
        uwsgi_param REQUEST_URI $request_uri;
        uwsgi_param QUERY_STRING $query_string;
        uwsgi_param PATH_INFO $document_uri;
        uwsgi_param CONTENT_LENGTH $content_length;
        uwsgi_param CONTENT_TYPE $content_type;
        uwsgi_param SERVER_PROTOCOL $server_protocol;
        uwsgi_param SERVER_NAME $server_name;
        uwsgi_param SERVER_PORT $server_port;
    }
    location /wsgi/ {
        proxy_pass http://wsgi/;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
server {
    listen 127.0.0.1:%PORT2%;
    client_max_body_size 10m;
    location / {
        proxy_pass http://unix:%DIR%/uvicorn.sock;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
CONF
head -c 3000000 /dev/urandom >"$DIR/large"
sum=$(cksum <"$DIR/large")

# wsgi NAME PATH: what the WSGI application answers, whichever way leads to it.
wsgi() {
    fetch "$URL1$2/a%20b?c=d"
    like "$body" "^PATH_INFO=.*/a b$" "$1: a path, decoded"
    like "$body" "^QUERY_STRING=c=d$" "$1: a query"
    fetch "$URL1$2/teapot"
    is "$status $body" "418 short and stout" "$1: a status"
    is "$(curl -s --max-time 10 --data-binary "@$DIR/large" "$URL1$2/echo" | cksum)" "$sum" "$1: three megabytes there and back"
    is "$(curl -s --max-time 10 "$URL1$2/large" | wc -c)" 4194304 "$1: four megabytes of no known length"
}

note "SCGI"
fetch "$URL1/scgi/a?b=c" --data hello
is "$status $body" "200 POST /scgi/a?b=c b=c 5" "SCGI: a request with a body"
fetch "$URL1/scgi/a" --data hello -H "Transfer-Encoding: chunked"
like "$body" " 5$" "SCGI: a body in chunks has a length"
fetch "$URL1/scgi/status"
is "$status $body" "404 nothing" "SCGI: a status"

note "uwsgi"
if [ -n "$uwsgi" ]; then wsgi uwsgi /uwsgi; else skip 5 "uwsgi-core and uwsgi-plugin-python3 are not installed"; fi

note "gunicorn"
if [ -n "$gunicorn" ]; then
    wsgi gunicorn /wsgi
    fetch "$URL1/wsgi/" -H "X-Forwarded-For: 192.0.2.1"
    like "$body" "^HTTP_X_FORWARDED_FOR=192.0.2.1, 127.0.0.1$" "gunicorn: who asked"
else
    skip 6 "python3-gunicorn is not installed"
fi

note "uvicorn"
if [ -n "$uvicorn" ]; then
    fetch "$URL2/a" --data hello
    is "$body" "POST /a host=127.0.0.1:$PORT2 for=127.0.0.1 body=5" "uvicorn: a request"
    is "$(curl -s --max-time 10 --data-binary "@$DIR/large" "$URL2/a" | sed 's/.* //')" "body=3000000" "uvicorn: an upload"
    is "$(curl -sN --max-time 10 "$URL2/events" | tr -d '\n')" "data: event 0data: event 1data: event 2" "uvicorn: events"
    # The first event is there while the stream goes on.
    is "$(curl -sN --max-time 10 "$URL2/events" | head -n 1)" "data: event 0" "uvicorn: the first of them"
    is "$("$python" "$DIR/app/websocket.py" "ws://127.0.0.1:$PORT2/socket" 2>&1 | tail -n 1)" echoed "uvicorn: WebSockets"
    like "$(fetch "$URL2/events" -I; header Content-Type)" "^text/event-stream" "uvicorn: HEAD"
    fetch "$URL2/b"
    is "$status" 200 "uvicorn: and a plain request behind them"
else
    skip 7 "python3-uvicorn and python3-websockets are not installed"
fi

note "nobody listens"
leave
fetch "$URL1/scgi/a"
is "$status" 502 "SCGI: 502"
fetch "$URL1/uwsgi/a"
is "$status" 502 "uwsgi: 502"
fetch "$URL1/wsgi/a"
is "$status" 502 "HTTP: 502"

stop
