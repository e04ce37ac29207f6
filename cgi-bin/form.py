#!/usr/bin/env python3
"""A form and its answer in one script. GET shows the form; POST reads it, and shows what came."""

import html
import os
import sys
from urllib.parse import parse_qs

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>A form</title><link rel="stylesheet" href="/assets/style.css"></head>
<body>
<main>
<h1>A form</h1>
{answer}
<form method="post">
<p><label>Your name <input name="name" required maxlength="40"></label></p>
<p><label>Your cargo <input name="cargo" maxlength="40"></label></p>
<p><button>Send</button></p>
</form>
</main>
</body>
</html>
"""


def answer() -> str:
    if os.environ["REQUEST_METHOD"] != "POST":
        return "<p>Nobody has signed in yet.</p>"
    # Never read more than was announced, and never trust what was read: every value is escaped before it is shown.
    body = sys.stdin.buffer.read(int(os.environ.get("CONTENT_LENGTH") or 0))
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    name, cargo = (html.escape(fields.get(field, [""])[0]) for field in ("name", "cargo"))
    return f"<p>Welcome, {name}. {cargo or 'Nothing'} is unloaded.</p>"


def main() -> None:
    page = PAGE.format(answer=answer()).encode()
    sys.stdout.buffer.write(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + page)


main()
