"""What no rule can be, because it needs the true labels: how well these parties could do, to hold rules against.

A bound is no member of ``rules``: it is for researchers who hold labelled queries, never part of a round.

Source: L. I. Kuncheva, Combining pattern classifiers, Wiley 2014, section 3 (the oracle, the single best classifier).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fi_workbench.aggregation.rule import described
from fi_workbench.core.arrays import Answers, Labels, Outputs, Scores, check_labels, stacked_answers, to_simplex
from fi_workbench.core.registry import Registry

Compute: TypeAlias = Callable[[Answers, Labels], Scores]
"""(probabilities (party, query, class), labels (query,)) -> scores (query, class), each row a distribution."""


@dataclass(frozen=True, eq=False)
class Bound:
    """A bound as registered; made by :func:`label_bound`.

    Parameters
    ----------
    name, title, explanation, formula, source : str
    compute : callable
        ``(probabilities, labels) -> scores``.
    """

    name: str
    title: str
    explanation: str
    formula: str
    source: str
    compute: Compute


bounds: Registry[Bound] = Registry("bound")


def label_bound(*, formula: str, source: str) -> Callable[[Compute], Compute]:
    """Register ``(probabilities, labels) -> scores`` as a bound under the function's name; returned unchanged."""

    def register(function: Compute) -> Compute:
        name = function.__name__
        title, explanation = described(function)
        bounds.add(name, Bound(name, title, explanation, formula, source, function))
        return function

    return register


@label_bound(
    formula=r"p_{k^*}(c), \quad k^* = \arg\max_k \sum_n \mathbf{1}[\arg\max_{c'} p_k(c') = y_n]",
    source="Kuncheva 2014, doi:10.1002/9781118914564",
)
def best_party(answers: Answers, labels: Labels) -> Scores:
    """The answers of the one party that gets the most of these queries right: what joining must beat.

    Which party that is, is known only from the labels; ties go to the first.
    """
    n_right = (answers.argmax(axis=-1) == labels).sum(axis=1)
    return np.array(answers[n_right.argmax()])


@label_bound(
    formula=r"\mathbf{1}[c = y_n] \text{ if } \exists k: \arg\max_{c'} p_k(c') = y_n, \text{ else } "
    r"\frac{1}{K} \sum_k p_k(c)",
    source="Kuncheva 2014, doi:10.1002/9781118914564",
)
def oracle(answers: Answers, labels: Labels) -> Scores:
    """The truth wherever at least one party is right, elsewhere the soft vote: the most that choosing could give.

    Pooling may still do better than choosing one party: where all are wrong in different ways, the second-best class
    of all may be the truth. Such queries count as right here too, so no single party and no soft vote is above it.
    """
    scores = answers.mean(axis=0)
    known = (answers.argmax(axis=-1) == labels).any(axis=0)
    scores[known] = np.eye(answers.shape[-1], dtype=scores.dtype)[labels[known]]
    return np.asarray(scores)


def bound(logits: ArrayLike, labels: ArrayLike, name: str = "oracle", *, outputs: Outputs = "logits") -> Scores:
    """What these parties could reach on labelled queries; not a rule, for it looks at the labels.

    Parameters
    ----------
    logits : array (party, query, class)
        The parties' answers: numpy, torch or nested lists.
    labels : array (query,)
        True class indices.
    name : str
        A name in :data:`bounds`: ``"oracle"``, ``"best_party"``.
    outputs : {"logits", "probabilities"}
        What ``logits`` are.

    Returns
    -------
    scores : array (query, class)
        A distribution over the classes.

    Raises
    ------
    UnknownName
        No such bound.
    InvalidAnswer
        Not (party, query, class) with at least one of each, NaN or infinite, or not probabilities as declared.
    InvalidQuery
        Labels of the wrong length, not integers, or outside the classes.

    Examples
    --------
    >>> logits = [[[2.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [0.0, 1.0]]]
    >>> bound(logits, [0, 0]).round(2)
    array([[1.  , 0.  ],
           [0.27, 0.73]])
    """
    chosen = bounds[name]
    answers = checked_answers(logits, outputs)
    return chosen.compute(answers, check_labels(labels, *answers.shape[1:]))


def checked_answers(values: Any, outputs: Outputs) -> Answers:
    """Probabilities (party, query, class) from what parties returned: numpy, torch or nested lists.

    Raises
    ------
    InvalidAnswer
        Not (party, query, class) with at least one of each, NaN or infinite, or not probabilities as declared.
    """
    return to_simplex(stacked_answers(values, outputs), outputs)
