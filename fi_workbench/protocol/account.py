"""What one party has granted to one client so far: the account that its privacy budget is held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from fi_workbench.privacy.event import UNPROTECTED, Event

NOTHING: Mapping[Event, int] = MappingProxyType({})
"""The price of a question that releases nothing."""

MAX_KINDS = 1000
"""Kinds of release that are told apart for one client; further ones count as unprotected. Each booking reads them all,
and a client chooses the options that tell them apart."""


@dataclass(frozen=True)
class Account:
    """What a client was granted.

    Parameters
    ----------
    n_queries : int
    events : mapping of Event to int
        What was released, and how often.
    last_at : float, optional
        When it last was, in seconds since the epoch; None for never, or where it is not known any more.
    """

    n_queries: int = 0
    events: Mapping[Event, int] = field(default_factory=dict)
    last_at: float | None = None

    @property
    def n_unprotected(self) -> int:
        """How many releases had no guarantee."""
        return self.events.get(UNPROTECTED, 0)

    @property
    def last(self) -> str:
        """When something was last released, as text, in UTC."""
        if self.last_at is None:
            return "at a time not known"
        return datetime.fromtimestamp(self.last_at, UTC).strftime("%Y-%m-%d %H:%M UTC")

    def price(self, events: Mapping[Event, int]) -> Mapping[Event, int]:
        """``events`` as they are booked: unprotected where they would make too many kinds."""
        if len(self.events.keys() | events.keys()) <= MAX_KINDS:
            return events
        return {UNPROTECTED: sum(events.values())}

    def after(self, events: Mapping[Event, int]) -> Mapping[Event, int]:
        """All events, with these booked too."""
        return Counter(self.events) + Counter(self.price(events))
