"""What privacy costs: a sweep over mechanisms and rules, each asked the same queries in real rounds.

Real rounds spend real budgets, so :func:`planned` says beforehand how many there will be. A sweep asks each query once
under each setting: the queries are split into rounds, whose latencies and bytes are measured one by one.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fi_workbench.aggregation.apply import components_of, enrolment_components_of
from fi_workbench.core.arrays import check_labels, check_queries
from fi_workbench.core.errors import FederationError, InvalidOption, InvalidQuery
from fi_workbench.core.progress import OnProgress, Progress, quiet
from fi_workbench.core.records import RoundRecord
from fi_workbench.privacy.accountant import Accounting, epsilon_of
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.event import Event
from fi_workbench.session.trading_off.grid import default_settings
from fi_workbench.session.trading_off.result import Setting, TradeOff, TradeOffRow

if TYPE_CHECKING:
    from fi_workbench.session.federation import Federation


@dataclass(frozen=True)
class Plan:
    """What a sweep will ask, as far as that can be told beforehand.

    Parameters
    ----------
    n_settings : int
        Settings that fit.
    n_refused : int
        Settings that do not; nothing is asked under them.
    n_rounds : int
        Rounds in all, enrolments not counted.
    n_queries : int
        Queries that each party answers, and books in its budget.
    """

    n_settings: int
    n_refused: int
    n_rounds: int
    n_queries: int


def trade_off(
    federation: Federation,
    queries: Any,
    labels: Any,
    settings: Sequence[Setting] | None = None,
    *,
    n_rounds: int = 5,
    delta: float = 1e-5,
    accounting: Accounting = "rdp",
    on_progress: OnProgress = quiet,
    cancelled: threading.Event | None = None,
) -> TradeOff:
    """Ask the same queries under each setting, and see how often the federation is right, and at what price.

    Rounds are real: they are in the history, and each party books them. They are not paid for.

    Parameters
    ----------
    federation : Federation
        All but rule, mechanism, contribution and pay stays as it is.
    queries : array (query, *input_shape)
    labels : array (query,)
        True labels; they stay with the client.
    settings : sequence of Setting, optional
        :func:`~fi_workbench.session.trading_off.grid.default_settings` where none are given. What does not fit becomes
        a row with the reason.
    n_rounds : int
        Rounds that the queries are split into under each setting; latencies are of so many.
    delta : float
        At which epsilon is told, greater than 0 and less than 1.
    accounting : {"rdp", "pld"}
        How the releases of a sweep are composed; a single one is always told tightly.
    on_progress : callable
        Told of each round; what it raises stops the sweep.
    cancelled : Event, optional
        Set it from another thread to stop: what is done by then is returned.

    Raises
    ------
    InvalidQuery
        Queries or labels that do not fit, or no labels.
    InvalidOption
        ``n_rounds`` or ``delta`` that cannot be.
    """
    sweep = _Sweep.of(federation, queries, labels, n_rounds, delta, accounting, cancelled or threading.Event())
    grid = default_settings() if settings is None else tuple(settings)
    sweep.n_steps = sum(_fits(federation, one) == "" for one in grid) * len(sweep.batches)
    rows = []
    for one in grid:
        if sweep.cancelled.is_set():
            break
        row = sweep.row(one, on_progress)
        if row is not None:
            rows.append(row)
    done = len(rows) == len(grid) and not sweep.cut_short
    names = tuple(party.name for party in federation.parties)
    return TradeOff(tuple(rows), delta, accounting, len(sweep.labels), len(sweep.batches), names, done)


def planned(federation: Federation, settings: Sequence[Setting], n_queries: int, n_rounds: int = 5) -> Plan:
    """How much a sweep will ask; asks nothing itself."""
    n_fit = sum(_fits(federation, one) == "" for one in settings)
    return Plan(n_fit, len(settings) - n_fit, n_fit * min(n_rounds, n_queries), n_fit * n_queries)


def under(federation: Federation, setting: Setting) -> Federation:
    """The federation under a setting, without contributions that must see more, and without pay.

    Raises
    ------
    FederationError
        What does not fit, and why.
    """
    return federation.with_(
        rule=setting.rule, rule_options=setting.rule_options, mechanism=setting.stack(), contribution="equal",
        contribution_options={}, budget_micro=0,
    )  # fmt: skip


@dataclass(eq=False)
class _Sweep:
    """What every setting is asked, and how far the work is."""

    federation: Federation
    queries: Any
    labels: Any
    batches: list[Any]
    delta: float
    accounting: Accounting
    cancelled: threading.Event
    n_steps: int = 0
    n_done: int = 0
    cut_short: bool = False
    known: dict[tuple[frozenset[tuple[Event, int]], Accounting], float | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        federation: Federation,
        queries: Any,
        labels: Any,
        n_rounds: int,
        delta: float,
        accounting: Accounting,
        cancelled: threading.Event,
    ) -> _Sweep:
        """Everything checked."""
        asked = check_queries(queries, federation.input_shape)
        if labels is None:
            raise InvalidQuery("A trade-off is about accuracy: give the true labels of the queries.")
        truth = check_labels(labels, len(asked), len(federation.classes))
        if isinstance(n_rounds, bool) or not isinstance(n_rounds, int) or n_rounds < 1:
            raise InvalidOption(f"n_rounds must be a whole number from 1, not {n_rounds!r}.")
        if not 0 < delta < 1:
            raise InvalidOption(f"delta must be greater than 0 and less than 1, not {delta!r}.")
        batches = np.array_split(np.arange(len(asked)), min(n_rounds, len(asked)))
        return cls(federation, asked, truth, batches, delta, accounting, cancelled)

    def row(self, setting: Setting, on_progress: OnProgress) -> TradeOffRow | None:
        """One setting's row; None where it was stopped before a round of it had ended."""
        try:
            changed = under(self.federation, setting)
        except FederationError as error:
            return TradeOffRow(setting, str(error))
        records: list[RoundRecord] = []
        for rows in self.batches:
            on_progress(Progress(f"{setting.method}, {setting.rule}", self.n_done, self.n_steps, "rounds"))
            if self.cancelled.is_set():
                break
            try:
                record = changed.ask(self.queries[rows], self.labels[rows], cancelled=self.cancelled)
            except FederationError as error:
                if self.cancelled.is_set():
                    break
                self.n_done += len(self.batches) - len(records)  # the other rounds would end in the same way
                return self._measured(setting, changed, records, str(error))
            if self.cancelled.is_set():
                break  # not everybody was waited for
            records.append(record)
            self.n_done += 1
            on_progress(Progress(f"{setting.method}, {setting.rule}", self.n_done, self.n_steps, "rounds"))
        self.cut_short = self.cut_short or len(records) < len(self.batches)
        return self._measured(setting, changed, records) if records else None

    def _measured(
        self, setting: Setting, changed: Federation, records: Sequence[RoundRecord], refused: str = ""
    ) -> TradeOffRow:
        shows = changed.settings.mechanism.carrier.offers
        if not records:
            return TradeOffRow(setting, refused, shows)
        n_parties, answers = len(records[0].parties), Counter[Event]()
        for record in records:
            answers.update(_answering(changed, n_parties, record.n_queries))
        missed = Counter(name for record in records for name in record.parties if name not in record.present)
        return TradeOffRow(
            setting,
            refused,
            shows,
            n_queries=sum(record.n_queries for record in records),
            n_right=sum(_count(record.labels == record.truth) for record in records),
            n_answered=sum(_count(record.answered) for record in records),
            epsilon_per_query=self._epsilon(_answering(changed, n_parties, 1), "pld"),
            epsilon_answers=self._epsilon(answers, self.accounting),
            epsilon=self._epsilon(answers + _enrolling(changed, n_parties), self.accounting),
            latencies_ms=tuple(_milliseconds(record) for record in records),
            round_bytes=tuple(record.cost.bytes_out + record.cost.bytes_in for record in records),
            n_absent=dict(missed),
        )

    def _epsilon(self, events: Mapping[Event, int], accounting: Accounting) -> float | None:
        """Composed, and remembered: rules under one mechanism mostly cost the same."""
        key = frozenset(events.items()), accounting
        if key not in self.known:
            epsilon = epsilon_of(events, self.delta, accounting)
            self.known[key] = epsilon if np.isfinite(epsilon) else None
        return self.known[key]


def _enrolling(changed: Federation, n_parties: int) -> Counter[Event]:
    """What an enrolment costs each party, where the rule asks for one."""
    rule, n_classes = changed.settings.the_rule, len(changed.classes)
    if rule.enrolment is None:
        return Counter()
    enrolled = enrolment_components_of(rule, n_classes, changed.settings.for_round().rule_options)
    return Counter(_events(changed, Occasion("enrol", rule.name, enrolled, n_parties, 0, n_classes)))


def _answering(changed: Federation, n_parties: int, n_queries: int) -> Mapping[Event, int]:
    """What so many answers cost each party."""
    for_round, n_classes = changed.settings.for_round(), len(changed.classes)
    declared = components_of(for_round.rule, n_classes, for_round.on_absence, for_round.rule_options)
    name, uses_facts = for_round.rule.name, bool(for_round.rule.facts)
    return _events(changed, Occasion("answer", name, declared, n_parties, n_queries, n_classes, uses_facts))


def _events(changed: Federation, occasion: Occasion) -> Mapping[Event, int]:
    return changed.settings.mechanism.events(occasion)


def _fits(federation: Federation, setting: Setting) -> str:
    """Why a setting does not fit; "" where it does."""
    try:
        under(federation, setting)
    except FederationError as error:
        return str(error)
    return ""


def _milliseconds(record: RoundRecord) -> float:
    """Of a round, without the enrolment that only the first one has."""
    return 1000.0 * (record.cost.seconds - record.cost.stage_seconds.get("enrol", 0.0))


def _count(holds: Any) -> int:
    return 0 if holds is None else int(np.sum(holds))
