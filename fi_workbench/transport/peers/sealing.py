"""Messages between two peers that a third carries: sealed end to end, in order, each once."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fi_workbench.core.peers import BadPeerMessage
from fi_workbench.transport.peers.inbox import LONGEST_TAG_BYTES, Inbox

PIECE_BYTES = 2**20
"""Larger messages are carried in pieces of so many bytes."""

_COUNTER = struct.Struct(">Q")
_PIECE = struct.Struct(">BQQ")  # length of the tag; bytes of the whole message; where this piece begins
_SEAL_BYTES = 16
LARGEST_SEALED_BYTES = _COUNTER.size + _PIECE.size + LONGEST_TAG_BYTES + PIECE_BYTES + _SEAL_BYTES


def direction_key(secret: bytes, session: str, sender: str, recipient: str) -> bytes:
    """32 bytes for what ``sender`` seals for ``recipient`` in this session.

    Parameters
    ----------
    secret : bytes
        Of the pair.
    session, sender, recipient : str
    """
    named = b"".join(len(part).to_bytes(4, "big") + part for part in (sender.encode(), recipient.encode()))
    label = b"fi-workbench peers: sealed messages, version 1" + named
    return HKDF(hashes.SHA256(), 32, salt=session.encode(), info=label).derive(secret)


class Sealer:
    """One direction's sending end.

    Parameters
    ----------
    key : bytes
        Of :func:`direction_key`; used by one object in one process only, since a nonce is a count.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._n_sealed = 0

    def seal(self, tag: str, payload: bytes) -> Iterator[bytes]:
        """The pieces of one message; to be handed over in order, and before those of the next."""
        name = tag.encode()
        for start in range(0, max(len(payload), 1), PIECE_BYTES):
            piece = _PIECE.pack(len(name), len(payload), start) + name + payload[start : start + PIECE_BYTES]
            count = _COUNTER.pack(self._n_sealed)
            self._n_sealed += 1
            yield count + self._cipher.encrypt(bytes(4) + count, piece, None)


class Opener:
    """One direction's receiving end; puts into an inbox what arrived whole.

    Parameters
    ----------
    key : bytes
        Of :func:`direction_key`.
    inbox : Inbox
    """

    def __init__(self, key: bytes, inbox: Inbox) -> None:
        self._cipher = ChaCha20Poly1305(key)
        self._inbox = inbox
        self._lock = threading.Lock()
        self._n_opened = 0
        self._tag = ""
        self._payload: bytearray | None = None
        self._n_arrived = 0

    def open(self, sealed: bytes) -> None:
        """Take in one piece.

        Raises
        ------
        BadPeerMessage
            It is not the next one of this peer for this session, or was changed on the way.
        """
        peer = self._inbox.peer
        if not _COUNTER.size + _SEAL_BYTES < len(sealed) <= LARGEST_SEALED_BYTES:
            raise BadPeerMessage(peer, f"What was carried for {peer} has {len(sealed)} bytes: none of its messages.")
        with self._lock:
            (count,) = _COUNTER.unpack_from(sealed)
            if count != self._n_opened:
                how = "repeated" if count < self._n_opened else "lost or out of order"
                raise BadPeerMessage(peer, f"A message of {peer} that others carried was {how} ({count}).")
            try:
                piece = self._cipher.decrypt(bytes(4) + sealed[: _COUNTER.size], sealed[_COUNTER.size :], None)
            except InvalidTag as error:
                raise BadPeerMessage(peer, f"A message of {peer} was changed by who carried it.") from error
            self._n_opened += 1
            self._join(piece)

    def _join(self, piece: bytes) -> None:
        peer = self._inbox.peer
        try:
            n_tag, n_bytes, start = _PIECE.unpack_from(piece)
            tag = piece[_PIECE.size : _PIECE.size + n_tag].decode()
        except (struct.error, UnicodeDecodeError) as error:
            raise BadPeerMessage(peer, f"A message of {peer} that others carried is malformed.") from error
        part = memoryview(piece)[_PIECE.size + n_tag :]
        if self._payload is None:
            self._inbox.check(tag, n_bytes)
            self._tag, self._payload, self._n_arrived = tag, bytearray(n_bytes), 0
        whole = len(self._payload)
        wanted = min(PIECE_BYTES, whole - self._n_arrived)
        if (tag, n_bytes, start, len(part)) != (self._tag, whole, self._n_arrived, wanted):
            raise BadPeerMessage(peer, f"A piece of {self._tag!r} of {peer} does not follow the one before.")
        self._payload[start : start + len(part)] = part
        self._n_arrived += len(part)
        if self._n_arrived == whole:
            payload, self._payload = self._payload, None
            self._inbox.put(tag, payload)
