#!/bin/sh
# Error pages: the built-in ones, your own with error_page, and what status goes with them.
. "$(dirname "$0")/lib.sh"
plan 34

echo "home" | file html/index.html
echo "we looked everywhere" | file html/errors/404.html
echo "we are at fault" | file html/errors/50x.html
echo "an empty basket" | file html/empty.json
mkdir "$DIR/html/closed"

serve <<'CONF'
# Nothing is said about errors here, so the built-in pages are sent.
server {
    listen 127.0.0.1:%PORT1%;
    root html;
}
server {
    listen 127.0.0.1:%PORT2%;
    root html;

    # One page for one status, one page for several.
    error_page 404 /errors/404.html;
    error_page 500 502 503 504 /errors/50x.html;

    # Nobody reaches the pages but through an error.
    location /errors/ { internal; }

    location = /broken { return 500; }
    location = /busy   { return 503; }

    # The status can be changed on the way: here a missing basket is an empty one, and all is well.
    location /basket/ { error_page 404 =200 /empty.json; }

    # With "=" alone the status is that of whatever answers in the end.
    location /any/ { error_page 404 = /empty.json; }

    # A named location answers what no page on disk can.
    location /app/ { error_page 404 = @app; }
    location @app  { return 202 "the app answers $uri\n"; }

    # A full address sends the client elsewhere.
    location /moved/ { error_page 404 http://example.com/search; }
    location /gone/  { error_page 404 =301 http://example.com/search; }

    # An error_page in a location replaces all those of the server.
    location /plain/ { error_page 403 /errors/404.html; }

    # A page that is itself missing falls back to the built-in one.
    location /careless/ { error_page 404 /errors/forgotten.html; }
}
CONF

note "the built-in pages"
fetch "$URL1/nothing"
is "$status" 404 "a file that is not there: 404"
is "$(header Content-Type)" "text/html" "the built-in page is HTML"
like "$body" "<title>404 Not Found</title>" "its title names the status"

fetch "$URL1/closed/"
is "$status" 403 "a folder without index and listing: 403"

fetch "$URL1/" -X POST
is "$status" 405 "POST to a file: 405"

fetch "$URL1/%00"
is "$status" 400 "a path with a NUL in it: 400"

fetch "$URL1/../../etc/passwd"
is "$status" 400 "a path that climbs out of the root: 400"

fetch "$URL1/nothing" --head
is "$status" 404 "HEAD gets the same status"
is "$body" "" "and no page"
like "$(header Content-Length)" "^[1-9]" "but its length"

note "pages of your own"
fetch "$URL2/nothing"
is "$status" 404 "an own page keeps the status"
is "$body" "we looked everywhere" "and comes instead of the built-in one"

fetch "$URL2/broken"
is "$status" 500 "several codes, one page: 500"
is "$body" "we are at fault" "with the page"
fetch "$URL2/busy"
is "$status" 503 "several codes, one page: 503"
is "$body" "we are at fault" "with the page"

fetch "$URL2/errors/404.html"
is "$status" 404 "an internal page cannot be fetched by itself"

fetch "$URL2/nothing" --head
is "$status" 404 "HEAD gets the status"
is "$(header Content-Length)" 21 "and the length of the own page"

note "another status"
fetch "$URL2/basket/7"
is "$status" 200 "=200 turns the error into a success"
is "$body" "an empty basket" "with the body of the page"
fetch "$URL2/any/7"
is "$status" 200 "= takes the status of the answer"
fetch "$URL2/app/7"
is "$status" 202 "a named location gives its own status"
is "$body" "the app answers /app/7" "and still sees the path that was asked for"

note "elsewhere"
fetch "$URL2/moved/x"
is "$status" 302 "an address: 302"
is "$(header Location)" "http://example.com/search" "to that address"
fetch "$URL2/gone/x"
is "$status" 301 "=301 and an address: 301"

note "inheritance and mistakes"
fetch "$URL2/plain/x"
is "$status" 404 "a location with its own error_page does not inherit the server's"
like "$body" "<title>404 Not Found</title>" "so that 404 has the built-in page there"
fetch "$URL2/careless/x"
is "$status" 404 "a missing error page does not change the status"
like "$body" "<title>404 Not Found</title>" "the built-in page stands in"

note "ours only: one page for every code"
if is_nginx; then
    skip 2 "error_template is not in nginx"
else
    stop
    file html/template.html <<'PAGE'
<h1>$status $status_text</h1>
PAGE
    serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root html;
    error_template html/template.html;
}
CONF
    fetch "$URL1/nothing"
    like "$body" "<h1>404 Not Found</h1>" "error_template fills in the status"
fi

stop
