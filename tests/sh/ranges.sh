#!/bin/sh
# Ranges and conditions: parts of a file, resumed downloads, and "only if it changed".
. "$(dirname "$0")/lib.sh"
plan 31

printf '0123456789' | file html/digits.txt
printf '0123456789' | file html/one/digits.txt
printf '0123456789' | file html/none/digits.txt
printf '0123456789' | file html/untagged/digits.txt

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root html;

    # How many ranges one request may ask for. 0 switches ranges off.
    location /one/  { max_ranges 1; }
    location /none/ { max_ranges 0; }

    location /untagged/ { etag off; }
}
CONF

note "one range"
fetch "$URL1/digits.txt"
is "$(header Accept-Ranges)" "bytes" "a file says that it can be had in parts"

fetch "$URL1/digits.txt" -r 0-3
is "$status" 206 "a range: 206"
is "$body" "0123" "first and last position count both"
is "$(header Content-Range)" "bytes 0-3/10" "the answer says which part it is"
is "$(header Content-Length)" 4 "and how long"

fetch "$URL1/digits.txt" -r 7-
is "$body" "789" "from a position to the end"
fetch "$URL1/digits.txt" -r -2
is "$body" "89" "the last two bytes"
fetch "$URL1/digits.txt" -r 8-100
is "$body" "89" "an end beyond the file is cut"
is "$(header Content-Range)" "bytes 8-9/10" "as the answer tells"

fetch "$URL1/digits.txt" -r 10-
is "$status" 416 "a range beyond the file: 416"
is "$(header Content-Range)" "bytes */10" "with the size, so that the client can try again"

fetch "$URL1/digits.txt" -r 5-2
like "$status" "200|416" "a range that ends before it begins is no range"

note "several ranges"
fetch "$URL1/digits.txt" -r 0-1,8-9
is "$status" 206 "two ranges: 206"
like "$(header Content-Type)" "^multipart/byteranges; boundary=" "in an answer of several parts"
like "$body" "Content-Range: bytes 0-1/10" "the first part says where it is from"
like "$body" "Content-Range: bytes 8-9/10" "the second as well"
fetch "$URL1/one/digits.txt" -r 0-1,8-9
is "$status" 200 "more ranges than max_ranges: the whole file"
is "$body" "0123456789" "from its beginning"
fetch "$URL1/none/digits.txt" -r 0-1
is "$status" 200 "max_ranges 0: always the whole file"

note "a download that goes on where it stopped"
printf '01234' >"$DIR/partly"
curl -s -C - -o "$DIR/partly" "$URL1/digits.txt"
is "$(cat "$DIR/partly")" "0123456789" "curl -C - fetches only what is missing"

note "only if it is still the same file"
# A file that has just changed has a longer tag, so that a change within its second is seen; nginx has the short one always.
find "$DIR" -name digits.txt -exec touch -d '2020-01-01 00:00:00' {} +
fetch "$URL1/digits.txt"
etag=$(header ETag)
modified=$(header Last-Modified)
like "$etag" '^"[0-9a-f]+-a"$' "a file has a tag: its time and size"
fetch "$URL1/digits.txt" -r 5- -H "If-Range: $etag"
is "$status" 206 "If-Range with its tag: the range"
fetch "$URL1/digits.txt" -r 5- -H 'If-Range: "another"'
is "$status" 200 "with another tag: the whole file"
fetch "$URL1/digits.txt" -r 5- -H "If-Range: $modified"
is "$status" 206 "If-Range with its date: the range"

note "only if it changed"
fetch "$URL1/digits.txt" -H "If-None-Match: $etag"
is "$status" 304 "the client has this tag already: 304"
is "$body" "" "and nothing is sent"
fetch "$URL1/digits.txt" -H "If-None-Match: \"another\", $etag"
is "$status" 304 "it may name several"
fetch "$URL1/digits.txt" -H "If-Modified-Since: $modified"
is "$status" 304 "the client has this date already: 304"
fetch "$URL1/digits.txt" -H 'If-Match: "another"'
is "$status" 412 "If-Match with another tag: 412"
fetch "$URL1/untagged/digits.txt"
is "$(header ETag)" "" "etag off: no tag"

stop
