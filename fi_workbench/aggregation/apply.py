"""Running a rule's ends, with what comes out held against what the rule declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.rule import Component, LocalView, OnAbsence, Rule, Summand, rules
from fi_workbench.core.arrays import Answers, Outputs, Scores, to_logits, to_simplex
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer, InvalidParty
from fi_workbench.core.options import check_options


def checked_options(rule: Rule, options: Mapping[str, Any]) -> dict[str, Any]:
    """The rule's options filled up with the defaults; unknown ones and values out of range are refused by name."""
    return check_options(f"Rule {rule.name!r}", rule.options, options)


def components_of(
    rule: Rule, n_classes: int, on_absence: OnAbsence, options: Mapping[str, Any]
) -> Mapping[str, Component]:
    """Declarations of the arrays of a rule's local part; empty for a rule that has none."""
    if rule.components is None:
        return {}
    return rule.components(n_classes, on_absence, **taken(rule.components, checked_options(rule, options)))


def enrolment_components_of(rule: Rule, n_classes: int, options: Mapping[str, Any]) -> Mapping[str, Component]:
    """Declarations of the arrays of a rule's enrolment sum; empty for a rule that asks for none."""
    if rule.enrolment is None:
        return {}
    declare = rule.enrolment.components
    return declare(n_classes, **taken(declare, checked_options(rule, options)))


def local_part(rule: Rule, view: LocalView, options: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """One party's part (its summand, where the rule needs a sum), inside its declared bounds.

    Parameters
    ----------
    rule : Rule
        One with a party-side part.
    view : LocalView
        With ``values`` (query, class).
    options : mapping
        The rule's options; what is missing takes its default.

    Raises
    ------
    InvalidAnswer
        A component is missing, unknown, of the wrong shape, not finite or out of its bounds; it is named.
    InvalidParty
        A private fact that the rule needs is missing or unusable.
    DoesNotFit
        The rule needs each answer as it is, an enrolment sum that ``view.totals`` lacks, or queries to ask about again.
    """
    if rule.local is None:
        raise DoesNotFit(f"Rule {rule.name!r} needs each answer; it has no party-side part.")
    if rule.enrolment and (missing := sorted(set(rule.enrolment.names) - set(view.totals))):
        raise DoesNotFit(f"Rule {rule.name!r} needs the enrolment sums {missing}; enrol the cohort first.")
    if rule.asks_again and (view.queries is None or view.predict is None):
        fits = [name for name, other in rules.items() if not other.asks_again]
        raise DoesNotFit(f"Rule {rule.name!r} asks each party's model again; there are answers only, no queries.", fits)
    options = checked_options(rule, options)
    n_queries, n_classes = view.values.shape
    declared = components_of(rule, n_classes, view.on_absence, options)
    summand = rule.local(view, **taken(rule.local, options))
    return _within(rule.name, summand, declared, n_queries, n_classes)


def enrolment_part(
    rule: Rule, facts: Mapping[str, Any], options: Mapping[str, Any] | None = None, *, n_classes: int | None = None
) -> dict[str, NDArray[np.float64]]:
    """One party's summand of the enrolment sum; empty for a rule that asks for none.

    Raises
    ------
    InvalidParty
        A private fact that the rule needs is missing or unusable.
    InvalidAnswer
        A component breaks its declaration, e.g. it has not ``n_classes`` entries.
    """
    if rule.enrolment is None:
        return {}
    options = checked_options(rule, options or {})
    summand = rule.enrolment.local(facts, **taken(rule.enrolment.local, options))
    if n_classes is None:
        n_classes = max((len(array) for array in map(np.asarray, summand.values()) if array.ndim == 1), default=0)
    declared = enrolment_components_of(rule, n_classes, options)
    return _within(rule.name, summand, declared, 0, n_classes)


def total(summands: Iterable[Summand]) -> dict[str, NDArray[np.float64]]:
    """Sum over the parties, component by component, in float64 and in the order given: equal order gives equal bits.

    Raises
    ------
    DoesNotFit
        There is nothing to sum.
    """
    sums: dict[str, NDArray[np.float64]] = {}
    for summand in summands:
        if not sums:
            sums = {name: np.array(array, dtype=np.float64) for name, array in summand.items()}
        else:
            for name, array in summand.items():
                sums[name] += array
    if not sums:
        raise DoesNotFit("There is nothing to sum: no party is present.")
    return sums


def side_by_side(parts: Sequence[Summand]) -> dict[str, NDArray[np.float64]]:
    """The parties' parts, component by component (party, ...), in the order given.

    Raises
    ------
    DoesNotFit
        There is none.
    """
    if not parts:
        raise DoesNotFit("There is nothing to finish: no party is present.")
    return {name: np.stack([np.asarray(part[name], dtype=np.float64) for part in parts]) for name in parts[0]}


def finish(
    rule: Rule,
    options: Mapping[str, Any],
    *,
    sums: Mapping[str, NDArray[Any]] | None = None,
    parts: Mapping[str, NDArray[Any]] | None = None,
    answers: Answers | Sequence[NDArray[Any]] | None = None,
    outputs: Outputs | Sequence[Outputs] = "logits",
    parties: Sequence[str] | None = None,
) -> Scores:
    """Scores (query, class) from what the coordinator, or the client, holds after the last phase.

    Parameters
    ----------
    rule : Rule
    options : mapping
        The rule's options; what is missing takes its default.
    sums : mapping of str to array
        For a rule that needs a sum: the summed components.
    parts : mapping of str to array (party, ...)
        For a rule that needs each part: the components of those present.
    answers : (party, query, class) or a sequence of (query, class)
        For every other rule: the checked answers of those present.
    outputs : {"logits", "probabilities"}, or one of them per party
        What ``answers`` are.
    parties : sequence of str, optional
        Whose ``answers`` they are; "party 0", "party 1", ... where not given.

    Raises
    ------
    DoesNotFit
        What the rule needs was not given.
    InvalidAnswer
        The rule returned something else than finite scores (query, class).
    """
    options = checked_options(rule, options)
    if rule.finish is not None:
        gathered, what = (parts, "each party's part") if rule.gathers == "parts" else (sums, "a sum")
        if not gathered:
            raise DoesNotFit(f"Rule {rule.name!r} finishes {what}; none was given.")
        scores = rule.finish(gathered, **taken(rule.finish, options))
        return _checked_scores(rule, scores, None)
    if rule.combine is None or answers is None or len(answers) == 0:
        raise DoesNotFit(f"Rule {rule.name!r} needs {rule.needs!r}: the parties' answers; none were given.")
    per_party: Sequence[Outputs] = [outputs] * len(answers) if isinstance(outputs, str) else outputs
    names = named(len(answers), parties)
    check_outputs(rule, dict(zip(names, per_party, strict=True)))
    as_used = np.stack([_as_used(rule, values, kind) for values, kind in zip(answers, per_party, strict=True)])
    given = (as_used, names) if _is_told_parties(rule.combine) else (as_used,)
    scores = rule.combine(*given, **taken(rule.combine, options))
    return _checked_scores(rule, scores, np.shape(answers[0]))


def named(n_parties: int, parties: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the rows of ``n_parties`` answers: those given, or "party 0", "party 1", ...

    Raises
    ------
    InvalidParty
        Not one name per row, or one name twice.
    """
    if parties is None:
        return tuple(f"party {k}" for k in range(n_parties))
    names = tuple(parties)
    if len(names) != n_parties or len(set(names)) != n_parties:
        raise InvalidParty(f"parties are {list(names)}; {n_parties} different names are needed, one for each answer.")
    return names


def check_outputs(rule: Rule, outputs_of_parties: Mapping[str, Outputs]) -> None:
    """Refuse parties whose outputs the rule cannot use.

    Raises
    ------
    DoesNotFit
        Some return probabilities and the rule needs raw logits; names them and lists the rules that would fit.
    """
    unfit = sorted(party for party, outputs in outputs_of_parties.items() if outputs != "logits")
    if rule.uses == "raw_logits" and unfit:
        fits = [name for name, other in rules.items() if other.uses != "raw_logits"]
        raise DoesNotFit(
            f"Rule {rule.name!r} uses what the softmax throws away, but {', '.join(unfit)} return probabilities.", fits
        )


def check_facts(rule: Rule, facts_of_parties: Mapping[str, Iterable[str]]) -> None:
    """Refuse parties that lack a private fact that the rule uses.

    Raises
    ------
    DoesNotFit
        Names the parties and the facts, and lists the rules for which what all parties hold is enough.
    """
    held = {party: frozenset(facts) for party, facts in facts_of_parties.items()}
    lacking = {party: sorted(rule.facts - facts) for party, facts in held.items() if rule.facts - facts}
    if lacking:
        common = frozenset.intersection(*held.values())
        listed = "; ".join(f"{party} lacks {', '.join(facts)}" for party, facts in lacking.items())
        fits = [name for name, other in rules.items() if other.facts <= common]
        raise DoesNotFit(f"Rule {rule.name!r} uses private facts that not every party holds: {listed}.", fits)


@lru_cache(maxsize=256)
def _is_told_parties(function: Callable[..., Any]) -> bool:
    """Whether the second positional parameter of a ``combine`` asks for the names of its rows."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a C function has no signature to read
        return False
    positional = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return positional[1:2] == ["parties"]


@lru_cache(maxsize=256)
def _keywords(function: Callable[..., Any]) -> frozenset[str]:
    parameters = inspect.signature(function).parameters.values()
    return frozenset(parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY)


def taken(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that one end of a rule takes."""
    names = _keywords(function)
    return {name: value for name, value in options.items() if name in names}


def _within(
    owner: str, summand: Summand, declared: Mapping[str, Component], n_queries: int, n_classes: int
) -> dict[str, NDArray[np.float64]]:
    """The summand as arrays in the declared order, checked and clipped to its bounds."""
    if set(summand) != set(declared):
        raise InvalidAnswer(f"The summand of {owner!r} holds {sorted(summand)}; {sorted(declared)} are declared.")
    checked = {}
    for name, component in declared.items():
        array = component.check(summand[name], n_queries, n_classes, f"Component {name!r} of {owner!r}")
        # rounding may leave the bounds by an ulp; what is sent never does
        inside = array.min() >= component.lower and array.max() <= component.upper
        checked[name] = array if inside else np.clip(array, component.lower, component.upper)
    return checked


def _as_used(rule: Rule, values: NDArray[Any], outputs: Outputs) -> NDArray[Any]:
    """One party's answer as the rule computes with it, (query, class)."""
    if rule.needs == "votes":
        return np.asarray(np.eye(np.shape(values)[-1], dtype=np.float32)[np.argmax(values, axis=-1)])
    return to_simplex(values, outputs) if rule.uses == "probabilities" else to_logits(values, outputs)


def _checked_scores(rule: Rule, scores: Any, needed: tuple[int, ...] | None) -> Scores:
    array = np.asarray(scores)
    wrong = array.ndim != 2 if needed is None else array.shape != needed
    if wrong or array.dtype.kind not in "fiu":
        shape = "(query, class)" if needed is None else f"{needed} = (query, class)"
        raise InvalidAnswer(f"Rule {rule.name!r} returned shape {array.shape}, dtype {array.dtype}; {shape} is needed.")
    if not np.isfinite(array).all():
        raise InvalidAnswer(f"Rule {rule.name!r} returned NaN or infinite scores.")
    return array
