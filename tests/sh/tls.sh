#!/bin/sh
# TLS as clients see it: certificates by name, versions, ciphers, keys under a password, sessions, clients' certificates,
# plain HTTP on a TLS port, and a certificate that is renewed. Needs openssl and a curl with TLS.
. "$(dirname "$0")/lib.sh"
plan 34

if ! command -v openssl >/dev/null; then
    skip 32 "openssl is not installed"
    exit
fi

# make NAME [openssl req arguments]: a certificate and its key, as an administrator makes them.
make() {
    name=$1
    shift
    openssl req -x509 -nodes -days 30 -subj "/CN=$name" -addext "subjectAltName=DNS:$name,IP:127.0.0.1" \
        -keyout "$DIR/$name.key" -out "$DIR/$name.pem" "$@" >"$DIR/openssl" 2>&1 || note "$(cat "$DIR/openssl")"
}
make a.test -newkey ec -pkeyopt ec_paramgen_curve:P-256
make rsa.test -newkey rsa:2048
make b.test -newkey rsa:2048
make me -newkey ec -pkeyopt ec_paramgen_curve:P-256
openssl pkcs8 -topk8 -in "$DIR/b.test.key" -out "$DIR/b.sealed" -passout pass:quay 2>/dev/null
printf 'wrong\nquay\n' >"$DIR/words"
head -c 3000000 /dev/urandom >"$DIR/html/large"
echo "hello" | file html/index.html

conf() {
    cat <<'CONF'
ssl_protocols TLSv1.2 TLSv1.3;
server {
    listen 127.0.0.1:%PORT1% ssl default_server;
    server_name a.test;
    ssl_certificate a.test.pem;
    ssl_certificate_key a.test.key;
    # A second one of another kind: each client gets the one that it can check.
    ssl_certificate rsa.test.pem;
    ssl_certificate_key rsa.test.key;
    root html;
    add_header Strict-Transport-Security "max-age=63072000" always;
    location = /what { return 200 "$scheme $ssl_protocol $ssl_cipher $ssl_server_name $ssl_session_reused\n"; }
}
server {
    listen 127.0.0.1:%PORT1% ssl;
    server_name b.test;
    ssl_certificate b.test.pem;
    ssl_certificate_key b.sealed;
    ssl_password_file words;
    location / { return 200 "the other\n"; }
}
server {
    listen 127.0.0.1:%PORT2% ssl;
    ssl_certificate a.test.pem;
    ssl_certificate_key a.test.key;
    ssl_client_certificate me.pem;
    ssl_verify_client on;
    location / { return 200 "$ssl_client_verify $ssl_client_s_dn $ssl_client_fingerprint\n"; }
}
server {
    listen 127.0.0.1:%PORT3% ssl;
    ssl_certificate a.test.pem;
    ssl_certificate_key a.test.key;
    error_page 497 =307 https://127.0.0.1:%PORT3%$request_uri;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384;
    location / { return 200 "$ssl_cipher\n"; }
}
CONF
}
conf >"$DIR/first"
serve <"$DIR/first"
TLS1=https://127.0.0.1:$PORT1 TLS2=https://127.0.0.1:$PORT2 TLS3=https://127.0.0.1:$PORT3
named() { # NAME CURL-ARGUMENTS...: asks the first port under this name, and trusts only its own certificate
    host=$1
    shift
    fetch "https://$host:$PORT1$path" --resolve "$host:$PORT1:127.0.0.1" --cacert "$DIR/$host.pem" "$@"
}

# --- Names, versions, kinds of keys ---

path=/what
named a.test
is "$body" "https TLSv1.3 TLS_AES_256_GCM_SHA384 a.test ." "TLS 1.3 with a certificate that curl can check"
named a.test --tls-max 1.2
is "$body" "https TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 a.test ." "TLS 1.2"
fetch "$TLS1/what" -k --tls-max 1.2 --ciphers ECDHE-RSA-AES128-GCM-SHA256
is "$body" "https TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256  ." "a client that takes RSA alone gets the other certificate"
named b.test
is "$body" "the other" "another name has its own certificate, its key under a password"
fetch "$TLS1/what" -k --tls-max 1.1
is "$status" 000 "TLS 1.1 is refused"
fetch "$TLS3/" -k --tls-max 1.2
is "$body" "ECDHE-ECDSA-AES128-GCM-SHA256" "the ciphers are those of the list"

# --- Answers ---

path=/
named a.test
is "$body" "hello" "a file"
is "$(header Strict-Transport-Security)" 'max-age=63072000' "HSTS is a header like any other"
curl -sk "$TLS1/large" | cmp -s - "$DIR/html/large" && same=yes || same=no
is "$same" yes "a large file comes as it is"
curl -sk --limit-rate 3m "$TLS1/large" | cmp -s - "$DIR/html/large" && same=yes || same=no
is "$same" yes "also when the client reads slowly"
is "$(curl -sk -r 1000-1999 "$TLS1/large" | wc -c | tr -d ' ')" 1000 "a range"
if command -v wget >/dev/null; then
    is "$(wget -qO- --no-check-certificate "$TLS1/what" | cut -d ' ' -f 1-2)" "https TLSv1.3" "wget"
    # The two libraries that wget may be built with are told in ways of their own.
    if wget --version | grep -q 'ssl/gnutls'; then only=--ciphers=NORMAL:-VERS-TLS1.3; else only=--secure-protocol=TLSv1_2; fi
    is "$(wget -qO- --no-check-certificate "$only" "$TLS1/what" | cut -d ' ' -f 1-2)" "https TLSv1.2" "wget by TLS 1.2"
else
    skip 2 "wget is not installed"
fi
if chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome); then
    browse() { # PATH [options]: what a browser makes of the page
        page=$1
        shift
        timeout 60 "$chromium" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$DIR/browser" \
            --ignore-certificate-errors "$@" --dump-dom "$TLS1$page" 2>/dev/null
    }
    like "$(browse /)" "hello" "a browser"
    like "$(browse /what)" "https TLSv1.3 TLS_" "by TLS 1.3"
    like "$(browse /what --ssl-version-max=tls1.2)" "https TLSv1.2 ECDHE-" "and by TLS 1.2 where it speaks nothing newer"
else
    skip 3 "no Chromium is installed"
fi

# --- Sessions ---

resumed() { # VERSION: what the second connection of openssl says of its session
    rm -f "$DIR/session"
    # In TLS 1.3 the ticket comes behind the handshake, with the answer at the latest.
    request='GET /what HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n'
    # shellcheck disable=SC2059
    printf "$request" | timeout 20 openssl s_client -connect "127.0.0.1:$PORT1" -servername a.test "-$1" -ign_eof \
        -sess_out "$DIR/session" >/dev/null 2>&1
    # shellcheck disable=SC2059
    printf "$request" | timeout 20 openssl s_client -connect "127.0.0.1:$PORT1" -servername a.test "-$1" -ign_eof \
        -sess_in "$DIR/session" 2>/dev/null
}
like "$(resumed tls1_3)" "^https TLSv1.3 .* r$" "a session of TLS 1.3 is taken up again"
like "$(resumed tls1_2)" "^https TLSv1.2 .* r$" "and one of TLS 1.2"
kill -HUP "$server_pid"
printf 'GET /what HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n' | timeout 20 openssl s_client -connect "127.0.0.1:$PORT1" \
    -servername a.test -tls1_2 -ign_eof -sess_in "$DIR/session" >"$DIR/after" 2>/dev/null
like "$(cat "$DIR/after")" "^https TLSv1.2 .* [r.]$" "a reload leaves the port open"

# --- Clients' certificates ---

fetch "$TLS2/" -k --cert "$DIR/me.pem" --key "$DIR/me.key"
print=$(openssl x509 -in "$DIR/me.pem" -noout -fingerprint -sha1 | sed 's/.*=//; s/://g' | tr 'A-F' 'a-f')
is "$body" "SUCCESS CN=me $print" "a client with a certificate of ours"
fetch "$TLS2/" -k
is "$status" 400 "one without"
like "$body" "No required SSL certificate was sent" "is told so"
fetch "$TLS2/" -k --cert "$DIR/b.test.pem" --key "$DIR/b.test.key"
like "$body" "The SSL certificate error" "one with a stranger's is told so too"

# --- Plain HTTP on a TLS port, nonsense, half a handshake ---

fetch "$URL1/"
is "$status" 400 "plain HTTP on a TLS port"
like "$body" "The plain HTTP request was sent to HTTPS port" "is answered in plain"
fetch "$URL3/x?y"
is "$status" 307 "error_page 497 leads to the right scheme"
is "$(header Location)" "$TLS3/x?y" "and keeps the path"
printf '\026\003\001\002\000\001\000' | talk "$PORT1" >/dev/null
printf '\026\003\001nonsense' | talk "$PORT1" >/dev/null
named a.test
is "$body" "hello" "broken handshakes leave the others alone"

# --- A certificate is renewed ---

before=$(openssl x509 -in "$DIR/a.test.pem" -noout -serial)
served() {
    openssl s_client -connect "127.0.0.1:$PORT1" -servername a.test -sigalgs ECDSA+SHA256 </dev/null 2>/dev/null |
        openssl x509 -noout -serial
}
is "$(served)" "$before" "the certificate of the file is served"
make a.test -newkey ec -pkeyopt ec_paramgen_curve:P-256
kill -HUP "$server_pid"
after=$(openssl x509 -in "$DIR/a.test.pem" -noout -serial)
renewed() { [ "$(served)" = "$after" ]; }
ok "after a reload it is the new one" wait_until renewed
echo "garbage" >"$DIR/a.test.pem"
kill -HUP "$server_pid"
refused() { grep -q 'a.test.pem' "$DIR/error.log"; }
ok "a broken one is refused at a reload" wait_until refused
is "$(served)" "$after" "and the old one goes on"
# That refusal was wanted; any other line of its kind was not.
grep -v "a.test.pem" "$DIR/error.log" >"$DIR/rest"
cat "$DIR/rest" >"$DIR/error.log"

# --- longshore cert ---

if is_nginx; then
    skip 1 "nginx makes no certificates"
else
    "$SERVER" cert self-signed localhost 127.0.0.1 --out "$DIR/made" >"$DIR/said" 2>&1
    is "$(openssl x509 -in "$DIR/made/localhost.pem" -noout -ext subjectAltName | tail -1 | tr -d ' ')" \
        "DNS:localhost,IPAddress:127.0.0.1" "longshore cert makes a certificate"
fi

stop
