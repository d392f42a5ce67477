"""What a party was asked and what came of it, for its owner's eyes and log; never what a query or an answer held."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fi_workbench.core.errors import Refused
from fi_workbench.core.messages import Body
from fi_workbench.core.plain_text import clean
from fi_workbench.protocol.header import HEADER, RoundHeader, read_header
from fi_workbench.protocol.ports import ABSENT_KIND, ABSENT_REASON, ANNOUNCE, ROUND_ID

_log = logging.getLogger(__name__)

_REMEMBERED = 1000
"""What is said of so many rounds is kept for their later phases."""

Handle = Callable[[str, Body], Body]


@dataclass(frozen=True)
class Asked:
    """One message to a party, answered or not.

    Parameters
    ----------
    phase : str
    outcome : {"answered", "announced", "refused", "invalid", "raised"}
        ``announced``: it was asked for its card. The last three are absences.
    seconds : float
        How long it took.
    round_id, client, rule, mechanism : str
        Of the question; empty where its header could not be believed.
    kind : str
        ``"answer"`` or ``"enrol"``.
    n_queries : int
    reason : str
        Why it is an absence, as the asker was told.
    """

    phase: str
    outcome: Literal["answered", "announced", "refused", "invalid", "raised"]
    seconds: float
    round_id: str = ""
    client: str = ""
    rule: str = ""
    mechanism: str = ""
    kind: str = ""
    n_queries: int = 0
    reason: str = ""

    def __str__(self) -> str:
        if self.outcome == "announced":
            return "announced itself to the link"
        of = f"round {self.round_id[:8]} for client {self.client[:16]}" if self.client else "a question"
        if self.outcome != "answered":
            return f"{self.outcome} {of}: {self.reason}"
        what = f"{self.n_queries} queries" if self.kind != "enrol" else "enrolment"
        phase = "" if self.phase == "answer" else f", {self.phase}"
        return f"answered {of}: {what}, {self.rule} under {self.mechanism}{phase} ({self.seconds * 1e3:.1f} ms)"

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes."""
        return asdict(self)


@dataclass(frozen=True)
class _About:
    """What a question's later phases do not repeat."""

    round_id: str = ""
    client: str = ""
    rule: str = ""
    mechanism: str = ""
    kind: str = ""
    n_queries: int = 0


def watched(handle: Handle, on_asked: Callable[[Asked], None]) -> Handle:
    """``handle``, and ``on_asked`` hears of each message before its reply leaves; what it raises is logged."""
    rounds: OrderedDict[str, _About] = OrderedDict()  # not the headers: one may have megabytes

    def about(message: Body) -> _About:
        if HEADER not in message:
            return rounds.get(str(message.get(ROUND_ID)), _About())
        try:
            header = read_header(message)  # the party has just read it: parsed and verified once
        except Refused:
            return _About()
        rounds[header.round_id] = _about(header)
        if len(rounds) > _REMEMBERED:
            rounds.popitem(last=False)
        return rounds[header.round_id]

    def handled(phase: str, message: Body) -> Body:
        began = time.perf_counter()
        reply = handle(phase, message)
        seconds = time.perf_counter() - began
        try:
            on_asked(_asked(phase, reply, seconds, about(message)))
        except Exception:  # noqa: BLE001 - who watches must not stop who works
            _log.exception("on_asked raised")
        return reply

    return handled


def _about(header: RoundHeader) -> _About:
    names = "+".join(str(member["name"]) for member in header.mechanism)
    return _About(
        header.round_id, header.client, clean(header.rule, 60), clean(names, 120), header.kind, header.n_queries
    )


def _asked(phase: str, reply: Body, seconds: float, about: _About) -> Asked:
    absent = ABSENT_KIND in reply
    outcome: Any = reply[ABSENT_KIND] if absent else "announced" if phase == ANNOUNCE else "answered"
    reason = clean(reply.get(ABSENT_REASON, "")) if absent else ""
    return Asked(clean(phase, 40), outcome, seconds, **asdict(about), reason=reason)
