#!/bin/sh
# litmus, the test suite of WebDAV servers: its basic and http suites.
. "$(dirname "$0")/lib.sh"

if is_nginx || ! command -v litmus >/dev/null; then
    plan 1
    skip 1 "nginx does not answer OPTIONS, or litmus is not installed"
    exit
fi
plan 3

mkdir "$DIR/html/dav"
chmod 777 "$DIR/html/dav"
serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    location / {
        root                 html;
        dav_methods          PUT DELETE MKCOL COPY MOVE;
        client_max_body_size 10m;
    }
}
CONF

for suite in basic http; do
    if said=$(cd "$DIR" && TESTS=$suite litmus -k "$URL1/dav/" 2>&1); then
        pass "the suite $suite"
    else
        fail "the suite $suite"
        note "$said"
    fi
done

stop
