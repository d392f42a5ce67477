"""A party's own policy: whom it answers, under which mechanisms and rules, and how much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import get_args

from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import InvalidOption, Refused
from fi_workbench.privacy.accountant import Accounting, epsilon_of, fits, protected
from fi_workbench.privacy.event import Event
from fi_workbench.privacy.mechanism import Mechanism, mechanisms
from fi_workbench.protocol.account import Account
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
    epsilon : float, optional
        Privacy budget of one client, at ``delta``, for ever: what is released to it beyond that, or without a
        guarantee, is refused. It speaks of all answers together, and binds as ``query_budget`` does.
    delta : float
        At which epsilon is reckoned.
    accounting : {"rdp", "pld"}
        How: quick, or tight; either never says too little.
    peers : frozenset of str, optional
        Ed25519 keys of the parties that may be in a cohort beside this one; None for any. Parties that a client makes
        up can share secrets with it.
    same_cohort : bool
        Whether a query is refused that the same client had answered in another cohort, under a mechanism that hides
        answers without a bound on what they tell: the difference of the sums is somebody's answer. Where it is not
        refused, the party's log warns of it.
    tells_agreement : bool, optional
        Whether it says, after a round, how often it had given the labels that its client says were released. A client
        that asks one query many times and makes labels up reads single votes off that. None for as long as one of
        the ``mechanisms`` shows its votes anyway.

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
    epsilon: float | None = None
    delta: float = 1e-5
    accounting: Accounting = "rdp"
    peers: frozenset[str] | None = None
    same_cohort: bool = False
    tells_agreement: bool | None = None

    def __post_init__(self) -> None:
        for name in ("clients", "mechanisms", "rules", "peers"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, _names(name, given))
        _check_keys("client", self.clients)
        _check_keys("peer", self.peers)
        if self.epsilon is not None and not (_number(self.epsilon) and self.epsilon > 0):
            raise InvalidOption(f"epsilon is a number above 0, not {self.epsilon!r:.60}.")
        if not (_number(self.delta) and 0 < self.delta < 1):
            raise InvalidOption(f"delta is a number between 0 and 1, both excluded, not {self.delta!r:.60}.")
        if self.accounting not in get_args(Accounting):
            known = " or ".join(get_args(Accounting))
            raise InvalidOption(f"accounting is {known}, not {self.accounting!r:.60}.")
        for name, may_be_none in (("same_cohort", False), ("tells_agreement", True)):
            given = getattr(self, name)
            if not isinstance(given, bool) and not (may_be_none and given is None):
                raise InvalidOption(f"{name} is true or false, not {given!r:.60}.")
        for name, least in (("min_cohort", 1), ("max_batch", 1), ("query_budget", 0), ("queries_per_minute", 0)):
            given = getattr(self, name)
            whole = isinstance(given, int) and not isinstance(given, bool)
            if not (whole and given >= least) and not (given is None and name != "min_cohort"):
                raise InvalidOption(f"{name} is a whole number from {least}, not {given!r:.60}.")

    def check(self, header: RoundHeader, mechanisms: Iterable[str], me: bytes = b"") -> None:
        """Nothing, if the question is agreed to.

        Parameters
        ----------
        header : RoundHeader
        mechanisms : iterable of str
            Names of all that the round runs under, the implied carrier included (the header may leave it out).
        me : bytes
            This party's own Ed25519 key, which need not be among its ``peers``.

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
        if self.peers is not None:
            for name, who in header.identities.items():
                if who.verify_key != me and who.verify_key.hex() not in self.peers:
                    raise Refused(f"{name[:60]} is in the cohort, and not on this party's list of peers.")
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

    def check_budget(self, account: Account, events: Mapping[Event, int]) -> None:
        """Nothing, if a client may be told what ``events`` cost, after all that it was told before.

        Raises
        ------
        Refused
            With what is spent and left, what this question would cost, and since when it is spent.
        """
        if self.epsilon is None or not any(events.values()):
            return
        after, how = account.after(events), (self.delta, self.accounting)
        if fits(after, self.epsilon, *how):
            return
        if not protected(events):
            raise Refused("this party keeps a privacy budget, and the question has no privacy guarantee.")
        if not protected(account.events):
            raise Refused(
                f"this client was told {account.n_unprotected} answers without any privacy guarantee, last "
                f"{account.last}; no privacy budget can hold for it any more."
            )
        spent, cost = epsilon_of(account.events, *how), epsilon_of(after, *how)
        left = max(self.epsilon - spent, 0.0)
        raise Refused(
            f"privacy budget spent: epsilon {_short(left)} of {_short(self.epsilon)} left for this client at delta "
            f"{self.delta:g}, and this question costs {_short(cost - spent)}; {_short(spent)} was spent by "
            f"{account.last}, and does not come back."
            if account.events
            else f"this question costs epsilon {_short(cost)} at delta {self.delta:g}; this party's whole privacy "
            f"budget for a client is {_short(self.epsilon)}: ask fewer at once, or under more noise."
        )

    def check_again(self, n_again: int, n_queries: int) -> None:
        """Nothing, if a client may ask ``n_again`` of ``n_queries`` queries again that it asked in another cohort.

        Raises
        ------
        Refused
        """
        if self.same_cohort and n_again:
            what = f"{n_again} of {n_queries} queries were" if n_queries else "this cohort's facts were"
            raise Refused(
                f"{what} asked by this client in another cohort; the difference would show single answers, and this "
                "party answers them in one cohort only."
            )

    @property
    def speaks_of_labels(self) -> bool:
        """Whether it tells its agreement with labels: its owner said so, or a client can have each vote anyway."""
        if self.tells_agreement is not None or self.mechanisms is None:
            return self.tells_agreement is not False
        kinds = [mechanisms[name] for name in self.mechanisms if name in mechanisms]
        return any(issubclass(kind, Mechanism) and satisfies(kind.offers, "votes") for kind in kinds)

    def to_dict(self) -> dict[str, object]:
        """Plain data that ``json`` takes; what is not limited is None."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in plain.items()}


def _number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def _short(epsilon: float) -> str:
    return f"{epsilon:.3g}"


def _names(what: str, given: object) -> frozenset[str]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise InvalidOption(f"{what} is a set of names, not {given!r:.60}.")
    names = frozenset(given)
    if not all(isinstance(name, str) for name in names):
        raise InvalidOption(f"{what} is a set of names; {sorted(map(repr, names))[0]:.60} is among them.")
    return names


def _check_keys(whose: str, keys: frozenset[str] | None) -> None:
    for key in keys or ():
        if len(key) != 64 or not set(key) <= set("0123456789abcdef"):
            raise InvalidOption(f"{key!r:.80} is no {whose}'s key: 64 hexadecimal digits, in small letters.")


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
