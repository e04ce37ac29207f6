#!/bin/sh
# CGI: the scripts in cgi-bin, one after the other, and what happens when a script fails.
. "$(dirname "$0")/lib.sh"

if is_nginx; then
    plan 1
    skip 1 "nginx runs no scripts"
    exit
fi
plan 56
cp -R "$checkout/cgi-bin" "$DIR/"

# script PATH: an executable file from standard input.
script() {
    file "$1"
    chmod 755 "$DIR/$1"
}

# says TEXT: the error log holds the text.
says() {
    grep -Fq "$1" "$DIR/error.log"
}

script own/hang.sh <<'SH'
#!/bin/sh
echo $$ >"$PIDFILE"
sleep 1000
SH
script own/slow.sh <<'SH'
#!/bin/sh
# Says that it runs, and ends when it may. Scripts run in their own folder.
: >../run/slow
until [ -e ../run/go ]; do sleep 0.05; done
printf 'Content-Type: text/plain\n\nslow\n'
SH
script own/crash.sh <<'SH'
#!/bin/sh
kill -SEGV $$
SH
script own/headless.sh <<'SH'
#!/bin/sh
echo "just text"
SH
echo 'echo hello' | script own/no-line.sh
printf '#!/bin/sh\r\necho\r\n' | script own/windows.sh
echo '#!/bin/sh' | file own/plain.sh
mkdir "$DIR/run"
chmod 777 "$DIR/run"

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;

    # Every file of the folder is a script.
    location /cgi-bin/ { alias cgi-bin/; cgi on; cgi_extension .php php-cgi; }
    location = /cgi-bin/clock.sh { alias cgi-bin/clock.sh; cgi on; }
    location = /hello { return 200 "hello $request_method\n"; }

    # The same, for scripts that fail: at most one second, then TERM, and KILL a second later.
    location /own/ { alias own/; cgi on; cgi_timeout 1s 1s; cgi_set_var PIDFILE %DIR%/run/pid; }

    # One at a time, and nobody waits.
    location /one/ { alias own/; cgi on; cgi_max_procs 1 queue=0; }

    # Little room.
    location /small/ { alias cgi-bin/; cgi on; cgi_limit files=32 cpu=5s; }

    # A program that knows nothing of CGI: what it writes is the body.
    location /echo/ { default_type text/plain; cgi_pass /bin/echo you asked for $uri; cgi_body_only on; }
}
CONF

note "what a script is told"
fetch "$URL1/cgi-bin/environment.sh/more/path?a=b" -H "X-Colour: blue" -H "Proxy: http://evil/" -u user:secret
is "$status" 200 "a script answers"
is "$(header Content-Length)" "$(wc -c <"$DIR/answer.body" | tr -d ' ')" "with its length"
like "$body" "^SCRIPT_NAME=/cgi-bin/environment.sh$" "SCRIPT_NAME is the script"
like "$body" "^PATH_INFO=/more/path$" "PATH_INFO is what follows it"
like "$body" "^QUERY_STRING=a=b$" "QUERY_STRING is the query"
like "$body" "^HTTP_X_COLOUR=blue$" "fields are variables"
unlike "$body" "^HTTP_PROXY" "but Proxy, which programs would take for a setting"
unlike "$body" "secret|^HTTP_AUTHORIZATION" "and credentials, which are the server's"
like "$body" "^Folder: .*/cgi-bin$" "it starts in its own folder"
ok "its standard error is in the log" says "somebody looked at the environment"
fetch "$URL1/cgi-bin/environment.sh?one+two"
like "$body" "^Arguments: one two$" "words of a query are arguments"
fetch "$URL1/cgi-bin/environment.sh" --data "$(repeat a 50000)"
like "$body" "Body: +50000 bytes of application/x-www-form-urlencoded" "a body comes on standard input"
fetch "$URL1/cgi-bin/environment.sh" --data "$(repeat a 50000)" -H "Transfer-Encoding: chunked"
like "$body" "Body: +50000 bytes" "one in chunks comes with its length too"
fetch "$URL1/cgi-bin/environment.sh" --head
is "$status" 200 "HEAD runs it as well"

note "forms, uploads, cookies"
if command -v python3 >/dev/null; then
    fetch "$URL1/cgi-bin/form.py" --data-urlencode "name=<Aurora>" --data "cargo=tea"
    like "$body" "Welcome, &lt;Aurora&gt;. tea is unloaded" "a form is read, and its values are escaped"
    fetch "$URL1/cgi-bin/upload.py" -F "file=@$checkout/Cargo.toml"
    like "$body" "^Cargo.toml: $(wc -c <"$checkout/Cargo.toml" | tr -d ' ') bytes" "an upload is whole"
    fetch "$URL1/cgi-bin/upload.py" --data x
    is "$status" 415 "a script chooses its status"
else
    skip 3 "python3 is not installed"
fi
if command -v perl >/dev/null; then
    fetch "$URL1/cgi-bin/counter.pl" -b "visits=41"
    like "$body" "here 42 times" "a cookie comes in"
    like "$(header Set-Cookie)" "^visits=42;" "and goes out"
else
    skip 2 "perl is not installed"
fi
fetch "$URL1/cgi-bin/hello.php?name=x"
if command -v php-cgi >/dev/null; then
    like "$body" "^Hello from PHP .*, x" "PHP is run by php-cgi"
else
    is "$status" 502 "without php-cgi PHP is 502"
fi

note "redirects and streams"
fetch "$URL1/cgi-bin/redirect.sh"
is "$status $body" "200 hello GET" "a path is followed inside"
fetch "$URL1/cgi-bin/redirect.sh?client"
is "$status $(header Location)" "303 /hello" "beside a status it is for the client"
fetch "$URL1/cgi-bin/clock.sh?2"
is "$(printf '%s\n' "$body" | grep -c '^data: ')" 2 "a stream sends its events"
is "$(header Content-Length)" "" "and has no length"
first=$(curl -sN --max-time 5 "$URL1/cgi-bin/clock.sh" | head -n 1)
like "$first" "^data: [0-9:]+$" "the first arrives at once, though the stream has no end"

note "what fails, and what the log says"
fetch "$URL1/own/none.sh"
is "$status" 404 "no such script: 404"
fetch "$URL1/own/plain.sh"
is "$status" 403 "not executable: 403"
ok "and what to do about it" says "chmod +x"
fetch "$URL1/own/no-line.sh"
is "$status" 502 "no #! line: 502"
ok "and what to write there" says 'does not begin with'
fetch "$URL1/own/windows.sh"
is "$status" 502 "Windows line ends: 502"
ok "and how to fix them" says "save it with Unix line ends"
fetch "$URL1/own/headless.sh"
is "$status" 502 "no head: 502"
ok "and what is missing" says "an empty line must stand"
fetch "$URL1/own/crash.sh"
is "$status" 502 "a crash: 502"
ok "and by which signal" says "SIGSEGV"

note "time, room and crowds"
fetch "$URL1/own/hang.sh"
is "$status" 504 "too long: 504"
script_gone() { ! kill -0 "$(cat "$DIR/run/pid")"; }
ok "and the script is gone" wait_until script_gone
curl -s -o /dev/null "$URL1/one/slow.sh" &
running=$!
wait_until [ -e "$DIR/run/slow" ]
fetch "$URL1/one/slow.sh"
is "$status" 503 "one too many: 503"
is "$(header Retry-After)" 1 "and when to come again"
: >"$DIR/run/go"
wait "$running"
fetch "$URL1/small/environment.sh"
is "$status" 200 "little room is enough for a small script"
fetch "$URL1/echo/x"
is "$status $body" "200 you asked for /echo/x" "any program can answer"

note "without a server"
# shown ARGUMENT...: what `longshore cgi run` shows of a script under the conf of this server; $code is its exit code.
shown() {
    body=$("$SERVER" cgi run "$@" -p "$DIR" -c server.conf 2>"$DIR/said")
    code=$?
}
shown "$DIR"/cgi-bin/environment.sh --url '/cgi-bin/environment.sh/more?a=b' -H "X-Colour: blue" -H "Proxy: http://evil/"
is "$code" 0 "a script can be tried by itself"
like "$body" "^PATH_INFO=/more$" "with the environment that the conf gives it"
like "$body" "^HTTP_X_COLOUR=blue$" "and fields of one's own"
unlike "$body" "^HTTP_PROXY" "but no others than from a client"
like "$body" "^somebody looked at the environment$" "its standard error is shown"
like "$body" "^exit status: 0, after [0-9.]+ ms$" "and how it ended"
printf 'name=x' | file form
shown "$DIR"/cgi-bin/environment.sh --body "$DIR/form"
like "$body" "^Body: +6 bytes of application/x-www-form-urlencoded" "a file can be its body"
shown "$DIR"/cgi-bin/clock.sh --url '?2'
is "$(printf '%s\n' "$body" | grep -c '^data: ')" 2 "a stream is followed to its end, and found without a URL"
shown "$DIR"/cgi-bin/redirect.sh
like "$body" "^hello GET" "a local redirect is followed"
shown "$DIR"/own/crash.sh
like "$code $body" "^reason: cgi-killed" "a failure has its reason"
shown "$DIR"/own/hang.sh --url /own/hang.sh
like "$body" "^HTTP/1.1 504 " "one that hangs is given up"
ok "and gone" script_gone
body=$("$SERVER" cgi run "$DIR/own/headless.sh")
like "$body" "reason: cgi-no-head-end|reason: cgi-bad-head" "without a conf every file is a script"

stop
