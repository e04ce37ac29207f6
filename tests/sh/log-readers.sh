#!/bin/sh
# What reads nginx's logs reads ours: Debian's filters of fail2ban, one that watches refusals by rule, logwatch, GoAccess, and a
# regex that is anchored at both ends. Runs on both servers, and each reader must find the same.
. "$(dirname "$0")/lib.sh"

for program in fail2ban-regex logwatch goaccess; do
    if ! PATH=$PATH:/usr/sbin command -v "$program" >/dev/null; then
        plan 1
        skip 1 "$program is not installed"
        exit
    fi
done
PATH=$PATH:/usr/sbin
plan 14

printf 'user:{PLAIN}secret\n' >"$DIR/users"
serve <<'CONF'
limit_req_zone $uri zone=slow:1m rate=1r/m;
server {
    listen 127.0.0.1:%PORT1%;
    server_name site.test;
    root html;
    location /deny { deny all; }
    location /auth { auth_basic staff; auth_basic_user_file %DIR%/users; }
    location = /slow { limit_req zone=slow; return 200 "slow\n"; }
    location = /limited { limit_req zone=slow; try_files /none =404; }
    location /up { proxy_pass http://127.0.0.1:1; }
    location = /fine { return 200 "fine\n"; }
}
CONF

ask() {
    curl -s -o "$DIR/answer.body" --max-time 10 -H 'Host: site.test' "$@"
}

# Two wrong passwords and a name that is not there, one with a referrer; two refusals; one request over the limit.
ask -u user:wrong "$URL1/auth"
ask -u user:wrong -e http://other.test/page "$URL1/auth?x=1"
ask -u nobody:secret "$URL1/auth"
ask -u user:secret "$URL1/auth"
ask "$URL1/deny"
ask -e http://other.test/page -A 'Bot "one"' "$URL1/deny/x?y=z"
ask "$URL1/limited"
ask "$URL1/limited"
ask "$URL1/up"
# What scanners look for, and what no server takes.
ask "$URL1/phpmyadmin/index.php"
ask "$URL1/wp-login.php"
printf 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n' | talk "$PORT1" >/dev/null
for _ in 1 2 3; do ask "$URL1/fine"; done
stop

# matches FILTER LOG: how many lines of the log a filter of fail2ban takes for an attempt.
matches() {
    fail2ban-regex "$DIR/$2" "$1" 2>&1 | sed -n 's/^Lines: .* ignored, \([0-9]*\) matched.*/\1/p'
}

filters=/etc/fail2ban/filter.d
is "$(matches $filters/nginx-http-auth.conf error.log)" 3 "fail2ban: wrong passwords"
is "$(matches $filters/nginx-limit-req.conf error.log)" 1 "fail2ban: too many requests"
is "$(matches $filters/nginx-botsearch.conf error.log)" 2 "fail2ban: what scanners look for, in the error log"
is "$(matches $filters/nginx-botsearch.conf access.log)" 2 "fail2ban: and in the access log"

cat >"$DIR/deny.conf" <<'FILTER'
[Definition]
failregex = ^ \[error\] \d+#\d+: \*\d+ access forbidden by rule, client: <HOST>, server: \S*, request: "\S+ \S+ HTTP/\d+\.\d+", host: "\S+"(?:, referrer: "\S+")?\s*$
datepattern = {^LN-BEG}
FILTER
is "$(matches "$DIR/deny.conf" error.log)" 2 "fail2ban: refused by rule"

# Every line about a client, from its first byte to its last, and what follows names no client.
line='^[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} \[[a-z]+\] [0-9]+#[0-9]+: \*[0-9]+ [^ ].*[^ ], client: [0-9.]+, server: [^,]*, request: "[^"]*"(, upstream: "[^"]*")?(, host: "[^"]*")?(, referrer: "[^"]*")?$'
is "$(grep -c 'client:' "$DIR/error.log")" "$(grep -cE "$line" "$DIR/error.log")" "a regex anchored at both ends takes every line about a client"
ok "and there are some" test "$(grep -c 'client:' "$DIR/error.log")" -gt 8
reasons=$(grep -c ': \*[0-9]* reason ' "$DIR/error.log")
if is_nginx; then
    is "$reasons" 0 "nginx gives no reasons"
    pass "so none of them has to follow its line"
else
    is "$(grep -cE '^[0-9/]+ [0-9:]+ \[(error|warn)\] [0-9]+#[0-9]+: \*[0-9]+ reason [0-9]{3}/[a-z-]+( [a-z.]+:[0-9]+)?$' "$DIR/error.log")" \
        "$reasons" "reasons are lines of their own"
    # A reason has the level and the connection of the line before it.
    pairs=$(awk '/: \*[0-9]+ reason / { if ($3 == level && $5 == number) good++ } { level = $3; number = $5 } END { print good }' "$DIR/error.log")
    is "$pairs" "$reasons" "each right after its line"
fi

mkdir -p "$DIR/var/nginx"
cp "$DIR/access.log" "$DIR/var/nginx/access.log"
report=$(logwatch --logdir "$DIR/var" --service http --range all --detail high --output stdout --format text 2>&1)
is "$(printf '%s\n' "$report" | grep -cE '403 Forbidden|401 Unauthorized|404 Not Found|400 Bad Request|502 Bad Gateway')" 5 "logwatch: the refusals by their status"
is "$(printf '%s\n' "$report" | grep -c '/phpmyadmin/index.php: 1 Time')" 1 "logwatch: and where they were"

goaccess "$DIR/access.log" --log-format=COMBINED --no-global-config -o "$DIR/report.json" >/dev/null 2>&1
is "$(sed -n 's/.*"failed_requests": *\([0-9]*\).*/\1/p' "$DIR/report.json" | head -n 1)" 0 "GoAccess: no line is strange to it"
is "$(sed -n 's/.*"valid_requests": *\([0-9]*\).*/\1/p' "$DIR/report.json" | head -n 1)" "$(wc -l <"$DIR/access.log" | tr -d ' ')" "GoAccess: and all are counted"
