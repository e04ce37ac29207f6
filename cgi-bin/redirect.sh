#!/bin/sh
# Two ways to lead elsewhere. A path of this server is followed inside, and the client never learns of it; a whole URL, or
# a path beside a Status, is for the client. /cgi-bin/redirect.sh?client shows the second.
if [ "${QUERY_STRING:-}" = client ]; then
    echo "Status: 303 See Other"
fi
echo "Location: /hello"
echo
