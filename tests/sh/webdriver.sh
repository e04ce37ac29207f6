# shellcheck shell=sh
# A real browser for the scripts beside this file: Debian's chromium, told what to do through WebDriver
# (https://www.w3.org/TR/webdriver2/), which is JSON over HTTP, so curl can speak it. Sourced after lib.sh:
#
#     has_browser || { plan 1; skip 1 "no browser"; exit; }
#     serve <<'CONF' ... CONF
#     open_browser normal
#     go "$URL1/"
#     press '#button'
#     close_browser

session=
driver_pid=

has_browser() {
    command -v chromedriver >/dev/null && command -v chromium >/dev/null
}

# ask METHOD PATH [JSON]: what the driver answers, on one line.
ask() {
    curl -s --max-time 60 -X "$1" -H 'Content-Type: application/json' ${3:+-d "$3"} "$driver$2" | tr -d '\n'
}

# text: the value of an answer that is a text, a number or a truth.
text() {
    sed -n -e 's/^{"value":"\(.*\)"}$/\1/p' -e 's/^{"value":\([^"{].*\)}$/\1/p'
}

driver_is_ready() {
    ask GET /status | grep -q '"ready":true'
}

# When a script ends early, the driver ends with it, and takes the browser along.
end_browser() {
    script_code=$?
    [ -z "$driver_pid" ] || kill "$driver_pid" 2>/dev/null
    (exit "$script_code")
    clean_up
}

# open_browser STRATEGY: starts the driver and a browser without a window; $session is empty if that fails. With the strategy `none`
# `go` does not wait for a page to be whole, so that it can be looked at while it comes.
open_browser() {
    driver_port=$(free_port)
    chromedriver --port="$driver_port" >"$DIR/driver.log" 2>&1 &
    driver_pid=$!
    trap end_browser EXIT
    driver=http://127.0.0.1:$driver_port
    wait_until driver_is_ready
    # Root's browser has no sandbox of its own; the pages are ours.
    options="\"--headless=new\",\"--no-sandbox\",\"--disable-dev-shm-usage\",\"--disable-gpu\",\"--user-data-dir=$DIR/profile\""
    session=$(ask POST /session "{\"capabilities\":{\"alwaysMatch\":{\"unhandledPromptBehavior\":\"ignore\",\"pageLoadStrategy\":\"$1\",\"goog:chromeOptions\":{\"binary\":\"$(command -v chromium)\",\"args\":[$options]}}}}" |
        sed -n 's|.*"sessionId":"\([^"]*\)".*|/session/\1|p')
}

close_browser() {
    ask DELETE "$session" >/dev/null
    kill "$driver_pid" 2>/dev/null
    wait "$driver_pid" 2>/dev/null
    driver_pid=
}

# go URL: opens a page and waits until it is there.
go() {
    ask POST "$session/url" "{\"url\":\"$1\"}" >/dev/null
}

# run SCRIPT: what it returns in the page. No double quotes in it.
run() {
    ask POST "$session/execute/sync" "{\"script\":\"$1\",\"args\":[]}" | text
}

# find_one SELECTOR: the address of an element.
find_one() {
    id=$(ask POST "$session/element" "{\"using\":\"css selector\",\"value\":\"$1\"}" | sed 's/.*"element-[^"]*":"\([^"]*\)".*/\1/')
    echo "$session/element/$id"
}

# type_into SELECTOR TEXT: as if somebody typed it.
type_into() {
    ask POST "$(find_one "$1")/value" "{\"text\":\"$2\"}" >/dev/null
}

# press SELECTOR: as if somebody clicked it.
press() {
    ask POST "$(find_one "$1")/click" '{}' >/dev/null
}

# says SCRIPT VALUE: whether the script returns it.
says() {
    [ "$(run "$1")" = "$2" ]
}

# picture NAME: of the window as it is, where SCREENSHOTS names a folder.
picture() {
    [ -n "${SCREENSHOTS:-}" ] || return 0
    ask GET "$session/screenshot" | text | base64 -d >"$SCREENSHOTS/$1.png"
}
