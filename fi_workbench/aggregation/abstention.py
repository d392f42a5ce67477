"""Answering only when sure: how confident scores are, and what answering less saves in errors.

Sources: R. El-Yaniv, Y. Wiener, On the foundations of noise-free selective classification, JMLR 11, 2010 (coverage and
selective risk); Y. Geifman, R. El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017,
arXiv:1705.08500 (thresholds on the top score); Y. Geifman, G. Uziel, R. El-Yaniv, Bias-reduced uncertainty estimation
for deep neural classifiers, ICLR 2019, arXiv:1805.08206 (AURC, E-AURC).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.arrays import check_labels
from fi_workbench.core.errors import InvalidAnswer, InvalidOption, UnknownName

By = Literal["confidence", "margin"]
"""How sure a row of scores is: its top score, or how far that is above the second."""


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """The risk-coverage curve of labelled queries, one step for each distinct confidence, the surest first.

    Parameters
    ----------
    threshold : array (step,)
        Confidences, strictly decreasing; at a step all queries at least so confident are answered.
    coverage : array (step,)
        Share of the queries answered, strictly increasing to 1.
    risk : array (step,)
        Share of the answered that are wrong.
    aurc : float
        Area under the curve: the mean, over the queries, of the risk at each one's confidence. 0 is best.
    e_aurc : float
        What of it is due to the order: ``aurc`` less that of the best order of the same errors. 0 is best.
    """

    threshold: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]
    aurc: float
    e_aurc: float

    def threshold_for(self, risk: float) -> float:
        """The smallest confidence from which on the answers are wrong at most that often, on this sample.

        It is a fact of the sample and no guarantee beyond it. Risk need not fall with coverage, so there may be
        smaller coverages at which it is not held.

        Parameters
        ----------
        risk : float
            From 0 to 1.

        Returns
        -------
        float
            For :func:`answered`; infinite where no threshold holds the risk: then nothing is to be answered.

        Raises
        ------
        InvalidOption
            Not a share.
        """
        if not 0.0 <= risk <= 1.0:
            raise InvalidOption(f"risk must be a share from 0 to 1, not {risk!r}.")
        held = np.flatnonzero(self.risk <= risk)
        return float(self.threshold[held[-1]]) if len(held) else math.inf


def confidence(scores: ArrayLike) -> NDArray[np.floating[Any]]:
    """Top score of each row, (query, class) -> (query,).

    Raises
    ------
    InvalidAnswer
        Not (query, class) with at least one class, or NaN.
    """
    return np.asarray(_checked(scores).max(axis=1))


def margin(scores: ArrayLike) -> NDArray[np.floating[Any]]:
    """Top score less the second of each row, (query, class) -> (query,); the top score where there is but one class.

    Raises
    ------
    InvalidAnswer
        Not (query, class) with at least one class, or NaN.
    """
    array = _checked(scores)
    if array.shape[1] == 1:
        return array[:, 0].copy()
    top = np.partition(array, -2, axis=1)
    return np.asarray(top[:, -1] - top[:, -2])


def answered(scores: ArrayLike, below: float, *, by: By = "confidence") -> NDArray[np.bool_]:
    """Which queries to answer, (query,): those that are not below a threshold. Infinity answers none.

    Raises
    ------
    InvalidAnswer
        Not (query, class) with at least one class, or NaN.
    InvalidOption
        The threshold is no number.
    UnknownName
        No such measure.
    """
    if math.isnan(below):
        raise InvalidOption("below must be a number, not NaN.")
    return np.asarray(_sureness(scores, by) >= below)


def risk_coverage(scores: ArrayLike, labels: ArrayLike, *, by: By = "confidence") -> RiskCoverage:
    """Exact risk-coverage curve of labelled queries; queries of equal confidence are answered together.

    Parameters
    ----------
    scores : array (query, class)
        Larger is more likely; the label is the largest, ties to the lowest class index.
    labels : array (query,)
        True class indices.
    by : {"confidence", "margin"}

    Returns
    -------
    RiskCoverage

    Raises
    ------
    InvalidAnswer
        Not (query, class) with at least one of each, or NaN.
    InvalidQuery
        Labels of the wrong length, not integers, or outside the classes.
    UnknownName
        No such measure.

    Examples
    --------
    >>> curve = risk_coverage([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], [0, 1, 1])
    >>> curve.coverage.round(2), curve.risk.round(2), round(curve.aurc, 2), curve.threshold_for(0.1)
    (array([0.33, 0.67, 1.  ]), array([0.  , 0.  , 0.33]), 0.11, 0.8)
    """
    array = _checked(scores)
    if len(array) == 0:
        raise InvalidAnswer("There are no scores; the risk of answering nothing is not defined.")
    wrong = array.argmax(axis=1) != check_labels(labels, *array.shape)
    sure = _sureness(array, by).astype(np.float64)
    values, step = np.unique(-sure, return_inverse=True)
    n_step = np.bincount(step)
    n_answered = n_step.cumsum()
    risk = np.bincount(step, weights=wrong).cumsum() / n_answered
    n_queries = len(wrong)
    aurc = float((risk * n_step).sum() / n_queries)
    # the best order answers all right ones first: at i queries max(0, i - n_right) of them are wrong
    i = np.arange(1, n_queries + 1)
    best = float((np.maximum(0, i - int((~wrong).sum())) / i).mean())
    return RiskCoverage(-values, n_answered / n_queries, risk, aurc, max(0.0, aurc - best))


def _sureness(scores: ArrayLike, by: str) -> NDArray[np.floating[Any]]:
    measures = {"confidence": confidence, "margin": margin}
    if by not in measures:
        raise UnknownName("measure of confidence", by, measures)
    return measures[by](scores)


def _checked(scores: ArrayLike) -> NDArray[np.floating[Any]]:
    array = np.asarray(scores)
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiu":
        raise InvalidAnswer(f"Scores have shape {array.shape} and dtype {array.dtype}; real (query, class) is needed.")
    if np.isnan(array).any():
        raise InvalidAnswer("Scores hold NaN.")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
