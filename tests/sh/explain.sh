#!/bin/sh
# `longshore explain`, as somebody asks it at two in the morning: why 403, which location took it, what is the limit, may files
# be stored there? No server runs for the questions; at the end one does, and says the same.
. "$(dirname "$0")/lib.sh"
plan 31
if is_nginx; then
    skip 31 "nginx has no such word"
    exit
fi

file html/index.php <<'END'
<?php echo 1;
END
file html/a.txt <<'END'
hello
END
mkdir -p "$DIR/store"
chmod 777 "$DIR/store"
conf() {
    sed "s/%PORT1%/${PORT1:-8080}/" >"$DIR/site.conf" <<'CONF'
debug_clients 127.0.0.1;
upstream app {
    server 127.0.0.1:9001 weight=3;
    server 127.0.0.1:9002 backup;
}
server {
    listen 127.0.0.1:%PORT1%;
    server_name blog.test www.blog.test;
    root html;
    index index.php index.html;
    error_page 404 /a.txt;
    error_page 500 502 /b.txt;
    location / {
        try_files $uri $uri/ /index.php?$args;
    }
    location ~ \.php$ {
        fastcgi_pass unix:/run/php/php-fpm.sock;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    }
    location /private/ {
        allow 10.0.0.0/8;
        deny all;
    }
    location /up {
        client_max_body_size 2m;
        upload_store store;
    }
    location /api/ {
        proxy_pass http://app/v1/;
        proxy_set_header X-Real-IP $remote_addr;
        early_hints $arg_hints;
    }
    location = /old {
        return 301 /new;
    }
    location = /report {
        cgi_pass /bin/true;
        post_action /a.txt;
    }
    location = /gathered {
        cgi_pass /bin/true;
        cgi_buffering on;
    }
    location /static/ {
        alias html/;
        expires 1h;
        add_header X-Frame-Options DENY;
    }
    location = /ask {
        internal;
        proxy_pass http://app;
    }
    location /guarded/ {
        auth_request /ask;
        auth_request_set $user $upstream_http_remote_user;
        alias html/;
    }
}
server {
    listen 127.0.0.1:%PORT1% default_server;
    return 404;
}
CONF
}
conf
ask() {
    (cd "$DIR" && "$SERVER" explain -c site.conf "$@" 2>&1)
}

said=$(ask http://blog.test:8080/private/x)
like "$said" "=> 403 Forbidden  .403/denied site.conf:22.$" "why 403 for /private/x? the line that denies"
like "$said" "127.0.0.1 may not come in" "and who is denied"
said=$(ask --client 10.1.2.3 http://blog.test:8080/private/x)
unlike "$said" "=> 403|403/denied|may not come in" "somebody else may come in"
said=$(ask http://blog.test:8080/post/7?x=1)
like "$said" "goes on as ./index.php[?]x=1., from inside" "what try_files falls back to"
like "$said" "passed on by fastcgi_pass to unix:/run/php/php-fpm.sock" "which location took it: the one for PHP"
like "$said" "SCRIPT_FILENAME=.*/html/index.php" "and what the program is told"
said=$(ask --body-size 3000000 http://blog.test:8080/up)
like "$said" "413/body-too-large site.conf:25" "what body limit is on /up?"
said=$(ask -H 'Content-Type: multipart/form-data; boundary=x' --body-size 300 http://blog.test:8080/up)
like "$said" "store/*  may be written in" "the server's user may store files there"
said=$(ask http://blog.test:8080/api/users?id=7)
like "$said" "GET /v1/users[?]id=7 HTTP/1.0" "what the other server is sent"
like "$said" "127.0.0.1:9001  weight=3  asked first" "and which of them is asked first"
like "$said" "103 .Early Hints. responses are dropped: each string is empty or .0." "nobody asked for hints"
said=$(ask "http://blog.test:8080/api/users?hints=1")
like "$said" "103 .Early Hints. responses are passed to this client" "somebody did"
said=$(ask http://blog.test:8080/report)
like "$said" "pauses for 50 ms after its head" "when the response of a script goes out"
like "$said" "/a.txt. would be asked once the response is out" "and who hears of it afterwards"
said=$(ask http://blog.test:8080/gathered)
like "$said" "goes out when the script ends" "and when that of another does"
said=$(ask http://blog.test:8080/static/a.txt)
like "$said" "X-Frame-Options: DENY" "the fields of the answer"
said=$(ask http://other.test:8080/)
like "$said" "no server here has the name .other.test., and this one is the default" "whose name fits no server"
said=$(ask http://blog.test:8080/static/none)
like "$said" "error_page 404 /a.txt; *site.conf:11" "which of two error_page lines is meant"

# What nobody was asked about is not said to be sure.
said=$(ask http://blog.test:8080/guarded/a.txt | tr -s '\n ' ' ')
like "$said" "=> 200 OK if it is let in: ./ask. was not asked and is taken to answer 2xx, and what" "a guard that was not asked"
said=$(ask --format json http://blog.test:8080/guarded/a.txt)
like "$said" '"status":null,"end":"answer","presumed":."./ask. was not asked' "in JSON the status is open"
like "$(ask --format json http://blog.test:8080/old)" '"status":301,"end":"answer","presumed":..,' "where all is sure it is not"
like "$(ask --as-expect http://blog.test:8080/guarded/a.txt)" '^# GET .* -> [?]  200 OK, if it is let in$' "no line for expect"
said=$(ask --short http://blog.test:8080/static/a.txt http://blog.test:8080/private/x)
is "$(printf '%s\n' "$said" | wc -l | tr -d ' ')" 9 "--short is a few lines each"
like "$(printf '%s\n' "$said" | tr '\n' ' ')" "=> 200 OK .*location /static/ .*html/a.txt GET .*=> 403 Forbidden .*location /private/" "with status, location and file"

long=$(for path in /private/x /post/7 /up /api/x /static/a.txt /none.txt; do
    ask "http://blog.test:8080$path"
done | grep -v '^  \(/\|[A-Z_]*=\|[-dl][-rwx]\)' | awk 'length > 100')
is "$long" "" "no line is wider than a hundred columns"
is "$(ask --format json http://blog.test:8080/old | wc -l | tr -d ' ')" 1 "JSON is one line"
is "$(ask http://blog.test:8080/old | grep -c "$(printf '\033')")" 0 "no colours where no terminal is"

# The lines for expect hold, without a server and of one that runs.
serve <<'CONF'
server { listen 127.0.0.1:%PORT1%; }
CONF
stop
conf
ask --as-expect "http://blog.test:$PORT1/private/x" "http://blog.test:$PORT1/old" "http://blog.test:$PORT1/static/a.txt" \
    "http://blog.test:$PORT1/static/" "http://blog.test:$PORT1/api/x" "http://other.test:$PORT1/" >"$DIR/site.expect"
said=$("$SERVER" expect "$DIR/site.expect" -c "$DIR/site.conf" -p "$DIR" 2>&1)
is "$? $(printf '%s\n' "$said" | grep -c '^ok ')" "0 4" "what explain writes for expect passes"
note "$said"
serve <"$DIR/site.conf"
said=$("$SERVER" expect "$DIR/site.expect" --live "$URL1" 2>&1)
is "$? $(printf '%s\n' "$said" | grep -c '^ok ')" "0 4" "and the server that runs answers so"
note "$said"
stop
