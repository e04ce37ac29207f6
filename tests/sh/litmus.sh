#!/bin/sh
# litmus, the test suite of WebDAV servers: its suites for what `dav_methods` does. Each must fail where it is known to fail
# (docs/results.md says why) and nowhere else. The suites `props` and `locks` ask for PROPFIND, PROPPATCH and LOCK, which are not built.
. "$(dirname "$0")/lib.sh"

if is_nginx || ! command -v litmus >/dev/null; then
    plan 1
    skip 1 "nginx does not answer OPTIONS, or litmus is not installed"
    exit
fi
plan 7

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

# suite NAME TESTS FAILURES: so many tests are run, and these fail. A remark of litmus may stand between the name and the verdict.
suite() {
    said=$(cd "$DIR" && TESTS=$1 litmus -k "$URL1/dav/" 2>&1 | tr '\r' '\n')
    found=$(printf '%s\n' "$said" | awk '
        $1 ~ /^[0-9]+\.$/ { name = $2; sub(/\.+$/, "", name) }
        / FAIL( |$)/ { print name }' | sort -u | tr '\n' ' ')
    is "$found" "$3" "$1: what fails"
    like "$said" "summary for .$1.: of $2 tests run" "$1: all of it was run"
    note "$(printf '%s\n' "$said" | grep -E 'FAIL|WARNING')"
}
suite basic 16 "options "
suite http 4 ""
suite copymove 13 "copy_overwrite move move_coll "

stop
