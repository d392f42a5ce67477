"""A party's own policy: whom it answers, under which mechanisms and rules, and how much."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fi_workbench.core.errors import Refused
from fi_workbench.protocol.header import RoundHeader


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
    """

    clients: frozenset[str] | None = None
    mechanisms: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    min_cohort: int = 1
    max_batch: int | None = None
    query_budget: int | None = None

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


@dataclass(eq=False)
class QueryBudget:
    """How many queries each client has been granted; booked before an answer leaves."""

    limit: int | None
    _spent: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def book(self, client: str, n_queries: int) -> None:
        """Grant ``n_queries`` to ``client``.

        Raises
        ------
        Refused
            If that would overdraw its budget; nothing is booked then.
        """
        with self._lock:
            if self.limit is not None and self._spent[client] + n_queries > self.limit:
                left = self.limit - self._spent[client]
                raise Refused(f"query budget spent: {left} of {self.limit} left for this client, {n_queries} asked.")
            self._spent[client] += n_queries

    def spent(self, client: str) -> int:
        """Queries granted to ``client`` so far."""
        with self._lock:
            return self._spent[client]


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
