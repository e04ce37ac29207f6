# shellcheck shell=sh
# The small library behind these scripts: it starts a server on free ports, asks it things with curl, and reports in
# TAP (https://testanything.org). Needs a POSIX sh and curl. A script that uses it reads like this:
#
#     . "$(dirname "$0")/lib.sh"
#     plan 2
#     serve <<'CONF'
#     server { listen 127.0.0.1:%PORT1%; return 200 "hello\n"; }
#     CONF
#     fetch "$URL1/"
#     is "$status" 200 "the server answers"
#     stop
#
# `serve` takes its conf from a here document, not from a pipe: a pipe would run it in a shell of its own.
# SERVER names the program under test: SERVER=/usr/sbin/nginx sh tests/sh/ports.sh

set -u
umask 022
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY

# --- The program under test ---

# The scripts beside this file lie two folders below the checkout; a script of your own may be started in it.
checkout=$(cd "$(dirname "$0")/../.." && pwd)
[ -f "$checkout/tests/sh/lib.sh" ] || checkout=$PWD
if [ -z "${SERVER:-}" ]; then
    target=${CARGO_TARGET_DIR:-$checkout/target}
    SERVER=$target/release/longshore
    [ -x "$SERVER" ] || SERVER=$target/debug/longshore
    [ -x "$SERVER" ] || SERVER=$(command -v longshore || echo "$target/release/longshore")
fi
case $SERVER in /*) ;; *) SERVER=$PWD/$SERVER ;; esac
if [ ! -x "$SERVER" ]; then
    echo "Bail out! $SERVER is not there (cargo build --release makes it, SERVER=... names another)"
    exit 1
fi

# A few checks are about things that only one of the two servers has. Longshore's -V names an nginx version too, the
# one whose conf language it speaks, so its own name is what tells them apart.
is_nginx() {
    ! "$SERVER" -V 2>&1 | grep -qi longshore
}

# --- A folder of our own, gone at the end ---

DIR=$(mktemp -d "${TMPDIR:-/tmp}/longshore-sh.XXXXXX") || exit 1
chmod 755 "$DIR" # a server started by root reads it as another user
mkdir "$DIR/html"
server_pid=

clean_up() {
    code=$?
    if [ -n "$server_pid" ]; then # the script ended before its `stop`
        kill -TERM "$server_pid" 2>/dev/null
        wait_until gone || kill -KILL "$server_pid"
    fi
    rm -rf "$DIR"
    [ "$code" -eq 0 ] || exit "$code"
    [ "$failed" -eq 0 ] && [ "$count" -eq "$planned" ]
    exit $?
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# file PATH: makes the file $DIR/PATH from standard input.
file() {
    mkdir -p "$(dirname "$DIR/$1")"
    cat >"$DIR/$1"
}

# repeat TEXT N: TEXT, N times over, on one line.
repeat() {
    awk -v text="$1" -v n="$2" 'BEGIN { while (n-- > 0) printf "%s", text }'
}

# recipe PAGE HEADING: the conf below this heading of a page of the manual.
recipe() {
    awk -v heading="### $2" '
        $0 == heading { found = 1; next }
        found && $0 == "```nginx" { inside = 1; next }
        inside && $0 == "```" { exit }
        inside' "$1"
}

# --- TAP ---

planned=0
count=0
failed=0

# plan N: how many checks the script makes, `stop` among them.
plan() {
    planned=$1
    echo "1..$planned"
}

# note TEXT: a remark in the output, a "#" before each line.
note() {
    printf '%s\n' "$*" | sed 's/^/# /'
}

pass() {
    count=$((count + 1))
    echo "ok $count - $1"
}

fail() {
    count=$((count + 1))
    failed=$((failed + 1))
    echo "not ok $count - $1"
}

# ok NAME COMMAND...: passes if the command succeeds.
ok() {
    name=$1
    shift
    if "$@" >/dev/null 2>&1; then
        pass "$name"
    else
        fail "$name"
        note "failed: $*"
    fi
}

# is GOT WANTED NAME: passes if the two texts are equal.
is() {
    if [ "$1" = "$2" ]; then
        pass "$3"
    else
        fail "$3"
        note "got:    $1"
        note "wanted: $2"
    fi
}

# like TEXT REGEX NAME: passes if a line of the text matches the extended regex.
like() {
    if printf '%s\n' "$1" | grep -Eq -e "$2"; then
        pass "$3"
    else
        fail "$3"
        note "got:    $1"
        note "wanted: /$2/"
    fi
}

# unlike TEXT REGEX NAME: passes if no line of the text matches.
unlike() {
    if printf '%s\n' "$1" | grep -Eq -e "$2"; then
        fail "$3"
        note "got:      $1"
        note "unwanted: /$2/"
    else
        pass "$3"
    fi
}

# skip N REASON: counts N checks as not made.
skip() {
    skipping=$1
    while [ "$skipping" -gt 0 ]; do
        count=$((count + 1))
        echo "ok $count # SKIP $2"
        skipping=$((skipping - 1))
    done
}

# --- The server ---

# free_port: a port on which nobody listens. It lies below the range from which the kernel takes the ports of outgoing
# connections, and `serve` tries again should somebody else take it meanwhile.
free_port() {
    while :; do
        port=$(od -An -N2 -tu2 /dev/urandom | tr -d ' ')
        port=$((10000 + port % 20000))
        curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$port/"
        [ $? -eq 7 ] && break # 7: connection refused
    done
    echo "$port"
}

# choose_ports: sets PORT1 to PORT4, and URL1 to URL4 to go with them.
choose_ports() {
    PORT1=$(free_port)
    PORT2=$(free_port)
    PORT3=$(free_port)
    PORT4=$(free_port)
    URL1=http://127.0.0.1:$PORT1
    URL2=http://127.0.0.1:$PORT2
    URL3=http://127.0.0.1:$PORT3
    URL4=http://127.0.0.1:$PORT4
    export PORT1 PORT2 PORT3 PORT4 URL1 URL2 URL3 URL4
}

# scratch_folders: the lines that keep temporary files in our folder. nginx makes all of them at start, by default where
# only root may write.
scratch_folders() {
    echo "    client_body_temp_path body_temp;"
    is_nginx || return 0
    for name in proxy fastcgi uwsgi scgi; do echo "    ${name}_temp_path ${name}_temp;"; done
}

# write_conf: makes $DIR/server.conf around the server blocks in $DIR/servers, with the ports put in.
write_conf() {
    {
        echo "pid server.pid;"
        echo "events {}"
        echo "http {"
        echo "    access_log access.log;"
        scratch_folders
        sed -e "s|%PORT1%|$PORT1|g" -e "s|%PORT2%|$PORT2|g" -e "s|%PORT3%|$PORT3|g" -e "s|%PORT4%|$PORT4|g" \
            -e "s|%DIR%|$DIR|g" "$DIR/servers"
        echo "}"
    } >"$DIR/server.conf"
}

# wait_until COMMAND...: looks twenty times a second, for ten seconds at most, until the command succeeds.
wait_until() {
    tries=200
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

gone() {
    ! kill -0 "$server_pid"
}

# The pid file appears only when every port listens, so it is the sign that the server is ready.
ready_or_gone() {
    [ "$(cat "$DIR/server.pid" 2>/dev/null)" = "$server_pid" ] || gone
}

# serve <<'CONF': starts the server with the server blocks on standard input. %PORT1% to %PORT4% in them stand for free
# ports, %DIR% for this script's folder, which is also the prefix: `root html` means $DIR/html.
serve() {
    cat >"$DIR/servers"
    attempts=5
    while :; do
        choose_ports
        write_conf
        "$SERVER" -p "$DIR/" -c server.conf -e error.log -g 'daemon off;' >"$DIR/output" 2>&1 &
        server_pid=$!
        wait_until ready_or_gone
        kill -0 "$server_pid" 2>/dev/null && [ -s "$DIR/server.pid" ] && return
        wait "$server_pid"
        server_pid=
        attempts=$((attempts - 1))
        [ "$attempts" -gt 0 ] && grep -qi 'in use' "$DIR/output" "$DIR/error.log" && continue
        note "$(cat "$DIR/output" "$DIR/error.log" 2>/dev/null)"
        echo "Bail out! $SERVER does not start"
        exit 1
    done
}

# reload <<'CONF': gives the running server other server blocks, on the ports it already has.
reload() {
    cat >"$DIR/servers"
    write_conf
    kill -HUP "$server_pid"
}

# stop: ends the server as an administrator would, and checks that it went in peace.
stop() {
    kill -QUIT "$server_pid"
    wait_until gone || kill -KILL "$server_pid"
    wait "$server_pid"
    code=$?
    server_pid=
    alarms=$(grep -E '\[(alert|emerg)\]|panicked' "$DIR/error.log" "$DIR/output")
    is "$code$alarms" 0 "the server stops cleanly, with no alarm in its log"
}

# --- Asking it ---

# fetch URL [curl options]: sets $status (000 if there was no answer), $body (without its last line end) and the head
# that `header` reads.
fetch() {
    url=$1
    shift
    : >"$DIR/answer.head"
    : >"$DIR/answer.body"
    status=$(curl -sS --path-as-is --max-time 10 -o "$DIR/answer.body" -D "$DIR/answer.head" \
        -w '%{http_code} %{size_download}' "$@" "$url" 2>"$DIR/answer.error")
    body=$(cat "$DIR/answer.body")
    # After --head curl puts the head where the body would be.
    case $status in *' 0') body= ;; esac
    status=${status%% *}
    export status body
}

# header NAME: the value of a header of the last answer.
header() {
    tr -d '\r' <"$DIR/answer.head" | awk -v name="$1:" '
        tolower($1) == tolower(name) { sub(/^[^:]*: */, ""); print }'
}

# talk PORT: sends standard input as it is, prints what comes back. For what curl would never send by itself.
talk() {
    curl -sN --max-time 10 "telnet://127.0.0.1:$1" 2>/dev/null | tr -d '\r'
}

# git_as_aurora: git commits as her, reads no settings of this machine and asks nobody anything.
git_as_aurora() {
    export HOME="$DIR" GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
    export GIT_AUTHOR_NAME=Aurora GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=Aurora GIT_COMMITTER_EMAIL=a@example.com
}

# git_there_and_back URL: eight tests that push to an empty repository and clone it again; $work is the clone that pushed.
git_there_and_back() {
    work=$DIR/work
    ok "an empty repository is cloned" git clone -q "$1" "$work"
    echo one >"$work/file"
    head -c 3000000 /dev/urandom >"$work/large"
    git -C "$work" checkout -q -b main 2>/dev/null
    git -C "$work" add . && git -C "$work" commit -q -m one
    ok "three megabytes are pushed, in chunks" git -C "$work" push -q origin main
    echo two >"$work/file"
    git -C "$work" commit -q -a -m two
    ok "and a change" git -C "$work" push -q origin main
    ok "another clone" git clone -q "$1" "$DIR/second"
    is "$(cat "$DIR/second/file")" two "has the change"
    ok "and the large file, byte for byte" cmp "$work/large" "$DIR/second/large"
    ok "a shallow clone" git clone -q --depth 1 "$1" "$DIR/shallow"
    is "$(git -C "$DIR/shallow" rev-list --count HEAD)" 1 "has one commit"
}
