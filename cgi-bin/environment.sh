#!/bin/sh
# What a script is told about its request. Everything stands in environment variables (RFC 3875 section 4.1); the body
# stands on standard input. Try it with more path and a query: /cgi-bin/environment.sh/more/path?a=b

# The head comes first: fields, then an empty line. Content-Type is the one that must be there.
echo "Content-Type: text/plain; charset=utf-8"
echo

env | sort
echo
echo "Folder:    $(pwd)"
echo "Arguments: $*"

# CONTENT_LENGTH says how long the body is. Longshore ends it as well, so reading to the end is safe.
if [ -n "${CONTENT_LENGTH:-}" ]; then
    echo "Body:      $(head -c "$CONTENT_LENGTH" | wc -c) bytes of ${CONTENT_TYPE:-no type}"
fi

# Standard error goes to the error log, line by line.
echo "somebody looked at the environment" >&2
