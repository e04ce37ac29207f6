#!/bin/sh
# Uploads: PUT with dav_methods, which nginx has too, and forms with upload_store, which is ours: curl -F, JSON for programs,
# names that are taken, limits, two at once, a full disk, and nothing left of what broke off.
. "$(dirname "$0")/lib.sh"
plan 44

mkdir -p "$DIR/html/files" "$DIR/store"
chmod 777 "$DIR/html/files" "$DIR/store"

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    root   html;
    location /files/ {
        dav_methods          PUT DELETE MKCOL COPY MOVE;
        create_full_put_path on;
        dav_access           group:rw all:r;
        client_max_body_size 20m;
    }
}
CONF

head -c 5000000 /dev/urandom >"$DIR/large"
note "PUT"
fetch "$URL1/files/a/b.bin" -T "$DIR/large"
is "$status" 201 "curl -T makes a file, and the folders on its way"
like "$(header Location)" "/files/a/b.bin\$" "and is told where it is"
ok "it is the same file" cmp "$DIR/large" "$DIR/html/files/a/b.bin"
is "$(cd "$DIR/html/files/a" && find b.bin -printf %m)" 664 "with the rights of dav_access"
fetch "$URL1/files/a/b.bin" -T "$DIR/large"
is "$status" 204 "the second time it is replaced"
fetch "$URL1/files/a/b.bin" -X COPY -H "Destination: $URL1/files/a/c.bin"
is "$status" 204 "COPY"
fetch "$URL1/files/a/" -X MOVE -H "Destination: /files/d/"
is "$status" 201 "MOVE of the folder"
ok "everything is in it" cmp "$DIR/large" "$DIR/html/files/d/c.bin"
fetch "$URL1/files/d/" -X DELETE
is "$status" 204 "DELETE"
is "$(ls -A "$DIR/html/files")" "" "leaves nothing"
curl -s --max-time 2 --limit-rate 1000 -T "$DIR/large" "$URL1/files/broken" >"$DIR/none"
fetch "$URL1/files/broken"
is "$status" 404 "of a PUT that breaks off nothing is seen"

note "two at once onto one name"
head -c 3000000 /dev/zero >"$DIR/zeros"
curl -s -o /dev/null -w '%{http_code}\n' --limit-rate 4M -T "$DIR/zeros" "$URL1/files/race" >"$DIR/first" &
slow=$!
curl -s -o /dev/null -w '%{http_code}\n' --limit-rate 5M -T "$DIR/large" "$URL1/files/race" >"$DIR/second"
wait "$slow"
is "$(cat "$DIR/first" "$DIR/second" | sort | tr '\n' ' ')" "201 204 " "one makes the file, the other replaces it"
ok "it is one of them, and whole" sh -c "cmp -s '$DIR/zeros' '$DIR/html/files/race' || cmp -s '$DIR/large' '$DIR/html/files/race'"
is "$(ls -A "$DIR/html/files")" "race" "and nothing else is left"
stop

if is_nginx; then
    skip 29 "upload_store is not in nginx"
    exit
fi

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    client_max_body_size 0;
    types { text/plain txt; image/png png; }
    default_type application/octet-stream;
    location /up/     { upload_store %DIR%/store; upload_delete on; }
    location /number/ { upload_store %DIR%/store; upload_on_conflict rename; upload_max_file_size 1m; }
    location /quota/  { upload_store %DIR%/store; upload_quota 12m; upload_on_conflict overwrite; }
    location /full/   { upload_store %DIR%/small; }
    location /disk/   { alias %DIR%/; dav_methods PUT COPY; }
}
CONF

note "a form"
fetch "$URL1/up/"
like "$body" 'enctype="multipart/form-data"' "GET is a page with a form"
fetch "$URL1/up/" -F "file=@$DIR/large;filename=../../large file.bin" -H 'Accept: application/json'
is "$status" 201 "curl -F stores a file"
sum=$(sha256sum "$DIR/large" | cut -d ' ' -f 1)
like "$body" "\"name\":\"large file.bin\",\"size\":5000000,\"url\":\"/up/large%20file.bin\",\"sha256\":\"$sum\"" "JSON tells all of it"
ok "it is the same file" cmp "$DIR/large" "$DIR/store/large file.bin"
fetch "$URL1/up/large%20file.bin" --head
is "$(header X-Content-Type-Options)" nosniff "it is served with nosniff"
curl -s -o "$DIR/back" "$URL1/up/large%20file.bin"
ok "and comes back whole" cmp "$DIR/large" "$DIR/back"
fetch "$URL1/up/" -F "file=@$DIR/large;filename=large file.bin"
is "$status" 409 "a name that is taken is refused"
fetch "$URL1/number/" -F "file=@-;filename=a.txt" -F "file=@-;filename=a.txt" -H 'Accept: application/json' <"$DIR/none"
is "$status" 201 "or gets a number"
ok "before the extension" test -f "$DIR/store/a-1.txt"
fetch "$URL1/number/" -F "file=@$DIR/large"
is "$status" 413 "upload_max_file_size"
fetch "$URL1/quota/" -F "file=@$DIR/large;filename=b"
is "$status" 201 "within the quota"
fetch "$URL1/quota/" -F "file=@$DIR/large;filename=c"
is "$status" 507 "beyond it"

note "many at once onto one name"
mkdir "$DIR/codes"
pids=
for n in 1 2 3 4 5 6 7 8; do
    curl -s -o /dev/null -w '%{http_code}\n' -F "file=@$DIR/server.conf;filename=one" "$URL1/up/" >"$DIR/codes/$n" &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
is "$(cat "$DIR"/codes/* | sort | uniq -c | sort -n | awk '{ printf "%s:%s ", $2, $1 }')" "201:1 409:7 " "one gets the name"
for n in 1 2 3 4 5 6 7 8; do
    curl -s -o /dev/null -w '%{http_code}\n' -F "file=@$DIR/server.conf;filename=n.conf" "$URL1/number/" >"$DIR/codes/$n" &
    pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
is "$(cat "$DIR"/codes/* | sort | uniq -c | awk '{ printf "%s:%s ", $2, $1 }')" "201:8 " "or each gets its own"
is "$(find "$DIR/store" -name 'n*.conf' | wc -l | tr -d ' ')" 8 "and nothing is lost"

note "what breaks off"
before=$(ls -A "$DIR/store")
curl -s --max-time 2 --limit-rate 1000 -F "file=@$DIR/large;filename=half" "$URL1/up/" >"$DIR/none"
fetch "$URL1/up/half"
is "$status" 404 "is not seen"
is "$(ls -A "$DIR/store")" "$before" "and leaves nothing behind"

note "removal"
fetch "$URL1/up/b" -X DELETE
is "$status" 204 "DELETE removes a file"
fetch "$URL1/up/" -d "delete=one" -H "Origin: $URL1"
is "$status" 303 "and so does the page's form"
ok "they are gone" test ! -e "$DIR/store/b" -a ! -e "$DIR/store/one"

note "a full disk"
mkdir "$DIR/small"
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=1m,mode=777 tmpfs "$DIR/small" 2>/dev/null; then
    fetch "$URL1/full/" -F "file=@$DIR/large"
    is "$status" 507 "no room: 507"
    is "$(ls -A "$DIR/small")" "" "nothing half written"
    fetch "$URL1/full/" -F "file=@$DIR/server.conf"
    is "$status" 201 "what fits is stored"
    fetch "$URL1/disk/small/put" -T "$DIR/large"
    is "$status" 507 "a PUT for which there is no room"
    mkdir -p "$DIR/tree/sub" "$DIR/small/old"
    cp "$DIR/server.conf" "$DIR/tree/a"
    head -c 2000000 "$DIR/large" >"$DIR/tree/sub/large"
    chmod 777 "$DIR/small/old"
    echo old >"$DIR/small/old/file"
    fetch "$URL1/disk/tree/" -X COPY -H "Destination: /disk/small/new/"
    is "$status" 507 "a COPY of a folder"
    fetch "$URL1/disk/tree/" -X COPY -H "Destination: /disk/small/old/"
    is "$status" 507 "and one in the place of another"
    is "$(cd "$DIR/small" && find . -type f | sort | tr '\n' ' ')" "./old/file ./server.conf " "change nothing"
    fetch "$URL1/disk/small/put" -T "$DIR/server.conf"
    is "$status" 201 "and what fits finds its room"
    umount "$DIR/small"
else
    skip 8 "only root can make a small disk"
fi

stop
