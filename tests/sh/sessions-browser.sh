#!/bin/sh
# The demo's session in a real browser: somebody logs in by a form, comes back, and logs out.
. "$(dirname "$0")/lib.sh"
. "$checkout/tests/sh/webdriver.sh"

if is_nginx || ! has_browser; then
    plan 1
    skip 1 "nginx has no sessions, or chromium and chromedriver are not installed"
    exit
fi
plan 14
cp -R "$checkout/cgi-bin" "$DIR/"
cp -R "$checkout/html/." "$DIR/html/"
# As in the demo's conf.
cat >"$DIR/lines" <<CONF
$(grep -E '^ *session_zone demo' "$checkout/conf/longshore.conf")
server {
    listen 127.0.0.1:%PORT1%;
    root html;
    include mime.types;
    $(grep -E '^ *location = /session ' "$checkout/conf/longshore.conf")
}
CONF
serve <"$DIR/lines"
open_browser normal
like "$session" '^/session/.' "the browser starts"

heading="return document.querySelector('h1').textContent"
cookies() {
    ask GET "$session/cookie"
}

go "$URL1/session"
is "$(run "$heading")" "Who are you?" "nobody is logged in"
is "$(cookies)" '{"value":[]}' "and there is no cookie"
picture session-out
type_into 'input[name=name]' '<Aurora & Co>'
press '#in'
ok "a form logs in" wait_until says "$heading === 'Welcome, <Aurora & Co>.'" true
is "$(run "return document.querySelector('#visits').textContent")" 1 "this is the first visit"
like "$(cookies)" '"httpOnly":true.*"sameSite":"Lax"' "the cookie is kept as it should be"
is "$(run "return document.cookie")" "" "and no script of a page sees it"
before=$(cookies | sed 's/.*"value":"\([^"]*\)".*/\1/')
picture session-in
ask POST "$session/refresh" '{}' >/dev/null
is "$(run "return document.querySelector('#visits').textContent")" 2 "another visit counts"
go "$URL1/assets/style.css"
go "$URL1/session"
is "$(run "return document.querySelector('#visits').textContent")" 3 "and one more, by way of another page"
press '#out'
ok "a button logs out" wait_until says "$heading" "Who are you?"
is "$(cookies)" '{"value":[]}' "and the cookie is gone"
fetch "$URL1/session" -b "session=$before"
like "$body" "Who are you" "which opens nothing any more"
type_into 'input[name=name]' 'Dorothea'
press '#in'
ok "somebody else logs in" wait_until says "$heading" "Welcome, Dorothea."

close_browser
stop
