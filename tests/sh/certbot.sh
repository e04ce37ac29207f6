#!/bin/sh
# certbot's plugin for nginx: it reads what `-V` says, writes a certificate and a redirect into the conf, and reloads, or starts,
# what runs. acme.sh reads less of `-V`. CERTBOT=... names another certbot that has the plugin.
if [ "$(id -u)" -eq 0 ] && [ -z "${NET:-}" ] && unshare --net ip link set lo up 2>/dev/null; then
    # In a network of its own the ports are the real ones.
    # shellcheck disable=SC2016 # the inner shell expands it
    NET=own exec unshare --net sh -c 'ip link set lo up && exec sh "$0"' "$0"
fi
. "$(dirname "$0")/lib.sh"

CERTBOT=${CERTBOT:-$(command -v certbot)}
mkdir "$DIR/certbot"
certbot() {
    "$CERTBOT" "$@" --config-dir "$DIR/certbot" --work-dir "$DIR/certbot" --logs-dir "$DIR/certbot" --non-interactive
}
if ! certbot plugins 2>/dev/null | grep -q '^\* nginx'; then
    plan 1
    skip 1 "there is no certbot with its plugin for nginx"
    exit
fi
plan 18
exec 3>&1 # where notes go from within a check

mkdir "$DIR/bin" "$DIR/nginx"
ln -s "$SERVER" "$DIR/bin/nginx"
nginx=$DIR/bin/nginx
for name in old new; do
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/O=$name/CN=a.test" -addext subjectAltName=DNS:a.test \
        -keyout "$DIR/$name.key" -out "$DIR/$name.pem" 2>/dev/null
done
choose_ports
[ -z "${NET:-}" ] || { PORT1=80 && PORT2=443; }
user=
[ "$(id -u)" -ne 0 ] || user='user root;'
file nginx/nginx.conf <<CONF
$user
pid $DIR/server.pid;
error_log $DIR/error.log notice;
events {}
http {
    access_log off;
$(for name in client_body proxy fastcgi uwsgi scgi; do echo "    ${name}_temp_path $DIR/nginx/$name;"; done)
    include $DIR/nginx/sites/*;
}
CONF
file nginx/sites/a.conf <<CONF
server {
    listen 127.0.0.1:$PORT1;
    server_name a.test;
    root $DIR/html; # what is served
    index index.html;
}
CONF
echo "the site" >"$DIR/html/index.html"

# certbot_installs NAME: puts this certificate into the conf, as after an authority has given it.
certbot_installs() {
    certbot install --nginx --nginx-ctl "$nginx" --nginx-server-root "$DIR/nginx" --nginx-sleep-seconds 0 \
        --http-01-port "$PORT1" --https-port "$PORT2" --redirect --domain a.test \
        --cert-path "$DIR/$1.pem" --fullchain-path "$DIR/$1.pem" --key-path "$DIR/$1.key" >"$DIR/certbot.out" 2>&1
    code=$?
    [ "$code" -eq 0 ] || note "$(tail -n 20 "$DIR/certbot.out")" >&3
    return "$code"
}
shown() {
    openssl s_client -connect "127.0.0.1:$PORT2" -servername a.test </dev/null 2>/dev/null | openssl x509 -noout -subject
}
runs() { server_pid=$(cat "$DIR/server.pid" 2>/dev/null) && kill -0 "$server_pid"; }
stopped() { [ ! -e "$DIR/server.pid" ]; }

# What tools read.
said=$("$nginx" -V 2>&1)
like "$said" '^nginx version: nginx/[0-9.]+' "-V names a version of nginx"
like "$said" 'TLS SNI support enabled' "certificates are chosen by name"
like "$said" 'with OpenSSL [0-9.]+[a-z]* ' "the words of OpenSSL"
like "$said" ' --with-http_ssl_module' "TLS is built in"
is "$("$nginx" -v 2>&1 | wc -l)" 1 "-v under nginx's name is one line"
conf=$("$nginx" -c "$DIR/nginx/nginx.conf" -V 2>&1 | grep -oE -- '--conf-path=[^ ]* ' | tr -d ' ' | cut -d = -f 2)
like "$conf" '^/.*\.conf$' "acme.sh finds where the conf is"

# It runs when certbot comes, in the background as nginx does.
starts_and_is_asked() {
    timeout 20 "$nginx" -c "$DIR/nginx/nginx.conf" || return
    # nginx's own process may not have written its file yet.
    is_nginx && wait_until runs
    "$nginx" -c "$DIR/nginx/nginx.conf" -s reload
}
ok "it goes to the background, and can be asked at once" starts_and_is_asked
wait_until runs
fetch "http://127.0.0.1:$PORT1/" -H 'Host: a.test'
is "$body" "the site" "the site is served without TLS"
ok "certbot installs a certificate" certbot_installs old
ok "what it wrote is a good conf" "$nginx" -t -c "$DIR/nginx/nginx.conf"
fetch "https://a.test:$PORT2/" -k --resolve "a.test:$PORT2:127.0.0.1"
is "$body" "the site" "the site is served over TLS when certbot has ended"
like "$(shown)" 'O ?= ?old' "with the certificate"
if [ "$PORT1" = 80 ]; then
    fetch "http://a.test/" --resolve "a.test:80:127.0.0.1"
    is "$status $(header Location)" "301 https://a.test/" "and plain HTTP redirects there"
else
    skip 1 "certbot redirects from port 80 only"
fi
ok "a new certificate is installed over the old one" certbot_installs new
like "$(shown)" 'O ?= ?new' "and is shown"

# It does not run: certbot starts it.
"$nginx" -c "$DIR/nginx/nginx.conf" -s quit
wait_until stopped
server_pid=
ok "certbot starts a server that does not run" certbot_installs old
wait_until runs
like "$(shown)" 'O ?= ?old' "which serves"
"$nginx" -c "$DIR/nginx/nginx.conf" -s quit
ok "and stops when it is told" wait_until stopped
server_pid=
