"""How two peers come to trust a connection: the session in clear, TLS with pinned certificates, then the pair's secret.

    dialler  -> listener  magic | version | SHA-256 of the session          in clear: the listener picks its certificate
    listener -> dialler   magic | version | 1 if it is in that session
    TLS 1.3, each end with exactly the certificate that the other announced for this session
    dialler  -> listener  direction | nonce
    listener -> dialler   nonce | its proof
    dialler  -> listener  its proof
    listener -> dialler   verdict

A proof is an HMAC, with a key of the pair's secret, over the session, both names, the direction, both nonces and both
certificates. (Python offers no exporter of TLS 1.3; fresh certificates that are good for one session bind as well.)
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import ssl
import struct
import time
from dataclasses import dataclass

from fi_workbench.core.peers import PeerLost

VERSION = 1

TO_LISTENER, TO_DIALLER = 1, 2
"""Which way messages go on a connection."""

HAS_ITS_OWN, DIAL_BACK, RELAY = 1, 2, 3
"""What a listener says at last: it has a way to the dialler, wants the dialler to open one, or there is none."""

_MAGIC = b"fi-peers"
_HELLO = struct.Struct(">8sB32s")
_REPLY = struct.Struct(">8sBB")
_NONCE_BYTES = _PROOF_BYTES = 32


class Unreachable(Exception):
    """There is nobody at an address, or nobody who speaks this protocol."""


@dataclass(frozen=True)
class Pair:
    """What one end knows of a connection to be made.

    Parameters
    ----------
    session, me, peer : str
    secret : bytes
        Of the pair.
    my_certificate, peer_certificate : bytes
        DER.
    """

    session: str
    me: str
    peer: str
    secret: bytes
    my_certificate: bytes
    peer_certificate: bytes

    def proof(self, *, mine: bool, i_dial: bool, direction: int, nonces: tuple[bytes, bytes]) -> bytes:
        """What shows that one end, this one or the peer, knows the secret.

        Parameters
        ----------
        mine : bool
            Whether this end's own.
        i_dial : bool
        direction : int
        nonces : tuple of bytes
            The dialler's and the listener's.
        """
        names = (self.me, self.peer) if i_dial else (self.peer, self.me)
        mine_der, peer_der = (
            hashlib.sha256(self.my_certificate).digest(),
            hashlib.sha256(self.peer_certificate).digest(),
        )
        certificates = (mine_der, peer_der) if i_dial else (peer_der, mine_der)
        whose = b"dialler" if mine == i_dial else b"listener"
        fields = (whose, bytes((VERSION, direction)), self.session.encode(), *(name.encode() for name in names))
        text = b"".join(len(field).to_bytes(4, "big") + field for field in (*fields, *nonces, *certificates))
        key = hmac.digest(self.secret, b"fi-workbench peers: proof of the pair's secret, version 1", "sha256")
        return hmac.digest(key, text, "sha256")


def session_name(session: str) -> bytes:
    """32 bytes that name a session in clear."""
    return hashlib.sha256(b"fi-workbench peers: session" + session.encode()).digest()


def ask_for(sock: socket.socket, peer: str, session: str, end: float) -> None:
    """At the dialler, before TLS: ask for a session.

    Raises
    ------
    Unreachable
        Whoever answers is no party of this session.
    PeerLost
        It speaks another version.
    OSError
    """
    _send(sock, _HELLO.pack(_MAGIC, VERSION, session_name(session)), end)
    magic, version, known = _REPLY.unpack(_read(sock, _REPLY.size, end))
    if magic != _MAGIC:
        raise Unreachable("something else listens there")
    if version != VERSION:
        raise PeerLost(
            peer, f"{peer} speaks version {version} of the channels between parties, not {VERSION}: update the older."
        )
    if known != 1:
        raise Unreachable("who listens there is not in this session")


def asked_for(sock: socket.socket, end: float) -> bytes:
    """At the listener: the name of the session that is asked for; to be answered by :func:`answer`.

    Raises
    ------
    Unreachable
        The other end speaks another version (which it is told), or another protocol.
    OSError
    """
    magic, version, name = _HELLO.unpack(_read(sock, _HELLO.size, end))
    if magic != _MAGIC:
        raise Unreachable("another protocol")
    if version != VERSION:
        answer(sock, known=False, end=end)
        raise Unreachable(f"version {version}")
    return bytes(name)


def answer(sock: socket.socket, *, known: bool, end: float) -> None:
    """At the listener: whether it is in that session."""
    _send(sock, _REPLY.pack(_MAGIC, VERSION, known), end)


def check_certificate(sock: ssl.SSLSocket, pair: Pair) -> None:
    """Whether the other end showed what the peer announced.

    Raises
    ------
    PeerLost
    """
    if not hmac.compare_digest(sock.getpeercert(binary_form=True) or b"", pair.peer_certificate):
        raise PeerLost(pair.peer, wrong_certificate(pair.peer))


def wrong_certificate(peer: str) -> str:
    """What to say of it."""
    return (
        f"Who answers for {peer} shows a certificate that {peer} did not announce for this session: somebody stands in "
        "between, or another party has its address. Nothing was sent."
    )


def prove_as_dialler(sock: ssl.SSLSocket, pair: Pair, direction: int, end: float) -> None:
    """Prove to the listener, and have it prove, that both know the secret.

    Raises
    ------
    PeerLost
    OSError
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    _send(sock, bytes((direction,)) + nonce, end)
    theirs = _read(sock, _NONCE_BYTES + _PROOF_BYTES, end)
    nonces = (nonce, theirs[:_NONCE_BYTES])
    try:
        _check_proof(pair, theirs[_NONCE_BYTES:], i_dial=True, direction=direction, nonces=nonces)
    except PeerLost:
        _send(sock, bytes(_PROOF_BYTES), end)  # so that the other end, too, can say what is wrong
        raise
    _send(sock, pair.proof(mine=True, i_dial=True, direction=direction, nonces=nonces), end)


def prove_as_listener(sock: ssl.SSLSocket, pair: Pair, end: float) -> int:
    """The same at the other end; returns the direction.

    Raises
    ------
    PeerLost
    OSError
    """
    first = _read(sock, 1 + _NONCE_BYTES, end)
    direction, nonce = first[0], secrets.token_bytes(_NONCE_BYTES)
    if direction not in (TO_LISTENER, TO_DIALLER):
        raise PeerLost(pair.peer, f"{pair.peer} asks for a connection of an unknown direction ({direction}).")
    nonces = (first[1:], nonce)
    _send(sock, nonce + pair.proof(mine=True, i_dial=False, direction=direction, nonces=nonces), end)
    theirs = _read(sock, _PROOF_BYTES, end)
    _check_proof(pair, theirs, i_dial=False, direction=direction, nonces=nonces)
    return direction


def say_verdict(sock: ssl.SSLSocket, verdict: int, end: float) -> None:
    """At the listener, last of all."""
    _send(sock, bytes((verdict,)), end)


def hear_verdict(sock: ssl.SSLSocket, end: float) -> int:
    """At the dialler; anything unknown counts as :data:`RELAY`.

    Raises
    ------
    OSError
    """
    verdict = _read(sock, 1, end)[0]
    return verdict if verdict in (HAS_ITS_OWN, DIAL_BACK) else RELAY


def _check_proof(pair: Pair, theirs: bytes, *, i_dial: bool, direction: int, nonces: tuple[bytes, bytes]) -> None:
    expected = pair.proof(mine=False, i_dial=i_dial, direction=direction, nonces=nonces)
    if not hmac.compare_digest(theirs, expected):
        raise PeerLost(pair.peer, f"{pair.peer} does not know the secret of the pair; nothing was sent to it.")


def _send(sock: socket.socket, what: bytes, end: float) -> None:
    sock.settimeout(_left(end))
    sock.sendall(what)


def _read(sock: socket.socket, n_bytes: int, end: float) -> bytes:
    found = b""
    while len(found) < n_bytes:
        sock.settimeout(_left(end))
        part = sock.recv(n_bytes - len(found))
        if not part:
            raise ConnectionError("the other end closed the connection")
        found += part
    return found


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError("out of time")
    return left
