#!/bin/sh
# A script that takes its time, in a real browser: what it has written is shown while it still works. No line of the conf asks for it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/webdriver.sh"

if is_nginx || ! has_browser; then
    plan 1
    skip 1 "nginx runs no scripts, or chromium and chromedriver are not installed"
    exit
fi
plan 14

mkdir "$DIR/html/cgi"
script() {
    cat >"$DIR/html/cgi/$1"
    chmod 755 "$DIR/html/cgi/$1"
}

# A page that goes on when the test says so.
script page <<'SCRIPT'
#!/bin/sh
printf 'Content-Type: text/html\n\n<!DOCTYPE html><title>slow</title><p id="one">Looking for it ...</p>\n'
until [ -e "$GO" ]; do sleep 0.05; done
echo '<p id="two">Found.</p>'
SCRIPT

script events <<'SCRIPT'
#!/bin/sh
printf 'Content-Type: text/event-stream\n\ndata: low tide\n\n'
until [ -e "$GO" ]; do sleep 0.05; done
printf 'data: high tide\n\n'
SCRIPT

script dies <<'SCRIPT'
#!/bin/sh
printf 'Content-Type: text/plain\n\nthe first half\n'
sleep 0.3
kill -KILL $$
SCRIPT

script length <<'SCRIPT'
#!/bin/sh
printf 'Content-Type: text/plain\nContent-Length: 8\n\nlow '
sleep 0.3
printf 'tide'
SCRIPT

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    location /cgi/ { cgi on; cgi_set_var GO %DIR%/go; }
    location /packed/ { alias %DIR%/html/cgi/; cgi on; cgi_set_var GO %DIR%/go; gzip on; }
    location / { default_type text/html; return 200 '<!DOCTYPE html><title>empty</title>'; }
}
CONF

open_browser none
like "$session" '^/session/.' "the browser starts"

# is_shown PATH NAME: whether the page's first part is painted before its second has come.
is_shown() {
    rm -f "$DIR/go"
    go "$URL1/$1/page"
    ok "$2: the first part is there" wait_until says "return (document.getElementById('one') || {}).textContent" "Looking for it ..."
    ok "$2: the browser has painted it" wait_until says "return performance.getEntriesByType('paint').some(entry => entry.name === 'first-contentful-paint')" true
    is "$(run "return document.readyState + ' ' + !!document.getElementById('two')")" "loading false" "$2: and the rest is still to come"
    picture "$1"
    touch "$DIR/go"
    ok "$2: then it comes" wait_until says "return document.readyState + ' ' + (document.getElementById('two') || {}).textContent" "complete Found."
}

is_shown cgi "a page"
is_shown packed "one in gzip"

note "events, as they come"
rm -f "$DIR/go"
go "$URL1/"
wait_until says "return document.title" empty
run "window.seen = []; window.source = new EventSource('/cgi/events'); source.onmessage = event => { seen.push(event.data); if (seen.length === 2) source.close(); }" >/dev/null
ok "the first arrives while the script waits" wait_until says "return seen.join()" "low tide"
touch "$DIR/go"
ok "and then the second" wait_until says "return seen.join()" "low tide,high tide"

note "what is not whole does not look whole"
is "$(run "return fetch('/cgi/dies').then(answer => answer.text()).then(() => 'whole', error => error.name)")" TypeError "a script that dies half-way is an error in the page"
is "$(run "return fetch('/cgi/length').then(answer => answer.text().then(text => answer.headers.get('Content-Length') + ' ' + text))")" "8 low tide" "a length that the script names arrives with the head"

close_browser
stop
