"""What a contribution method is: a pure function of what a round disclosed, with what it must see stated beside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Answers, Labels, Scores
from fi_workbench.core.disclosure import Need
from fi_workbench.core.errors import NotDisclosed
from fi_workbench.core.options import Option, options_of
from fi_workbench.core.registry import Registry

LabelUse = Literal["unused", "optional", "required"]
"""Whether a method looks at true labels, where a client has them."""

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
    """

    n_parties: int
    answers: Answers | None = None
    votes: NDArray[np.integer[Any]] | None = None
    scores: Scores | None = None
    labels: Labels | None = None

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


@dataclass(frozen=True, eq=False)
class ContributionMethod:
    """A contribution method as registered; made by :func:`contribution_method`.

    Parameters
    ----------
    name, title, explanation, formula, source : str
        Title from the name, explanation from the docstring's first paragraph; formula is plain text or TeX.
    needs : {"nothing", "sum", "votes", "each"}
    labels : {"unused", "optional", "required"}
    options : tuple of Option
    function : callable
        ``(view, **options) -> array (party,)``.
    """

    name: str
    title: str
    explanation: str
    formula: str
    source: str
    needs: Need
    labels: LabelUse
    options: tuple[Option, ...]
    function: Callable[..., NDArray[np.floating[Any]]]


contribution_methods: Registry[ContributionMethod] = Registry("contribution")


def contribution_method(
    *, needs: Need, labels: LabelUse = "unused", formula: str = "", source: str = ""
) -> Callable[[F], F]:
    """Register ``(view, *, options) -> array (party,)`` under the function's name, and return it unchanged.

    Raises
    ------
    ValueError
        There is no docstring: the workbench shows its first paragraph under the picker.
    """

    def register(function: F) -> F:
        text = inspect.getdoc(function)
        if not text:
            raise ValueError(f"{function.__qualname__} needs a docstring; it is shown under the picker.")
        explanation = " ".join(text.split("\n\n")[0].split())
        title = function.__name__.replace("_", " ").capitalize()
        method = ContributionMethod(
            function.__name__, title, explanation, formula, source, needs, labels, options_of(function), function
        )
        contribution_methods.add(method.name, method)
        return function

    return register
