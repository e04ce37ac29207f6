#!/bin/sh
# Virtual hosts: several sites on one port, told apart by the name that the client asks for.
. "$(dirname "$0")/lib.sh"
plan 22

serve <<'CONF'
# Who is not known by name goes to the default server of the port: the first, unless one says default_server.
server {
    listen 127.0.0.1:%PORT1%;
    server_name red.test www.red.test;
    return 200 "red\n";
}
server {
    listen 127.0.0.1:%PORT1% default_server;
    server_name _;
    return 404;
}
server {
    listen 127.0.0.1:%PORT1%;
    server_name *.blue.test;
    return 200 "some blue\n";
}
server {
    listen 127.0.0.1:%PORT1%;
    server_name deep.blue.test;
    return 200 "deep blue\n";
}
server {
    listen 127.0.0.1:%PORT1%;
    server_name mail.*;
    return 200 "mail\n";
}
# .green.test stands for green.test and everything below it.
server {
    listen 127.0.0.1:%PORT1%;
    server_name .green.test;
    return 200 "green\n";
}
# A regex is asked last. What it captures can be used.
server {
    listen 127.0.0.1:%PORT1%;
    server_name ~^(?<user>[a-z]+)\.home\.test$;
    return 200 "home of $user\n";
}
# 444 closes the connection without a word.
server {
    listen 127.0.0.1:%PORT1%;
    server_name silent.test;
    return 444;
}
# On another port the same name may be another site, and the first block is the default.
server {
    listen 127.0.0.1:%PORT2%;
    server_name red.test;
    return 200 "red on the second port\n";
}
CONF

# ask NAME [PORT]: fetches / from the server of that name.
ask() {
    fetch "http://127.0.0.1:${2:-$PORT1}/" -H "Host: $1"
}

note "exact names"
ask red.test
is "$body" "red" "a server is found by its name"
ask www.red.test
is "$body" "red" "by any of its names"
ask RED.Test
is "$body" "red" "in whatever case"
ask "red.test:$PORT1"
is "$body" "red" "with the port behind it"
ask red.test.
is "$body" "red" "with the dot at the end that DNS allows"

note "wildcards"
ask light.blue.test
is "$body" "some blue" "*.blue.test takes what is below blue.test"
ask very.light.blue.test
is "$body" "some blue" "at any depth"
ask deep.blue.test
is "$body" "deep blue" "an exact name wins over a wildcard"
ask blue.test
is "$status" 404 "*.blue.test is not blue.test"
ask mail.example
is "$body" "mail" "a wildcard may stand at the end"
ask mail.blue.test
is "$body" "some blue" "a wildcard in front wins over one at the end"
ask green.test
is "$body" "green" ".green.test takes green.test"
ask dark.green.test
is "$body" "green" "and what is below it"

note "regexes"
ask anna.home.test
is "$body" "home of anna" "a regex names what it captured"
ask 4.home.test
is "$status" 404 "and takes nothing else"

note "the default server"
ask unknown.test
is "$status" 404 "an unknown name goes to the default server"
ask 127.0.0.1
is "$status" 404 "so does an address"
ask unknown.test "$PORT2"
is "$body" "red on the second port" "each port has its own default"
ask "" # an empty value makes curl leave the header out
is "$status" 400 "HTTP/1.1 without a Host is refused: 400"
is "$(printf 'GET / HTTP/1.0\r\n\r\n' | talk "$PORT2" | tail -n 1)" "red on the second port" \
    "HTTP/1.0 without a Host goes to the default server"

note "no answer at all"
ask silent.test
is "$status" 000 "444 closes the connection"

stop
