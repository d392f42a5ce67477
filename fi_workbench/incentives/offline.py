"""Contribution methods on plain arrays, for researchers: no federation, no messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.arrays import Outputs, check_answer, check_labels, plain_array, stacked_answers, to_simplex
from fi_workbench.core.options import check_options, options_of
from fi_workbench.incentives import payout
from fi_workbench.incentives.apply import contribute
from fi_workbench.incentives.contribution import ContributionView, contribution_methods
from fi_workbench.incentives.games.interaction import Interactions, interactions_of
from fi_workbench.incentives.select import auto


def contributions(
    logits: ArrayLike,
    method: str = "shapley",
    labels: ArrayLike | None = None,
    *,
    outputs: Outputs = "logits",
    scores: ArrayLike | None = None,
    **options: Any,
) -> NDArray[np.float64]:
    """What each party contributed, computed on plain arrays: raw values, which ``shares`` makes shares.

    Parameters
    ----------
    logits : array (party, query, class)
        The parties' answers: numpy, torch or nested lists.
    method : str
        A registered method, or ``"auto"``.
    labels : array (query,), optional
        True labels, for methods that use them.
    outputs : {"logits", "probabilities"}
        What ``logits`` are.
    scores : array (query, class), optional
        What the federation answered; the soft vote where not given.
    **options
        Options of the method.

    Returns
    -------
    array (party,)

    Raises
    ------
    UnknownName, InvalidOption
        Unknown method or option, or an option out of range.
    InvalidAnswer
        Not (party, query, class) with at least one of each, NaN or infinite, or not probabilities as declared; or
        scores of another shape.
    InvalidQuery
        Labels of the wrong length or outside the classes.

    Examples
    --------
    >>> logits = [[[2.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]]
    >>> contributions(logits, "final_agreement", scores=[[0.4, 0.6]])
    array([0. , 0.5, 0.5])
    """
    view = _view(logits, labels, outputs, scores)
    chosen = contribution_methods[auto("each", view.n_parties) if method == "auto" else method]
    return contribute(chosen, view, options)


def interactions(
    logits: ArrayLike, labels: ArrayLike | None = None, *, outputs: Outputs = "logits", **options: Any
) -> Interactions:
    """Which parties are redundant (negative) and which complement each other (positive), computed on plain arrays.

    Parameters
    ----------
    logits, labels, outputs
        As in :func:`contributions`.
    **options
        ``value`` (what a coalition is worth), ``budget``, ``precision``, ``exact_up_to``, ``seed``.

    Returns
    -------
    Interactions
        Order-2 Shapley interaction indices (Grabisch & Roubens 1999), with standard errors where they were sampled.

    Raises
    ------
    InvalidOption, DoesNotFit
        An unknown option or one out of range; accuracy without labels.
    InvalidAnswer, InvalidQuery
        As in :func:`contributions`.

    Examples
    --------
    >>> same = [[[2.0, 0.0]], [[2.0, 0.0]]]
    >>> interactions(same, [0]).pairs  # each alone is as good as both
    array([[ 0., -1.],
           [-1.,  0.]])
    """
    settings = check_options("Interactions", options_of(interactions_of), options)
    return interactions_of(_view(logits, labels, outputs, None), **settings)


def payments(values: ArrayLike, budget: int, rule: str = "proportional", **options: Any) -> NDArray[np.int64]:
    """Micro-units for each party, which sum to the budget exactly.

    Parameters
    ----------
    values : array (party,)
        Contributions, raw or as shares; negative ones count as 0.
    budget : int
        Micro-units to be paid out: :data:`~fi_workbench.incentives.payout.MICRO` to the unit.
    rule : str
        A registered payout rule.
    **options
        Options of the rule.

    Raises
    ------
    UnknownName, InvalidOption
        Unknown rule or option, or an option out of range.
    InvalidData
        No party, NaN or infinite contributions, or a budget that is negative or no whole number.

    Examples
    --------
    >>> payments([2, 1, -1], 1_000_000)
    array([666667, 333333,      0])
    """
    return payout.payments(payout.payouts[rule], plain_array(values), budget, options)


def _view(logits: ArrayLike, labels: ArrayLike | None, outputs: Outputs, scores: ArrayLike | None) -> ContributionView:
    """What a client would see of a round in the clear, from plain arrays, checked."""
    answers = to_simplex(stacked_answers(logits, outputs), outputs)
    n_parties, n_queries, n_classes = answers.shape
    final = None
    if scores is not None:
        final = check_answer(plain_array(scores), "logits", n_queries, n_classes, "The federation")
    truth = None if labels is None else check_labels(plain_array(labels), n_queries, n_classes)
    return ContributionView(n_parties, answers, answers.argmax(axis=-1), final, truth)
