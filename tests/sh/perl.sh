#!/bin/sh
# Real programs behind CGI: Perl's CGI.pm. A form, an upload, a cookie, a redirect, a status.
. "$(dirname "$0")/lib.sh"

if is_nginx || ! perl -MCGI -e 1 2>/dev/null; then
    plan 1
    skip 1 "nginx runs no scripts, or Perl's CGI.pm is not installed"
    exit
fi
plan 10

file bin/all.pl <<'PERL'
#!/usr/bin/perl
use strict;
use warnings;
use CGI;
my $q = CGI->new;
my $do = $q->path_info;
if ($do eq '/form') {
    print $q->header('text/plain'), map { "$_=" . join('+', $q->multi_param($_)) . "\n" } sort $q->param;
} elsif ($do eq '/self') {
    print $q->header('text/plain'), $q->url(-path_info => 1, -query => 1), "\n";
} elsif ($do eq '/upload') {
    my ($file, $size) = ($q->upload('file'), 0);
    while (read($file, my $part, 8192)) { $size += length $part }
    print $q->header('text/plain'), $q->param('file'), " $size\n";
} elsif ($do eq '/cookie') {
    my $visits = ($q->cookie('visits') || 0) + 1;
    print $q->header(-type => 'text/plain', -cookie => [$q->cookie(-name => 'visits', -value => $visits),
        $q->cookie(-name => 'tea', -value => 'green')]), "visits: $visits\n";
} elsif ($do eq '/redirect') {
    print $q->redirect(-uri => $q->url(-base => 1) . '/bin/all.pl/form?a=1', -status => 303);
} elsif ($do eq '/nph') {
    print $q->header(-nph => 1, -status => '202 Accepted', -type => 'text/plain'), "by itself\n";
} else {
    print $q->header(-type => 'text/plain', -status => '404 Nothing here'), "no $do\n";
}
PERL
chmod 755 "$DIR/bin/all.pl"

serve <<'CONF'
server {
    listen 127.0.0.1:%PORT1%;
    location /bin/ { alias bin/; cgi on; }
}
CONF

fetch "$URL1/bin/all.pl/form?b=2&a=1&a=x%20y"
is "$(printf '%s' "$body" | tr '\n' ' ')" "a=1+x y b=2" "a query"
fetch "$URL1/bin/all.pl/form" --data-urlencode "name=a & b"
is "$body" "name=a & b" "a form"
fetch "$URL1/bin/all.pl/self?x=1"
is "$body" "$URL1/bin/all.pl/self?x=1" "it knows its own URL"
head -c 300000 /dev/urandom >"$DIR/large"
fetch "$URL1/bin/all.pl/upload" -F "file=@$DIR/large"
is "$body" "large 300000" "an upload"
fetch "$URL1/bin/all.pl/cookie" -b "visits=41"
is "$body" "visits: 42" "a cookie comes in"
is "$(header Set-Cookie | cut -d ';' -f 1 | tr '\n' ' ')" "visits=42 tea=green " "and two go out"
fetch "$URL1/bin/all.pl/redirect" -L
is "$status $body" "200 a=1" "a redirect is followed by the client"
fetch "$URL1/bin/all.pl/nph"
is "$status $body" "202 by itself" "a status line of its own is understood"
fetch "$URL1/bin/all.pl/other"
is "$status $body" "404 no /other" "a status of its own"

stop
