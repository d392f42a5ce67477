"""What a link shows to whoever watches it: its parties, what its last round was, and the demo parties it runs."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from fi_workbench.core.errors import DoesNotFit, InvalidOption
from fi_workbench.protocol.announcement import card_bytes
from fi_workbench.transport.roster import Roster, RosterEntry

_ABOUT_BYTES = 2**16


class WatchedRoster(Roster):
    """A roster that says when it changes."""

    def __init__(self, moved: Callable[[], None]) -> None:
        super().__init__()
        self._tell = moved

    def _moved(self) -> None:
        super()._moved()
        self._tell()


class Shown:
    """What the host's process says of the link, beside who is on it.

    Parameters
    ----------
    moved : callable
        Called at each change.
    """

    def __init__(self, moved: Callable[[], None]) -> None:
        self._moved = moved
        self._about: dict[str, Any] = {}
        self._demo: dict[str, Any] | None = None
        self._scale: Callable[[int], None] | None = None
        self._n_scale: int | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        return {"about": self._about, "demo": self._demo, "scale": self._n_scale}

    def told(self, about: dict[str, Any]) -> None:
        """What the last round was.

        Raises
        ------
        InvalidOption
            If it is no JSON, or longer than 64 KiB.
        """
        try:
            written = json.dumps(about, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidOption(f"What a link is told of its rounds is plain JSON: {error}.") from error
        if len(written) > _ABOUT_BYTES:
            raise InvalidOption(f"What a link is told of its rounds has at most {_ABOUT_BYTES} bytes.")
        about = json.loads(written)
        if about != self._about:
            self._about = about
            self._moved()

    def runs_demo(self, demo: dict[str, Any], n: int, scale: Callable[[int], None]) -> None:
        """This process runs ``n`` demo parties too; ``scale(n)`` makes them more or fewer.

        Parameters
        ----------
        demo : dict
            What :meth:`~fi_workbench.session.demo.Demo.to_dict` gives.
        n : int
        scale : callable
        """
        self._demo, self._n_scale, self._scale = demo, n, scale
        self._moved()

    def scale(self, n: int) -> None:
        """Have ``n`` demo parties.

        Raises
        ------
        DoesNotFit
            If this process runs none.
        """
        if self._scale is None:
            raise DoesNotFit("This federation's parties are processes of their own; only demo parties can be scaled.")
        self._scale(n)
        self._n_scale = n
        self._moved()


def plain_entry(entry: RosterEntry) -> dict[str, Any]:
    """A party on the roster, as JSON takes it."""
    card = entry.card
    return {
        "key": entry.key,
        "name": entry.name,
        "state": entry.state,
        "since": entry.since,
        "reason": entry.reason,
        "address": entry.address,
        "model": "" if card is None else card.model,
        "node": entry.node,
        "card": None if card is None else b64encode(card_bytes(card)).decode(),
    }
