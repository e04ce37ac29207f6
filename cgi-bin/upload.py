#!/usr/bin/env python3
"""An upload: reads a browser's form with a file in it, and tells what it was. Nothing is kept."""

import hashlib
import os
import sys
from email.parser import BytesParser
from email.policy import HTTP

FORM = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>An upload</title><link rel="stylesheet" href="/assets/style.css"></head>
<body><main><h1>An upload</h1>
<form method="post" enctype="multipart/form-data">
<p><input type="file" name="file" required> <button>Send</button></p>
</form></main></body></html>
"""


def reply(status: str, kind: str, text: str) -> None:
    """The status is a field like any other; without it the answer is 200."""
    sys.stdout.write(f"Status: {status}\r\nContent-Type: {kind}; charset=utf-8\r\n\r\n{text}")


def main() -> None:
    if os.environ["REQUEST_METHOD"] != "POST":
        return reply("200 OK", "text/html", FORM)
    kind = os.environ.get("CONTENT_TYPE", "")
    if not kind.startswith("multipart/form-data"):
        return reply("415 Unsupported Media Type", "text/plain", "Send a form with a file in it.\n")
    # A form with files has the shape of a mail with attachments, so Python's mail parser reads it.
    body = sys.stdin.buffer.read()
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    lines = []
    for part in form.iter_parts():
        content = part.get_payload(decode=True) or b""
        name = part.get_filename() or "(no file)"
        lines.append(f"{name}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}\n")
    reply("200 OK", "text/plain", "".join(lines) or "There was nothing in it.\n")


main()
