#!/bin/sh
# Debian's own nginx.conf with its default site, started as it lies in /etc/nginx: as root on port 80, by somebody else with
# --rootless, and with a site for php-fpm beside it as Debian's wiki has it. As root this runs in a network and file systems of its
# own, so that port 80, /run and /var/log are nobody else's; without root only --rootless is tried.
if [ -z "${APART:-}" ]; then
    export APART=no
    if [ "$(id -u)" -eq 0 ] && command -v ip >/dev/null && unshare --net --mount true 2>/dev/null; then
        APART=yes exec unshare --net --mount sh "$0"
    fi
fi
. "$(dirname "$0")/lib.sh"

if [ ! -f /etc/nginx/sites-available/default ] || ! command -v dpkg >/dev/null; then
    plan 1
    skip 1 "Debian's nginx is not installed"
    exit
fi
if [ -n "$(dpkg -V nginx-common 2>&1)" ]; then
    plan 1
    skip 1 "somebody has changed the files of Debian's nginx"
    exit
fi
if [ "$APART" = no ]; then
    curl -s -o /dev/null --max-time 1 http://127.0.0.1:8080/
    if [ $? -ne 7 ]; then # 7: connection refused
        plan 1
        skip 1 "port 8080 is taken, and only root can have one of its own"
        exit
    fi
fi
plan 33
CONF=/etc/nginx/nginx.conf

# start COMMAND...: a server in the foreground, with what it says in $DIR/output.
start() {
    "$@" >"$DIR/output" 2>&1 &
    server_pid=$!
}
answers() { curl -s -o /dev/null --max-time 2 "$1" || ! kill -0 "$server_pid"; }
# end: stops it gracefully; how that went is in $ended.
end() {
    kill -QUIT "$server_pid"
    wait_until gone || kill -KILL "$server_pid"
    wait "$server_pid"
    code=$?
    server_pid=
    ended=$code$(grep -E '\[(alert|emerg)\]|panicked' "$DIR/output")
}

root_part=17 php_part=9
if [ "$APART" = no ]; then
    skip $((root_part + php_part)) "only root has port 80, and here not even root has one of its own"
else
    ip link set lo up
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /var/log
    mkdir -p /var/log/nginx /var/www/html
    chmod 755 /run /var/log
    mount -t tmpfs tmpfs /var/www/html
    chmod 755 /var/www/html
    echo "Debian's page" >/var/www/html/index.nginx-debian.html
    # A copy takes the folder's place, so that a module and a site can be enabled in it; what is in it is Debian's, and so are all paths.
    cp -a /etc/nginx "$DIR/etc"
    rm -f "$DIR"/etc/modules-enabled/*
    mount --bind "$DIR/etc" /etc/nginx

    note "as root"
    if is_nginx; then
        start "$SERVER" -g 'daemon off;'
    else
        start "$SERVER" -c "$CONF"
    fi
    wait_until answers http://127.0.0.1/
    fetch http://127.0.0.1/
    is "$status $body" "200 Debian's page" "the default site on port 80"
    fetch "http://[::1]/"
    is "$status $body" "200 Debian's page" "and by IPv6"
    fetch http://127.0.0.1/nowhere
    is "$status" 404 "try_files ends in 404"
    is "$(cat /run/nginx.pid)" "$server_pid" "the pid file is where Debian looks for it"
    logged() { grep -q '"GET /nowhere HTTP/1.1" 404' /var/log/nginx/access.log; }
    ok "the access log too" wait_until logged
    ok "and the error log" test -f /var/log/nginx/error.log
    users=$(ps -e -o user:20=,ppid= | awk -v pid="$server_pid" '$2 == pid { print $1 }' | sort -u)
    is "$users" "www-data" "who answers is www-data"
    ok "-s reload finds it" "$SERVER" -c "$CONF" -s reload
    fetch http://127.0.0.1/
    is "$status" 200 "and the port stays open"
    ok "-t is content" "$SERVER" -t -c "$CONF"
    ok "-s quit ends it" "$SERVER" -c "$CONF" -s quit
    ok "in peace" wait_until gone
    wait "$server_pid"
    is "$?$(grep -E '\[(alert|emerg)\]|panicked' "$DIR/output" /var/log/nginx/error.log)" 0 "with nothing alarming said"
    server_pid=
    ok "and the pid file is gone" test ! -e /run/nginx.pid

    note "a module that Debian enables by a file of its own"
    if is_nginx; then
        skip 3 "nginx has the module or ends"
    else
        echo "load_module modules/ngx_http_nothing_module.so;" >"$DIR/etc/modules-enabled/50-nothing.conf"
        "$SERVER" -t -c "$CONF" >"$DIR/said" 2>&1
        is $? 0 "a module that is not built in does not keep the conf from starting"
        like "$(cat "$DIR/said")" "ngx_http_nothing_module.*not built in" "but is named"
        "$SERVER" -t -c "$CONF" -g 'nothing on;' >"$DIR/said" 2>&1
        is $? 1 "whoever uses it is refused"
        rm "$DIR/etc/modules-enabled/50-nothing.conf"
    fi

    note "php-fpm"
    fpm=
    for candidate in /usr/sbin/php-fpm[0-9]*; do [ ! -x "$candidate" ] || fpm=$candidate; done
    version=${fpm##*php-fpm}
    if [ -z "$fpm" ] || [ ! -f "/etc/php/$version/fpm/php-fpm.conf" ]; then
        skip $php_part "Debian's php-fpm is not installed"
    else
        mkdir -p /run/php /var/www/site
        mount -t tmpfs tmpfs /var/www/site
        chmod 755 /run/php /var/www/site
        cat >/var/www/site/index.php <<'PHP'
<?php
header('Content-Type: text/plain');
echo $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['REQUEST_URI'], ' ', $_SERVER['SCRIPT_FILENAME'], ' ', $_SERVER['PATH_INFO'] ?? '', ' ',
    $_POST['name'] ?? '', ' ', posix_getpwuid(posix_geteuid())['name'];
PHP
        cat >"$DIR/etc/sites-available/site" <<CONF
server {
    listen 80;
    server_name site.test;
    root /var/www/site;
    index index.php index.html;
    location / { try_files \$uri \$uri/ /index.php?\$args; }
    location ~ \.php\$ {
        include snippets/fastcgi-php.conf;
        fastcgi_pass unix:/run/php/php$version-fpm.sock;
    }
    location ~ /\.ht { deny all; }
}
CONF
        ln -s ../sites-available/site "$DIR/etc/sites-enabled/site"
        # Debian's own pool, as its service starts it.
        "$fpm" --nodaemonize --fpm-config "/etc/php/$version/fpm/php-fpm.conf" >"$DIR/fpm.output" 2>&1 &
        fpm_pid=$!
        trap 'kill -TERM "$fpm_pid" 2>/dev/null; wait "$fpm_pid" 2>/dev/null; clean_up' EXIT
        wait_until test -S "/run/php/php$version-fpm.sock" || note "$(cat "$DIR/fpm.output")"
        if is_nginx; then
            start "$SERVER" -g 'daemon off;'
        else
            start "$SERVER" -c "$CONF"
        fi
        wait_until answers http://127.0.0.1/
        site() {
            path=$1
            shift
            fetch "http://site.test$path" --resolve site.test:80:127.0.0.1 "$@"
        }
        site /
        is "$status $body" "200 GET / /var/www/site/index.php   www-data" "the front page"
        site "/a/pretty/url?x=1"
        is "$body" "GET /a/pretty/url?x=1 /var/www/site/index.php   www-data" "a pretty URL"
        site /index.php --data name=value
        is "$body" "POST /index.php /var/www/site/index.php  value www-data" "a form"
        site /nowhere.php
        is "$status" 404 "a script that is not there"
        site /index.php/more
        is "$status $body" "200 GET /index.php/more /var/www/site/index.php   www-data" "a path behind a script is a pretty URL here"
        site /.htaccess
        is "$status" 403 "what Apache would read"
        fetch http://127.0.0.1/
        is "$status $body" "200 Debian's page" "the default site is still there"
        kill -TERM "$fpm_pid"
        wait "$fpm_pid" 2>/dev/null
        trap clean_up EXIT
        site /
        is "$status" 502 "without php-fpm it says so"
        end
        is "$ended" 0 "and it stops in peace"
        rm "$DIR/etc/sites-enabled/site"
    fi
fi

note "--rootless"
if is_nginx; then
    skip 7 "nginx has no --rootless"
    exit
fi
if [ "$(id -u)" -eq 0 ]; then
    cp "$SERVER" "$DIR/longshore"
    mkdir "$DIR/home"
    chown nobody "$DIR/home"
    (cd "$DIR/home" && exec setpriv --reuid=nobody --regid=nogroup --clear-groups "$DIR/longshore" --rootless -c "$CONF") >"$DIR/output" 2>&1 &
else
    (cd "$DIR" && exec "$SERVER" --rootless -c "$CONF") >"$DIR/output" 2>&1 &
fi
server_pid=$!
wait_until answers http://127.0.0.1:8080/
fetch http://127.0.0.1:8080/
[ "$APART" = no ] || is "$status $body" "200 Debian's page" "the default site, 8000 ports higher"
[ "$APART" = yes ] || like "$status" "^(200|403|404)$" "the default site, 8000 ports higher"
fetch http://127.0.0.1:8080/nowhere
is "$status" 404 "and its 404"
fetch "http://[::1]:8080/nowhere"
like "$status" "^(404|000)$" "by IPv6 too, where there is any"
like "$(cat "$DIR/output")" "8080" "one line says where it listens"
like "$(cat "$DIR/output")" "GET /nowhere HTTP/1.1" "logs come to the terminal"
ok "no pid file was written" test ! -e /run/nginx.pid
end
is "$ended" 0 "it stops in peace"
