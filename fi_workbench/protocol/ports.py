"""The ports through which a round reaches the parties; a transport implements :class:`Link`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from fi_workbench.core.messages import Body, PartyCard, Reply
from fi_workbench.core.records import Absence


@dataclass(frozen=True)
class Sent:
    """What left for the parties in one phase: messages, and their content in bytes as encoded for the wire."""

    n_messages: int
    n_bytes: int


class Link(Protocol):
    """How messages travel between the coordinator and the parties."""

    @property
    def cards(self) -> Mapping[str, PartyCard]:
        """What each reachable party announced, by name, in a fixed order."""

    def exchange(
        self, phase: str, messages: Mapping[str, Body], *, round_id: str, seconds: float, cancelled: threading.Event
    ) -> Iterator[Sent | Reply | Absence]:
        """Send one message to each party; yield one :class:`Sent`, then one reply or absence for each as it comes.

        Ends when all have come, ``seconds`` have passed (the rest are absences of kind ``late``) or ``cancelled``
        is set (the rest are ``cancelled``). Never raises for what a party does.
        """


ABSENT_KIND, ABSENT_REASON = "absent.kind", "absent.reason"
"""Fields of a reply by which a party says that it does not answer, and why."""

ANNOUNCE = "announce"
"""The phase in which a party is asked for its card."""

CAPABILITIES = frozenset({"phases", "sealed_payloads", "enrolment"}) | ({"ckks"} if find_spec("tenseal") else set())
"""What the party side of this version can do here; announced in each card."""

PEER_CHANNELS, INSIDE_MODEL = "peer_channels", "inside_model"
"""A party can reach others directly; its model is one that can be computed with while it stays hidden (or it is a
helper's, which is none)."""

RELEASED = "released"
"""The message after a round that tells its parties which labels were released."""

TOTALS = "totals."
"""Prefix of the enrolment sums in a message."""

ROUND_ID = "round_id"
"""Names the round in every message after its first phase."""

RECEIPT = "receipt"
"""A party's signature of what it released, in its reply of the last phase of a round that is paid for."""
