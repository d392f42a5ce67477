"""What a contribution method is: a pure function of what a round disclosed, with what it must see stated beside it.

A method must also run over a stream of rounds at the price of each round. There are two kinds:

- linear in queries (:func:`contribution_method`): its value on many rounds is the mean of the rounds' values weighted
  by their queries, or their sum; one function of a view is all it takes.
- a function of counts (:func:`counting_method`): rounds add to a state of constant size, from which values are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Answers, Labels, Scores
from fi_workbench.core.crowd import ABSENT
from fi_workbench.core.disclosure import Need
from fi_workbench.core.errors import NotDisclosed
from fi_workbench.core.options import Option, options_of
from fi_workbench.core.registry import Registry
from fi_workbench.incentives.asks import Asks, CohortAnswer
from fi_workbench.incentives.estimate import Estimate
from fi_workbench.incentives.registering import described, with_own_options

LabelUse = Literal["unused", "optional", "required"]
"""Whether a method looks at true labels, where a client has them."""

OverQueries = Literal["mean", "sum"]
"""Whether a linear method's value is a mean or a sum over the queries."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class ContributionView:
    """What of a round a contribution method may look at; only the parties that answered are in it.

    Parameters
    ----------
    n_parties : int
    answers : array (party, query, class), optional
        Probabilities, where each answer is disclosed.
    votes : array (party, query), optional
        Each party's label, where votes are disclosed; those of ``answers`` where only these are given.
    scores : array (query, class), optional
        What the federation answered; the soft vote of ``answers`` where only these are given.
    labels : array (query,), optional
        True labels.
    cohorts : tuple of CohortAnswer
        What parts of the parties answered, where the method asked for that.
    agreed : array (party,), optional
        On how many queries each party gave the released label by its own word, where the method asked for that; NaN
        where it said nothing.
    rows : integers, optional
        In a whole cohort's view, the positions of those who answered; all of them when None.
    """

    n_parties: int
    answers: Answers | None = None
    votes: NDArray[np.integer[Any]] | None = None
    scores: Scores | None = None
    labels: Labels | None = None
    cohorts: tuple[CohortAnswer, ...] = ()
    agreed: NDArray[np.float64] | None = None
    rows: NDArray[np.integer[Any]] | None = None

    @cached_property
    def probabilities(self) -> Answers:
        """``answers``, (party, query, class).

        Raises
        ------
        NotDisclosed
            They were not given.
        """
        if self.answers is None:
            raise NotDisclosed("This contribution method needs each party's answer, which the mechanism does not show.")
        return self.answers

    @cached_property
    def each_vote(self) -> NDArray[np.integer[Any]]:
        """Each party's label, (party, query); a party's own tie goes to its lowest class index.

        Raises
        ------
        NotDisclosed
            Neither votes nor answers were given.
        """
        if self.votes is not None:
            return self.votes
        if self.answers is None:
            raise NotDisclosed("This contribution method needs each party's vote, which the mechanism does not show.")
        return np.asarray(self.answers.argmax(axis=-1))

    @cached_property
    def final_labels(self) -> Labels:
        """The federation's labels, (query,): of ``scores``, else the soft vote of the answers.

        Raises
        ------
        NotDisclosed
            Neither scores nor answers were given.
        """
        if self.scores is not None:
            return np.asarray(self.scores.argmax(axis=-1))
        if self.answers is None:
            raise NotDisclosed("This contribution method needs the federation's scores, which were not given.")
        return np.asarray(self.answers.sum(axis=0, dtype=np.float64).argmax(axis=-1))

    @property
    def n_queries(self) -> int:
        """Queries of the round; 1 where nothing of it is disclosed, so that rounds count alike."""
        if self.answers is not None:
            return int(self.answers.shape[1])
        if self.votes is not None:
            return int(self.votes.shape[1])
        known = self.scores if self.scores is not None else self.labels
        return 1 if known is None else len(known)

    @property
    def n_classes(self) -> int:
        """Classes that a vote may name.

        Raises
        ------
        NotDisclosed
            Neither scores nor answers were given.
        """
        known = self.scores if self.scores is not None else self.answers
        if known is None:
            raise NotDisclosed("This contribution method needs the number of classes: give scores or answers.")
        return int(known.shape[-1])

    @cached_property
    def memo(self) -> dict[Any, Any]:
        """What one method worked out from this view and another may reuse, such as the values of all coalitions."""
        return {}

    def within(self, rows: NDArray[np.integer[Any]], n_parties: int) -> ContributionView:
        """The same round as seen by a whole cohort: votes of the absent are ``ABSENT``, their answers NaN.

        Parameters
        ----------
        rows : array (party,)
            Position in the cohort of each party of this view.
        n_parties : int
            Parties of the cohort.
        """
        votes, answers = None, None
        if self.votes is not None or self.answers is not None:
            votes = np.full((n_parties, self.n_queries), ABSENT, dtype=np.intp)
            votes[rows] = self.each_vote
        if self.answers is not None:
            answers = np.full((n_parties, *self.answers.shape[1:]), np.nan, dtype=self.answers.dtype)
            answers[rows] = self.answers
        cohorts = tuple(replace(one, members=tuple(int(rows[k]) for k in one.members)) for one in self.cohorts)
        return ContributionView(n_parties, answers, votes, self.scores, self.labels, cohorts, rows=rows)


@dataclass(frozen=True, eq=False)
class ContributionMethod:
    """A contribution method as registered; made by :func:`contribution_method` or :func:`counting_method`.

    Parameters
    ----------
    name, title, explanation, formula, source : str
        Title from the name, explanation from the docstring's first paragraph; formula is plain text or TeX.
    needs : {"nothing", "sum", "votes", "each"}
    labels : {"unused", "optional", "required"}
    options : tuple of Option
    function : callable
        ``(view, **options) -> array (party,) or Estimate``.
    over_queries : {"mean", "sum"}
        How rounds of a linear method are joined.
    accumulate : callable, optional
        ``(state or None, view, **options) -> state`` of a counting method; the view's absent parties have the vote
        ``ABSENT`` and NaN for answers.
    value : callable, optional
        ``(state, **options) -> array (party,) or Estimate`` of a counting method.
    asks : Asks, optional
        What it wants to be asked beside the round itself. Where that is cohorts, it is a counting method, and its
        values of a round are those of the stream up to it.
    """

    name: str
    title: str
    explanation: str
    formula: str
    source: str
    needs: Need
    labels: LabelUse
    options: tuple[Option, ...]
    function: Callable[..., NDArray[np.floating[Any]] | Estimate]
    over_queries: OverQueries = "mean"
    accumulate: Callable[..., Any] | None = None
    value: Callable[..., NDArray[np.floating[Any]] | Estimate] | None = None
    asks: Asks | None = None


contribution_methods: Registry[ContributionMethod] = Registry("contribution")


def contribution_method(
    *,
    needs: Need,
    labels: LabelUse = "unused",
    formula: str = "",
    source: str = "",
    over_queries: OverQueries = "mean",
    asks: Asks | None = None,
) -> Callable[[F], F]:
    """Register ``(view, *, options) -> array (party,) or Estimate`` under its name, and return it unchanged.

    For methods linear in queries: their value over many rounds is the mean of the rounds' values weighted by their
    queries, or their sum (``over_queries``). In a round that a party missed, its value is 0.

    Raises
    ------
    ValueError
        There is no docstring: the workbench shows its first paragraph under the picker.
    """

    def register(function: F) -> F:
        name, title, explanation = described(function)
        method = ContributionMethod(
            name, title, explanation, formula, source, needs, labels, options_of(function), function, over_queries,
            asks=asks,
        )  # fmt: skip
        contribution_methods.add(name, method)
        return function

    return register


def counting_method(
    *,
    accumulate: Callable[..., Any],
    needs: Need,
    labels: LabelUse = "unused",
    formula: str = "",
    source: str = "",
    asks: Asks | None = None,
) -> Callable[[F], F]:
    """Register ``(state, *, options) -> array (party,) or Estimate`` under its name, and return it unchanged.

    Parameters
    ----------
    accumulate : callable
        ``(state or None, view, *, options) -> state``: adds a round to what is known of the rounds before it. The state
        must not grow with rounds, and the state that came in is left as it was.
    needs, labels, formula, source
        As in :func:`contribution_method`.
    asks : Asks, optional
        See :class:`ContributionMethod`; its options are the method's too.

    Raises
    ------
    ValueError
        There is no docstring: the workbench shows its first paragraph under the picker.
    """

    def register(value: F) -> F:
        name, title, explanation = described(value)
        add, read = with_own_options(accumulate), with_own_options(value)

        def function(view: ContributionView, **options: Any) -> NDArray[np.floating[Any]] | Estimate:
            result: NDArray[np.floating[Any]] | Estimate = read(add(None, view, **options), **options)
            return result

        asked = [] if asks is None else [one for one in (asks.discloses, asks.cohorts) if one is not None]
        own = None
        if asks is not None:
            cohorts = None if asks.cohorts is None else with_own_options(asks.cohorts)
            own = Asks(with_own_options(asks.discloses), cohorts, asks.agreement)
        method = ContributionMethod(
            name, title, explanation, formula, source, needs, labels, options_of(accumulate, value, *asked), function,
            accumulate=add, value=read, asks=own,
        )  # fmt: skip
        contribution_methods.add(name, method)
        return value

    return register
