"""How a party can be reached in one session: a small public text, checked field by field by whoever reads it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass

from fi_workbench.core.peers import PeerLost
from fi_workbench.transport.peers.certificates import is_certificate

LARGEST_ANNOUNCEMENT_BYTES = 8192
MOST_ADDRESSES = 8
_LONGEST_HOST, _LARGEST_CERTIFICATE_BYTES = 253, 4096
_KIND = "tls-1.3"


@dataclass(frozen=True)
class Announcement:
    """What peers are told.

    Parameters
    ----------
    addresses : tuple of (str, int)
        Host and port; any may work or not. None where the party can be reached by nobody.
    certificate : bytes
        DER.
    """

    addresses: tuple[tuple[str, int], ...]
    certificate: bytes

    def to_bytes(self) -> bytes:
        """As :func:`read_announcement` takes it."""
        text = {
            "kind": _KIND,
            "addresses": [list(address) for address in self.addresses],
            "certificate": b64encode(self.certificate).decode(),
        }
        return json.dumps(text, separators=(",", ":")).encode()


def read_announcement(peer: str, text: bytes) -> Announcement:
    """What a peer announced.

    Raises
    ------
    PeerLost
        It is malformed, or of a kind that is not known here.
    """
    try:
        return _read(text)
    except (ValueError, RecursionError) as error:
        raise PeerLost(peer, f"The announcement of {peer} cannot be used: {error}.") from error


def _read(text: bytes) -> Announcement:
    _need(len(text) <= LARGEST_ANNOUNCEMENT_BYTES, f"it has more than {LARGEST_ANNOUNCEMENT_BYTES} bytes")
    found = json.loads(text)
    known = isinstance(found, dict) and found.get("kind") == _KIND
    _need(known, f"it is not of the kind {_KIND!r}; both need the same version of this package")
    _need(set(found) == {"kind", "addresses", "certificate"}, "it has other fields than kind, addresses, certificate")
    addresses, certificate = found["addresses"], found["certificate"]
    listed = isinstance(addresses, list) and len(addresses) <= MOST_ADDRESSES and all(map(_is_address, addresses))
    _need(listed, f"it has no list of at most {MOST_ADDRESSES} addresses (host, port)")
    der = b64decode(certificate, validate=True) if isinstance(certificate, str) else b""
    _need(len(der) <= _LARGEST_CERTIFICATE_BYTES and is_certificate(der), "it has no certificate that can be read")
    return Announcement(tuple((host, port) for host, port in addresses), der)


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _is_address(one: object) -> bool:
    if not isinstance(one, list) or len(one) != 2:
        return False
    host, port = one
    fits = isinstance(host, str) and 1 <= len(host) <= _LONGEST_HOST and host.isascii() and host.isprintable()
    return fits and type(port) is int and 1 <= port <= 65535
