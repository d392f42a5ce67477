"""What a federation says of itself at its desk, checked field by field; and what of it a browser is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fi_workbench.core.errors import InvalidAnswer

MAX_TEXT = 300
"""Longer texts are cut: a browser shows them in a narrow column."""

MAX_SHOWN = 100
"""As many parties are listed one by one; of the others there is a count."""

_FIRST = {"waiting": 0, "refused": 1}  # these ask something of whoever looks
_LAST = {"expelled": 3}


@dataclass(frozen=True)
class PartyLine:
    """One party, as it is listed.

    Parameters
    ----------
    number : int
        Its place in the federation, from 0: the party's colour everywhere.
    key, name, state, reason, address, model : str
    since : float
        When it came into its state, in seconds since the epoch.
    """

    number: int
    key: str
    name: str
    state: str
    since: float
    reason: str
    address: str
    model: str


@dataclass(frozen=True)
class DeskStatus:
    """What a desk answered.

    Parameters
    ----------
    version : int
        Moves whenever anything of it changes.
    name, kind, state, address, fingerprint : str
    pid : int
    started : float
        Seconds since the epoch.
    parties : tuple of PartyLine
    rounds : int
    rounds_per_second : float
    about : dict
        What the last round was: ``rule``, ``mechanism``, ``budget_micro``... (plain values only).
    demo : dict or None
        What its demo parties are made of; None where the parties are others' own.
    scale : int or None
        How many demo parties it runs; None where it cannot be scaled.
    """

    version: int
    name: str
    kind: str
    state: str
    address: str
    fingerprint: str
    pid: int
    started: float
    parties: tuple[PartyLine, ...]
    rounds: int
    rounds_per_second: float
    about: dict[str, Any]
    demo: dict[str, Any] | None
    scale: int | None

    @classmethod
    def from_json(cls, data: Any) -> DeskStatus:
        """Read an answer of ``GET /status``.

        Raises
        ------
        InvalidAnswer
            For anything but the agreed fields with the agreed types.
        """
        fields = _mapping("status", data)
        parties = fields.get("parties")
        if not isinstance(parties, list):
            raise InvalidAnswer("A desk's status has no list of parties; is that another version of the workbench?")
        scale, demo = fields.get("scale"), fields.get("demo")
        return cls(
            version=_whole(fields, "version"),
            name=_text(fields, "name"),
            kind=_text(fields, "kind"),
            state=_text(fields, "state"),
            address=_text(fields, "address"),
            fingerprint=_text(fields, "fingerprint"),
            pid=_whole(fields, "pid"),
            started=_real(fields, "started"),
            parties=tuple(_party(number, party) for number, party in enumerate(parties)),
            rounds=_whole(fields, "rounds"),
            rounds_per_second=_real(fields, "rounds_per_second"),
            about=_plain(_mapping("about", fields.get("about") or {})),
            demo=None if demo is None else _plain(_mapping("demo", demo)),
            scale=None if scale is None else _whole(fields, "scale"),
        )

    def shown(self) -> dict[str, Any]:
        """What a browser is told: counts of all parties, and the lines of those that matter most."""
        waiting_first = sorted(self.parties, key=lambda party: _FIRST.get(party.state, _LAST.get(party.state, 2)))
        listed = sorted(waiting_first[:MAX_SHOWN], key=lambda party: party.number)
        taking_part = [party for party in self.parties if party.state in ("online", "offline")]
        return {
            "name": self.name,
            "address": self.address,
            "fingerprint": self.fingerprint,
            "pid": self.pid,
            "started": self.started,
            "parties": [asdict(party) for party in listed],
            "n_parties": len(taking_part),
            "n_online": sum(party.state == "online" for party in taking_part),
            "n_waiting": sum(party.state == "waiting" for party in self.parties),
            "n_unlisted": len(self.parties) - len(listed),
            "rounds": self.rounds,
            "rounds_per_second": self.rounds_per_second,
            "about": self.about,
            "demo": self.demo,
            "scale": self.scale,
        }


def _party(number: int, data: Any) -> PartyLine:
    fields = _mapping("party", data)
    texts = {name: _text(fields, name) for name in ("key", "name", "state", "reason", "address", "model")}
    return PartyLine(number=number, since=_real(fields, "since"), **texts)


def _mapping(what: str, data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise InvalidAnswer(f"A desk's {what} is {type(data).__name__}, not an object with named fields.")
    return data


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidAnswer(f"A desk's {name} is {type(value).__name__}, not a text.")
    return (value or "")[:MAX_TEXT]


def _whole(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidAnswer(f"A desk's {name} is {str(value)[:40]!r}, not a count.")
    return value


def _real(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidAnswer(f"A desk's {name} is {str(value)[:40]!r}, not a finite number.")
    return float(value)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The first values that are numbers, words or nothing: what a line of text can show."""
    kept = {str(name)[:MAX_TEXT]: _cut(value) for name, value in values.items() if _is_plain(value)}
    return dict(list(kept.items())[:50])


def _is_plain(value: Any) -> bool:
    return math.isfinite(value) if isinstance(value, float) else value is None or isinstance(value, str | bool | int)


def _cut(value: Any) -> Any:
    return value[:MAX_TEXT] if isinstance(value, str) else value
