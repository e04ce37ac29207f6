#!/bin/sh
# The upload page in a real browser. SCREENSHOTS=DIR keeps pictures of the page.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/webdriver.sh"

if is_nginx || ! has_browser; then
    plan 1
    skip 1 "nginx has no such page, or chromium and chromedriver are not installed"
    exit
fi
plan 26

mkdir "$DIR/store"
chmod 777 "$DIR/store"
serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    client_max_body_size 50m;
    location / { upload_store %DIR%/store; upload_delete on; }
}
server {
    listen 127.0.0.1:%PORT2%;
    default_type text/html;
    location /frame { return 200 '<iframe id="f" src="http://127.0.0.1:%PORT1%/"></iframe>'; }
    location / { return 200 '<p>another site</p>'; }
}
server {
    listen 127.0.0.1:%PORT3%;
    location / { upload_store %DIR%/store; upload_origins http://127.0.0.1:%PORT2%; }
}
CONF

# choose FILE: as if somebody chose it in the page's dialog.
choose() {
    type_into '#files' "$1"
}

# rate BYTES: how fast the browser sends from now on; -1 for as fast as it can.
rate() {
    ask POST "$session/chromium/network_conditions" \
        "{\"network_conditions\":{\"latency\":0,\"download_throughput\":-1,\"upload_throughput\":$1}}" >/dev/null
}

open_browser normal
like "$session" '^/session/.' "the browser starts"
ask POST "$session/window/rect" '{"width":1100,"height":860}' >/dev/null
go "$URL1/"
is "$(ask GET "$session/title" | text)" "Upload files" "the page opens"
is "$(run "return performance.getEntriesByType('resource').filter(e => !e.name.endsWith('/favicon.ico')).length")" 0 "it loads nothing else"
picture empty

note "a file, and its bar"
head -c 8000000 /dev/urandom >"$DIR/first file.bin"
run "window.seen = []; new MutationObserver(all => all.forEach(one => { if (one.target.tagName === 'PROGRESS') seen.push(one.target.value); else if (one.target.className === 'state') { seen.last = one.target.textContent; if (/left/.test(seen.last)) seen.left = seen.last; } })).observe(document.body, {attributes: true, childList: true, subtree: true});" >/dev/null
rate 4000000
choose "$DIR/first file.bin"
ok "the bar moves" wait_until says "return seen.some(value => value > 0.05 && value < 1)" true
ok "speed and time left stand below it" wait_until says "return !!seen.left" true
picture sending
rate -1
ok "it is stored" wait_until says "return document.querySelectorAll('#jobs li.done').length" 1
like "$(run "return seen.left")" '^[0-9.]+ (KB|MB) of 7\.6 MB · [0-9.]+ (KB|MB)/s · [0-9]+ s left' "in words that people read"
is "$(run "return document.querySelector('#stored a').textContent")" "first file.bin" "it stands in the list"
curl -s -o "$DIR/back" "$(run "return document.querySelector('#stored a').href")"
ok "and comes back as it was" cmp "$DIR/first file.bin" "$DIR/back"

note "several at once, one of them taken already, and one that is cancelled"
echo one >"$DIR/one.txt"
echo two >"$DIR/two.txt"
choose "$DIR/one.txt\\n$DIR/two.txt\\n$DIR/first file.bin"
ok "two more are stored" wait_until says "return document.querySelectorAll('#jobs li.done').length" 3
ok "the third is refused in words" wait_until says "return document.querySelector('#jobs li.failed .state').textContent" "A file of this name is there already."
head -c 20000000 /dev/zero >"$DIR/zero.bin"
rate 1000000
choose "$DIR/zero.bin"
wait_until says "return document.querySelector('#jobs li:last-child progress').value > 0" true
press '#jobs li:last-child button'
rate -1
ok "one is cancelled" wait_until says "return document.querySelector('#jobs li:last-child .state').textContent" "Cancelled"
is "$(find "$DIR/store" -type f | wc -l | tr -d ' ')" 3 "and nothing of it is there"
picture wide

note "looks"
look() {
    ask POST "$session/goog/cdp/execute" "{\"cmd\":\"Emulation.setEmulatedMedia\",\"params\":{\"features\":[{\"name\":\"prefers-color-scheme\",\"value\":\"$1\"}]}}" >/dev/null
}
look dark
is "$(run "return matchMedia('(prefers-color-scheme: dark)').matches && getComputedStyle(document.body).backgroundColor")" "rgb(16, 19, 24)" "there is a dark mode"
picture dark
ask POST "$session/goog/cdp/execute" '{"cmd":"Emulation.setDeviceMetricsOverride","params":{"width":360,"height":740,"deviceScaleFactor":2,"mobile":true}}' >/dev/null
picture narrow-dark
look light
picture narrow
is "$(run "return document.documentElement.scrollWidth <= 360")" true "it fits a telephone"

note "removal"
press '#stored .delete button'
ask POST "$session/alert/accept" '{}' >/dev/null
ok "the button removes a file" wait_until says "return document.querySelectorAll('#stored tr').length" 2
like "$(run "return document.getElementById('said').textContent")" ": Deleted$" "and says so to those who do not see"

note "by keyboard"
# key CODE: as if somebody pressed it (https://www.w3.org/TR/webdriver2/ table of keys).
key() {
    ask POST "$session/actions" "{\"actions\":[{\"type\":\"key\",\"id\":\"k\",\"actions\":[{\"type\":\"keyDown\",\"value\":\"$1\"},{\"type\":\"keyUp\",\"value\":\"$1\"}]}]}" >/dev/null
}
run "document.getElementById('files').focus()" >/dev/null
key '\uE004'
is "$(run "return document.activeElement.getAttribute('aria-label')")" "Dismiss first file.bin" "from the choice of files the tabulator leads to the first upload"
key '\uE007'
is "$(run "return document.activeElement.getAttribute('aria-label')")" "Dismiss one.txt" "and when that is dismissed, the next has the focus"

note "pages of another site"
# The same machine by another name is another site, and so is another port another origin.
# post_to URL NAME: sends a form with a file to it, as a page may without asking.
post_to() {
    run "const form = new FormData(); form.append('file', new File(['x'], '$2')); return fetch('$1', {method: 'POST', mode: 'no-cors', body: form, credentials: 'include'}).then(answer => answer.type)"
}
go "http://localhost:$PORT2/"
is "$(post_to "$URL1/" evil-1.txt)" opaque "a page of another site can send a form"
go "$URL2/"
is "$(post_to "$URL1/" evil-2.txt)" opaque "and so can one of another port"
is "$(find "$DIR/store" -name 'evil*' | wc -l | tr -d ' ')" 0 "but nothing of it is stored"
is "$(post_to "$URL3/" let-in.txt)" opaque "one that upload_origins names"
ok "stores its file" test -f "$DIR/store/let-in.txt"
go "$URL2/frame"
ask POST "$session/frame" '{"id":0}' >/dev/null
is "$(run "return !!document.getElementById('form')")" false "the page does not show within another"
picture framed

close_browser
stop
