#!/bin/sh
# Sessions, as a user's own script would try them: curl's cookie jar, the demo's log-in, files that outlive a restart, and a
# Redis that is stopped and killed while requests wait for it.
. "$(dirname "$0")/lib.sh"

if is_nginx; then
    plan 1
    skip 1 "nginx has no sessions"
    exit
fi
if ! command -v openssl >/dev/null; then
    plan 1
    skip 1 "openssl is not installed"
    exit
fi
plan 50
cp -R "$checkout/cgi-bin" "$DIR/"
jar=$DIR/jar
mkdir -m 777 "$DIR/store"

# visit ARGUMENT...: a fetch with the cookies of the jar, which it keeps.
visit() {
    fetch "$@" -b "$jar" -c "$jar"
}

redis_port=$(free_port)
secure_port=$(free_port)
redis_pid=
# An authority, and a certificate from it for the store and for those who may come to it.
ec="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
# shellcheck disable=SC2086
{
    openssl req -x509 $ec -days 30 -subj /CN=authority -keyout "$DIR/authority.key" -out "$DIR/authority.pem"
    openssl req $ec -subj /CN=store -keyout "$DIR/store.key" -out "$DIR/store.csr"
    echo subjectAltName=IP:127.0.0.1 >"$DIR/names"
    openssl x509 -req -days 30 -in "$DIR/store.csr" -CA "$DIR/authority.pem" -CAkey "$DIR/authority.key" \
        -CAcreateserial -extfile "$DIR/names" -out "$DIR/store.pem"
} >"$DIR/openssl.log" 2>&1
chmod 644 "$DIR/store.key"
start_redis() {
    redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$DIR" \
        --tls-port "$secure_port" --tls-cert-file "$DIR/store.pem" --tls-key-file "$DIR/store.key" \
        --tls-ca-cert-file "$DIR/authority.pem" >"$DIR/redis.log" 2>&1 &
    redis_pid=$!
    wait_until redis-cli -p "$redis_port" ping
}
stop_redis() {
    [ -z "$redis_pid" ] || kill -KILL "$redis_pid" 2>/dev/null
    wait "$redis_pid" 2>/dev/null
    redis_pid=
}

printf '%s\n' "$(repeat k 64)" | file keys
write_conf() {
    cat >"$DIR/server.conf" <<CONF
error_log $DIR/error.log;
pid $DIR/server.pid;
http {
    session_zone demo:1m;
    session_zone files store=file:$DIR/store/sessions;
    session_zone shared store=redis://127.0.0.1:$redis_port/0;
    session_zone loose store=redis://127.0.0.1:$redis_port/1 on_error=ignore;
    session_zone safe store=rediss://127.0.0.1:$secure_port/2 ssl_trusted_certificate=authority.pem
        ssl_certificate=store.pem ssl_certificate_key=store.key;
    session_zone strange store=rediss://127.0.0.1:$secure_port/2;
    server {
        listen 127.0.0.1:$PORT1;
        default_type text/plain;
        error_page 503 = @why;
        location @why { return 503 \$error_reason; }
        location = /session { alias cgi-bin/session.sh; cgi on; session demo; session_incr visits if=\$session_user; }
        location = /files { session files; session_incr n; return 200 "\$session_n \$session_state"; }
        location = /shared { session shared; session_key $DIR/keys; session_incr n; return 200 "\$session_n \$session_state"; }
        location = /turn { session shared; session_key $DIR/keys; session_rotate on; return 200 "\$session_n \$session_state"; }
        location = /out { session shared; session_key $DIR/keys; session_destroy on; return 200 "\$session_state"; }
        location = /loose { session loose; session_key $DIR/keys; session_incr n; return 200 "\$session_n \$session_state"; }
        location = /state { session demo; return 200 "\$session_n \$session_state"; }
        location = /count { session demo; session_incr n; return 200 "\$session_n \$session_state"; }
        location = /safe { session safe; session_key $DIR/keys; session_incr n; return 200 "\$session_n \$session_state"; }
        location = /strange { session strange; session_key $DIR/keys; session_incr n; return 200 "\$session_n"; }
        location = /guarded { session loose; session_key $DIR/keys; session_require n; return 200 inside; }
        location = /plain { return 200 plain; }
    }
}
CONF
}
serve </dev/null

note "log in, count, log out"
visit "$URL1/session"
is "$status" 200 "a page with a form"
is "$(header Set-Cookie)" "" "and no cookie: nothing is kept of who only looks"
visit "$URL1/session" --data "name=Ann+%3CLee%3E"
is "$status $(header Location)" "303 /session" "a form logs in"
like "$(header Set-Cookie)" "^session=[A-Za-z0-9_-]+; Path=/; HttpOnly; SameSite=Lax$" "and the cookie is as safe as can be"
is "$(header X-Session-Set)" "" "what the script told the server stays with it"
visit "$URL1/session"
like "$body" "Welcome, Ann &lt;Lee&gt;" "the name is there"
like "$body" "visits\">1<" "this is the first visit"
visit "$URL1/session"
like "$body" "visits\">2<" "and this the second"
token=$(printf '%s\n' "$body" | sed -n 's/.*name="csrf" value="\([^"]*\)".*/\1/p')
visit "$URL1/session" --data "csrf=wrong"
is "$status" 403 "a form of another page is refused"
cp "$jar" "$DIR/stolen"
visit "$URL1/session" --data "csrf=$token"
is "$status" 303 "the session's own logs out"
like "$(header Set-Cookie)" "^session=; Path=/; Max-Age=0" "and the cookie goes"
fetch "$URL1/session" -b "$DIR/stolen"
like "$body" "Who are you" "a copy of it opens nothing any more"
cut=$(sed -n 's/.*session[[:space:]]//p' "$DIR/stolen" | cut -c 1-60)
fetch "$URL1/state" -b "session=$cut"
is "$body" " forged" "one that was cut short is nobody's"
fetch "$URL1/session" -b "session=$(repeat A 64)" -H "X-Session-Set: user=root" -H "Session: user=root"
like "$body" "Who are you" "nor does one that somebody made up"

note "files outlive the server, memory does not"
cp "$jar" "$DIR/memory"
fetch "$URL1/count" -b "$DIR/memory" -c "$DIR/memory"
is "$body" "1 new" "a session in memory"
: >"$jar"
visit "$URL1/files"
is "$body" "1 new" "a session in a file"
stop
serve </dev/null
visit "$URL1/files"
is "$body" "2 live" "is there after a restart"
fetch "$URL1/count" -b "$DIR/memory" -c "$DIR/memory"
is "$body" "1 new" "the one in memory is gone, and another begins"
like "$(header Set-Cookie)" "^session=" "with a cookie of its own"
fetch "$URL1/count" -b "$DIR/memory"
is "$body" "2 live" "which holds"
is "$(find "$DIR/store" -type f -perm /077 | wc -l | tr -d ' ')" 0 "and nobody else may read it"

# many N URL: N requests at once with the jar's cookie.
many() {
    n=$1
    pids=
    while [ "$n" -gt 0 ]; do
        curl -s -o /dev/null -b "$jar" "$2" &
        pids="$pids $!"
        n=$((n - 1))
    done
    # shellcheck disable=SC2086
    wait $pids
}
many 20 "$URL1/files"
visit "$URL1/files"
is "$body" "23 live" "requests at once lose nothing"

note "a store for several machines"
if ! command -v redis-server >/dev/null; then
    skip 26 "redis-server is not installed"
else
    trap 'stop_redis; clean_up' EXIT
    start_redis
    : >"$jar"
    visit "$URL1/shared"
    is "$body" "1 new" "a session in Redis"
    visit "$URL1/shared"
    is "$body" "2 live" "is found again"
    is "$(redis-cli -p "$redis_port" keys '*' | grep -c -e "$(sed -n 's/.*session[[:space:]]//p' "$jar" | cut -c 1-20)")" 0 "and the store does not know the cookie"
    many 20 "$URL1/shared"
    visit "$URL1/shared"
    is "$body" "23 live" "requests at once lose nothing"
    cp "$jar" "$DIR/old"
    visit "$URL1/turn"
    like "$(header Set-Cookie)" "^session=" "another id"
    fetch "$URL1/shared" -b "$DIR/old"
    is "$body" "24 grace" "the old one is good for a moment"
    ttl=$(redis-cli -p "$redis_port" pttl "$(redis-cli -p "$redis_port" --scan | head -n 1)")
    ok "every key has its end" test "$ttl" -gt 0
    cp "$jar" "$DIR/before"
    visit "$URL1/out"
    is "$body" "destroyed" "a log-out"
    fetch "$URL1/turn" -b "$DIR/before"
    like "$body" "expired$" "is one in the store"

    note "over TLS"
    rm -f "$DIR/safe"
    fetch "$URL1/safe" -c "$DIR/safe"
    is "$status $body" "200 1 new" "a session in Redis over TLS, with certificates on both sides"
    fetch "$URL1/safe" -b "$DIR/safe"
    is "$status $body" "200 2 live" "is found again"
    is "$(redis-cli -p "$redis_port" -n 2 --scan | wc -l | tr -d ' ')" 1 "and stands in the database that the conf names"
    fetch "$URL1/strange"
    is "$status $body" "503 503/session-store" "a store whose certificate nobody vouches for is not believed"
    ok "and the log says why" grep -qi 'store of the sessions "strange" fails: .*certificate' "$DIR/error.log"

    note "a store that fails"
    : >"$jar"
    visit "$URL1/shared"
    fetch "$URL1/loose" -c "$DIR/loose"
    kill -STOP "$redis_pid"
    seconds=$(curl -s -o "$DIR/answer.body" -w '%{time_total}' -b "$jar" "$URL1/shared")
    is "$(cat "$DIR/answer.body")" "503/session-store" "one that hangs is 503"
    ok "after its 250 ms" awk "BEGIN { exit !($seconds < 1.5) }"
    fetch "$URL1/loose"
    is "$status $body" "200  failed" "or the request goes on without, where that is said"
    fetch "$URL1/guarded" -b "$DIR/loose"
    is "$status $body" "503 503/session-store" "but not to what only a session may see"
    before=$(date +%s%N)
    many 40 "$URL1/shared"
    ok "forty at once wait no longer than one" test $(($(date +%s%N) - before)) -lt 3000000000
    fetch "$URL1/safe" -b "$DIR/safe"
    is "$status" 503 "nor does TLS wait"
    is "$(curl -s "$URL1/plain")" plain "other requests do not notice"
    curl -s -o "$DIR/caught" -b "$jar" "$URL1/shared" &
    asked=$!
    stop_redis
    ok "killed with a request under way, the request ends" wait "$asked"
    fetch "$URL1/shared"
    is "$status" 503 "and those after it are told"
    start_redis
    visit "$URL1/shared"
    is "$body" "1 new" "one that comes back is used again at once"
    fetch "$URL1/safe" -b "$DIR/safe"
    like "$status $body" "^200 1 " "over TLS too"
    ok "and the log said why" grep -q 'the store of the sessions "shared" fails' "$DIR/error.log"
    stop_redis
fi
stop
