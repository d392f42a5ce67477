"""Tricks with paths, methods, hosts and origins: on the parties' port, at the desk, on the side panel's routes."""

import http.client
import socket
from itertools import product

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from fi_workbench.transport.flower_internals.link import signed_headers
from tests.lab.test_server import API, running_server
from tests.transport.hosted.raw import tls_socket

METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "CONNECT", "PROPFIND", "GE\tT", "")


def tricks(path):
    """Spellings that some server somewhere takes for `path`, or for a file."""
    first, _, rest = path.strip("/").partition("/")
    return (
        f"/{path}", f"{path}/", f"{path}/.", f"{path}/..", f"/../{path}", f"/x/../{first}/{rest}", f"{path}%00",
        f"{path}%2f", f"/%2e%2e/{first}/{rest}", f"/{first}%2f{rest}", f"{path};x=1", f"{path}%3fx", f"{path}.json",
        path.upper(), path.replace("/", "\\"), f"/{first}//{rest}" if rest else f"//{first}", f"{path}\x00",
        f"{path}%0d%0ax: y", "/" + "a" * 9_000, "/..%c0%af..%c0%afetc/passwd", "*",
    )  # fmt: skip


def same(path):
    """What HTTP has everybody take for `path` itself: the same is asked for then, and the same checked."""
    return f"{path}#x", f"http://evil.example{path}"


def said(sock, method, path, headers):
    """The status line of one raw request, empty if the connection was just closed."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    try:
        sock.sendall("\r\n".join(lines).encode("latin-1", "replace"))
        heard = b""
        while b"\r\n\r\n" not in heard and (part := sock.recv(65536)):
            heard += part
    except OSError:
        return b""
    assert b"Traceback" not in heard
    assert b"root:" not in heard
    return heard.partition(b"\r\n")[0]


def status_of(line):
    return int(line.split()[1]) if line else None


def test_no_spelling_of_a_path_gets_past_the_port_of_parties(link, far, answers):
    far("Ada", link)
    stranger = signed_headers(ec.generate_private_key(ec.SECP384R1()))
    headers = stranger | {"host": "x", "content-type": "application/protobuf", "content-length": "0"}
    for path in link._app.paths:
        for trick in tricks(path):
            with tls_socket(link) as sock:
                assert status_of(said(sock, "POST", trick, headers)) in (400, 404, None), trick
        for method, spelt in (*((method, path) for method in METHODS), *(("POST", spelt) for spelt in same(path))):
            with tls_socket(link) as sock:
                assert status_of(said(sock, method, spelt, headers)) in (400, 401, 403, 405, 415, None), (method, spelt)
    assert [entry.name for entry in link.roster.entries] == ["Ada"]
    answers(link, "Ada")


@pytest.fixture
def desk(links):
    link = links(announce_by="kernel")
    host, port = link.announced.desk.removeprefix("http://").split(":")

    def ask(method, path, **headers):
        good = {"host": f"{host}:{port}", "authorization": f"Bearer {link.announced.token}",
                "content-type": "application/json", "content-length": "2"}  # fmt: skip
        given = {name: value for name, value in (good | headers).items() if value is not None}
        with socket.create_connection((host, int(port)), 20.0) as sock:
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", "{}"]
            try:
                sock.sendall("\r\n".join(lines).encode("latin-1", "replace"))
                heard = sock.recv(65536)
            except OSError:
                return None, b""
        assert b"Traceback" not in heard
        return status_of(heard.partition(b"\r\n")[0]), heard

    ask.link = link
    return ask


def test_no_spelling_of_a_path_gets_past_the_desk(desk):
    for method, path in desk.link._desk.paths:
        for trick in tricks(path):
            assert desk(method, trick)[0] in (400, 404, None), trick
        for other in set(METHODS) - {method}:
            assert desk(other, path)[0] in (400, 405, None), (other, path)
        for spelt in same(path):
            assert desk(method, spelt, authorization=None)[0] == 401
            assert desk(method, spelt, host="evil.example")[0] == 403
    assert desk("GET", "/status")[0] == 200, "nothing of it stopped it"


REBOUND = (
    *("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example"),
    *("0.0.0.0", "[::]", "", "169.254.169.254", "xn--lcalhost-v0a", "localhost."),
)


def test_a_page_of_another_site_gets_nothing_from_the_desk(desk):
    """Even if it knew the token: a browser says where it comes from, or names the host that was rebound."""
    for method, path in desk.link._desk.paths:
        for origin in (
            "https://evil.example",
            "null",
            "http://127.0.0.1:8888",
            f"http://{desk.link.announced.desk}",
            "",
        ):
            assert desk(method, path, origin=origin)[0] == 403, (path, origin)
        for host in REBOUND:
            assert desk(method, path, host=host)[0] in (400, 403), (path, host)
        for wrong in (None, "", "Bearer", "Bearer " + "A" * 43, "Basic x", "Bearer \xe9"):
            status, heard = desk(method, path, authorization=wrong)
            assert status == 401, (path, wrong)
            assert b"access-control" not in heard.lower()
    status, heard = desk("OPTIONS", "/status", origin="https://evil.example")
    assert (status, b"access-control-allow" in heard.lower()) == (403, False)
    assert desk.link.status.state == "up", "and nobody stopped it"


def test_numbers_that_overflow_are_the_askers_mistake(desk):
    connection = http.client.HTTPConnection(desk.link.announced.desk.removeprefix("http://"), timeout=20.0)
    headers = {"authorization": f"Bearer {desk.link.announced.token}", "content-type": "application/json"}
    for body in (f'{{"minutes": 1{"0" * 400}}}', '{"minutes": 1e999}', '{"minutes": NaN}', f'{{"n": 1{"0" * 400}}}'):
        connection.request("POST", "/invite", body, headers)
        answer = connection.getresponse()
        assert (answer.status, b"error" in answer.read()) == (400, True), body
    connection.close()


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    with running_server(tmp_path_factory.mktemp("panel")) as client:
        yield client


def ask_panel(client, method, path, headers):
    where = (client.base_url.host, client.base_url.port)
    with socket.create_connection(where, 20.0) as sock:
        return status_of(said(sock, method, path, {"Host": f"{where[0]}:{where[1]}", "Connection": "close"} | headers))


ROUTES = [("GET", API), ("POST", API), ("DELETE", f"{API}/x"), ("GET", f"{API}/x/log"),
          *(("POST", f"{API}/x/{action}") for action in ("invite", "approve", "expel", "scale"))]  # fmt: skip


def test_no_spelling_of_a_path_gets_past_the_side_panels_routes(panel):
    signed_in = panel.token | {"Content-Type": "application/json", "Content-Length": "0"}
    for method, path in ROUTES:
        for trick in tricks(path):
            stranger = ask_panel(panel, method, trick, {"Content-Length": "0"})
            assert stranger in (302, 400, 403, 404, 405, 414, 431, None), (method, trick)
            found = ask_panel(panel, method, trick, signed_in)
            assert found in (200, 302, 400, 403, 404, 405, 414, 415, 431, None), (method, trick)
            assert found != 200, (method, trick)
        for spelt in same(path):
            assert ask_panel(panel, method, spelt, {"Content-Length": "0"}) in (400, 403, 404), spelt
    assert panel.get(API, headers=panel.token).json()["federations"] == []


def test_a_rebound_host_gets_nothing_from_the_side_panels_routes(panel):
    for (method, path), host in product(ROUTES, ("evil.example", "evil.example:80", "127.0.0.1.evil.example")):
        status = ask_panel(panel, method, path, panel.token | {"Host": host, "Content-Length": "0"})
        assert status == 403, (method, path, host)


def test_a_page_of_another_site_gets_nothing_from_the_side_panels_routes(panel):
    cookie = panel.get("/login", params={"token": panel.token["Authorization"].split()[1]}).headers
    jar = "; ".join(f"{name}={value}" for name, value in panel.cookies.items())
    assert jar, cookie
    for (method, path), origin in product(ROUTES, ("https://evil.example", "null", "http://127.0.0.1:1")):
        status = ask_panel(panel, method, path, {"Cookie": jar, "Origin": origin, "Content-Length": "0"})
        assert status in (403, 404), (method, path, origin)
    assert panel.get(API, headers=panel.token).json()["federations"] == []
