"""Where a process of a system runs: on this computer as it is, or in a network namespace behind a slow link."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """One host.

    Parameters
    ----------
    address : str
        On which it is reached.
    interface : str
        Which has that address.
    prefix : tuple of str
        Of a command, to run it there.
    """

    address: str = "127.0.0.1"
    interface: str = "lo"
    prefix: tuple[str, ...] = ()


def loopback(n: int) -> list[Place]:
    """All here."""
    return [Place()] * n
