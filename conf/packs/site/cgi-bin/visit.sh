#!/bin/sh
# Knows its visitors by a cookie.
case "${HTTP_COOKIE:-}" in
    *seen=1*) printf 'Content-Type: text/plain\n\nagain' ;;
    *) printf 'Content-Type: text/plain\nSet-Cookie: seen=1; Path=/\n\nfirst' ;;
esac
