#!/bin/sh
# The command line: options in front of a command, help wherever somebody looks for it, and words that were meant otherwise.
. "$(dirname "$0")/lib.sh"

plan 16
if is_nginx; then
    skip 16 "nginx has no such words"
    exit
fi

mkdir "$DIR/empty" "$DIR/site"
cat >"$DIR/a.conf" <<'CONF'
events {}
http { server { listen 127.0.0.1:8080; location / { return 204; } } }
CONF

# said WORD...: all that is said and the exit code, on one line.
said() {
    (cd "$DIR/empty" && "$SERVER" "$@" 2>&1; echo "exit $?") | tr '\n' ' '
}

like "$(said -c ../a.conf explain /)" "=> 204 No Content" "explain takes -c from the front"
like "$(said -c ../a.conf -c ../none.conf explain -c ../a.conf /)" "=> 204" "its own -c counts more"
like "$(said --format json -c ../a.conf explain /)" '"status": *204' "--format json is explain's too"
like "$(said -g 'user root;' serve ../site)" ".serve. takes no -g; write your lines .*exit 1 $" "serve says what it has no use for"
like "$(said -t serve ../site)" ".serve. takes no -t; .*exit 1 $" "and tests nothing in silence"
like "$(said -t expect none.expect)" ".expect. takes no -t.*exit 2 $" "expect as well, by its own code"
like "$(said cgi --help)" "run  *Run a script.*exit 0 $" "cgi --help"
like "$(said cert --help)" "self-signed .*exit 0 $" "cert --help"
like "$(said help serve)" "--print-conf.*exit 0 $" "help of a command"
like "$(said help cgi run)" "--body.*exit 0 $" "and of one below another"
like "$(said help 502)" "502 Bad Gateway.*502/upstream-refused.*exit 0 $" "help of a status"
like "$(said help 599)" "nothing is known of .599..*exit 1 $" "and of none"
like "$(said)" "there is no conf/nginx.conf.*serve a folder at once.*exit 1 $" "alone it says what it can do"
unlike "$(said -q)" "serve a folder at once" "but not to somebody who knows"
like "$(said ../a.conf)" "did you mean .longshore -c ../a.conf.*exit 1 $" "a conf without -c"
like "$(said ../site)" "did you mean .longshore serve ../site.*exit 1 $" "a folder"
