#!/bin/sh
# The packs that come with the program hold: of the conf beside them, and of a server that runs it, whose process is watched. Of a
# server that does something else they do not.
. "$(dirname "$0")/lib.sh"
plan 21
if is_nginx; then
    skip 21 "nginx has no such word"
    exit
fi

packs=$DIR/packs
longshore=$SERVER
like "$("$SERVER" expect --list-packs)" "^webserv42 +[a-z]" "the packs are listed"
"$SERVER" expect --print-pack localhost01 >"$DIR/printed"
ok "one is printed" cmp "$checkout/conf/packs/localhost01.expect" "$DIR/printed"
"$SERVER" expect --print-pack nothing >/dev/null 2>"$DIR/said"
like "$? $(cat "$DIR/said")" "localhost01, webserv42" "one that is not there is told"
"$SERVER" expect --pack webserv42 --pack localhost01 --unpack "$packs" 2>"$DIR/said"
is "$? $(cd "$packs" && echo *)" "0 localhost01.conf localhost01.expect site webserv42.conf webserv42.expect" "both are unpacked"
for path in localhost01.conf localhost01.expect webserv42.conf webserv42.expect \
    $(cd "$checkout/conf/packs" && find site -type f ! -name .gitignore); do
    cmp "$checkout/conf/packs/$path" "$packs/$path"
    case $path in *.sh) [ -x "$packs/$path" ] || echo "$path cannot be run" ;; esac
done >"$DIR/differ" 2>&1
is "$(cat "$DIR/differ")" "" "as they stand in the source"
echo other >"$packs/webserv42.conf"
"$SERVER" expect --pack webserv42 --unpack "$packs" 2>"$DIR/said"
like "$? $(cat "$DIR/said")" "^2 .*webserv42.conf is there already" "what is there is not replaced"

for pack in webserv42 localhost01; do
    said=$("$SERVER" expect --pack "$pack" 2>&1)
    is "$?" 0 "$pack, without a server, its own conf"
    note "$(printf '%s\n' "$said" | grep -v '^ok ')"
done

# Of a server that runs. One that root starts is another user, who must be let in.
rm -rf "$DIR/site"
cp -r "$packs/site" "$DIR/site"
chmod 777 "$DIR/site/up" "$DIR/site/form"
live() {
    pack=$1
    shift
    "$longshore" expect --pack "$pack" --live "$URL1" --set "port1=$PORT1" --set "port2=$PORT2" --pid "$server_pid" "$@" 2>&1
}
for pack in webserv42 localhost01; do
    sed 's/listen 8080/listen 127.0.0.1:%PORT1%/; s/listen 8081/listen 127.0.0.1:%PORT2%/' "$checkout/conf/packs/$pack.conf" >"$DIR/ports"
    serve <"$DIR/ports"
    said=$(live "$pack")
    is "$?" 0 "$pack, of a server that runs"
    note "$(printf '%s\n' "$said" | grep -v '^ok ')"
    is "$(printf '%s\n' "$said" | grep -cE '^ok .*(zombie|stays open|does not grow)')" 3 "$pack: nothing stays behind in the process"
    stop
done

# A wrong server: nginx runs no scripts and takes no forms.
nginx=$(command -v nginx || command -v /usr/sbin/nginx) || {
    skip 7 "nginx is not installed"
    exit
}
SERVER=$nginx
serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root site;
    error_page 404 /errors/404.html;
    client_header_timeout 2s;
    location = /old     { return 301 /index.html; }
    location /files/    { autoindex on; }
    location /limited/  { alias site/cgi-bin/; client_max_body_size 100; }
}
server {
    listen 127.0.0.1:%PORT1%;
    server_name other.test;
    root site/files;
}
server {
    listen 127.0.0.1:%PORT2%;
    root site/files;
    index a.txt;
}
CONF
said=$(live webserv42 --set upload= --set hangs=)
is "$?" 1 "a server without CGI fails"
for right in 'Ports and host names +4 of 4' 'CGI +1 of 7 +<-'; do
    like "$said" "^# $right" "and the sections say where: $right"
done
like "$said" 'the script itself came, it was not run: ' "a script that is not run is told"
like "$said" '^ok .*[$]{hangs} .*# SKIP hangs is empty' "a route that is said not to be there is left out"
like "$said" '^# webserv42:[0-9]+: wanted 413; 405 came' "a limit that is not there too"
stop
