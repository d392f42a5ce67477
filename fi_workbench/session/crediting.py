"""What each party of a round contributed: this round's values, and what its stream of rounds adds up to."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Scores
from fi_workbench.core.digest import sha256
from fi_workbench.core.messages import Question
from fi_workbench.incentives import ContributionMethod, ContributionView, estimate, shares
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
) -> Credit:
    """What a round's parties contributed; the stream's running values are carried on with it."""
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
    )
    method = settings.method(len(names))
    key, options = stream_key(method, settings.contribution_options, names)
    result = estimate(method, view, runtime.contributed(key, method, options, len(names)).options_of_next)
    values, parts = np.zeros(len(names)), np.zeros(len(names))
    values[rows] = result.values
    parts[rows] = shares(result.values)
    errors = None
    if result.standard_errors is not None:
        errors = np.zeros(len(names))
        errors[rows] = result.standard_errors
    with _ADDING:
        running = runtime.contributed(key, method, options, len(names)).add(view, rows, result)
        runtime.contribute(key, running, dict(zip(names, parts.tolist(), strict=True)))
    return Credit(values, parts, errors)


def stream_key(
    method: ContributionMethod, options: Mapping[str, Any], names: tuple[str, ...]
) -> tuple[str, Mapping[str, Any]]:
    """Under which a runtime keeps the running values of a cohort by one method, and that method's options."""
    return sha256([method.name, dict(options), names]), dict(options)
