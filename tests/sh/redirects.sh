#!/bin/sh
# Redirects: return, the slash behind a folder, and how the address in Location is made.
. "$(dirname "$0")/lib.sh"
plan 25

echo "manual" | file html/docs/index.html
echo "new" | file html/new.html

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    server_name old.test first.test;
    root html;

    # 301 and 308 are for good, 302 and 307 for now. 307 and 308 keep method and body.
    location = /301 { return 301 /new.html; }
    location = /302 { return 302 /new.html; }
    location = /303 { return 303 /new.html; }
    location = /307 { return 307 /new.html; }
    location = /308 { return 308 /new.html; }

    # Without a code an address means 302.
    location = /away { return http://example.com/; }

    # Variables keep what was asked for.
    location /old/ { return 301 /new.html?from=$uri; }
    location = /secure { return 301 https://$host$request_uri; }

    # The address in Location is made whole, unless absolute_redirect is off.
    location = /relative { absolute_redirect off; return 301 /new.html; }

    # The name in it is the one the client used, unless the server's first name is wanted.
    location = /named { server_name_in_redirect on; return 301 /new.html; }

    # The port is in it, unless the server stands behind something that maps ports.
    location = /portless { port_in_redirect off; return 301 /new.html; }

    # try_files can end in a redirect too.
    location /try/ { try_files $uri @elsewhere; }
    location @elsewhere { return 302 /new.html; }
}
CONF

note "codes"
for code in 301 302 303 307 308; do
    fetch "$URL1/$code"
    is "$status" "$code" "return $code"
    is "$(header Location)" "$URL1/new.html" "with the address in Location"
done
fetch "$URL1/away"
is "$status" 302 "an address alone: 302"
is "$(header Location)" "http://example.com/" "elsewhere as it stands"

note "what was asked for"
fetch "$URL1/old/page?x=1"
is "$(header Location)" "$URL1/new.html?from=/old/page" "\$uri is the path"
fetch "$URL1/secure?x=1" -H 'Host: old.test'
is "$(header Location)" "https://old.test/secure?x=1" "\$request_uri is all of it"

note "a folder without its slash"
fetch "$URL1/docs"
is "$status" 301 "the client is sent on: 301"
is "$(header Location)" "$URL1/docs/" "to the address with the slash"
fetch "$URL1/docs?page=2"
is "$(header Location)" "$URL1/docs/?page=2" "the query goes along"

note "the address"
fetch "$URL1/302" -H 'Host: other.test'
is "$(header Location)" "http://other.test:$PORT1/new.html" "the name is the one the client used"
fetch "$URL1/named" -H 'Host: other.test'
is "$(header Location)" "http://old.test:$PORT1/new.html" "server_name_in_redirect on: the server's first name"
fetch "$URL1/portless"
is "$(header Location)" "http://127.0.0.1/new.html" "port_in_redirect off: no port"
fetch "$URL1/relative"
is "$(header Location)" "/new.html" "absolute_redirect off: the path alone"

note "clients that follow"
fetch "$URL1/301" -L
is "$body" "new" "curl -L arrives"
fetch "$URL1/docs" -L
is "$body" "manual" "in a folder as well"
fetch "$URL1/try/nothing" -L
is "$body" "new" "try_files can end in a redirect"

stop
