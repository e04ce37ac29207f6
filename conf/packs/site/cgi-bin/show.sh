#!/bin/sh
# What the server told about the request, the file beside this one, and the request's body.
printf 'Content-Type: text/plain\n\n'
printf 'method=%s\nquery=%s\npath=%s\nlength=%s\n' "$REQUEST_METHOD" "$QUERY_STRING" "$PATH_INFO" "$CONTENT_LENGTH"
printf 'beside=%s\nbody=' "$(cat beside.txt)"
cat
