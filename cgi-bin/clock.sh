#!/bin/sh
# A stream of events: the answer has no end, and each line arrives when it is written. It needs `cgi_timeout 0`. When
# the client leaves, the script is ended.
echo "Content-Type: text/event-stream"
echo "Cache-Control: no-store"
echo

# With a number as the query there are only so many: /cgi-bin/clock.sh?3
left=${QUERY_STRING:-86400}
case $left in *[!0-9]*) left=3 ;; esac
while [ "$left" -gt 0 ]; do
    echo "data: $(date +%T)"
    echo
    left=$((left - 1))
    [ "$left" -eq 0 ] || sleep 1
done
