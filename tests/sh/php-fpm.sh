#!/bin/sh
# A PHP site on php-fpm, as people have it: pretty URLs with a front controller, forms, uploads, sessions, PATH_INFO, errors.
. "$(dirname "$0")/lib.sh"

fpm=
for candidate in "$(command -v php-fpm)" /usr/sbin/php-fpm*; do [ ! -x "$candidate" ] || fpm=$candidate; done
if [ -z "$fpm" ]; then
    plan 1
    skip 1 "php-fpm is not installed"
    exit
fi
plan 27

file site/index.php <<'PHP'
<?php
// A front controller in small: every path that is no file ends here, and it decides by REQUEST_URI.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
switch (true) {
case $path === '/':
    echo 'front page';
    break;
case preg_match('~^/(\d{4})/(\d\d)/([\w-]+)/$~', $path, $match) === 1:
    echo "post $match[3] of $match[1]-$match[2]";
    break;
case $path === '/gone':
    http_response_code(410);
    echo 'no longer here';
    break;
default:
    http_response_code(404);
    header('X-Made-By: the application');
    echo "nothing at $path";
}
PHP
file site/form.php <<'PHP'
<?php
header('Content-Type: text/plain');
echo $_SERVER['REQUEST_METHOD'], "\n";
foreach ($_GET + $_POST as $name => $value) echo $name, '=', is_array($value) ? implode('+', $value) : $value, "\n";
echo 'self: ', $_SERVER['PHP_SELF'], "\n";
echo 'info: ', $_SERVER['PATH_INFO'] ?? '(none)', "\n";
PHP
file site/upload.php <<'PHP'
<?php
$file = $_FILES['file'];
header('Content-Type: text/plain');
echo $file['name'], ' ', $file['size'], ' ', sha1_file($file['tmp_name']), ' ', $_POST['note'], "\n";
PHP
file site/session.php <<'PHP'
<?php
session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
echo 'visits: ', $_SESSION['visits'], "\n";
PHP
file site/redirect.php <<'PHP'
<?php
setcookie('seen', 'yes');
header('Location: /form.php?from=redirect', true, 303);
PHP
file site/error.php <<'PHP'
<?php
error_log('the teapot speaks');
http_response_code(418);
echo "short and stout\n";
PHP
file site/stream.php <<'PHP'
<?php
header('X-Accel-Buffering: no');
for ($i = 0; $i < 3; $i++) { echo "part $i\n"; flush(); }
PHP
file site/large.php <<'PHP'
<?php
header('Content-Type: application/octet-stream');
for ($i = 0; $i < 64; $i++) echo str_repeat(chr($i + 32), 65536);
PHP
file site/download.php <<'PHP'
<?php
header('X-Accel-Redirect: /protected/report.txt');
header('Content-Disposition: attachment; filename=report.txt');
PHP
file site/style.css <<'CSS'
body { color: navy }
CSS
file protected/report.txt <<'TXT'
the report
TXT
mkdir "$DIR/sessions" "$DIR/tmp"
chmod 777 "$DIR" "$DIR/sessions" "$DIR/tmp"

file fpm.conf <<CONF
[global]
error_log = $DIR/fpm.log
daemonize = no
[www]
listen = $DIR/fpm.sock
listen.mode = 0666
pm = static
pm.max_children = 3
catch_workers_output = yes
php_admin_value[session.save_path] = $DIR/sessions
php_admin_value[upload_tmp_dir] = $DIR/tmp
php_admin_value[upload_max_filesize] = 8m
php_admin_value[post_max_size] = 9m
php_admin_flag[log_errors] = on
php_admin_value[error_log] =
CONF
# As root it wants somebody else for its children; as anybody else it stays who it is.
if [ "$(id -u)" -eq 0 ]; then
    printf 'user = nobody\ngroup = nogroup\n' >>"$DIR/fpm.conf"
fi
# -n: no php.ini of this machine.
"$fpm" -n -y "$DIR/fpm.conf" >"$DIR/fpm.output" 2>&1 &
fpm_pid=$!
leave() {
    kill -TERM "$fpm_pid" 2>/dev/null || :
    wait "$fpm_pid" 2>/dev/null || :
    [ "${1:-}" = quietly ] || clean_up
}
trap leave EXIT
wait_until test -S "$DIR/fpm.sock" || note "$(cat "$DIR/fpm.output" "$DIR/fpm.log")"

# The stock params; where the server brings none along the conf names them.
serve <<'CONF'
upstream php { server unix:%DIR%/fpm.sock; }
server {
    listen 127.0.0.1:%PORT1%;
    root site;
    index index.php;
    client_max_body_size 10m;

    location / { try_files $uri $uri/ /index.php?$args; }
    location ~ [^/]\.php(/|$) {
        fastcgi_split_path_info ^(.+?\.php)(/.*)$;
        if (!-f $document_root$fastcgi_script_name) { return 404; }
        fastcgi_pass php;
        fastcgi_index index.php;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_param SCRIPT_NAME $fastcgi_script_name;
        fastcgi_param PATH_INFO $fastcgi_path_info;
        fastcgi_param QUERY_STRING $query_string;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param CONTENT_TYPE $content_type;
        fastcgi_param CONTENT_LENGTH $content_length;
        fastcgi_param REQUEST_URI $request_uri;
        fastcgi_param DOCUMENT_URI $document_uri;
        fastcgi_param DOCUMENT_ROOT $document_root;
        fastcgi_param SERVER_PROTOCOL $server_protocol;
        fastcgi_param REMOTE_ADDR $remote_addr;
        fastcgi_param SERVER_NAME $server_name;
    }
    location /protected/ { internal; alias %DIR%/protected/; }
    location ~ /\. { deny all; }
}
server {
    listen 127.0.0.1:%PORT2%;
    root site;
    error_page 404 /sorry.html;
    location = /sorry.html { return 200 "the server is sorry\n"; }
    location / {
        fastcgi_pass unix:%DIR%/fpm.sock;
        fastcgi_intercept_errors on;
        fastcgi_param SCRIPT_FILENAME %DIR%/site/index.php;
        fastcgi_param REQUEST_METHOD $request_method;
        fastcgi_param REQUEST_URI $request_uri;
    }
}
CONF

note "pretty URLs"
fetch "$URL1/"
is "$status $body" "200 front page" "the front page"
like "$(header Content-Type)" "^text/html" "has a type"
fetch "$URL1/2026/11/hello-world/"
is "$status $body" "200 post hello-world of 2026-11" "a post by its pretty URL"
fetch "$URL1/no/such/post"
is "$status $body" "404 nothing at /no/such/post" "what nobody wrote"
is "$(header X-Made-By)" "the application" "is the application's own 404"
fetch "$URL1/gone"
is "$status $body" "410 no longer here" "a status of its own"
fetch "$URL1/style.css"
like "$body" "^body" "a file is served as it is"
fetch "$URL1/nowhere.php"
is "$status" 404 "a script that is not there never reaches PHP"

note "forms"
fetch "$URL1/form.php?a=1&b%5B%5D=x&b%5B%5D=y"
like "$body" "^b=x\+y$" "a query"
fetch "$URL1/form.php" --data-urlencode "name=Łódź & Söhne"
like "$body" "^name=Łódź & Söhne$" "a form"
fetch "$URL1/form.php" --data-urlencode "name=in chunks" -H "Transfer-Encoding: chunked"
like "$body" "^name=in chunks$" "a form in chunks"
fetch "$URL1/form.php/extra/path"
like "$body" "^info: /extra/path$" "a path behind the script"
like "$body" "^self: /form.php/extra/path$" "which PHP puts together again"

note "uploads"
head -c 3000000 /dev/urandom >"$DIR/large"
fetch "$URL1/upload.php" -F "file=@$DIR/large" -F "note=three megabytes"
is "$body" "large 3000000 $(sha1sum <"$DIR/large" | cut -d ' ' -f 1) three megabytes" "an upload, byte for byte"

note "sessions"
fetch "$URL1/session.php" -c "$DIR/jar"
is "$status $body" "200 visits: 1" "the first visit"
like "$(header Set-Cookie)" "^PHPSESSID=" "sets a cookie"
fetch "$URL1/session.php" -b "$DIR/jar" -c "$DIR/jar"
is "$body" "visits: 2" "the second is known"

note "answers"
fetch "$URL1/redirect.php"
is "$status $(header Set-Cookie)" "303 seen=yes" "a redirect with a cookie"
fetch "$URL1/redirect.php" -L
like "$body" "^from=redirect$" "who follows it"
fetch "$URL1/error.php"
is "$status $body" "418 short and stout" "another status"
ok "what PHP logs is in the log" grep -q 'FastCGI sent in stderr: .*the teapot speaks' "$DIR/error.log"
fetch "$URL1/stream.php"
is "$(echo "$body" | wc -l)" 3 "an answer in parts"
is "$(curl -s --max-time 10 "$URL1/large.php" | wc -c)" 4194304 "four megabytes"
fetch "$URL1/form.php" --head
is "$status $body" "200 " "HEAD"
fetch "$URL1/download.php"
is "$body $(header Content-Disposition)" "the report attachment; filename=report.txt" "X-Accel-Redirect leads to a file that nobody may ask for"
fetch "$URL2/no/such"
is "$status $body" "404 the server is sorry" "fastcgi_intercept_errors"

stop
leave quietly
trap clean_up EXIT
