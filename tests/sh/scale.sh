#!/bin/sh
# docs/scale.md as it stands there: two machines, a Redis and a balancer with TLS before them. Only addresses, ports and
# paths are put in.
. "$(dirname "$0")/lib.sh"

if is_nginx || ! command -v redis-server >/dev/null || ! command -v openssl >/dev/null; then
    plan 1
    skip 1 "nginx has no sessions, or redis-server or openssl is not installed"
    exit
fi
plan 19

choose_ports
redis_port=$(free_port)
pids=
end_all() {
    scale_code=$?
    for pid in $pids; do kill -TERM "$pid" 2>/dev/null; done
    # shellcheck disable=SC2086
    wait $pids 2>/dev/null
    (exit "$scale_code")
    clean_up
}
trap end_all EXIT

# block N: the Nth conf of the page, with this machine's names in it.
block() {
    awk -v wanted="$1" '/^```nginx/ { at++; inside = 1; next } /^```/ { inside = 0 } inside && at == wanted' "$checkout/docs/scale.md" |
        sed -e "s|10.0.0.5:6379|127.0.0.1:$redis_port|" -e "s|/etc/longshore/|$DIR/|" -e "s|/srv/www|$DIR/www|" \
            -e "s|listen 8080|listen 127.0.0.1:%PORT%|" -e "s|listen 443|listen 127.0.0.1:$PORT3|" \
            -e "s|10.0.0.11:8080|127.0.0.1:$PORT1|" -e "s|10.0.0.12:8080|127.0.0.1:$PORT2|" -e "s|10.0.0.10|127.0.0.1|"
}

# start NAME PORT: a server with the http block that standard input is, in a folder of its own.
start() {
    mkdir -p "$DIR/$1"
    cp "$DIR/users" "$DIR/$1/"
    {
        echo "error_log $DIR/$1.error; pid $DIR/$1.pid; events {}"
        echo "http { access_log $DIR/$1.access; proxy_temp_path $DIR/$1.temp;"
        sed "s/%PORT%/$2/"
        echo "}"
    } >"$DIR/$1/server.conf"
    "$SERVER" -p "$DIR/$1" -c server.conf >"$DIR/$1.out" 2>&1 &
    started=$!
    pids="$pids $started"
    wait_until test -s "$DIR/$1.pid"
}

printf '%s\n' "$(repeat k 64)" | file session.keys
echo "ann:$(openssl passwd -apr1 secret)" | file users
echo "only for members" | file www/members/page
openssl req -x509 -nodes -days 30 -subj /CN=site -addext subjectAltName=IP:127.0.0.1 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
    -keyout "$DIR/site.key" -out "$DIR/site.pem" 2>"$DIR/openssl.log"
chmod 644 "$DIR/site.key"
redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --requirepass PASSWORD >"$DIR/redis.log" 2>&1 &
redis_pid=$!
pids="$pids $redis_pid"
wait_until redis-cli -p "$redis_port" ping

{ block 1; block 3; } >"$DIR/machine"
start one "$PORT1" <"$DIR/machine"
one=$started
start two "$PORT2" <"$DIR/machine"
block 2 >"$DIR/before"
start balancer "$PORT3" <"$DIR/before"
site=https://127.0.0.1:$PORT3
jar=$DIR/jar

# visit PATH ARGUMENT...: somebody at 127.0.0.7 asks the balancer.
visit() {
    path=$1
    shift
    fetch "$site$path" --cacert "$DIR/site.pem" --interface 127.0.0.7 -b "$jar" -c "$jar" "$@"
}

note "a session that both machines know"
visit /members/page
is "$status $(header Location)" "302 /login" "who is nobody is sent to the login page, on the site's own address"
visit /login
is "$status" 401 "which asks"
visit /login -u ann:secret
is "$status $(header Location)" "303 /" "and leads on, on the site's own address"
like "$(header Set-Cookie)" "^__Host-session=[^;]+; Path=/; Secure; HttpOnly; SameSite=Lax" "the cookie is for this site over TLS alone"
for n in 1 2 3 4 5 6; do
    visit /members/page
    is "$status $body" "200 only for members" "visit $n"
done
ok "the first machine served some of it" grep -q '/members/page.* 200' "$DIR/one.access"
ok "and so did the second" grep -q '/members/page.* 200' "$DIR/two.access"
ok "they know who the client is" grep -q '^127.0.0.7 - - ' "$DIR/one.access"
fetch "$URL1/members/page" -H "X-Forwarded-For: 127.0.0.9" --interface 127.0.0.8
unlike "$(cat "$DIR/one.access")" '^127.0.0.9' "and believe nobody but the balancer"

note "a machine that falls"
kill -KILL "$one"
wait "$one" 2>/dev/null
for n in 1 2 3; do
    visit /members/page
    is "$status" 200 "visit $n is served by the other"
done

note "a store that falls"
kill -KILL "$redis_pid"
wait "$redis_pid" 2>/dev/null
visit /members/page
is "$status" 503 "nobody comes in without it"
ok "and the log says why" grep -q 'store of the sessions "app" fails' "$DIR/two.error"
