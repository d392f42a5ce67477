"""A party's own policy: whom it answers, under which mechanisms and rules, and how much."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields

from fi_workbench.core.errors import InvalidOption, Refused
from fi_workbench.protocol.header import RoundHeader

WINDOW_SECONDS = 60.0
"""The minute of ``queries_per_minute``: it slides."""


@dataclass(frozen=True)
class Policy:
    """What a party agrees to; the default agrees to everything.

    Parameters
    ----------
    clients : frozenset of str, optional
        Ed25519 keys in hexadecimal that may ask; None for anyone.
    mechanisms, rules : frozenset of str, optional
        Names that it answers under; None for any. Every member of a stack of mechanisms must be among them.
    min_cohort : int
        Fewest parties, itself included: in a small cohort a sum says much about each member. A client that may
        name parties of its own invention can fill a cohort; ``clients`` says whom to trust with that.
    max_batch : int, optional
        Most queries in one question.
    query_budget : int, optional
        Most queries that one client may ask in all. Anyone can make new keys: it binds only together with ``clients``.
    queries_per_minute : int, optional
        Most queries that one client may ask in any minute; binds as ``query_budget`` does.

    Raises
    ------
    InvalidOption
        A limit of the wrong type or out of its range.
    """

    clients: frozenset[str] | None = None
    mechanisms: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    min_cohort: int = 1
    max_batch: int | None = None
    query_budget: int | None = None
    queries_per_minute: int | None = None

    def __post_init__(self) -> None:
        for name in ("clients", "mechanisms", "rules"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, _names(name, given))
        for client in self.clients or ():
            if len(client) != 64 or not set(client) <= set("0123456789abcdef"):
                raise InvalidOption(f"{client!r:.80} is no client's key: 64 hexadecimal digits, in small letters.")
        for name, least in (("min_cohort", 1), ("max_batch", 1), ("query_budget", 0), ("queries_per_minute", 0)):
            given = getattr(self, name)
            whole = isinstance(given, int) and not isinstance(given, bool)
            if not (whole and given >= least) and not (given is None and name != "min_cohort"):
                raise InvalidOption(f"{name} is a whole number from {least}, not {given!r:.60}.")

    def check(self, header: RoundHeader, mechanisms: Iterable[str]) -> None:
        """Nothing, if the question is agreed to.

        Parameters
        ----------
        header : RoundHeader
        mechanisms : iterable of str
            Names of all that the round runs under, the implied carrier included (the header may leave it out).

        Raises
        ------
        Refused
            With the reason that the asker is told.
        """
        if self.clients is not None and header.client not in self.clients:
            raise Refused(f"client {header.client[:16]} is not on this party's list.")
        for name in mechanisms:
            if self.mechanisms is not None and name not in self.mechanisms:
                raise Refused(f"mechanism {name!r} is not allowed here; allowed: {_listed(self.mechanisms)}.")
        if self.rules is not None and header.rule not in self.rules:
            raise Refused(f"rule {header.rule!r} is not allowed here; allowed: {_listed(self.rules)}.")
        if len(header.cohort) < self.min_cohort:
            raise Refused(f"the cohort has {len(header.cohort)} parties; this party needs {self.min_cohort}.")
        if self.max_batch is not None and header.n_queries > self.max_batch:
            raise Refused(f"{header.n_queries} queries at once; this party takes {self.max_batch}.")

    def check_amounts(self, n_queries: int, n_spent: int, lately: Iterable[tuple[float, int]], now: float) -> None:
        """Nothing, if a client may ask ``n_queries`` more.

        Parameters
        ----------
        n_queries : int
            None are asked in an enrolment, which is always granted.
        n_spent : int
            Granted to this client so far.
        lately : iterable of (float, int)
            When, in seconds by some clock, and how many of these in the last minute; the oldest first.
        now : float
            By the same clock.

        Raises
        ------
        Refused
            With what is left, and when it is worth asking again.
        """
        if n_queries == 0:
            return
        budget, rate = self.query_budget, self.queries_per_minute
        if budget is not None and n_spent + n_queries > budget:
            left = max(budget - n_spent, 0)
            raise Refused(f"query budget spent: {left} of {budget} left for this client, {n_queries} asked.")
        if rate is None:
            return
        if n_queries > rate:
            raise Refused(f"{n_queries} queries at once; this party takes {rate} in a minute: ask fewer at once.")
        grants = list(lately)
        too_many = sum(count for _, count in grants) + n_queries - rate
        for when, count in grants:
            if too_many <= 0:
                break
            too_many -= count
            seconds = when + WINDOW_SECONDS - now
            if too_many <= 0:
                raise Refused(
                    f"{n_queries} queries more would be over the {rate} that this party takes from a client in a "
                    f"minute; ask again in {max(math.ceil(seconds), 1)} s."
                )

    def to_dict(self) -> dict[str, object]:
        """Plain data that ``json`` takes; what is not limited is None."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in plain.items()}


def _names(what: str, given: object) -> frozenset[str]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidOption(f"{what} is a set of names, not {given!r:.60}.")
    names = frozenset(given)
    if not all(isinstance(name, str) for name in names):
        raise InvalidOption(f"{what} is a set of names; {sorted(map(repr, names))[0]:.60} is among them.")
    return names


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
