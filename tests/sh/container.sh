#!/bin/sh
# A container as the stock image of nginx is built: the server under the name nginx is process 1, started by an entrypoint as
# `nginx -g "daemon off;"`, its conf lies in /etc/nginx, its logs are links to the standard streams, and what comes into the
# container later asks with `nginx -t && nginx -s reload`. Process 1 reaps what others leave behind. Needs root, for namespaces.
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" -ne 0 ] || ! command -v nsenter >/dev/null ||
    ! unshare --net --mount --pid --fork --mount-proc true 2>/dev/null; then
    plan 1
    skip 1 "only root can make a container here"
    exit
fi
plan 44

mkdir "$DIR/bin" "$DIR/html/cgi"
ln -s "$SERVER" "$DIR/bin/nginx"
PATH=$DIR/bin:$PATH
export PATH

# What the stock image has: a main conf, a folder for sites, an entrypoint with scripts that run first.
file nginx/nginx.conf <<'CONF'
user  nobody nogroup;
worker_processes  auto;
error_log  /var/log/nginx/error.log notice;
pid        /run/nginx.pid;
events {
    worker_connections  1024;
}
http {
    default_type  application/octet-stream;
    log_format  main  '$remote_addr "$request" $status';
    access_log  /var/log/nginx/access.log  main;
    sendfile        on;
    keepalive_timeout  65;
    include /etc/nginx/conf.d/*.conf;
}
CONF
file nginx/conf.d/default.conf <<CONF
server {
    server_name  localhost;
    root  $DIR/html;
    location / { default_type text/html; }
}
CONF
echo first >"$DIR/html/index.html"
file entrypoint.d/10-first.sh <<'SH'
echo "prepared by the entrypoint"
SH
file entrypoint.sh <<SH
set -e
if [ "\$1" = nginx ]; then
    for script in $DIR/entrypoint.d/*.sh; do sh "\$script"; done
fi
exec "\$@"
SH
# The container's own /etc/nginx, /run and /var/log.
file container.sh <<SH
set -e
ip link set lo up
for place in /etc/nginx /run /var/log; do
    mount -t tmpfs tmpfs \$place
    chmod 755 \$place
done
cp -R $DIR/nginx/* /etc/nginx
mkdir /var/log/nginx
ln -s /dev/stdout /var/log/nginx/access.log
ln -s /dev/stderr /var/log/nginx/error.log
cd /
exec sh $DIR/entrypoint.sh "\$@"
SH

# start WORDS...: a container that runs these.
start() {
    unshare --net --mount --pid --fork --mount-proc --kill-child sh "$DIR/container.sh" "$@" >"$DIR/output" 2>&1 &
    server_pid=$!
    init=
    wait_until first_process
}
first_process() {
    init=$(cat "/proc/$server_pid/task/$server_pid/children" 2>/dev/null)
    init=${init%% *}
    [ -n "$init" ]
}
# inside WORDS...: what somebody asks who enters the container.
inside() { nsenter --target "$init" --mount --net --pid --wd=/ "$@"; }
get() { inside curl -s --max-time 5 "http://localhost$1" || ! kill -0 "$server_pid" 2>/dev/null; }
answers() { get / >/dev/null; }
# zombies: the processes of the container that nobody reaps.
zombies() { inside sh -c 'cat /proc/[0-9]*/stat 2>/dev/null' | grep -c "^[0-9]* (.*) Z "; }
none_is_left() { [ "$(zombies)" -eq 0 ]; }
logged() { grep -q "$1" "$DIR/output"; }
end() {
    kill -QUIT "$init" 2>/dev/null
    wait_until gone || kill -KILL "$server_pid"
    wait "$server_pid"
    code=$?
    server_pid=
    ended=$code$(grep -E '\[(alert|emerg)\]|panicked' "$DIR/output")
}

start nginx -g "daemon off;"
wait_until answers
ok "the entrypoint's scripts come first" logged "prepared by the entrypoint"
is "$(get /)" first "a server without listen is at port 80"
is "$(inside cat /run/nginx.pid)" 1 "it is process 1"
ok "the access log goes to the standard output" wait_until logged 'GET / HTTP/1.1" 200'
said=$(inside nginx -t 2>&1)
is "$?" 0 "nginx -t"
case $said in
    *"nginx: configuration file /etc/nginx/nginx.conf test is successful"*) pass "which names the container's conf" ;;
    *) fail "which names the container's conf" && note "$said" ;;
esac
is "$(inside nginx -T 2>/dev/null | grep -c '^# configuration file ')" 2 "nginx -T shows both files"
echo 'server { server_name localhost; return 200 second; }' >"$DIR/second.conf"
inside cp "$DIR/second.conf" /etc/nginx/conf.d/default.conf
ok "nginx -t && nginx -s reload" inside sh -c 'nginx -t && nginx -s reload'
wait_until sh -c "nsenter -t $init -m -n -p curl -s http://localhost/ | grep -q second"
is "$(get /)" second "brings the new conf into force"
inside sh -c 'echo "server { listen 80 }" >/etc/nginx/conf.d/default.conf'
inside sh -c 'nginx -t && nginx -s reload' >/dev/null 2>&1
is "$?" 1 "a conf that is wrong ends with 1"
is "$(get /)" second "and the old one stays"
end
is "$ended" 0 "QUIT, the image's stop signal, ends the container in peace"

# Scripts and health checks leave processes behind, whether root's parent or the whole server is process 1. What a script
# ended with is not taken from whoever waits for it.
file html/cgi/orphan <<'SH'
#!/bin/sh
(sleep 0.1 &)
printf 'Content-Type: text/plain\n\ndone\n'
exit 3
SH
chmod 755 "$DIR/html/cgi/orphan"
for user in "nobody nogroup" root; do
    file nginx/conf.d/default.conf <<CONF
server { root $DIR/html; location /cgi/ { cgi on; } location = / { return 200 up; } }
CONF
    sed -i "s/^user .*/user $user;/" "$DIR/nginx/nginx.conf"
    start nginx -g "daemon off;"
    wait_until answers
    if is_nginx; then
        skip 15 "nginx runs no CGI, and as process 1 it reaps only what its own processes leave"
        end
        continue
    fi
    n=0
    while [ $n -lt 10 ]; do
        n=$((n + 1))
        inside sh -c '(sleep 0.1 &)'
        is "$(get /cgi/orphan)" "done" "$user: script $n is waited for"
    done
    ok "$user: no zombie is left" wait_until none_is_left
    ok "$user: what they ended with is known" wait_until logged 'exited with code 3\|exit code 3\|code 3'
    is "$(get /)" up "$user: it serves on"
    inside sh -c 'nginx -t && nginx -s reload' >/dev/null 2>&1
    is "$?" 0 "$user: it reloads"
    end
    is "$ended" 0 "$user: and ends in peace"
done

# `daemon on` would end the container.
if is_nginx; then
    skip 2 "nginx ends the container"
else
    start nginx
    wait_until answers
    is "$(get /)" up "without daemon off the container goes on"
    end
    is "$ended" 0 "and ends in peace"
fi
