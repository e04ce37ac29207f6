#!/bin/sh
# Sessions, as a user's own script would try them: curl's cookie jar, the demo's log-in, files that outlive a restart, and a
# Redis that is stopped and killed while requests wait for it.
. "$(dirname "$0")/lib.sh"

if is_nginx; then
    plan 1
    skip 1 "nginx has no sessions"
    exit
fi
plan 36
cp -R "$checkout/cgi-bin" "$DIR/"
jar=$DIR/jar
mkdir -m 777 "$DIR/store"

# visit ARGUMENT...: a fetch with the cookies of the jar, which it keeps.
visit() {
    fetch "$@" -b "$jar" -c "$jar"
}

redis_port=$(free_port)
redis_pid=
start_redis() {
    redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$DIR" >"$DIR/redis.log" 2>&1 &
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
fetch "$URL1/session" -b "session=$(repeat A 64)" -H "X-Session-Set: user=root" -H "Session: user=root"
like "$body" "Who are you" "nor does one that somebody made up"

note "files outlive the server"
: >"$jar"
visit "$URL1/files"
is "$body" "1 new" "a session in a file"
stop
serve </dev/null
visit "$URL1/files"
is "$body" "2 live" "is there after a restart"
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
    skip 18 "redis-server is not installed"
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

    note "a store that fails"
    : >"$jar"
    visit "$URL1/shared"
    kill -STOP "$redis_pid"
    seconds=$(curl -s -o "$DIR/answer.body" -w '%{time_total}' -b "$jar" "$URL1/shared")
    is "$(cat "$DIR/answer.body")" "503/session-store" "one that hangs is 503"
    ok "after its 250 ms" awk "BEGIN { exit !($seconds < 1.5) }"
    fetch "$URL1/loose"
    is "$status $body" "200  failed" "or the request goes on without, where that is said"
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
    ok "and the log said why" grep -q 'the store of the sessions "shared" fails' "$DIR/error.log"
    stop_redis
fi
stop
