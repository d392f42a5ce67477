"""What each party of a round contributed: this round's values, and what its stream of rounds adds up to."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Scores
from fi_workbench.core.digest import sha256
from fi_workbench.core.messages import Question
from fi_workbench.incentives import CohortAnswer, ContributionMethod, ContributionView, Estimate, estimate, shares
from fi_workbench.incentives.apply import checked
from fi_workbench.session.runtime import Runtime
from fi_workbench.session.settings import Settings

_ADDING = threading.Lock()
"""Held while a round is added to its stream: several threads ask at once, and none may add to what another replaced."""


@dataclass(frozen=True, eq=False)
class Credit:
    """What the parties of a cohort contributed to one round, 0 for the absent; None where nobody answered.

    Parameters
    ----------
    values, shares : array (party,)
        As the method returned them, and cut off at 0 and scaled to a sum of one.
    errors : array (party,)
        Standard errors of ``values``; None where they are exact or not known.
    """

    values: NDArray[np.float64] | None = None
    shares: NDArray[np.float64] | None = None
    errors: NDArray[np.float64] | None = None


def credited(
    runtime: Runtime,
    settings: Settings,
    names: tuple[str, ...],
    present: tuple[str, ...],
    answers: NDArray[Any] | None,
    scores: Scores | None,
    question: Question,
    cohorts: tuple[CohortAnswer, ...] = (),
    agreed: NDArray[np.float64] | None = None,
) -> Credit:
    """What a round's parties contributed; the stream's running values are carried on with it.

    Of a method that asks cohorts, one round tells too little: its values are those of the stream up to this round.
    """
    if not present:
        return Credit()
    rows = [names.index(party) for party in present]
    there = None if answers is None else answers[rows]
    view = ContributionView(
        n_parties=len(rows),
        answers=there,
        votes=None if there is None else there.argmax(axis=2),
        scores=scores,
        labels=question.labels,
        cohorts=cohorts,
        agreed=agreed,
    )
    method = settings.method(len(names))
    key, options = stream_key(method, settings.contribution_options, names)
    if method.asks is not None and method.asks.cohorts is not None and method.value is not None:
        with _ADDING:
            running = runtime.contributed(key, method, options, len(names)).add(view, rows)
            of_all = checked(method, method.value(running.state, **running.options), len(names))
            known = None if of_all.standard_errors is None else of_all.standard_errors[rows]
            credit = _credit(replace(of_all, values=of_all.values[rows], standard_errors=known), rows, len(names))
            runtime.contribute(key, running, _named(credit, names))
        return credit
    result = estimate(method, view, runtime.contributed(key, method, options, len(names)).options_of_next)
    credit = _credit(result, rows, len(names))
    with _ADDING:
        running = runtime.contributed(key, method, options, len(names)).add(view, rows, result)
        runtime.contribute(key, running, _named(credit, names))
    return credit


def _credit(result: Estimate, rows: list[int], n_parties: int) -> Credit:
    """What those in ``rows`` contributed, and 0 for the others."""
    values, parts = np.zeros(n_parties), np.zeros(n_parties)
    values[rows] = result.values
    parts[rows] = shares(result.values)
    errors = None
    if result.standard_errors is not None:
        errors = np.zeros(n_parties)
        errors[rows] = result.standard_errors
    return Credit(values, parts, errors)


def _named(credit: Credit, names: tuple[str, ...]) -> dict[str, float]:
    return {} if credit.shares is None else dict(zip(names, credit.shares.tolist(), strict=True))


def stream_key(
    method: ContributionMethod, options: Mapping[str, Any], names: tuple[str, ...]
) -> tuple[str, Mapping[str, Any]]:
    """Under which a runtime keeps the running values of a cohort by one method, and that method's options."""
    return sha256([method.name, dict(options), names]), dict(options)
