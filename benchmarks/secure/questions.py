"""A sealed question or answer with a word about it, on a TCP connection."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, BinaryIO

_LENGTHS = struct.Struct("!II")


def write(sock: socket.socket, about: dict[str, Any], sealed: bytes) -> None:
    """Send one."""
    text = json.dumps(about).encode()
    sock.sendall(_LENGTHS.pack(len(text), len(sealed)) + text + sealed)


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """The next one; None where the connection has ended."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    n_text, n_sealed = _LENGTHS.unpack(lengths)
    return json.loads(stream.read(n_text)), stream.read(n_sealed)
