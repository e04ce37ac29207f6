#!/bin/sh
# What a conf means differently by user or machine is decided once, and root's server, whose worker is another user, means the
# same in all its processes: the port of a server without listen, names of users, files that only root may read. The same
# on reload, and for a server of somebody else's. Needs a network of its own, since one of the ports is 80.
if [ "$(id -u)" -eq 0 ] && [ -z "${NET:-}" ] && unshare --net ip link set lo up 2>/dev/null; then
    # shellcheck disable=SC2016 # the inner shell expands it
    NET=own exec unshare --net sh -c 'ip link set lo up && exec sh "$0"' "$0"
fi
. "$(dirname "$0")/lib.sh"

if [ -z "${NET:-}" ]; then
    plan 1
    skip 1 "a network of one's own cannot be had here"
    exit
fi
plan 20

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=a.test" -keyout "$DIR/a.key" -out "$DIR/a.pem" 2>/dev/null
mkdir "$DIR/closed"
mv "$DIR/a.key" "$DIR/a.pem" "$DIR/closed"
chmod 700 "$DIR/closed"
echo "page" >"$DIR/html/index.html"

# conf NAME [LINES]: a conf that leaves open what it can; NAME is in the answers.
conf() {
    mkdir -p "$DIR/temp" && chmod 777 "$DIR/temp"
    file closed/more.conf <<CONF
add_header X-Name $1 always;
CONF
    file server.conf <<CONF
${2:-}
worker_processes auto;
pid $DIR/run/server.pid;
error_log $DIR/run/error.log notice;
events {}
http {
    access_log off;
$(for name in client_body proxy fastcgi uwsgi scgi; do echo "    ${name}_temp_path $DIR/temp/$name;"; done)
    upstream local { server localhost:8081; server localhost; }
    include ${3:-$DIR/closed/*.conf};
    server { return 200 "\$hostname \$server_port $1"; }
    server { listen localhost:8443 ssl; ssl_certificate ${4:-$DIR/closed}/a.pem; ssl_certificate_key ${4:-$DIR/closed}/a.key; return 200 tls; }
}
CONF
}
run_folder() { rm -rf "$DIR/run" && mkdir "$DIR/run" && chown "$1" "$DIR/run"; }
serves() { [ -s "$DIR/run/server.pid" ]; }
answers() { curl -s --max-time 5 "http://127.0.0.1:$1/" | grep -q "$2"; }
finish() {
    kill -QUIT "$(cat "$DIR/run/server.pid")"
    wait "$server_pid"
    code=$?
    server_pid=
    is "$code$(grep -E '\[(alert|emerg)\]|panicked' "$DIR/run/error.log")" 0 "$1: it ends in peace"
}

# checks WHO PORT: what holds for each server once it runs.
checks() {
    fetch "http://127.0.0.1:$2/"
    is "$body" "$(uname -n) $2 first" "$1: a server without listen is at port $2, and knows the machine"
    fetch "https://127.0.0.1:8443/" -k
    is "$body" tls "$1: localhost is an address, the certificate is read"
}

# Root's server: its worker may not read the folder, and is another user.
run_folder 0
conf first "user nobody nogroup;"
"$SERVER" -c "$DIR/server.conf" -g "daemon off;" >"$DIR/output" 2>&1 &
server_pid=$!
ok "root's server starts" wait_until serves
checks root 80
is "$(header X-Name)" first "root: a folder that only root may enter is included"
is "$(ps -o user= --ppid "$server_pid" | sort -u | tr -d ' ')" nobody "root: the worker is nobody"
conf second "user nobody nogroup;"
"$SERVER" -c "$DIR/server.conf" -s reload >"$DIR/output" 2>&1
is "$?" 0 "root: it reloads"
ok "root: the new conf is in force at the same port" wait_until answers 80 second
fetch "https://127.0.0.1:8443/" -k
is "$body $(header X-Name)" "tls second" "root: what only root may read was read again"
is "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:8000/")" 000 "root: nothing is at port 8000"
finish root

# Somebody else's.
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
if as_nobody "$SERVER" -v 2>/dev/null; then
    cp -R "$DIR/closed" "$DIR/own"
    chown -R 65534 "$DIR/own" "$DIR/temp"
    run_folder 65534
    conf first "" "$DIR/own/*.conf" "$DIR/own"
    as_nobody "$SERVER" -c "$DIR/server.conf" -g "daemon off;" >"$DIR/output" 2>&1 &
    server_pid=$!
    ok "nobody's server starts" wait_until serves
    checks nobody 8000
    conf second "" "$DIR/own/*.conf" "$DIR/own"
    as_nobody "$SERVER" -c "$DIR/server.conf" -s reload >"$DIR/output" 2>&1
    is "$?" 0 "nobody: it reloads"
    ok "nobody: the new conf is in force at the same port" wait_until answers 8000 second
    is "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1/")" 000 "nobody: nothing is at port 80"
    finish nobody
else
    skip 7 "nobody may not start $SERVER"
fi

# Root, in one process.
run_folder 0
conf first "user root;"
"$SERVER" -c "$DIR/server.conf" -g "daemon off;" >"$DIR/output" 2>&1 &
server_pid=$!
wait_until serves
fetch "http://127.0.0.1/"
is "$body" "$(uname -n) 80 first" "user root: a server without listen is at port 80"
finish "user root"
like "$("$SERVER" -v -t -c "$DIR/server.conf" 2>&1)" "test is successful" "-v does not keep -t from testing"
