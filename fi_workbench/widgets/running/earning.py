"""What the parties of a stream were paid, and what they would have been paid by merit or alike; in whole micro-units.

Each round is added at the price of that round: sums are carried on, nothing is computed anew over the rounds before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.records import RoundRecord
from fi_workbench.incentives.payout import MICRO, split

POINTS = 500
"""Rounds that the lines go back."""


@dataclass(frozen=True)
class Account:
    """One party's pay since the stream began; amounts are exact, in micro-units.

    Parameters
    ----------
    number : int
        Its colour.
    name : str
        By which it was paid last.
    paid : int
    equal : int
        What the same rounds would have paid it, split equally among those that were asked.
    merit : int or None
        The same, split by how many queries each answered rightly; None where that is not known.
    accuracy : float or None
        On what it answered since the stream began, where labels and its votes are known.
    """

    number: int
    name: str
    paid: int
    equal: int
    merit: int | None = None
    accuracy: float | None = None


@dataclass(frozen=True, eq=False)
class Earned:
    """What a stream has paid so far.

    Parameters
    ----------
    accounts : tuple of Account
        All parties that were asked since the stream began, by number.
    pot : int
        Micro-units paid to all of them together.
    n_rounds, n_known : int
        Rounds that paid, and those of them in which it is known who was right.
    last : mapping of int to int
        Micro-units that the last round paid, by number; empty where it paid nobody.
    each : array (party, round)
        Units that each of the last rounds paid, in the order of ``accounts``; NaN where a party was not asked.
    total : array (party, round)
        Units that each had been paid by then.
    first_round : int
        Round of the first column.
    """

    accounts: tuple[Account, ...] = ()
    pot: int = 0
    n_rounds: int = 0
    n_known: int = 0
    last: Mapping[int, int] = field(default_factory=dict)
    each: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    total: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    first_round: int = 1


class Earnings:
    """Sums of one stream; :meth:`book` each round, then :meth:`snapshot` as often as somebody looks.

    An equal split and one by merit compare those who answered together, so they are settled whenever others are asked.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._paid: dict[int, int] = {}
        self._settled: dict[str, dict[int, int]] = {"equal": {}, "merit": {}}  # of cohorts before this one
        self._answered: dict[int, int] = {}
        self._right: dict[int, int] = {}
        self._cohort: tuple[int, ...] = ()
        self._pot = 0  # that this cohort shared
        self._known = True  # whether merit could be told of every cohort before
        self._cohort_right: dict[int, int] = {}
        self._n_cohort_known = 0
        self._n_rounds = self._n_known = self._n_booked = 0
        self._last: dict[int, int] = {}
        self._trail: dict[int, _Trail] = {}

    def begin_cohort(self) -> None:
        """Others are asked from now on."""
        self._settle()
        self._cohort = ()

    def book(self, record: RoundRecord, numbers: Sequence[int], n_right: Mapping[int, int]) -> None:
        """Count one more round.

        Parameters
        ----------
        record : RoundRecord
        numbers : sequence of int
            Of its parties, in their order; below 0 for one that is not on the list any more.
        n_right : mapping of int to int
            How many of its queries each present party answered rightly, by number; empty where that is not known.
        """
        cohort = tuple(number for number in numbers if number >= 0)
        if cohort != self._cohort:
            self._settle()
            self._cohort = cohort
        for number, name in zip(numbers, record.parties, strict=True):
            if number >= 0:
                self._names[number] = name
        paid = record.payments
        amounts = [0] * len(numbers) if paid is None else paid.tolist()
        self._last = {number: amount for number, amount in zip(numbers, amounts, strict=True) if number >= 0}
        for number, amount in self._last.items():
            self._paid[number] = self._paid.get(number, 0) + amount
        self._pot += sum(self._last.values())
        self._n_rounds += paid is not None
        if n_right:
            self._n_known += 1
            self._n_cohort_known += 1
        for number, right in n_right.items():
            self._answered[number] = self._answered.get(number, 0) + record.n_queries
            self._right[number] = self._right.get(number, 0) + right
            self._cohort_right[number] = self._cohort_right.get(number, 0) + right
        self._mark()
        if paid is None:
            self._last = {}

    def snapshot(self) -> Earned:
        """The sums of now."""
        numbers = sorted(self._names)
        equal, merit = self._both()
        known = self._known and (merit is not None or not self._pot)
        accounts = tuple(
            Account(
                number,
                self._names[number],
                self._paid.get(number, 0),
                self._settled["equal"].get(number, 0) + equal.get(number, 0),
                self._settled["merit"].get(number, 0) + (merit or {}).get(number, 0) if known else None,
                self._right[number] / self._answered[number] if self._answered.get(number) else None,
            )
            for number in numbers
        )
        n_points = min(self._n_booked, POINTS)
        trails = [self._trail[number].last(n_points) for number in numbers]
        both = np.stack(trails) if trails else np.zeros((0, 2, 0))  # (party, each | total, round)
        return Earned(
            accounts,
            sum(self._paid.values()),
            self._n_rounds,
            self._n_known,
            dict(self._last),
            both[:, 0],
            both[:, 1],
            self._n_booked - n_points + 1,
        )

    def _both(self) -> tuple[dict[int, int], dict[int, int] | None]:
        """What this cohort's pot would have been split into: equally, and by right answers where these are known."""
        cohort = self._cohort
        if not cohort:
            return {}, {}
        equal = dict(zip(cohort, split(self._pot, [Fraction(1)] * len(cohort)), strict=True))
        if not self._n_cohort_known:
            return equal, None
        right = [Fraction(self._cohort_right.get(number, 0)) for number in cohort]
        return equal, dict(zip(cohort, split(self._pot, right), strict=True)) if any(right) else equal

    def _settle(self) -> None:
        equal, merit = self._both()
        if merit is None:
            self._known = self._known and not self._pot
        for name, amounts in (("equal", equal), ("merit", merit or {})):
            sums = self._settled[name]
            for number, amount in amounts.items():
                sums[number] = sums.get(number, 0) + amount
        self._pot, self._cohort_right, self._n_cohort_known = 0, {}, 0

    def _mark(self) -> None:
        """One more point of every line; those who were not asked earn nothing, and their line of rounds has a gap."""
        self._n_booked += 1
        for number in self._names:
            if number not in self._trail:
                self._trail[number] = _Trail(min(self._n_booked - 1, POINTS))
            each = self._last[number] / MICRO if number in self._last else np.nan
            self._trail[number].add(each, self._paid.get(number, 0) / MICRO)


class _Trail:
    """The last points of one party's lines, in an array of twice the length that is moved when it is full."""

    def __init__(self, n_before: int) -> None:
        self._points = np.full((2, 2 * POINTS), np.nan)
        self._points[1, :n_before] = 0.0
        self._end = n_before

    def add(self, each: float, total: float) -> None:
        if self._end == 2 * POINTS:
            self._points[:, :POINTS] = self._points[:, POINTS:]
            self._end = POINTS
        self._points[:, self._end] = each, total
        self._end += 1

    def last(self, n_points: int) -> NDArray[np.float64]:
        """A copy, (each | total, round)."""
        return self._points[:, self._end - n_points : self._end].copy()
