"""Contributions over a stream of rounds, each added at the price of that round: nothing is computed anew.

Linear methods keep the sum of the rounds' values; counting methods keep their counts (see ``contribution``). Both count
an absent party as contributing 0 for the queries that it missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.errors import InvalidData
from fi_workbench.core.randomness import derive_seed
from fi_workbench.incentives.apply import check_labels_fit, check_somebody_answered, checked, settled
from fi_workbench.incentives.contribution import ContributionMethod, ContributionView
from fi_workbench.incentives.estimate import Estimate

MIXED = "Some rounds had true labels and some had not: their values mean different things."


@dataclass(frozen=True, eq=False)
class Running:
    """What is known of the contributions after some rounds; :meth:`add` gives what is known after one more.

    Parameters
    ----------
    method : ContributionMethod
    options : mapping
        With every default filled in.
    n_parties : int
        Parties of the cohort, whether they answered or not.
    n_rounds : int
    n_queries : int
        Queries of all rounds.
    n_answered : integers (party,)
        How many of them each party answered.
    n_labelled : int
        Rounds that had true labels.
    state : object
        The method's own, its size independent of the number of rounds; None before the first.
    """

    method: ContributionMethod
    options: Mapping[str, Any]
    n_parties: int
    n_rounds: int = 0
    n_queries: int = 0
    n_answered: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    n_labelled: int = 0
    state: Any = None

    @classmethod
    def begin(cls, method: ContributionMethod, options: Mapping[str, Any] | None, n_parties: int) -> Running:
        """Before the first round.

        Raises
        ------
        InvalidOption
            An unknown option or one out of range.
        InvalidData
            No party.
        """
        if n_parties < 1:
            raise InvalidData(f"Contributions of {n_parties} parties cannot be followed; at least one is needed.")
        return cls(method, settled(method, options), n_parties, n_answered=np.zeros(n_parties, dtype=np.int64))

    @property
    def options_of_next(self) -> Mapping[str, Any]:
        """Options of the next round's own estimate: other samples in each round, so that their errors average out."""
        if "seed" not in self.options:
            return self.options
        return {**self.options, "seed": derive_seed(self.options["seed"], "round", self.n_rounds) % 2**31}

    def add(
        self, view: ContributionView, rows: Sequence[int] | ArrayLike | None = None, known: Estimate | None = None
    ) -> Running:
        """What is known after one more round; this object stays as it was.

        Parameters
        ----------
        view : ContributionView
            Of the parties that answered.
        rows : integers (party,), optional
            Their positions in the cohort; all of it where not given.
        known : Estimate, optional
            Of this view under :attr:`options_of_next`, where it was computed already.

        Raises
        ------
        DoesNotFit, NotDisclosed, InvalidData
            As :func:`~fi_workbench.incentives.estimate`; and for positions that are not different ones of the cohort,
            or classes other than those of the rounds before.
        """
        check_somebody_answered(view)
        method, there = self.method, self._rows(view, rows)
        check_labels_fit(method, view.labels is not None, self.options)
        if method.accumulate is None:
            result = known or checked(method, method.function(view, **self.options_of_next), view.n_parties)
            weight = 1.0 if method.over_queries == "sum" else float(view.n_queries)
            state: Any = _add(self.state or _Pooled.empty(self.n_parties), result, there, weight)
        else:
            state = method.accumulate(self.state, view.within(there, self.n_parties), **self.options)
        answered = self.n_answered.copy()
        answered[there] += view.n_queries
        return replace(
            self,
            n_rounds=self.n_rounds + 1,
            n_queries=self.n_queries + view.n_queries,
            n_answered=answered,
            n_labelled=self.n_labelled + (view.labels is not None),
            state=state,
        )

    def estimate(self) -> Estimate:
        """Contributions over all rounds so far, as one pass over their queries would give them.

        A counting method's values are those on the queries that a party answered, times the share that it answered.

        Raises
        ------
        InvalidData
            There was no round yet, or the method returned something else than one finite number per party.
        """
        method = self.method
        if self.state is None:
            raise InvalidData(f"No round was added yet: contribution {method.name!r} has no values.")
        if method.value is None:
            result = _read(self.state, 1.0 if method.over_queries == "sum" else float(self.n_queries))
        else:
            result = checked(method, method.value(self.state, **self.options), self.n_parties)
            share = self.n_answered / self.n_queries
            errors = None if result.standard_errors is None else result.standard_errors * share
            result = replace(result, values=result.values * share, standard_errors=errors)
        mixed = method.labels == "optional" and 0 < self.n_labelled < self.n_rounds
        return replace(result, note=" ".join(filter(None, (result.note, MIXED)))) if mixed else result

    def _rows(self, view: ContributionView, rows: Sequence[int] | ArrayLike | None) -> NDArray[np.intp]:
        given = np.arange(self.n_parties) if rows is None else np.asarray(rows)
        if (
            given.shape != (view.n_parties,)
            or given.dtype.kind not in "iu"
            or len(np.unique(given)) < len(given)
            or ((given < 0) | (given >= self.n_parties)).any()
        ):
            raise InvalidData(
                f"rows must be {view.n_parties} different positions from 0 to {self.n_parties - 1}, one for each party "
                f"that answered, not {given.tolist()}."
            )
        return given.astype(np.intp)


@dataclass(frozen=True, eq=False)
class _Pooled:
    """Sums over the rounds of a linear method.

    Parameters
    ----------
    values, variances : array (party,)
        Of weighted values.
    errors_known : bool
        Whether every sampled round told its standard errors.
    """

    values: NDArray[np.float64]
    variances: NDArray[np.float64]
    errors_known: bool = True
    n_evaluations: int | None = None
    exact: bool = True
    note: str = ""

    @classmethod
    def empty(cls, n_parties: int) -> _Pooled:
        return cls(np.zeros(n_parties), np.zeros(n_parties))


def _add(pooled: _Pooled, result: Estimate, rows: NDArray[np.intp], weight: float) -> _Pooled:
    values, variances = pooled.values.copy(), pooled.variances.copy()
    values[rows] += weight * result.values
    if result.standard_errors is not None:
        variances[rows] += (weight * result.standard_errors) ** 2
    n_evaluations = pooled.n_evaluations
    if result.n_evaluations is not None:
        n_evaluations = (n_evaluations or 0) + result.n_evaluations
    return _Pooled(
        values,
        variances,
        pooled.errors_known and (result.exact or result.standard_errors is not None),
        n_evaluations,
        pooled.exact and result.exact,
        result.note or pooled.note,
    )


def _read(pooled: _Pooled, weight: float) -> Estimate:
    errors = np.sqrt(pooled.variances) / weight if pooled.errors_known and not pooled.exact else None
    return Estimate(pooled.values / weight, errors, pooled.n_evaluations, pooled.exact, pooled.note)
