#!/bin/sh
# A session: log in, count, log out. The server keeps it; this script reads it from its environment (SESSION_...) and
# changes it by fields of its answer (X-Session-...), which no client ever sees.

# field NAME: a field of the form that was sent, percent-encoded as it came; anything else that it holds is left out.
field() {
    printf '%s' "$form" | tr '&' '\n' | sed -n "s/^$1=//p" | head -n 1 | tr -cd 'A-Za-z0-9%+._-' | head -c 100
}

html() {
    printf '%s' "$1" | sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/"/\&quot;/g'
}

if [ "$REQUEST_METHOD" = POST ]; then
    form=$(head -c "${CONTENT_LENGTH:-0}")
    # A page of another site cannot know the token of this session.
    if [ -n "${SESSION_USER-}" ] && [ "$(field csrf)" != "$SESSION_CSRF" ]; then
        printf 'Status: 403 Forbidden\nContent-Type: text/plain\n\nThis form is not from this session.\n'
        exit
    fi
    printf 'Status: 303 See Other\nLocation: %s\n' "$SCRIPT_NAME"
    if [ -n "${SESSION_USER-}" ]; then
        printf 'X-Session-Destroy: on\n\n'
    else
        # Another id after each login: one that somebody knew before is worth nothing then.
        printf 'X-Session-Set: user=%s\nX-Session-Rotate: on\n\n' "$(field name)"
    fi
    exit
fi

cat <<HTML
Content-Type: text/html; charset=utf-8
Cache-Control: no-store

<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A session</title>
<link rel="icon" href="/assets/mark.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/style.css">
</head>
<body>
<main>
HTML
if [ -n "${SESSION_USER-}" ]; then
    cat <<HTML
<h1>Welcome, $(html "$SESSION_USER").</h1>
<p class="lead">This is visit <b id="visits">$(html "${SESSION_VISITS:-0}")</b> of session <code>$(html "$SESSION_REF")</code>. Load the page again, and it counts.</p>
<form method="post">
<input type="hidden" name="csrf" value="$(html "$SESSION_CSRF")">
<p><button id="out">Log out</button></p>
</form>
HTML
else
    cat <<HTML
<h1>Who are you?</h1>
<p class="lead">There is no session yet, and no cookie: one begins when you log in.</p>
<form method="post">
<p><label>Name <input name="name" required maxlength="30" autocomplete="username"></label> <button id="in">Log in</button></p>
</form>
HTML
fi
cat <<HTML
<p><a href="/">Back to the demo</a></p>
</main>
</body>
</html>
HTML
