#!/bin/sh
# Debian's own nginx.conf and default site with its PHP lines uncommented, as its comments and its wiki say. But for paths and the
# port the files are Debian's, snippets and params included.
. "$(dirname "$0")/lib.sh"

fpm=
for candidate in /usr/sbin/php-fpm*; do [ ! -x "$candidate" ] || fpm=$candidate; done
if [ -z "$fpm" ] || [ ! -f /etc/nginx/snippets/fastcgi-php.conf ] || [ ! -f /etc/nginx/sites-available/default ]; then
    plan 1
    skip 1 "Debian's nginx and php-fpm are not installed"
    exit
fi
plan 10

file site/index.php <<'PHP'
<?php echo 'front page';
PHP
file site/told.php <<'PHP'
<?php
echo $_SERVER['SCRIPT_FILENAME'], ' ', $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '', ' ', $_SERVER['QUERY_STRING'];
PHP
file site/picture.txt <<'TXT'
<?php echo 'never run';
TXT
file site/.htaccess <<'TXT'
secret
TXT
chmod 777 "$DIR"
choose_ports
: >"$DIR/error.log" # where `stop` looks for alarms

# Debian's files, below our folder.
cp -R /etc/nginx "$DIR/nginx"
rm -rf "$DIR/nginx/modules-enabled" "$DIR/nginx/conf.d" "$DIR/nginx/sites-enabled"
mkdir "$DIR/nginx/modules-enabled" "$DIR/nginx/conf.d" "$DIR/nginx/sites-enabled" "$DIR/log"
# The location for PHP and the one for .htaccess lose their #, the other way to reach PHP keeps it.
sed -e '/location ~ \\.php\$ {/,/#}/s/^\([[:space:]]*\)#/\1/' -e '/location ~ \/\\.ht {/,/#}/s/^\([[:space:]]*\)#/\1/' \
    -e 's|^\([[:space:]]*\)fastcgi_pass 127|\1#fastcgi_pass 127|' -e 's|^\([[:space:]]*\)\(With php-\)|\1#\2|' \
    -e 's|unix:/run/php/php[0-9.]*-fpm.sock|unix:'"$DIR"'/fpm.sock|' \
    -e 's|^\([[:space:]]*listen \)80 |\1127.0.0.1:'"$PORT1"' |' -e '/listen \[::\]/d' \
    -e "s|/var/www/html|$DIR/site|" -e 's|index index.html|index index.php index.html|' \
    /etc/nginx/sites-available/default >"$DIR/nginx/sites-enabled/default"
sed -e "s|/etc/nginx|$DIR/nginx|g" -e "s|/var/log/nginx|$DIR/log|g" -e "s|/run/nginx.pid|$DIR/server.pid|" \
    /etc/nginx/nginx.conf >"$DIR/nginx/nginx.conf"

file fpm.conf <<CONF
[global]
error_log = $DIR/fpm.log
daemonize = no
[www]
listen = $DIR/fpm.sock
listen.mode = 0666
pm = static
pm.max_children = 2
CONF
if [ "$(id -u)" -eq 0 ]; then
    printf 'user = nobody\ngroup = nogroup\n' >>"$DIR/fpm.conf"
fi
"$fpm" -n -y "$DIR/fpm.conf" >"$DIR/fpm.output" 2>&1 &
fpm_pid=$!
leave() {
    kill -TERM "$fpm_pid" 2>/dev/null
    wait "$fpm_pid" 2>/dev/null
}
trap 'leave; clean_up' EXIT
wait_until test -S "$DIR/fpm.sock" || note "$(cat "$DIR/fpm.output" "$DIR/fpm.log")"

if is_nginx; then
    "$SERVER" -c "$DIR/nginx/nginx.conf" -e "$DIR/error.log" -g 'daemon off;' >"$DIR/output" 2>&1 &
else
    "$SERVER" --rootless -c "$DIR/nginx/nginx.conf" >"$DIR/output" 2>&1 &
fi
server_pid=$!
answers() { curl -s -o /dev/null --max-time 1 "$URL1/"; }
wait_until answers || note "$(cat "$DIR/output")"

fetch "$URL1/"
is "$status $body" "200 front page" "the front page"
fetch "$URL1/told.php?a=b"
is "$body" "$DIR/site/told.php /told.php  a=b" "a script by its file"
fetch "$URL1/nowhere.php"
is "$status" 404 "a script that is not there"
like "$(header Content-Type)" "^text/html" "is the server's own 404"
fetch "$URL1/picture.txt/x.php"
is "$status" 404 "what is no script is never run, whatever the path says"
fetch "$URL1/picture.txt"
is "$body" "<?php echo 'never run';" "a file is a file"
fetch "$URL1/.htaccess"
is "$status" 403 "what Apache would read is nobody's"
fetch "$URL1/nowhere"
is "$status" 404 "nothing"
fetch "$URL1/told.php" --data a=b
is "$status" 200 "a form"

stop
