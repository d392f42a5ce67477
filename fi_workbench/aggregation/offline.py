"""Rules on plain arrays, for researchers: no federation, no messages, the same two ends."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fi_workbench.aggregation.apply import (
    check_facts,
    check_outputs,
    checked_options,
    enrolment_part,
    finish,
    local_part,
    named,
    side_by_side,
    total,
)
from fi_workbench.aggregation.rule import LocalView, OnAbsence, Rule, rules
from fi_workbench.core.arrays import Answers, Outputs, Scores, softmax, stacked_answers, to_logits
from fi_workbench.core.errors import InvalidParty
from fi_workbench.core.options import options_of


def resolve(rule: str | Rule | Callable[..., Any]) -> Rule:
    """The rule of that name, the rule itself, or a plain function ``(answers, *, options) -> scores`` as a rule.

    Raises
    ------
    UnknownName
        No rule has that name; the message lists those that exist.
    """
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, str) or not callable(rule):
        return rules[rule]
    for name in rules:
        if rule in (rules[name].combine, rules[name].local):
            return rules[name]
    name = getattr(rule, "__name__", type(rule).__name__)
    explanation = inspect.getdoc(rule) or ""
    options = options_of(rule) if inspect.isfunction(rule) else ()
    return Rule(name, name, explanation, "", "", "each", "probabilities", frozenset(), options, combine=rule)


def aggregate(
    logits: ArrayLike,
    rule: str | Rule | Callable[..., Any] = "soft_vote",
    *,
    outputs: Outputs = "logits",
    class_counts: ArrayLike | None = None,
    data_sizes: ArrayLike | None = None,
    parties: Sequence[str] | None = None,
    temperatures: ArrayLike | None = None,
    on_absence: OnAbsence = "renormalise",
    **options: Any,
) -> Scores:
    """What a federation would answer, computed on plain arrays.

    A rule with a party-side part is computed as a round computes it: each party's part, their sum, the finish.
    Each part is computed in the precision of ``logits``, float32 or float64, and summed in float64; on the golden
    logits both give every figure of the reference exactly (its closest call is decided by 2.6e-5).

    Parameters
    ----------
    logits : array (party, query, class)
        The parties' answers: numpy, torch or nested lists.
    rule : str, Rule or callable
        A registered rule, or any function ``(answers, *, options) -> scores`` on probabilities.
    outputs : {"logits", "probabilities"}
        What ``logits`` are.
    class_counts : array (party, class), optional
        Training samples of each class, for rules that use them.
    data_sizes : array (party,), optional
        Training samples; the sums of ``class_counts`` where only those are given.
    parties : sequence of str, optional
        Their names, for rules that know parties by name; "party 0", "party 1", ... where not given.
    temperatures : array (party,), optional
        Each party's logits are divided by its temperature before anything else: calibration.
    on_absence : {"renormalise", "keep"}
    **options
        Options of the rule.

    Returns
    -------
    scores : array (query, class)
        Larger is more likely; ``scores.argmax(axis=1)`` are the labels, ties to the lowest class index.

    Raises
    ------
    UnknownName, InvalidOption
        Unknown rule or option, or an option out of range.
    InvalidAnswer
        Not (party, query, class) with at least one of each, NaN or infinite, or not probabilities as declared.
    InvalidParty
        Counts, sizes, temperatures or names of the wrong shape, negative, or not finite.
    DoesNotFit
        The rule needs counts, sizes or queries that were not given; lists the rules that need none.

    Examples
    --------
    >>> logits = [[[2.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.0]]]
    >>> aggregate(logits, "hard_vote").round(2)
    array([[0.33, 0.67]])
    """
    chosen = resolve(rule)
    settings = checked_options(chosen, options)
    answers = stacked_answers(logits, outputs)
    names = named(len(answers), parties)
    check_outputs(chosen, dict.fromkeys(names, outputs))
    if temperatures is not None:
        answers = _calibrated(answers, outputs, temperatures)
    facts = _facts(len(answers), class_counts, data_sizes)
    check_facts(chosen, dict(zip(names, facts, strict=True)))
    if chosen.local is None:
        return finish(chosen, settings, answers=answers, outputs=outputs, parties=names)
    n_classes = answers.shape[-1]
    enrolled = [enrolment_part(chosen, held, settings, n_classes=n_classes) for held in facts]
    totals = total(enrolled) if chosen.enrolment else {}
    parts = (
        local_part(chosen, LocalView(values, outputs, facts=held, totals=totals, on_absence=on_absence), settings)
        for values, held in zip(answers, facts, strict=True)
    )
    if chosen.gathers == "parts":
        return finish(chosen, settings, parts=side_by_side(list(parts)))
    return finish(chosen, settings, sums=total(parts))


def _calibrated(answers: Answers, outputs: Outputs, temperatures: ArrayLike) -> Answers:
    """Answers of the same kind, (party, query, class), whose logits are divided by their party's temperature."""
    given = np.asarray(temperatures)
    if given.shape != (len(answers),) or given.dtype.kind not in "fiu":
        raise InvalidParty(f"temperatures have shape {given.shape}, dtype {given.dtype}; ({len(answers)},) is needed.")
    if not (np.isfinite(given) & (given > 0)).all():
        raise InvalidParty(f"temperatures are {given.tolist()}; each is a finite number above 0.")
    cooled = to_logits(answers, outputs) / given.astype(answers.dtype)[:, None, None]
    return cooled if outputs == "logits" else softmax(cooled)


def _facts(n_parties: int, class_counts: ArrayLike | None, data_sizes: ArrayLike | None) -> list[dict[str, Any]]:
    """The private facts of each party, from arrays with a party axis."""
    given = {"class_counts": class_counts, "data_size": data_sizes}
    held = {name: np.asarray(array) for name, array in given.items() if array is not None}
    for name, array in held.items():
        n_axes = {"class_counts": 2, "data_size": 1}[name]
        if array.ndim != n_axes or len(array) != n_parties or array.dtype.kind not in "fiu":
            shape = "(party, class)" if n_axes == 2 else "(party,)"
            raise InvalidParty(
                f"{name} have shape {array.shape} and dtype {array.dtype}; {shape} of {n_parties} parties is needed."
            )
    if class_counts is not None and data_sizes is None:
        held["data_size"] = held["class_counts"].sum(axis=1)
    return [{name: array[k] for name, array in held.items()} for k in range(n_parties)]
