"""A process that behaves as ``fi-workbench host`` does towards the panel, without parties: it starts in 0.1 s.

It says what it is told to at ``POST /pretend``, so that tests decide what happens and when.
"""

import argparse
import json
import os
import secrets
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

changed = threading.Condition()
about = {}


def party(name, state="online", **more):
    return {"key": secrets.token_hex(32), "name": name, "state": state, "since": time.time(), "reason": "",
            "address": "127.0.0.1:1", "model": "mlp", "node": 1, "card": None, **more}  # fmt: skip


class Desk(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def answer(self, status, data):
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def allowed(self):
        if self.headers["Authorization"] == f"Bearer {self.server.token}" and "Origin" not in self.headers:
            return True
        self.answer(401, {"error": "no"})
        return False

    def do_GET(self):
        if not self.allowed():
            return
        query = dict(parse_qsl(urlsplit(self.path).query))
        with changed:
            if "after" in query:
                changed.wait_for(lambda: about["version"] != int(query["after"]), float(query["wait"]))
            self.answer(200, about)

    def do_POST(self):
        if not self.allowed():
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with changed:
            self.answer(*self.act(self.path.strip("/"), body))
            about["version"] += 1
            changed.notify_all()

    def act(self, action, body):
        if action == "stop":
            threading.Thread(target=self.server.shutdown).start()
            return 202, {}
        if action == "vanish":  # nobody answers any more, though the process runs
            self.server.vanished = True
            threading.Thread(target=self.server.shutdown).start()
            return 202, {}
        if action == "pretend":
            about.update(body)
            return 200, {}
        if action == "invite":
            return 200, {"commands": [f"fi-workbench join --token {n}" for n in range(body["n"])]}
        if action == "scale":
            if about["scale"] is None:
                return 409, {"error": "It runs no demo parties; others join by themselves."}
            about["scale"] = body["parties"]
            about["parties"] = [party(f"P{k}") for k in range(body["parties"])]
            return 200, {}
        for one in about["parties"]:
            if one["name"] == body.get("name"):
                one["state"] = {"approve": "online", "expel": "expelled"}[action]
                return 200, {}
        return 404, {"error": f"There is no party called {body.get('name')!r}."}


def say(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def log(*lines):
    sys.stderr.write("".join(line + "\n" for line in lines))
    sys.stderr.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    for name in ("name", "address", "dataset", "model", "announce-by"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--parties", type=int)
    parser.add_argument("--alpha", type=float)
    parser.add_argument("--until-eof", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.name == "deaf":  # neither EOF nor SIGTERM moves it
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        options.until_eof = False
    log(f"loading {options.name}")
    if options.name == "fails":
        say(event="error", text="There is no data set called 'nonsense'.")
        sys.exit(2)
    if options.name == "chatty":
        log(*(f"line {number}" for number in range(700)), "x" * 200_000)
    say(event="preparing", task="Training", done=1, total=5)
    if options.name == "slow":
        sys.stdin.read()
        sys.exit(0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    server.daemon_threads = True
    server.token = secrets.token_urlsafe(24)
    parties = [party(f"P{k}") for k in range(options.parties or 0)]
    about.update(
        version=1, name=options.name, kind="hosted", state="up", address="127.0.0.1:4242", fingerprint="ab" * 32,
        pid=os.getpid(), started=time.time(), parties=parties, rounds=0, rounds_per_second=0.0,
        about={"rule": "soft_vote", "mechanism": "plain"}, demo=None, scale=options.parties,
    )  # fmt: skip
    folder = Path(os.environ["JUPYTER_RUNTIME_DIR"]) / "fi-workbench"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    id_ = secrets.token_hex(8)
    file = folder / f"{id_}.json"
    announcement = {
        "version": 1, "id": id_, "name": options.name, "pid": os.getpid(), "started": time.time(),
        "desk": f"http://127.0.0.1:{server.server_port}", "token": server.token, "address": "127.0.0.1:4242",
        "by": options.announce_by or "kernel",
    }  # fmt: skip
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(announcement))
    part.rename(file)
    say(event="up", id=id_, address="127.0.0.1:4242")
    if options.until_eof:
        threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.vanished = False
    server.serve_forever(0.02)
    if server.vanished:
        server.server_close()
        sys.stdin.read()
    file.unlink()


if __name__ == "__main__":
    main()
