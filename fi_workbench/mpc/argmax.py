"""Votes of which nobody sees one: the class with the largest output, as further steps of a plan.

Behind a model's outputs: they are rounded to 2^-16, so that all comparisons are exact and agree with one another;
every class meets every other at once; and who won all its pairs gets the vote, in one more comparison. Of equal outputs
the lowest class wins. The votes of all models, added up and masked anew, are the query of a second plan, whose output
is the label that most voted for.
"""

from __future__ import annotations

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.mpc import pairing
from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.plan import MAX_BOUND, Held, Lift, Operation, Pairs, Plan, Sign, Step, Truncate, Wins

MAX_CLASSES = 64
"""More make too many pairs: 2,016 comparisons for each query and model."""


def with_votes(plan: Plan) -> Plan:
    """The plan whose output is 1 for the class with the largest output, and 0 for the others.

    Parameters
    ----------
    plan : Plan
        Its outputs must be smaller than :data:`~fi_workbench.mpc.plan.MAX_BOUND` less 1, either side of zero.

    Returns
    -------
    Plan
        Its output is exact: whole numbers with 32 fractional bits.

    Raises
    ------
    DoesNotFit
        One class, or more than 64.
    """
    n_classes = _checked(plan.n_outputs)
    truncated = _followed(plan, [(Truncate(), (n_classes,), "masked"), (Lift(), (n_classes,), "shared")])
    return _followed(truncated, _contest(n_classes))


def label_plan(n_classes: int, n_voters: int) -> Plan:
    """The plan that makes counts of votes into 1 for the class with the most, and 0 for the others.

    Parameters
    ----------
    n_classes : int
    n_voters : int

    Returns
    -------
    Plan
        Its query are the counts themselves, whole numbers with 32 fractional bits as the votes have them: the owner
        holds counts - m, evaluator and dealer know m.

    Raises
    ------
    DoesNotFit
        One class, or more than 64; or 8,192 voters and more.
    """
    _checked(n_classes)
    if not 1 <= n_voters < MAX_BOUND:
        raise DoesNotFit(f"Votes are counted of 1 to {int(MAX_BOUND) - 1} models, not of {n_voters}.")
    shared = Plan((n_classes,), (Step(Lift(1), (0,), (n_classes,), "shared", "counts"),), float(n_voters))
    return _followed(shared, _contest(n_classes))


def votes_fit(compiled: Compiled) -> bool:
    """Whether a model's outputs are known to be small enough to be compared with one another."""
    return all(layer.bound < MAX_BOUND - 1 for layer in compiled.bounds[-1:])


def _contest(n_classes: int) -> list[tuple[Operation, tuple[int, ...], Held]]:
    n_pairs = pairing.n_pairs(n_classes)
    return [
        (Pairs(), (n_pairs,), "shared"),
        (Sign(), (n_pairs,), "shared"),
        (Wins(), (n_classes,), "shared"),
        (Sign(), (n_classes,), "shared"),
    ]


def _followed(plan: Plan, steps: list[tuple[Operation, tuple[int, ...], Held]]) -> Plan:
    """The plan with further steps, each of which takes what the one before it made."""
    first = len(plan.steps)
    more = [
        Step(operation, (first + number,), shape, held, "vote") for number, (operation, shape, held) in enumerate(steps)
    ]
    return Plan(plan.input_shape, (*plan.steps, *more), plan.input_bound)


def _checked(n_classes: int) -> int:
    if not 2 <= n_classes <= MAX_CLASSES:
        raise DoesNotFit(
            f"Hidden votes are among 2 to {MAX_CLASSES} classes, not {n_classes}: each class meets every other.",
            ("mean_logit",),
            "rule",
        )
    return n_classes
