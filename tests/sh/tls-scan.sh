#!/bin/sh
# What a scanner of TLS finds: Debian's two lines about TLS as its nginx.conf has them, and a conf that says nothing at all. Needs
# openssl and sslscan.
. "$(dirname "$0")/lib.sh"

if ! command -v sslscan >/dev/null || ! command -v openssl >/dev/null; then
    plan 1
    skip 1 "sslscan or openssl is not installed"
    exit
fi
plan 24

openssl req -x509 -nodes -days 30 -subj "/CN=scan.test" -addext "subjectAltName=DNS:scan.test,IP:127.0.0.1" \
    -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout "$DIR/scan.key" -out "$DIR/scan.pem" >"$DIR/openssl" 2>&1 ||
    note "$(cat "$DIR/openssl")"
serve <<'CONF'
ssl_certificate scan.pem;
ssl_certificate_key scan.key;
server {
    # As Debian has it; what is older than TLS 1.2 brings a warning here and is not spoken.
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_prefer_server_ciphers on;
    listen 127.0.0.1:%PORT1% ssl;
    location / { return 200 "hello\n"; }
}
server {
    listen 127.0.0.1:%PORT2% ssl;
    location / { return 200 "hello\n"; }
}
CONF

for port in "$PORT1" "$PORT2"; do
    [ "$port" = "$PORT1" ] && which="Debian's lines" || which="no lines"
    if [ "$which" = "no lines" ] && is_nginx; then
        skip 8 "what nginx speaks without a line depends on its age"
        continue
    fi
    timeout 120 sslscan --no-colour --show-sigs "127.0.0.1:$port" >"$DIR/scan" 2>&1
    found=$(cat "$DIR/scan")
    like "$found" "^TLSv1.2 +enabled" "$which: TLS 1.2 is spoken"
    like "$found" "^TLSv1.3 +enabled" "$which: and TLS 1.3"
    unlike "$found" "^(SSLv2|SSLv3|TLSv1.0|TLSv1.1) +enabled" "$which: nothing older is"
    unlike "$found" "^(Preferred|Accepted) .* (RC4|3?DES|NULL|EXP|MD5|anon|ADH|AECDH|CBC)" "$which: no broken cipher"
    unlike "$found" "^(Preferred|Accepted) +[^ ]+ +[0-9]{1,2} bits" "$which: none of less than 128 bits"
    unlike "$found" "^(Preferred|Accepted) +TLSv1.2 +[0-9]+ bits +(AES|CAMELLIA|SEED)" "$which: none without forward secrecy"
    unlike "$(grep -v 'not vulnerable' "$DIR/scan")" "vulnerable to|Insecure session renegotiation|Compression enabled" \
        "$which: none of the old holes"
    unlike "$found" "^TLSv1.[23] +.*(SHA1|MD5|DSA_SHA224)$" "$which: no signatures over weak hashes"
done

# s_client asks for a new handshake on a line of its own that is R; TLS 1.2 had that. Nothing says when s_client has
# looked at its input, so that each line gets a second of its own.
renegotiated() {
    { sleep 1; echo R; sleep 1; printf 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'; sleep 1; } |
        timeout 20 openssl s_client -connect "127.0.0.1:$1" -tls1_2 -legacy_renegotiation 2>&1
}
said=$(renegotiated "$PORT1")
like "$said" "^RENEGOTIATING" "a client asks for a second handshake"
unlike "$said" "RENEGOTIATING.*verify return" "and gets none"
like "$said" "no renegotiation|unexpected message|closed|:error:|^hello" "it is told so, or ended"

# Old clients, by their first message.
for old in ssl3 tls1 tls1_1; do
    openssl s_client "-$old" -connect "127.0.0.1:$PORT1" -cipher 'ALL:@SECLEVEL=0' </dev/null >"$DIR/old" 2>&1 && done=yes || done=no
    is "$done" no "-$old ends without a session"
done
fetch "https://127.0.0.1:$PORT1/" -k
is "$status $body" "200 hello" "whoever comes next is served"

stop
