"""Rules as maps of the logits, for models that compute on hidden queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from fi_workbench.aggregation.apply import checked_options, taken
from fi_workbench.aggregation.rule import Component, Rule, rules
from fi_workbench.core.affine import AffineSummand
from fi_workbench.core.errors import DoesNotFit


def affine_part(
    rule: Rule,
    facts: Mapping[str, Any],
    totals: Mapping[str, NDArray[Any]],
    n_classes: int,
    options: Mapping[str, Any],
) -> AffineSummand:
    """One party's part as a map of its logits.

    Parameters
    ----------
    rule : Rule
    facts : mapping
        Private facts of the party, as it claims them.
    totals : mapping
        Enrolment sums of the cohort.
    n_classes : int
    options : mapping
        The rule's; what is missing takes its default.

    Raises
    ------
    DoesNotFit
        The rule's summand is not affine in the logits; lists the rules whose is.
    InvalidParty
        A private fact that the rule needs is missing or unusable.
    """
    if rule.affine is None:
        fits = [name for name, other in rules.items() if other.affine is not None]
        raise DoesNotFit(f"Rule {rule.name!r} is not affine in the logits, so hidden logits cannot be summed.", fits)
    return rule.affine(facts, totals, n_classes, **taken(rule.affine, checked_options(rule, options)))


def constants_of(declared: Mapping[str, Component]) -> dict[str, float]:
    """Components that every party adds alike whatever it answers, and what each party adds."""
    return {name: one.lower for name, one in declared.items() if one.axes == "scalar" and one.lower == one.upper}
