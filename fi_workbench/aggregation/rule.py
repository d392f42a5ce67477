"""What an aggregation rule is: a pure function, or a frozen pair of them, with what it must see stated beside it.

A rule has two ends. One that needs only ``sum`` is a party-side *summand* and a coordinator-side *finish*, so it runs
unchanged in the clear and under secure sum. One that needs ``each`` or ``votes`` is one function of all answers, or,
where a party's part needs what only the party has, two ends again: then the parts are finished one beside the other.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.affine import AffineSummand
from fi_workbench.core.arrays import Outputs, Queries, Scores, to_logits, to_simplex
from fi_workbench.core.disclosure import Need
from fi_workbench.core.options import Option, options_of
from fi_workbench.core.registry import Registry
from fi_workbench.core.summand import Axes, Component, Summand

Uses = Literal["probabilities", "logits", "raw_logits"]
"""What a rule computes with. log p serves ``logits``; ``raw_logits`` needs a model that declares logits, because it
uses what the softmax throws away."""

OnAbsence = Literal["renormalise", "keep"]
"""Whether those present share the weight of the absent, or it is left out (renormalising under a hiding mechanism would
disclose the absent party's counts)."""

Gathers = Literal["answers", "sum", "parts"]
"""What a rule's last function gets: each answer, or what its local part made of them, summed or one by one."""

__all__ = [
    "Axes", "Component", "Enrolment", "Gathers", "LocalView", "OnAbsence", "Rule", "Summand", "Uses",
    "aggregation_rule", "described", "each_rule", "rules", "sum_rule",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class LocalView:
    """All that the party-side part of a rule receives; it stays with the party.

    Parameters
    ----------
    values : array (query, class)
        The model's checked answer, as declared in ``outputs``.
    outputs : {"logits", "probabilities"}
    queries : array (query, *input_shape), optional
    predict : callable, optional
        The party's own model, for rules that ask it again (test-time augmentation).
    facts : mapping
        Private facts: ``"class_counts"`` (class,), ``"data_size"`` ().
    totals : mapping
        Enrolment sums of this cohort.
    on_absence : {"renormalise", "keep"}
    rng : callable, optional
        ``() -> numpy Generator``, the same one at each call.
    """

    values: NDArray[Any]
    outputs: Outputs = "logits"
    queries: Queries | None = None
    predict: Callable[[Queries], NDArray[Any]] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    totals: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    on_absence: OnAbsence = "renormalise"
    rng: Callable[[], np.random.Generator] | None = None

    @cached_property
    def probabilities(self) -> NDArray[np.floating[Any]]:
        """(query, class) probabilities."""
        return to_simplex(self.values, self.outputs)

    @cached_property
    def logits(self) -> NDArray[np.floating[Any]]:
        """(query, class) logits; log p where only probabilities are known."""
        return to_logits(self.values, self.outputs)


@dataclass(frozen=True, eq=False)
class Enrolment:
    """A sum over private facts that a rule asks for once per cohort, before the first round.

    Parameters
    ----------
    local : callable
        ``(facts, **options) -> summand``, at the party.
    components : callable
        ``(n_classes, **options) -> {name: Component}``: declaration of each array of that summand.
    names : tuple of str
        Of these arrays.
    """

    local: Callable[..., Summand]
    components: Callable[..., Mapping[str, Component]]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Rule:
    """An aggregation rule as registered; made by :func:`aggregation_rule`, :func:`each_rule` and :func:`sum_rule`.

    Parameters
    ----------
    name, title, explanation, formula, source : str
        Title and explanation are the docstring's first line and paragraph; formula is plain text or TeX.
    needs : {"nothing", "sum", "votes", "each"}
    uses : {"probabilities", "logits", "raw_logits"}
    facts : frozenset of str
        Private facts that each party must hold.
    options : tuple of Option
    combine : callable or None
        ``(answers, **options) -> scores`` for rules of whole answers or votes. With a second positional parameter
        ``parties`` it is also told whose answers they are: a tuple of names, those present.
    local, components, finish : callable or None
        ``(view, **options) -> summand``, ``(n_classes, on_absence, **options) -> {name: Component}`` and
        ``(sums, **options) -> scores`` for rules with a party-side part. Where they need each part, ``finish`` gets
        parts (party, ...) in place of sums.
    enrolment : Enrolment or None
    asks_again : bool
        Whether the local part asks the party's model about changed queries, so that it needs the queries themselves.
    affine : callable or None
        ``(facts, totals, n_classes, **options) -> AffineSummand``: the local part of a rule whose summand is affine in
        the logits, for models that compute on hidden queries.
    """

    name: str
    title: str
    explanation: str
    formula: str
    source: str
    needs: Need
    uses: Uses
    facts: frozenset[str]
    options: tuple[Option, ...]
    combine: Callable[..., Scores] | None = None
    local: Callable[..., Summand] | None = None
    components: Callable[..., Mapping[str, Component]] | None = None
    finish: Callable[..., Scores] | None = None
    enrolment: Enrolment | None = None
    asks_again: bool = False
    affine: Callable[..., AffineSummand] | None = None

    @property
    def gathers(self) -> Gathers:
        """What the last function of this rule gets."""
        if self.local is None:
            return "answers"
        return "sum" if self.needs == "sum" else "parts"


_BOUND = "It is a bound, which looks at the true labels, and no rule: fi.bound(logits, labels, {!r})."

rules: Registry[Rule] = Registry("rule", {name: _BOUND.format(name) for name in ("oracle", "best_party")})


def aggregation_rule(
    *, needs: Literal["each", "votes"] = "each", uses: Uses = "probabilities", formula: str = "", source: str = ""
) -> Callable[[F], F]:
    """Register ``(answers, *, options) -> scores`` as a rule under the function's name, and return it unchanged.

    ``answers`` are (party, query, class), probabilities or logits as ``uses`` says; under ``needs="votes"`` one-hot
    votes. Keyword-only parameters become the rule's options, with sliders where they are ``Annotated`` with a range. A
    function ``(answers, parties, *, options)`` is told the names of those present too.
    """

    def register(function: F) -> F:
        title, explanation = described(function)
        rule = Rule(
            function.__name__, title, explanation, formula, source, needs, uses, frozenset(), options_of(function),
            combine=function,
        )  # fmt: skip
        rules.add(rule.name, rule)
        return function

    return register


def sum_rule(
    *,
    components: Callable[..., Mapping[str, Component]],
    finish: Callable[..., Scores],
    uses: Uses = "probabilities",
    facts: tuple[str, ...] = (),
    enrolment: Enrolment | None = None,
    asks_again: bool = False,
    affine: Callable[..., AffineSummand] | None = None,
    formula: str = "",
    source: str = "",
) -> Callable[[F], F]:
    """Register ``(view, *, options) -> summand`` as a rule that needs only a sum, and return it unchanged.

    Parameters
    ----------
    components : callable
        ``(n_classes, on_absence, *, options) -> {name: Component}``.
    finish : callable
        ``(sums, *, options) -> scores (query, class)``. Each of the three may take the options that it uses, and so may
        both ends of the ``enrolment``.
    affine : callable, optional
        The same summand as a map of the logits: see :class:`Rule`.
    """

    def register(function: F) -> F:
        title, explanation = described(function)
        enrolled = () if enrolment is None else (enrolment.local, enrolment.components)
        options = options_of(function, components, finish, *enrolled)
        rule = Rule(
            function.__name__, title, explanation, formula, source, "sum", uses, frozenset(facts), options,
            local=function, components=components, finish=finish, enrolment=enrolment, asks_again=asks_again,
            affine=affine,
        )  # fmt: skip
        rules.add(rule.name, rule)
        return function

    return register


def each_rule(
    *,
    components: Callable[..., Mapping[str, Component]],
    finish: Callable[..., Scores],
    uses: Uses = "probabilities",
    facts: tuple[str, ...] = (),
    formula: str = "",
    source: str = "",
) -> Callable[[F], F]:
    """Register ``(view, *, options) -> {name: array}`` as a rule that needs each part, and return it unchanged.

    For what a party must compute itself, from private facts that nobody else need see, but that no sum can carry.

    Parameters
    ----------
    components : callable
        ``(n_classes, on_absence, *, options) -> {name: Component}``.
    finish : callable
        ``(parts: {name: (party, ...)}, *, options) -> scores (query, class)``, over those present.
    """

    def register(function: F) -> F:
        title, explanation = described(function)
        options = options_of(function, components, finish)
        rule = Rule(
            function.__name__, title, explanation, formula, source, "each", uses, frozenset(facts), options,
            local=function, components=components, finish=finish,
        )  # fmt: skip
        rules.add(rule.name, rule)
        return function

    return register


def described(function: Callable[..., Any]) -> tuple[str, str]:
    """Title (from the name) and explanation (the docstring's first paragraph) of a plug-in.

    Raises
    ------
    ValueError
        If there is no docstring: the workbench shows it under the picker.
    """
    text = inspect.getdoc(function)
    if not text:
        raise ValueError(f"{function.__qualname__} needs a docstring; its first paragraph is shown under the picker.")
    return function.__name__.replace("_", " ").capitalize(), " ".join(text.split("\n\n")[0].split())
