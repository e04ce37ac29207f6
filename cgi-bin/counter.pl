#!/usr/bin/perl
# A cookie counts visits. Nothing is kept here: the browser brings the number along, so it may be anything, and only
# what looks like a number counts.
use strict;
use warnings;

my ($visits) = ($ENV{HTTP_COOKIE} // '') =~ /(?:^|;\s*)visits=([0-9]{1,6})(?:;|$)/;
$visits = ($visits // 0) + 1;

print "Content-Type: text/html; charset=utf-8\n";
print "Set-Cookie: visits=$visits; Path=/cgi-bin/; HttpOnly; SameSite=Lax\n";
print "Cache-Control: no-store\n";
print "\n";
print <<"PAGE";
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>A counter</title><link rel="stylesheet" href="/assets/style.css"></head>
<body><main><h1>A counter</h1><p>You were here $visits times.</p></main></body></html>
PAGE
