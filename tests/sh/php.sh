#!/bin/sh
# Real programs behind CGI: PHP by php-cgi, started for each request. A form, an upload, a session, a redirect.
. "$(dirname "$0")/lib.sh"

if is_nginx || ! command -v php-cgi >/dev/null; then
    plan 1
    skip 1 "nginx runs no scripts, or php-cgi is not installed"
    exit
fi
plan 15

file site/form.php <<'PHP'
<?php
header('Content-Type: text/plain');
echo $_SERVER['REQUEST_METHOD'], "\n";
foreach ($_REQUEST as $name => $value) echo $name, '=', is_array($value) ? implode('+', $value) : $value, "\n";
echo 'self: ', $_SERVER['PHP_SELF'], "\n";
PHP
file site/upload.php <<'PHP'
<?php
$file = $_FILES['file'];
header('Content-Type: text/plain');
echo $file['name'], ' ', $file['size'], ' ', sha1_file($file['tmp_name']), ' ', $_POST['note'], "\n";
PHP
file site/session.php <<'PHP'
<?php
session_save_path($_SERVER['SESSIONS']);
session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
echo 'visits: ', $_SESSION['visits'], "\n";
PHP
file site/redirect.php <<'PHP'
<?php
header('Location: /form.php?from=redirect', true, 303);
setcookie('seen', 'yes');
PHP
file site/error.php <<'PHP'
<?php
http_response_code(418);
error_log('the teapot speaks');
echo "short and stout\n";
PHP
file site/index.php <<'PHP'
<?php echo 'front page, path ', $_GET['path'] ?? '', "\n";
PHP
mkdir "$DIR/sessions" "$DIR/tmp"
chmod 777 "$DIR/sessions" "$DIR/tmp"

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root site;
    index index.php;
    client_max_body_size 10m;
    cgi_extension .php php-cgi -d display_errors=0 -d log_errors=1 -d upload_max_filesize=8m -d post_max_size=9m;
    cgi_set_var SESSIONS %DIR%/sessions;
    cgi_set_var TMPDIR %DIR%/tmp;

    # What is no file belongs to the front page, as most PHP programs want it.
    location / { try_files $uri $uri/ /index.php?path=$uri; }
    # A path behind a script is no file either, but belongs to the script.
    location ~ \.php/ { }
}
CONF

note "forms"
fetch "$URL1/form.php?a=1&b%5B%5D=x&b%5B%5D=y"
is "$(printf '%s' "$body" | tr '\n' ' ')" "GET a=1 b=x+y self: /form.php" "a query"
fetch "$URL1/form.php" --data-urlencode "name=Łódź & Söhne"
like "$body" "^name=Łódź & Söhne$" "a form"
fetch "$URL1/form.php" --data-urlencode "name=in chunks" -H "Transfer-Encoding: chunked"
like "$body" "^name=in chunks$" "a form in chunks"
fetch "$URL1/form.php/extra/path"
like "$body" "^self: /form.php/extra/path$" "a path behind the script"

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
fetch "$URL1/session.php"
is "$body" "visits: 1" "somebody else is not"

note "redirects, statuses, the front page"
fetch "$URL1/redirect.php"
is "$status $(header Location)" "303 /form.php?from=redirect" "a redirect reaches the client"
fetch "$URL1/redirect.php" -L
like "$body" "^from=redirect$" "who follows it"
fetch "$URL1/error.php"
is "$status $body" "418 short and stout" "a status of its own"
ok "what PHP logs is in the log" grep -Fq "the teapot speaks" "$DIR/error.log"
fetch "$URL1/no/such/file"
is "$status $body" "200 front page, path /no/such/file" "the front page answers for what is no file"

stop
