#!/bin/sh
# Limits: each one is tried just below and just above.
. "$(dirname "$0")/lib.sh"
plan 27

echo "home" | file html/index.html

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root html;

    # How long the head of a request may be: two buffers of 1 KiB, and each line must fit into one.
    client_header_buffer_size 512;
    large_client_header_buffers 2 1k;

    # How many requests one connection may carry.
    keepalive_requests 2;

    # How large a body may be. A location may say otherwise; 0 stands for no limit.
    client_max_body_size 10;
    location = /small { return 200 "taken\n"; }
    location = /large { client_max_body_size 1m; return 200 "taken\n"; }
    location = /any   { client_max_body_size 0; return 200 "taken\n"; }
    location = /page  { client_max_body_size 1; error_page 413 /413.html; return 200 "taken\n"; }
    location = /413.html { return 200 "too much\n"; }
}
server {
    listen 127.0.0.1:%PORT2%;
    root html;

    # How long a client may take for the head of its request.
    client_header_timeout 1s;
}
# Other ports have other limits. Nothing is said here, so these are the defaults: 1 MiB for a body, 8 KiB for a line.
server {
    listen 127.0.0.1:%PORT3%;
    root html;
    location = /upload { return 200 "taken\n"; }
}
CONF

note "the body"
fetch "$URL1/small" --data "$(repeat a 10)"
is "$status" 200 "a body of exactly the limit is taken"
fetch "$URL1/small" --data "$(repeat a 11)"
is "$status" 413 "one byte more: 413"
like "$body" "<title>413 Request Entity Too Large</title>" "with a page that says so"

repeat a 1048576 | file largest
repeat a 1048577 | file too_large
fetch "$URL1/large" --data-binary "@$DIR/largest"
is "$status" 200 "the limit of a location replaces the server's"
fetch "$URL1/large" --data-binary "@$DIR/too_large"
is "$status" 413 "and holds to the byte"
fetch "$URL1/any" --data-binary "@$DIR/too_large"
is "$status" 200 "0 switches the limit off"

# curl asks with "Expect: 100-continue" before it sends so much. Without, the whole body is on its way when the server
# refuses it, and the answer must reach the client all the same.
fetch "$URL1/small" --data-binary "@$DIR/too_large" -H 'Expect:'
is "$status" 413 "the answer arrives while the client is still sending"

fetch "$URL1/page" --data "12"
is "$body" "too much" "413 can have a page of your own"

fetch "$URL3/upload" --data-binary "@$DIR/largest"
is "$status" 200 "by default 1 MiB is taken"
fetch "$URL3/upload" --data-binary "@$DIR/too_large"
is "$status" 413 "and not a byte more"

note "the request line"
fetch "$URL1/index.html?$(repeat q 900)"
is "$status" 200 "a request line that fits into a buffer"
fetch "$URL1/index.html?$(repeat q 1100)"
is "$status" 414 "one that does not: 414"
fetch "$URL3/index.html?$(repeat q 7000)"
is "$status" 200 "the default has room for 7000 bytes"
fetch "$URL3/index.html?$(repeat q 9000)"
is "$status" 414 "not for 9000"

note "the header lines"
fetch "$URL1/" -H "X-Long: $(repeat x 900)"
is "$status" 200 "a header line that fits into a buffer"
fetch "$URL1/" -H "X-Long: $(repeat x 1100)"
is "$status" 400 "one that does not: 400"
like "$body" "Request Header Or Cookie Too Large" "with a page that says what was too large"
fetch "$URL1/" -H "A: $(repeat x 900)" -H "B: $(repeat x 900)"
is "$status" 200 "several lines that fit into the buffers together"
fetch "$URL1/" -H "A: $(repeat x 900)" -H "B: $(repeat x 900)" -H "C: $(repeat x 900)"
is "$status" 400 "one line too many: 400"
fetch "$URL3/" -H "A: $(repeat x 6000)" -H "B: $(repeat x 6000)" -H "C: $(repeat x 6000)"
is "$status" 200 "the default has room for all three, and more"

note "one connection"
connections=$(curl -s -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' "$URL1/?[1-3]")
is "$connections" "1 0 1 " "after keepalive_requests the client has to connect anew"
connections=$(curl -s -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' "$URL3/?[1-3]")
is "$connections" "1 0 0 " "by default it need not so soon"
fetch "$URL1/" -H 'Connection: close'
is "$(header Connection)" "close" "a client may ask to close"

note "time"
# This client sends its head a line at a time, and never comes to an end. When it is cut off, the pipe breaks and the
# loop with it.
trickle() {
    printf 'GET / HTTP/1.1\r\nHost: localhost\r\n'
    while printf 'X-More: to come\r\n' 2>/dev/null; do sleep 0.1; done
}
started=$(date +%s)
trickle | talk "$PORT2" >"$DIR/late"
took=$(($(date +%s) - started))
unlike "$(cat "$DIR/late")" "200 OK" "a head that does not end in time gets no page"
ok "and is cut off soon after its time" test "$took" -le 5

# Nobody else waits for such a client.
fetch "$URL2/"
is "$status" 200 "the others are served"

stop
