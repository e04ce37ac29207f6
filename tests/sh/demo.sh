#!/bin/sh
# The demo conf, on other ports: each thing that html/index.html promises is there.
. "$(dirname "$0")/lib.sh"
plan 33

cp "$checkout/conf/mime.types" "$DIR/"
cp -R "$checkout/html/." "$DIR/html/"
cp -R "$checkout/cgi-bin" "$DIR/"

# The conf is a whole one, so it takes the place of what `serve` would write. nginx gets it without the lines that only
# Longshore knows.
write_conf() {
    scratch_folders >"$DIR/scratch.conf"
    {
        echo "pid server.pid;"
        sed -e "s|127.0.0.1:8080|127.0.0.1:$PORT1|" -e "s|127.0.0.1:8081|127.0.0.1:$PORT2|" \
            -e "s|127.0.0.1:8082|127.0.0.1:$PORT3|" -e "s|^http {|http { include scratch.conf;|" \
            "$checkout/conf/longshore.conf"
    } >"$DIR/whole.conf"
    if is_nginx; then
        sed '/# ours/d' "$DIR/whole.conf" >"$DIR/server.conf"
    else
        cp "$DIR/whole.conf" "$DIR/server.conf"
    fi
}
serve </dev/null

note "the first port"
fetch "$URL1/"
is "$status" 200 "the start page"
is "$(header Content-Type)" "text/html" "is HTML"
like "$body" "It works" "and says that it works"
for link in $(printf '%s\n' "$body" | sed -n 's|.*<a href="\(/[^"?]*\).*|\1|p'); do
    fetch "$URL1$link"
    case $link in
        /nowhere | /guess/again) wanted=404 ;;
        /broken) wanted=500 ;;
        /old) wanted=301 ;;
        /private/) wanted=403 ;;
        *) wanted=200 ;;
    esac
    is "$status" "$wanted" "$link answers $wanted"
done
fetch "$URL1/files/"
like "$body" "manifest.json" "the listing names the files"
fetch "$URL1/api/files/"
is "$(header Content-Type)" "application/json" "for programs it is JSON"
fetch "$URL1/nowhere"
like "$body" "Nothing is moored here" "404 has a page of its own"
fetch "$URL1/errors/404.html"
is "$status" 404 "which nobody can ask for"
fetch "$URL1/post" --data "$(repeat a 1000)"
is "$body" "Thank you for 1000 bytes." "1000 bytes are taken"
fetch "$URL1/post" --data "$(repeat a 1001)"
is "$status" 413 "1001 are not"
like "$body" "Too heavy" "with a page of its own"
fetch "$URL1/assets/style.css"
is "$(header Cache-Control)" "max-age=86400" "the style sheet may be kept for a day"

note "the second port"
fetch "$URL2/" -H 'Host: east.localhost'
like "$body" "The east pier" "one site"
fetch "$URL2/" -H 'Host: west.localhost'
like "$body" "The west pier" "and another"
is "$(header X-Pier)" "west" "with a header of its own"
fetch "$URL2/assets/style.css" -H 'Host: west.localhost'
is "$status" 200 "both have the style sheet"

note "the third port"
fetch "$URL3/"
is "$status" 200 "the same start page"
fetch "$URL3/?$(repeat 0 1100)"
is "$status" 414 "under narrow limits"

note "ours only"
if is_nginx; then
    skip 5 "allow_methods and error_template are not in nginx"
else
    fetch "$URL1/read-only/tides.csv" -X DELETE
    is "$status" 405 "a folder that is for reading"
    like "$(header Allow)" "GET" "says what is allowed"
    fetch "$URL3/" -X PUT
    is "$status" 405 "so does a whole port"
    fetch "$URL3/post"
    is "$status" 405 "a location may say otherwise"
    fetch "$URL3/nowhere"
    like "$body" '<div class="code">404</div>' "one page for all errors"
fi

stop
