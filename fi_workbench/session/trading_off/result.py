"""What privacy costs in accuracy, time and bytes, as data: one row for each mechanism and rule.

The interval of an accuracy is Wilson's score interval, as in :mod:`fi_workbench.session.comparison`. All rows answer
the same queries, so overlapping intervals do not mean that two settings are alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from fi_workbench.core.disclosure import Need
from fi_workbench.privacy.accountant import Accounting
from fi_workbench.privacy.stack import Stack, make_mechanism
from fi_workbench.session.comparison import LEVEL

Guarantee: TypeAlias = Literal["epsilon", "hidden", "none"]
"""A differential privacy guarantee; none, but nobody sees a single answer or vote; neither."""

Method: TypeAlias = tuple[str, Mapping[str, Any]]
"""A name as registered, and the options that differ from its defaults."""


@dataclass(frozen=True, eq=False)
class Setting:
    """A rule under a mechanism, with their options.

    Parameters
    ----------
    rule : str
    mechanism : str
        What carries the round.
    mechanism_options, rule_options : mapping
        What differs from the defaults.
    noise : tuple of (str, mapping)
        Answer noise before it, in the order in which it acts, each with its options.
    """

    rule: str
    mechanism: str = "plain"
    mechanism_options: Mapping[str, Any] = field(default_factory=dict)
    noise: tuple[Method, ...] = ()
    rule_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, rule: str, stack: Stack, rule_options: Mapping[str, Any] | None = None) -> Setting:
        """A rule under a mechanism that is already made; all options of its members are named."""
        *noise, carrier = (
            (one["name"], {name: value for name, value in one.items() if name != "name"}) for one in stack.settings()
        )
        return cls(rule, carrier[0], carrier[1], tuple(noise), rule_options or {})

    @property
    def members(self) -> tuple[Method, ...]:
        """Answer noise, then what carries the round."""
        return (*self.noise, (self.mechanism, self.mechanism_options))

    @property
    def method(self) -> str:
        """The mechanism in a word, without options: the answer noise, if any, and the carrier unless it is plain."""
        names = [name for name, _ in self.noise]
        return "+".join([*names, self.mechanism] if self.mechanism != "plain" or not names else names)

    @property
    def options(self) -> dict[str, Any]:
        """Options of all members of the mechanism by name; the last of equal names."""
        return {name: value for _, given in self.members for name, value in given.items()}

    def stack(self) -> Stack:
        """The mechanism, made.

        Raises
        ------
        FederationError
            Names or options that there are not, or members that do not go together.
        """
        return make_mechanism([{"name": name, **options} for name, options in self.members])

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes."""
        return {
            "rule": self.rule,
            "rule_options": dict(self.rule_options),
            "mechanism": self.mechanism,
            "mechanism_options": dict(self.mechanism_options),
            "noise": [[name, dict(options)] for name, options in self.noise],
        }


@dataclass(frozen=True, eq=False)
class TradeOffRow:
    """What one setting gave.

    Parameters
    ----------
    setting : Setting
    refused : str
        Why it was not asked, or not to the end; "" where it was.
    shows : {"nothing", "sum", "votes", "each"} or None
        The most that the coordinator sees of the answers; None where that is not known.
    n_queries, n_right : int
        Queries that were answered, and how many of them rightly.
    n_answered : int
        Queries on which the federation was sure enough to give a label.
    epsilon_per_query : float or None
        Of one answer, without any enrolment; None where there is no guarantee.
    epsilon_answers : float or None
        Of all answers here together, without any enrolment, at the sweep's delta.
    epsilon : float or None
        The same with the enrolment, where the rule has one: what was spent.
    latencies_ms : tuple of float
        Wall clock of each round, from the question to its record; an enrolment does not count.
    round_bytes : tuple of int
        Bytes of each round, to all parties and back.
    n_absent : mapping of str to int
        Rounds that each party missed; parties that missed none are left out.
    """

    setting: Setting
    refused: str = ""
    shows: Need | None = None
    n_queries: int = 0
    n_right: int = 0
    n_answered: int = 0
    epsilon_per_query: float | None = None
    epsilon_answers: float | None = None
    epsilon: float | None = None
    latencies_ms: tuple[float, ...] = ()
    round_bytes: tuple[int, ...] = ()
    n_absent: Mapping[str, int] = field(default_factory=dict)

    @property
    def accuracy(self) -> float | None:
        """Share of the queries whose label is right; None where nothing was answered."""
        return self.n_right / self.n_queries if self.n_queries else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Ends of the 95 % interval of the accuracy."""
        if not self.n_queries:
            return None
        found = binomtest(self.n_right, self.n_queries).proportion_ci(LEVEL, method="wilson")
        return float(found.low), float(found.high)

    @property
    def coverage(self) -> float | None:
        """Share of the queries on which the federation was sure enough to give a label."""
        return self.n_answered / self.n_queries if self.n_queries else None

    @property
    def guarantee(self) -> Guarantee:
        """What protects a single answer: noise, the sum that hides it, or nothing."""
        if self.epsilon is not None:
            return "epsilon"
        return "hidden" if self.shows in ("sum", "nothing") else "none"

    @property
    def unprotected(self) -> str:
        """What has no guarantee where each answer has one; "" elsewhere."""
        if self.epsilon is not None or self.epsilon_per_query is None:
            return ""
        return "its enrolment, of class counts or the like, has no noise"

    @property
    def median_ms(self) -> float | None:
        """Median latency of a round."""
        return float(np.median(self.latencies_ms)) if self.latencies_ms else None

    @property
    def p95_ms(self) -> float | None:
        """Latency that 95 % of the rounds keep to."""
        return float(np.quantile(self.latencies_ms, 0.95)) if self.latencies_ms else None

    @property
    def bytes_per_round(self) -> float | None:
        """Median of the bytes of a round: an enrolment, which only the first one has, does not count."""
        return float(np.median(self.round_bytes)) if self.round_bytes else None

    def figures(self) -> dict[str, Any]:
        """All figures by name: what a table or a file holds of the row."""
        low, high = self.interval or (None, None)
        return {
            "accuracy": self.accuracy,
            "low": low,
            "high": high,
            "coverage": self.coverage,
            "epsilon_per_query": self.epsilon_per_query,
            "epsilon_answers": self.epsilon_answers,
            "epsilon": self.epsilon,
            "guarantee": self.guarantee if self.n_queries else None,
            "shows": self.shows,
            "median_ms": self.median_ms,
            "p95_ms": self.p95_ms,
            "bytes_per_round": self.bytes_per_round,
            "n_queries": self.n_queries,
            "n_rounds": len(self.latencies_ms),
            "refused": self.refused,
        }


@dataclass(frozen=True, eq=False)
class TradeOff:
    """Rows of a sweep over mechanisms and rules; made by :func:`fi_workbench.session.trading_off.sweep.trade_off`.

    Parameters
    ----------
    rows : tuple of TradeOffRow
        In the order asked for; settings that were not come to when the work was stopped are left out.
    delta : float
        At which every epsilon holds.
    accounting : {"rdp", "pld"}
        How the releases were composed.
    n_queries : int
        Queries that each setting was to answer.
    n_rounds : int
        Rounds that they were split into.
    parties : tuple of str
        Who was asked.
    complete : bool
        False where the work was stopped.
    """

    rows: tuple[TradeOffRow, ...]
    delta: float
    accounting: Accounting
    n_queries: int
    n_rounds: int
    parties: tuple[str, ...] = ()
    complete: bool = True

    @property
    def measured(self) -> tuple[TradeOffRow, ...]:
        """Rows with an accuracy."""
        return tuple(row for row in self.rows if row.n_queries)

    @property
    def refused(self) -> tuple[TradeOffRow, ...]:
        """Rows without one, each with its reason."""
        return tuple(row for row in self.rows if not row.n_queries)

    def to_frame(self) -> pd.DataFrame:
        """One row a setting: mechanism, answer noise, rule, their options, then the figures."""
        return pd.DataFrame([{**_named(row.setting), **row.figures()} for row in self.rows])

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes; None where a number is missing or infinite."""
        return {
            "delta": self.delta,
            "accounting": self.accounting,
            "n_queries": self.n_queries,
            "n_rounds": self.n_rounds,
            "parties": list(self.parties),
            "complete": self.complete,
            "rows": [
                {
                    **row.setting.to_dict(),
                    **{name: _plain(value) for name, value in row.figures().items()},
                    "latencies_ms": list(row.latencies_ms),
                    "round_bytes": list(row.round_bytes),
                    "n_absent": dict(row.n_absent),
                }
                for row in self.rows
            ],
        }


def said_options(options: Mapping[str, Any]) -> str:
    """Options in a few words.

    >>> said_options({"epsilon": 4.0, "reproducible": False})
    'epsilon 4, reproducible no'
    """
    return ", ".join(f"{name.replace('_', ' ')} {_said(value)}" for name, value in options.items())


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _named(setting: Setting) -> dict[str, str]:
    return {
        "mechanism": setting.mechanism,
        "noise": "+".join(name for name, _ in setting.noise),
        "options": said_options(setting.options),
        "rule": setting.rule,
        "rule_options": said_options(setting.rule_options),
    }


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
