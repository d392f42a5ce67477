"""What peers are told of one another, the certificates they pin, and what shows that they know their secret."""

import json
import ssl

import pytest

from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.peers import PeerLost
from fi_workbench.transport.peers import handshake
from fi_workbench.transport.peers.announcement import Announcement, read_announcement
from fi_workbench.transport.peers.certificates import SessionCertificate
from fi_workbench.transport.peers.tls import TlsNetwork
from tests.transport.peers.groups import SESSION, closing_all, soon


def test_a_proof_is_good_for_one_end_one_direction_and_one_connection():
    here, there = SessionCertificate().der, SessionCertificate().der
    a = handshake.Pair(SESSION, "a", "b", bytes(32), here, there)
    b = handshake.Pair(SESSION, "b", "a", bytes(32), there, here)
    nonces = (bytes(32), bytes([1]) * 32)
    one = a.proof(mine=True, i_dial=True, direction=1, nonces=nonces)
    assert one == b.proof(mine=False, i_dial=False, direction=1, nonces=nonces)
    others = [
        a.proof(mine=False, i_dial=True, direction=1, nonces=nonces),
        a.proof(mine=True, i_dial=False, direction=1, nonces=nonces),
        a.proof(mine=True, i_dial=True, direction=2, nonces=nonces),
        a.proof(mine=True, i_dial=True, direction=1, nonces=nonces[::-1]),
        handshake.Pair("00" * 32, "a", "b", bytes(32), here, there).proof(
            mine=True, i_dial=True, direction=1, nonces=nonces
        ),
        handshake.Pair(SESSION, "a", "b", bytes(32), there, there).proof(
            mine=True, i_dial=True, direction=1, nonces=nonces
        ),
    ]
    assert len({one, *others}) == 7


def test_an_announcement_is_checked_field_by_field():
    der = SessionCertificate().der
    good = Announcement((("127.0.0.1", 1), ("host.example", 65535)), der)
    assert read_announcement("b", good.to_bytes()) == good
    assert len(good.to_bytes()) < 8192
    fields = json.loads(good.to_bytes())
    bad = [
        b"",
        b"\xff",
        b"[]",
        b"[" * 7000,
        bytes(9000),
        *(
            json.dumps({**fields, **change}).encode()
            for change in (
                {"kind": "tls-1.4"},
                {"more": 1},
                {"addresses": "127.0.0.1"},
                {"addresses": [["127.0.0.1", 0]]},
                {"addresses": [["127.0.0.1", True]]},
                {"addresses": [["", 1]]},
                {"addresses": [["x" * 254, 1]]},
                {"addresses": [["a", 1]] * 9},
                {"certificate": 1},
                {"certificate": "!"},
                {"certificate": "AAAA"},
            )
        ),
    ]
    for text in bad:
        with pytest.raises(PeerLost, match="The announcement of b cannot be used"):
            read_announcement("b", text)


def test_each_session_has_a_certificate_of_its_own_and_a_session_is_connected_once():
    with closing_all(a=TlsNetwork()) as made:
        network = made["a"]
        one, other = network.announce(SESSION), network.announce("00" * 32)
        assert read_announcement("a", one).certificate != read_announcement("a", other).certificate
        network.connect(SESSION, "a", {}, {}, soon())
        with pytest.raises(PeerLost, match="in it already"):
            network.connect(SESSION, "a", {}, {}, soon())
        with pytest.raises(PeerLost, match="has not announced"):
            network.connect("11" * 32, "a", {}, {}, soon())
        with pytest.raises(PeerLost, match="not 32"):
            network.connect("00" * 32, "a", {"b": other}, {"b": b"short"}, soon())
    with pytest.raises(PeerLost, match="closed"):
        network.announce("22" * 32)


def test_a_key_is_on_no_disc_after_it_was_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    seen = []
    load = ssl.SSLContext.load_cert_chain

    def watched(self, path, password):
        seen.append((path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777, path.read_bytes()))
        return load(self, path, password=password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", watched)
    SessionCertificate().contexts([])
    assert [one[:2] for one in seen] == [(0o600, 0o700)] * 2
    assert b"ENCRYPTED" in seen[0][2]
    assert list(tmp_path.iterdir()) == []


def test_where_to_listen_is_said_or_is_this_computer():
    with closing_all(a=TlsNetwork(), b=TlsNetwork("0.0.0.0", advertised=[("127.0.0.1", 0)])) as made:
        assert made["a"].addresses[0][0] == "127.0.0.1"
        assert made["b"].addresses == (("127.0.0.1", made["b"]._listener.port),)
        with pytest.raises(InvalidOption, match="free one"):
            TlsNetwork(port=made["a"].addresses[0][1])
    for host in ("0.0.0.0", "::", ""):
        with pytest.raises(InvalidOption, match="advertised"):
            TlsNetwork(host)
