"""Stand-ins for Authelia, Authentik, oauth2-proxy, Vouch, the identity provider behind them and an application, for login.sh.

Each speaks what its original speaks with a web server and a browser: addresses, cookies, header fields, redirects. `login.py FOLDER` listens on
ports of the kernel's choice and writes them to FOLDER/programs.
"""

import hashlib
import http.server
import os
import secrets
import sys
import threading
import urllib.parse

FOLDER = sys.argv[1]
USERS = {"ann": "low-tide"}
PROVIDER = "https://idp.example.com/log-in"
APP = "https://app.example.com"
# Of a client's request these fields are no affair of the program that is asked.
NOT_FOR_QUESTIONS = ("Content-Length", "Transfer-Encoding", "Expect")
quote = urllib.parse.quote


class Program(http.server.BaseHTTPRequestHandler):
    """One of the programs: `routes` leads from paths to methods."""

    protocol_version = "HTTP/1.1"
    cookie = ""
    scope = ""
    routes = {}

    def do_GET(self):
        self.form = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("latin-1")
        self.place, _, self.query = self.path.partition("?")
        getattr(self, self.routes.get(self.place, "nothing"))()

    do_POST = do_GET

    def nothing(self):
        self.say(404, "no such page\n")

    def log_message(self, *words):
        pass

    def say(self, status, text="", *fields):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode("latin-1"))

    def argument(self, name, text=None):
        return urllib.parse.parse_qs(self.query if text is None else text).get(name, [""])[0]

    # Sessions: what the cookie stands for.

    def session(self):
        pairs = [pair.strip().partition("=") for pair in self.headers.get("Cookie", "").split(";")]
        return next((value for name, _, value in pairs if name == self.cookie), "")

    def user(self):
        return self.server.users.get(self.session())

    def key(self, value, life=""):
        return "Set-Cookie", f"{self.cookie}={value}; Path=/; Secure; HttpOnly{self.scope}{life}"

    def let_in(self, user, back):
        value = secrets.token_hex(16)
        self.server.users[value] = user
        self.say(302, "", self.key(value), ("Location", back))

    def log_out(self):
        self.server.users.pop(self.session(), None)
        self.say(302, "", self.key("", "; Max-Age=0"), ("Location", self.argument("rd") or "/"))

    # The question, which must say nothing of a body.

    def told_of_body(self):
        said = [name for name in NOT_FOR_QUESTIONS if self.headers.get(name)]
        if self.command != "GET" or said:
            self.say(500, "told of a body\n")
            return True
        return False

    # The way over the provider: there with a state, back with a code.

    def lead_to_provider(self, back, callback):
        state = secrets.token_hex(8)
        self.server.states[state] = back
        csrf = "Set-Cookie", f"{self.cookie}_csrf={state}; Path=/; Secure{self.scope}"
        self.say(302, "", csrf, ("Location", f"{PROVIDER}?state={state}&to={quote(callback)}"))

    def back_from_provider(self):
        state = self.argument("state")
        user = Provider.codes.pop(self.argument("code"), None)
        back = self.server.states.pop(state, None)
        if user is None or back is None or f"{self.cookie}_csrf={state}" not in self.headers.get("Cookie", ""):
            self.say(403, "not from here\n")
            return
        self.let_in(user, back)


def form(action):
    return f'<form method=post action="{action}"><input name=username><input name=password type=password></form>\n'


class Provider(Program):
    """Who knows the users; it hands out a code for each log-in."""

    codes = {}
    routes = {"/log-in": "log_in"}

    def log_in(self):
        user = self.argument("username", self.form)
        if self.command != "POST" or USERS.get(user) != self.argument("password", self.form):
            self.say(200, form(f"{PROVIDER}?{self.query}"))
            return
        code = secrets.token_hex(8)
        self.codes[code] = user
        self.say(302, "", ("Location", f"{self.argument('to')}?code={code}&state={self.argument('state')}"))


class Authelia(Program):
    cookie = "authelia_session"
    scope = "; Domain=example.com"
    routes = {"/api/authz/auth-request": "question", "/": "page", "/api/firstfactor": "log_in", "/api/logout": "log_out"}

    def question(self):
        if self.told_of_body():
            return
        wanted, method = self.headers["X-Original-URL"], self.headers["X-Original-Method"]
        if wanted.startswith(APP + "/open"):
            self.say(200)
        elif not self.user():
            way = f"https://auth.example.com/?rd={quote(wanted, safe='')}&rm={method}"
            self.say(401, "no\n", ("Location", way))
        elif wanted.startswith(APP + "/admin"):
            self.say(403)
        else:
            ann = ("Remote-User", self.user()), ("Remote-Groups", "harbour,crew"), ("Remote-Email", "ann@example.com")
            self.say(200, "", *ann, ("Remote-Name", "Ann"))

    def page(self):
        self.say(200, form(f"https://auth.example.com/api/firstfactor?{self.query}"))

    def log_in(self):
        user = self.argument("username", self.form)
        if USERS.get(user) != self.argument("password", self.form):
            self.say(401)
            return
        self.let_in(user, self.argument("rd"))


class Authentik(Program):
    cookie = "authentik_proxy_app"
    routes = {
        "/outpost.goauthentik.io/auth/nginx": "question",
        "/outpost.goauthentik.io/start": "start",
        "/outpost.goauthentik.io/callback": "back_from_provider",
        "/outpost.goauthentik.io/sign_out": "log_out",
    }

    def question(self):
        if self.told_of_body():
            return
        known = self.session() in self.server.users
        value = self.session() if known else secrets.token_hex(16)
        self.server.users.setdefault(value, None)
        user = self.server.users[value]
        if user is None:
            self.say(401, "", self.key(value))
            return
        says = [("X-authentik-" + name, value) for name, value in (
            ("username", user), ("groups", "harbour|crew"), ("email", "ann@example.com"), ("name", "Ann"), ("uid", "7"))]
        self.say(200, "", *says, ("X-authentik-jwt", "j" * 6000), self.key(value))

    def start(self):
        # The session began with the 401; who comes without it was not sent by the server.
        if self.session() not in self.server.users:
            self.say(400, "no session\n")
            return
        self.lead_to_provider(self.argument("rd"), APP + "/outpost.goauthentik.io/callback")


class OAuth2Proxy(Program):
    cookie = "_oauth2_proxy"
    routes = {
        "/oauth2/auth": "question",
        "/oauth2/sign_in": "page",
        "/oauth2/start": "start",
        "/oauth2/callback": "back_from_provider",
        "/oauth2/sign_out": "log_out",
    }

    def question(self):
        if self.told_of_body():
            return
        if not self.user():
            self.say(401, "Unauthorized\n")
            return
        says = [("X-Auth-Request-" + name, value) for name, value in (
            ("User", self.user()), ("Email", "ann@example.com"), ("Groups", "harbour,crew"))]
        self.say(202, "", *says, self.key(self.session()))

    def page(self):
        way = quote(self.headers["X-Auth-Request-Redirect"], safe="")
        self.say(200, f'<a href="{APP}/oauth2/start?rd={way}">Sign in</a>\n', ("Cache-Control", "no-cache"))

    def start(self):
        self.lead_to_provider(self.argument("rd"), APP + "/oauth2/callback")


class Vouch(Program):
    cookie = "VouchCookie"
    scope = "; Domain=example.com"
    routes = {"/validate": "question", "/login": "start", "/auth": "back_from_provider", "/logout": "log_out"}

    def question(self):
        if self.told_of_body():
            return
        if self.headers["Host"] != "app.example.com":
            self.say(400)
        elif not self.user():
            self.say(401, "", ("X-Vouch-Err", "no-token"), ("X-Vouch-Failcount", "2"))
        else:
            self.say(200, "", ("X-Vouch-User", self.user()))

    def start(self):
        # The address is not escaped, so it ends where Vouch's own parameters begin.
        way = self.query.partition("url=")[2].partition("&vouch-failcount=")[0]
        self.lead_to_provider(way, "https://vouch.example.com/auth")


class Application(Program):
    """Says what it was told, and notes that it was asked."""

    NAMES = ("remote", "x-authentik", "x-user", "x-email", "x-groups", "x-vouch")

    def do_GET(self):
        with open(os.path.join(FOLDER, "asked"), "a") as asked:
            asked.write(self.path + "\n")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        told = sorted(f"{name}: {value}" for name, value in self.headers.items() if name.lower().startswith(self.NAMES))
        sent = f"{len(body)} bytes {hashlib.sha256(body).hexdigest()}\n" if self.command == "POST" else ""
        self.say(200, f"{self.command} {self.path}\n" + "".join(line + "\n" for line in told) + sent)

    do_POST = do_GET


def main():
    names = {"app": Application, "idp": Provider, "authelia": Authelia, "authentik": Authentik, "oauth2": OAuth2Proxy, "vouch": Vouch}
    lines = []
    for name, program in names.items():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), program)
        server.users, server.states = {}, {}
        threading.Thread(target=server.serve_forever).start()
        lines.append(f"{name}={server.server_port}\n")
    # The file appears when every port listens.
    path = os.path.join(FOLDER, "programs")
    with open(path + ".new", "w") as file:
        file.writelines(lines)
    os.rename(path + ".new", path)


main()
