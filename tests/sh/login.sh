#!/bin/sh
# Log-in by another program: the recipes of docs/access.md, word for word as they stand there, only paths and ports are others. login.py stands in
# for Authelia, Authentik, oauth2-proxy and Vouch; a browser is played by curl with its cookies. The names of the recipes all lead to the
# server under test. nginx gets the two lines that keep a body from what is asked, which Longshore does without.
. "$(dirname "$0")/lib.sh"

page=$checkout/docs/access.md
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3)
if [ -z "$python" ] || [ ! -r "$page" ] || ! command -v openssl >/dev/null; then
    plan 1
    skip 1 "python3, openssl or docs/access.md is not there"
    exit
fi
plan 101

openssl req -x509 -nodes -days 30 -subj "/CN=example.com" -addext "subjectAltName=DNS:*.example.com" \
    -keyout "$DIR/example.com.key" -out "$DIR/example.com.pem" >"$DIR/openssl" 2>&1 || note "$(cat "$DIR/openssl")"
head -c 1048576 /dev/urandom >"$DIR/upload"
sum=$(sha256sum "$DIR/upload" | cut -d ' ' -f 1)

programs=
leave() {
    [ -z "$programs" ] || kill -TERM "$programs" 2>/dev/null
    [ -z "$programs" ] || wait "$programs" 2>/dev/null
    programs=
}
trap 'leave; clean_up' EXIT

# begin HEADING ASKED LOCKED: the programs run, and the server with this recipe; ASKED is the location that is asked, LOCKED the answer to
# whoever is not logged in.
begin() {
    note "$1"
    locked=$3
    jar=$DIR/jar
    rm -f "$jar" "$DIR/programs" "$DIR/asked" "$DIR/error.log"
    : >"$DIR/asked"
    "$python" "$checkout/tests/sh/login.py" "$DIR" >"$DIR/programs.log" 2>&1 &
    programs=$!
    wait_until test -s "$DIR/programs" || note "$(cat "$DIR/programs.log")"
    app=0 idp=0 authelia=0 authentik=0 oauth2=0 vouch=0
    # shellcheck source=/dev/null # the programs write it
    . "$DIR/programs"
    without_body=
    is_nginx && without_body='proxy_pass_request_body off; proxy_set_header Content-Length "";'
    {
        recipe "$page" "$1" | sed -e "s|listen 443 ssl;|listen 127.0.0.1:%PORT1% ssl;|" -e "s|/etc/ssl/|%DIR%/|" \
            -e "s|127.0.0.1:8080|127.0.0.1:$app|" -e "s|127.0.0.1:9091|127.0.0.1:$authelia|" -e "s|127.0.0.1:9000|127.0.0.1:$authentik|" \
            -e "s|127.0.0.1:4180|127.0.0.1:$oauth2|" -e "s|127.0.0.1:9090|127.0.0.1:$vouch|" -e "s|location $2 {|& $without_body|"
        echo "server {
            listen 127.0.0.1:%PORT1% ssl; server_name idp.example.com;
            ssl_certificate %DIR%/example.com.pem; ssl_certificate_key %DIR%/example.com.key;
            location / { proxy_pass http://127.0.0.1:$idp; }
        }"
    } >"$DIR/recipe"
    serve <"$DIR/recipe"
}

# go URL [curl options]: asks as the browser does, with the cookies that it has.
go() {
    address=$1
    shift
    fetch "$address" -k --connect-to "::127.0.0.1:$PORT1" -b "$jar" -c "$jar" "$@"
}

# open_form ADDRESS: follows redirects, and a link for logging in, up to the form; sets $action.
open_form() {
    go "$1" -L
    link=$(printf '%s\n' "$body" | sed -n 's/.*href="\([^"]*\)".*/\1/p')
    [ -z "$link" ] || go "$link" -L
    action=$(printf '%s\n' "$body" | sed -n 's/.*action="\([^"]*\)".*/\1/p')
}

# enter PASSWORD: sends the form, and follows where it leads.
enter() {
    go "$action" -L --data-urlencode username=ann --data-urlencode "password=$1"
}

asked() {
    cat "$DIR/asked"
}

# answer: status, address of a redirect, text. The port of a server that runs on another one than 443 stands in its own redirects.
answer() {
    printf '%s %s %s\n' "$status" "$(header Location | sed "s|:$PORT1/|/|")" "$body"
}

# is_locked NAME: a page, and one with forged fields, lead to the log-in page; the application is not asked.
is_locked() {
    before=$(asked)
    go https://app.example.com/quay
    like "$(answer)" "$locked" "$1"
    go https://app.example.com/quay -H "Remote-User: root" -H "X-authentik-username: root" -H "X-User: root" -H "X-Vouch-User: root" \
        -H "X-Auth-Request-User: root" -H "X-Original-URL: https://app.example.com/open" -H "X-Original-Method: OPTIONS"
    like "$(answer)" "$locked" "fields that the client makes up are no key"
    go https://app.example.com/upload --data-binary "@$DIR/upload"
    like "$(answer)" "$locked" "nor is an upload"
    is "$(asked)" "$before" "and the application hears of none of it"
}

# log_in PAGE FIELD: in from this page; FIELD is the one that tells the application who it is.
log_in() {
    is_locked "nobody is in"
    go https://app.example.com/.well-known/../"${1#/}"
    like "$(answer)" "$locked" "nor by another spelling"
    open_form "https://app.example.com$1"
    like "$action" '^https://' "the way leads to a form"
    enter high-tide
    like "$status $(asked)" '^(200|401) $' "a wrong password leads nowhere"
    open_form "https://app.example.com$1"
    enter low-tide
    is "$status $(printf '%s\n' "$body" | head -n 1)" "200 GET $1" "the right one leads back to the page"
    like "$body" "^$2: ann\$" "the application is told who it is"
    go https://app.example.com/quay -H "$2: root" -H "$(echo "$2" | tr - _): root"
    is "$status $(printf '%s\n' "$body" | grep -c ': ann$') $(printf '%s\n' "$body" | grep -c root)" "200 1 0" "whoever is in cannot pass as another"
}

# use: what is sent arrives whole.
use() {
    go https://app.example.com/upload --data-binary "@$DIR/upload" -H "Expect:"
    like "$status $body" "^1048576 bytes $sum\$" "a megabyte arrives whole"
    go https://app.example.com/upload --data-binary "@$DIR/upload" -H "Expect: 100-continue" --expect100-timeout 9
    like "$status $body" "^1048576 bytes $sum\$" "and one that waits for leave to be sent"
    is "$(tr -d '\r' <"$DIR/answer.head" | grep -c '^HTTP/1.1 100 ')" 1 "which comes"
    go https://app.example.com/quay -H "Range: bytes=0-1" -H 'If-None-Match: "x"' -H "If-Modified-Since: Mon, 01 Jan 2024 00:00:00 GMT"
    is "$status" 200 "conditions and ranges are between client and application"
}

# end HEADING: nobody comes in when the program is down, and the log says why.
end() {
    is_locked "after the log-out it is locked again"
    leave
    go https://app.example.com/quay
    is "$status" 500 "nobody comes in when it is down"
    like "$(cat "$DIR/error.log")" 'auth request unexpected status: 502' "the log says what came of the question"
    if is_nginx; then
        skip 1 "nginx does not say where it asked"
    else
        like "$(cat "$DIR/error.log")" "unexpected status: 502 from \"/[^\"]*\" of \"http://127.0.0.1:[0-9]+/[^\"]*\" .502/upstream-refused server.conf:" \
            "and whom it asked"
    fi
    stop
}

begin Authelia "= /authelia" '^302 https://auth\.example\.com/\?rd=https%3A%2F%2Fapp'
go "https://app.example.com/page?a=1&b=2"
is "$status $(header Location)" "302 https://auth.example.com/?rd=https%3A%2F%2Fapp.example.com%2Fpage%3Fa%3D1%26b%3D2&rm=GET" "to the log-in page"
go https://app.example.com/open -H "Remote-User: root" -H "Remote-Groups: crew" -H "Remote-Name: Root" -H "Remote-Email: root@example.com"
is "$status $body" "200 GET /open" "what its rules open to all is told of no user, whatever the client says"
: >"$DIR/asked"
log_in "/page?a=1&b=2" Remote-User
like "$body" '^Remote-Groups: harbour,crew$' "and of which groups"
use
go https://app.example.com/admin
is "$status" 403 "whom its rules keep out is refused"
go https://app.example.com/authelia
is "$status" 404 "nobody else asks the question"
go https://auth.example.com/api/logout -X POST
end

begin Authentik "/outpost.goauthentik.io/" '^302 https://app\.example\.com/outpost\.goauthentik\.io/start\?rd=https://app'
go "https://app.example.com/page?a=1"
like "$(answer)" '^302 [^ ]*/outpost\.goauthentik\.io/start\?rd=https://app\.example\.com/page\?a=1 ' "to the log-in page"
like "$(header Set-Cookie)" '^authentik_proxy_app=[0-9a-f]{32}; ' "with the cookie of the session"
log_in "/page?a=1" X-authentik-username
use
like "$(header Set-Cookie)" '^authentik_proxy_app=[0-9a-f]{32}; ' "the cookie is handed on where the application answers"
go https://app.example.com/outpost.goauthentik.io/sign_out
end

begin oauth2-proxy "= /oauth2/auth" '^200  <a href="https://app\.example\.com/oauth2/start\?'
go "https://app.example.com/page?a=1&b=2"
is "$status $body" '200 <a href="https://app.example.com/oauth2/start?rd=%2Fpage%3Fa%3D1%26b%3D2">Sign in</a>' "the log-in page"
log_in "/page?a=1&b=2" X-User
like "$body" '^X-Email: ann@example.com$' "and by which address"
use
like "$(header Set-Cookie)" '^_oauth2_proxy=[0-9a-f]{32}; ' "a renewed cookie is handed on"
go "https://app.example.com/oauth2/callback?code=1&state=2"
is "$status" 403 "a made-up way back leads nowhere"
go "https://app.example.com/oauth2/sign_out?rd=/"
end

begin Vouch "= /validate" '^302 https://vouch\.example\.com/login\?url=https://app'
go "https://app.example.com/page?a=1&b=2"
is "$status $(header Location)" "302 https://vouch.example.com/login?url=https://app.example.com/page?a=1&b=2&vouch-failcount=2&X-Vouch-Token=&error=no-token" \
    "to the log-in page"
log_in "/page?a=1&b=2" X-Vouch-User
use
go https://vouch.example.com/logout
end
