"""What happens to a party that joined a federation elsewhere, for whoever shows or logs it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

from fi_workbench.session.asked import Asked

State = Literal["starting", "connected", "lost", "stopped", "refused"]
"""How a party stands to its link; ``refused``: what went wrong is not mended by trying again."""

EventKind = Literal["enrolled", "connected", "lost", "retrying", "asked", "stopped", "refused"]


@dataclass(frozen=True)
class PartyEvent:
    """Something that happened to a party that joined.

    Parameters
    ----------
    kind : str
        See :data:`EventKind`.
    text : str
        A sentence for its owner.
    asked : Asked, optional
        With ``"asked"``: the question and what came of it.
    seconds : float, optional
        With ``"retrying"``: until the next try.
    at : float
        Seconds since the epoch.
    """

    kind: EventKind
    text: str
    asked: Asked | None = None
    seconds: float | None = None
    at: float = field(default_factory=time.time)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes."""
        plain: dict[str, Any] = {"kind": self.kind, "text": self.text, "at": self.at}
        if self.asked is not None:
            plain["asked"] = self.asked.to_dict()
        if self.seconds is not None:
            plain["seconds"] = self.seconds
        return plain


def quiet(event: PartyEvent) -> None:
    """Tell nobody."""
