"""What several rules made of the same queries: how often right, how sure, against what bounds, and where they differ.

The interval is Wilson's score interval (E. B. Wilson, JASA 22, 1927; recommended by L. D. Brown, T. T. Cai,
A. DasGupta, Interval estimation for a binomial proportion, Statistical Science 16(2), 2001), from scipy. It is each
rule's own: all answer the same queries, so overlapping intervals do not mean that two rules are alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from fi_workbench.aggregation import rules
from fi_workbench.aggregation.abstention import RiskCoverage, risk_coverage
from fi_workbench.core.arrays import Labels, Scores
from fi_workbench.core.errors import DoesNotFit
from fi_workbench.core.messages import Question
from fi_workbench.core.records import RoundRecord

BASELINE = "soft_vote"
"""The rule that gains are counted from."""

LEVEL = 0.95
"""Confidence of the intervals."""


@dataclass(frozen=True)
class Side:
    """One of the rules that are compared.

    Parameters
    ----------
    rule : str
    options : mapping
        What differs from the defaults.
    """

    rule: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The rule as it is said, with the options that differ.

        >>> Side("soft_vote").title, Side("trimmed_mean", {"trim": 0.3}).title
        ('Soft vote', 'Trimmed mean (trim 0.3)')
        """
        given = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in self.options.items())
        return f"{rules[self.rule].title} ({given})" if given else rules[self.rule].title


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one rule, or one bound, made of the queries.

    Parameters
    ----------
    name : str
        Of the rule or the bound, as registered.
    title : str
        The same for people, with a rule's options.
    scores : array (query, class)
    side : Side or None
        None for a bound.
    """

    name: str
    title: str
    scores: Scores
    side: Side | None = None

    @property
    def labels(self) -> Labels:
        """Labels, (query,): the highest score, ties to the lowest class index."""
        return self.scores.argmax(axis=1)


@dataclass(frozen=True)
class Figures:
    """How one rule, or one bound, did.

    Parameters
    ----------
    title : str
    bound : bool
        Whether it is a bound, which looks at the labels, and no rule.
    agreement : float
        Share of queries to which it gives the same label as the rule that the others are held against.
    n_right : int or None
        Queries that it got right; this and all that follows are None without true labels.
    accuracy, low, high : float or None
        Share of the queries that it got right, and the ends of its 95 % interval.
    gain : float or None
        Accuracy less that of the soft vote; None where the soft vote could not be computed.
    gap_closed : float or None
        The gain as a share of what the oracle gains; None where the oracle gains nothing.
    aurc, e_aurc : float or None
        Area under the risk-coverage curve, and what of it is due to the order; 0 is best.
    """

    title: str
    bound: bool
    agreement: float
    n_right: int | None = None
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    gain: float | None = None
    gap_closed: float | None = None
    aurc: float | None = None
    e_aurc: float | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """What several rules made of the same queries; made by :func:`fi_workbench.session.comparing.compare_rules`.

    Parameters
    ----------
    outcomes : tuple of Outcome
        One per rule that could be computed, in the order asked for.
    bounds : tuple of Outcome
        Empty without true labels, or where each answer is not shown.
    baseline : array (query, class) or None
        What the soft vote says; None where that could not be computed.
    record : RoundRecord
        The first round, under the first rule.
    question : Question
    how : str
        How often the parties were asked, and why.
    failed : tuple of (str, str)
        Title of each rule that could not be computed, and why.
    reference : int
        Which outcome agreement is held against.
    """

    outcomes: tuple[Outcome, ...]
    bounds: tuple[Outcome, ...]
    baseline: Scores | None
    record: RoundRecord
    question: Question
    how: str
    failed: tuple[tuple[str, str], ...] = ()
    reference: int = 0

    @property
    def truth(self) -> Labels | None:
        """True labels, (query,), or None."""
        return self.record.truth

    @property
    def rows(self) -> tuple[Outcome, ...]:
        """Rules, then bounds: the order of every row axis here."""
        return (*self.outcomes, *self.bounds)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """What each rule says, (rule, query)."""
        return np.stack([one.labels for one in self.outcomes])

    @property
    def agreement(self) -> float:
        """Share of queries to which all rules give the same label."""
        return 1.0 - len(self.differ) / self.labels.shape[1]

    @cached_property
    def differ(self) -> NDArray[np.int64]:
        """Queries on which not all rules agree, (some,): first those on which the fewest agree."""
        n_same = self.n_same.max(axis=1)
        some = np.flatnonzero(n_same < len(self.labels))
        return some[np.argsort(n_same[some], kind="stable")]

    @cached_property
    def n_same(self) -> NDArray[np.int64]:
        """How many rules give each label, (query, class)."""
        n_queries = self.labels.shape[1]
        n_classes = len(self.record.classes)
        cell = np.arange(n_queries) * n_classes + self.labels
        counts = np.bincount(cell.ravel(), minlength=n_queries * n_classes).reshape(n_queries, n_classes)
        return np.asarray(counts, dtype=np.int64)

    @cached_property
    def figures(self) -> tuple[Figures, ...]:
        """How each rule and each bound did, in the order of ``rows``."""
        reference = self.outcomes[self.reference].labels
        agreements = [float((one.labels == reference).mean()) for one in self.rows]
        if self.truth is None:
            return tuple(
                Figures(one.title, one.side is None, same) for one, same in zip(self.rows, agreements, strict=True)
            )
        truth = self.truth
        n_right = [int((one.labels == truth).sum()) for one in self.rows]
        soft = None if self.baseline is None else int((self.baseline.argmax(axis=1) == truth).sum())
        best = max((own for own, one in zip(n_right, self.rows, strict=True) if one.side is None), default=None)
        reach = None if soft is None or best is None else best - soft
        figures = []
        for outcome, own, same, curve in zip(self.rows, n_right, agreements, self.curves, strict=True):
            interval = binomtest(own, len(truth)).proportion_ci(LEVEL, method="wilson")
            gained = None if soft is None else own - soft
            figures.append(
                Figures(
                    outcome.title, outcome.side is None, same, own, own / len(truth),
                    float(interval.low), float(interval.high),
                    None if gained is None else gained / len(truth),
                    None if gained is None or not reach else gained / reach,
                    curve.aurc, curve.e_aurc,
                )
            )  # fmt: skip
        return tuple(figures)

    @cached_property
    def curves(self) -> tuple[RiskCoverage, ...]:
        """Risk-coverage curve of each rule and each bound, in the order of ``rows``.

        Raises
        ------
        DoesNotFit
            There are no true labels.
        """
        truth = self._known_truth("risk")
        return tuple(risk_coverage(one.scores, truth) for one in self.rows)

    def per_class(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Queries of each class, (class,), and each row's accuracy on them, (row, class); NaN where none was asked.

        Raises
        ------
        DoesNotFit
            There are no true labels.
        """
        truth, n_classes = self._known_truth("accuracy"), len(self.record.classes)
        n_asked = np.bincount(truth, minlength=n_classes)
        n_right = np.stack([np.bincount(truth[one.labels == truth], minlength=n_classes) for one in self.rows])
        nothing = np.full(n_right.shape, np.nan)
        return n_asked, np.divide(n_right, n_asked, out=nothing, where=n_asked > 0)

    def ranked(self) -> Comparison:
        """The same with the rules in the order of their accuracy; itself without true labels."""
        if self.truth is None:
            return self
        order = sorted(range(len(self.outcomes)), key=lambda place: -(self.figures[place].accuracy or 0.0))
        outcomes = tuple(self.outcomes[place] for place in order)
        return replace(self, outcomes=outcomes, reference=order.index(self.reference))

    def to_frame(self) -> pd.DataFrame:
        """The figures of all rules and bounds, one row each."""
        return pd.DataFrame([asdict(one) for one in self.figures]).set_index("title")

    def labels_frame(self) -> pd.DataFrame:
        """One row per query: the truth where it is known, and label and confidence by each rule."""
        classes = np.asarray(self.record.classes, dtype=object)
        columns: dict[str, Any] = {} if self.truth is None else {"truth": classes[self.truth]}
        for one in self.outcomes:
            columns[one.title] = classes[one.labels]
            columns[f"{one.title}, confidence"] = one.scores.max(axis=1)
        index = pd.RangeIndex(1, self.labels.shape[1] + 1, name="query")
        return pd.DataFrame(columns, index=index)

    def _known_truth(self, what: str) -> Labels:
        if self.truth is None:
            raise DoesNotFit(f"Without true labels there is no {what}; compare with (queries, labels).")
        return self.truth


def selective(curve: RiskCoverage, threshold: float) -> tuple[float, float | None]:
    """Coverage, and risk among the answered, where only queries at least so confident are answered.

    The risk is None where none is.
    """
    answered = np.flatnonzero(curve.threshold >= threshold)
    if not len(answered):
        return 0.0, None
    return float(curve.coverage[answered[-1]]), float(curve.risk[answered[-1]])
