"""How a party that joins over a link is reached by the other parties, under mechanisms that need it."""

from __future__ import annotations

from fi_workbench.core.errors import InvalidOption
from fi_workbench.transport.peers.tls import TlsNetwork

HERE = "127.0.0.1"
"""Other parties on this computer only."""


def peer_network(address: str = HERE) -> TlsNetwork:
    """Channels that listen at ``HOST`` or ``HOST:PORT``, IPv6 in brackets; without a port the system chooses one.

    Raises
    ------
    InvalidOption
        No such address, or one that cannot be listened on.
    """
    host, port = address, ""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":")
    elif address.count(":") == 1:
        host, _, port = address.partition(":")
    if not host or (port and not (port.isascii() and port.isdigit() and int(port) < 2**16)):
        raise InvalidOption(f"Peers reach a party at HOST or HOST:PORT, not {address!r:.80}; e.g. 192.0.2.7:9443.")
    return TlsNetwork(host, int(port or 0))
