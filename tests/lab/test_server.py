"""The routes of a real Jupyter server: who may ask, what is refused and how, and what is left when the server ends."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from fi_workbench.lab.federations import FederationsManager
from fi_workbench.lab.routes import MAX_BODY_BYTES, handlers
from fi_workbench.transport.hosted.announced import listed

FAKE_HOST = (sys.executable, str(Path(__file__).with_name("fake_host.py")))
API = "/fi-workbench/api/federations"


@contextmanager
def running_server(folder, *options):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, log = secrets.token_hex(16), folder / "server.log"
    command = [
        *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"),
        "--ServerApp.jpserver_extensions={'fi_workbench.lab': True}",
        *(f"--FederationsApp.host_command={word}" for word in FAKE_HOST),
        *options,
    ]
    environment = {
        **os.environ,
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    with log.open("w") as written:
        process = subprocess.Popen(command, stdout=written, stderr=written, env=environment, start_new_session=True)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30)
    client.token, client.process, client.log = {"Authorization": f"token {token}"}, process, log
    try:
        wait(lambda: answers(client) or process.poll() is not None, 60)
        assert process.poll() is None, log.read_text()[-3000:]
        yield client
    finally:
        client.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def answers(client):
    try:
        return client.get("/api").status_code == 200
    except httpx.TransportError:
        return False


def wait(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("server")) as client:
        yield client


@pytest.fixture
def ask(server):
    def asked(method, path="", body=None, **more):
        return server.request(method, API + path, json=body, headers=server.token, **more)

    return asked


@pytest.fixture
def federation(ask):
    """One that runs, with three demo parties."""
    started = ask("POST", "", {"parties": 3}).json()
    wait(lambda: entry(ask, started["id"])["state"] == "up")
    yield started["id"]
    ask("DELETE", f"/{started['id']}")


def entry(ask, id_):
    (found,) = (one for one in ask("GET").json()["federations"] if one["id"] == id_)
    return found


def every_route():
    """Method and path of each route of the extension, read off the list that the server is given."""
    routes = []
    for pattern, handler, _ in handlers(FederationsManager(tuple)):
        alternatives = re.findall(r"\((\w+(?:\|\w+)+)\)", pattern)
        for action in alternatives[0].split("|") if alternatives else [""]:
            path = re.sub(r"\(\w+(?:\|\w+)+\)", action, pattern).replace(r"([A-Za-z0-9][A-Za-z0-9_-]{0,79})", "some-id")
            assert re.fullmatch(pattern, path)
            routes += [
                (name.upper(), path) for name in ("get", "post", "put", "patch", "delete") if name in vars(handler)
            ]
    return routes


def test_every_route_is_known():
    assert len(every_route()) == len(set(every_route())) == 8


@pytest.mark.parametrize(("method", "path"), every_route())
def test_nobody_enters_without_a_token(server, method, path):
    with httpx.Client(base_url=server.base_url, trust_env=False) as stranger:
        for headers in ({}, {"Authorization": "token wrong"}, {"Cookie": "username-127-0-0-1=forged"}):
            answer = stranger.request(method, path, json={}, headers=headers)
            assert answer.status_code == 403, answer.text
            assert "federations" not in answer.text


@pytest.mark.parametrize(("method", "path"), every_route())
def test_other_sites_are_refused_although_the_browser_is_signed_in(server, method, path):
    with httpx.Client(base_url=server.base_url, trust_env=False) as browser:
        browser.get("/login", params={"token": server.token["Authorization"].split()[1]})
        own = {"X-XSRFToken": browser.cookies.get("_xsrf", "")}
        assert browser.get(API, headers=own).status_code == 200  # it is signed in
        foreign = {"Origin": "https://elsewhere.example", "Referer": "https://elsewhere.example/page"}
        assert browser.request(method, path, json={}, headers=foreign).status_code in (403, 404)
        assert browser.request(method, path, json={}, headers=foreign | own).status_code in (403, 404)
        if method != "GET":
            without = browser.request(method, path, json={})
            assert without.status_code == 403
            assert "XSRF" in without.text or "_xsrf" in without.text
            form = browser.request(method, path, data={"name": "x"}, headers={})  # what a form of another page can send
            assert form.status_code == 403
    assert server.get(API, headers=server.token).json()["federations"] == []


def test_a_federation_from_start_to_stop(ask, federation):
    found = entry(ask, federation)
    assert (found["name"], found["n_online"], found["scale"]) == ("demo-1", 3, 3)
    assert ask("POST", f"/{federation}/scale", {"parties": 4}).status_code == 200
    wait(lambda: entry(ask, federation)["n_online"] == 4)
    invited = ask("POST", f"/{federation}/invite", {})
    assert invited.status_code == 201
    assert invited.json() == {"commands": ["fi-workbench join --token 0"]}
    assert ask("POST", f"/{federation}/expel", {"name": "P0"}).json() == {}
    wait(lambda: entry(ask, federation)["n_online"] == 3)
    assert ask("POST", f"/{federation}/approve", {"name": "P0"}).json() == {}
    assert any("loading demo-1" in line for line in ask("GET", f"/{federation}/log").json()["lines"])
    assert ask("DELETE", f"/{federation}").status_code == 204
    assert ask("GET").json()["federations"] == []


def test_the_list_is_held_until_something_changes(ask, federation):
    first, held = ask("GET").json(), False
    for _ in range(20):  # until nothing moves any more: the federation has only just begun
        try:
            first = ask("GET", params={"after": first["version"]}, timeout=1.0).json()
        except httpx.ReadTimeout:
            held = True
            break
    assert held
    ask("POST", f"/{federation}/scale", {"parties": 2})
    begun = time.monotonic()
    second = ask("GET", params={"after": first["version"]}).json()
    assert second["version"] != first["version"]
    assert time.monotonic() - begun < 10
    assert ask("GET", params={"after": "of-a-server-before"}, timeout=5.0).json()["version"] == second["version"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "", {"parties": 0}, 400, "1 to 50"),
        ("POST", "", {"name": "../../etc", "parties": 1}, 400, "cannot be a name"),
        ("POST", "", {"command": "rm"}, 404, "no option of a new federation called 'command'"),
        ("POST", "", [1], 400, "not a JSON object"),
        ("DELETE", "/nobody", None, 404, "no federation called 'nobody'"),
        ("GET", "/nobody/log", None, 404, "no federation called 'nobody'"),
        ("POST", "/nobody/scale", {"parties": 2}, 404, "no federation called 'nobody'"),
        ("POST", "/nobody/scale", {"parties": 2, "x": 1}, 404, "no field of this request called 'x'"),
        ("POST", "/nobody/invite", {"n": 1000}, 404, "no federation called 'nobody'"),
    ],
)
def test_what_is_refused_says_why_in_json(ask, method, path, body, status, says):
    answer = ask(method, path, body)
    assert answer.status_code == status
    assert says in answer.json()["message"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("action", "body", "status", "says"),
    [
        ("scale", {"parties": "many"}, 400, "1 to 50"),
        ("scale", {}, 400, "1 to 50"),
        ("invite", {"n": 101}, 400, "1 to 100"),
        ("invite", {"minutes": 0}, 400, "minutes is a whole number"),
        ("approve", {"name": ["x"]}, 400, "a party's name"),
        ("expel", {"name": "x" * 201}, 400, "a party's name"),
        ("expel", {"name": "Nobody"}, 400, "no party called 'Nobody'"),
    ],
)
def test_what_a_federation_is_not_asked_says_why(ask, federation, action, body, status, says):
    answer = ask("POST", f"/{federation}/{action}", body)
    assert answer.status_code == status
    assert says in answer.json()["message"]


def test_a_name_that_is_taken_is_a_conflict(ask, federation):
    answer = ask("POST", "", {"name": "demo-1", "parties": 1})
    assert answer.status_code == 409
    assert "runs already" in answer.json()["message"]


@pytest.mark.parametrize(
    "path",
    ["/..%2f..%2fetc%2fpasswd", "/%2e%2e/api/sessions/log", "/a%00b/log", "/" + "a" * 200, "/a/shell",
     "//log", "/%F0%9F%92%A9", "/a%0d%0aSet-Cookie:x=1", "/-a"],
)  # fmt: skip
def test_tricks_with_paths_find_nothing(ask, path):
    for method in ("GET", "POST", "DELETE"):
        answer = ask(method, path, {} if method == "POST" else None)
        assert answer.status_code in (404, 405)
        assert "set-cookie" not in {name for name in answer.headers if "x=1" in answer.headers[name]}


def test_bodies_are_limited_before_they_are_read(server, ask):
    long = b'{"name": "' + b"x" * MAX_BODY_BYTES + b'"}'
    kind = server.token | {"Content-Type": "application/json"}
    assert server.post(API, content=long, headers=kind).status_code == 413
    chunks = (long[k : k + 1000] for k in range(0, len(long), 1000))
    assert server.post(API, content=chunks, headers=kind).status_code == 413  # says no length
    with socket.create_connection((server.base_url.host, server.base_url.port), 10) as raw:
        head = f"POST {API} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {server.token['Authorization']}\r\n"
        raw.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n".encode())
        assert raw.recv(100).startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))
    assert server.post(API, content=b"{}", headers=server.token | {"Content-Type": "text/plain"}).status_code == 415
    for broken in (b"", b"{", b"[" * 50_000, b"\xff"):
        answer = server.post(API, content=broken, headers=kind)
        assert answer.status_code == 400
        assert "no JSON" in answer.json()["message"]
    assert ask("GET").status_code == 200


def children(client):
    return [one for one in psutil.Process(client.process.pid).children(recursive=True) if FAKE_HOST[1] in one.cmdline()]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_server_ends(tmp_path, how):
    with running_server(tmp_path) as client:
        # The deaf one hears neither the end of its input nor SIGTERM: only a server that still lives can end it.
        names = ("one", "two", "slow", *(["deaf"] if how == signal.SIGTERM else []))
        for name in names:
            assert client.post(API, json={"name": name, "parties": 1}, headers=client.token).status_code == 201
        runtime = tmp_path / "runtime/fi-workbench"
        wait(lambda: runtime.is_dir() and len(list(runtime.glob("*.json"))) == len(names) - 1)
        left = children(client)
        assert len(left) == len(names)
        client.process.send_signal(how)
        client.process.wait(30)
        wait(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in left))
        wait(lambda: not listed(runtime))
        assert list(runtime.iterdir()) == []


def test_it_can_be_turned_off(tmp_path):
    with running_server(tmp_path, "--FederationsApp.enabled=False") as client:
        assert client.get(API, headers=client.token).status_code == 404


def test_the_server_is_not_burdened_with_flower_or_torch():
    code = "import json, sys, fi_workbench.lab.serverext; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"flwr", "torch", "sklearn", "pandas"} & set(json.loads(done.stdout))
