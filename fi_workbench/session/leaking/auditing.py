"""An audit of a whole mechanism: whether what the coordinator holds in the end keeps the epsilon that is stated."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.apply import components_of
from fi_workbench.core.errors import DoesNotFit
from fi_workbench.parties import Party
from fi_workbench.privacy.accountant import epsilon_of
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.mechanism import AnswerNoise, Mechanism
from fi_workbench.privacy.meters.audit import Audit, World, audit_epsilon
from fi_workbench.privacy.stack import MechanismLike, Stack, make_mechanism
from fi_workbench.session.federation import Federation
from fi_workbench.session.leaking.asking import Eyes

_CLASSES = ("a", "b", "c")

_TARGET = "audited"


def audit_mechanism(
    mechanism: MechanismLike | Stack,
    mechanism_options: Mapping[str, Any] | None = None,
    *,
    rule: str = "hard_vote",
    n_parties: int = 5,
    epsilon: float | None = None,
    delta: float = 1e-5,
    n_trials: int = 4000,
    confidence: float = 0.99,
) -> Audit:
    """Hold the epsilon that a mechanism states against what can be told apart from what its coordinator gets.

    Toy parties are asked in a real round, in this process, with the mechanism's own noise: in half of the queries one
    party is certain of one class, in the others of another, while the rest are split between the two, so that its
    answer decides as much as any can.

    Parameters
    ----------
    mechanism, mechanism_options
        As for :class:`~fi_workbench.session.federation.Federation`.
    rule : str
    n_parties : int
    epsilon : float, optional
        The claim for one query at ``delta``; what the mechanism states as its events otherwise.
    delta, confidence
        See :func:`~fi_workbench.privacy.meters.audit.audit_epsilon`.
    n_trials : int
        Of either answer; the round has twice as many queries.

    Raises
    ------
    DoesNotFit
        Rule, mechanism and number of parties exclude one another, or the coordinator is shown nothing.
    """
    stack = make_mechanism(mechanism, **(mechanism_options or {}))
    parties = [_party(_TARGET, None), *(_party(f"other {k}", k % 2) for k in range(n_parties - 1))]
    with Federation(
        parties,
        rule=rule,
        mechanism=stack.members,
        contribution="equal",
        budget_micro=0,
        history=None,
        deadline_seconds=120.0,
    ) as federation:
        eyes = Eyes.of(federation, "coordinator", _TARGET)
        if eyes.sees == "nothing":
            raise DoesNotFit(f"Under {stack.name!r} the coordinator is shown nothing, so there is nothing to audit.")
        if epsilon is None:
            epsilon = epsilon_of(stack.events(_one_query(federation, n_parties)), delta, "pld")
        asked = np.repeat(np.array([[0.0], [1.0]], dtype=np.float32), n_trials, axis=0)
        released = eyes.shown(federation.ask(asked)).reshape(2, n_trials, -1)

    def draw(world: World, n: int) -> NDArray[Any]:
        return released[world, :n]

    return audit_epsilon(
        draw, epsilon, delta, n_trials=n_trials, confidence=confidence,
        what=f"{' + '.join(map(_called, stack.members))}; {rule}, {n_parties} parties",
    )  # fmt: skip


def _party(name: str, certain_of: int | None) -> Party:
    """One that is certain of a class whatever it is asked; the audited one of the class that the query names."""

    def answer(queries: NDArray[Any]) -> NDArray[np.float64]:
        label = queries[:, 0].astype(int) if certain_of is None else np.full(len(queries), certain_of)
        return np.eye(len(_CLASSES))[label]

    return Party.from_callable(
        answer, name=name, classes=_CLASSES, input_shape=(1,), class_counts=[10] * len(_CLASSES), probe=False
    )


def _called(member: Mechanism | AnswerNoise) -> str:
    """Its name, with the options that are not at their defaults."""
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(member) if dataclasses.is_dataclass(member) else ()
    values = {one.name: (getattr(member, one.name), one.default) for one in fields}
    options = ", ".join(f"{name}={value!r}" for name, (value, default) in values.items() if value != default)
    return f"{member.name}({options})" if options else member.name


def _one_query(federation: Federation, n_parties: int) -> Occasion:
    for_round = federation.settings.for_round()
    declared = components_of(for_round.rule, len(_CLASSES), for_round.on_absence, for_round.rule_options)
    name, uses_facts = for_round.rule.name, bool(for_round.rule.facts)
    return Occasion("answer", name, declared, n_parties, 1, len(_CLASSES), uses_facts)
