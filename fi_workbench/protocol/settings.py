"""The settings of one round, checked as a whole before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fi_workbench.aggregation.apply import check_facts, check_outputs
from fi_workbench.aggregation.rule import OnAbsence, Rule, rules
from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import DoesNotFit
from fi_workbench.core.messages import PartyCard
from fi_workbench.privacy.mechanism import Mechanism, mechanisms
from fi_workbench.privacy.stack import Stack
from fi_workbench.protocol.header import Calibration
from fi_workbench.protocol.ports import INSIDE_MODEL

MAX_HELPERS = 2
"""One for each role that is not the owner's."""

MIN_SUMMED = 3
"""Fewer parties' private facts are not summed."""


@dataclass(frozen=True, eq=False)
class RoundSettings:
    """How a round is to be answered.

    Parameters
    ----------
    rule : Rule
    rule_options : mapping
        Complete and checked.
    mechanism : Stack
    deadline_seconds : float
        For the whole round.
    calibration : {"none", "temperature"}
    receipts : bool
        Whether the parties sign what they release, because the round is paid for.
    """

    rule: Rule
    rule_options: Mapping[str, Any]
    mechanism: Stack
    deadline_seconds: float
    calibration: Calibration = "none"
    receipts: bool = False

    @property
    def on_absence(self) -> OnAbsence:
        """What the rule does about the absent; a hiding mechanism decides."""
        return "keep" if self.mechanism.carrier.hides_absence else "renormalise"


def check_fit(
    rule: Rule,
    stack: Stack,
    cards: Iterable[PartyCard],
    calibration: Calibration = "none",
    n_parties: int | None = None,
) -> None:
    """Nothing, if rule, mechanism and parties fit together; ``n_parties`` is how many there are, if not the cards'.

    Raises
    ------
    DoesNotFit
        Naming what does not, and what would: rules that fit this mechanism and these parties, or, where it is the
        mechanism that does not fit the parties, mechanisms that carry this rule among them.
    """
    cards = list(cards)
    n_parties = len(cards) if n_parties is None else n_parties
    if (refusal := _refused(_check_rule, rule, stack, cards)) is not None:
        fits = [name for name, other in rules.items() if _refused(_check_rule, other, stack, cards) is None]
        raise DoesNotFit(refusal.message, fits, "rule")
    if calibration == "temperature" and (without := [card.name for card in cards if "temperature" not in card.facts]):
        raise DoesNotFit(
            f"Calibration by temperature needs each owner's temperature; {', '.join(without)} hold none. Give them "
            'PrivateFacts(temperature=fi.fit_temperature(logits, labels)), or choose calibration="none".'
        )
    if (refusal := _refused(_check_carrier, stack.carrier, cards, n_parties)) is not None:
        raise DoesNotFit(refusal.message, _mechanisms_for(rule, stack, cards, n_parties), "mechanism")


def _refused(check: Callable[..., None], *given: Any) -> DoesNotFit | None:
    """What ``check`` raises, or None."""
    try:
        check(*given)
    except DoesNotFit as error:
        return error
    return None


def _check_rule(rule: Rule, stack: Stack, cards: Sequence[PartyCard]) -> None:
    carrier = stack.carrier
    if not satisfies(carrier.offers, rule.needs):
        shown = [name for name, kind in _carriers() if satisfies(kind.offers, rule.needs)]
        raise DoesNotFit(
            f"Rule {rule.name!r} must see {_seen(rule.needs)}; "
            f"mechanism {carrier.name!r} shows {_seen(carrier.offers)} "
            f"(mechanisms that would show it: {', '.join(shown) or 'none yet'})."
        )
    if not carrier.carries(rule.name, rule.affine is not None):
        carried = [name for name, other in rules.items() if carrier.carries(name, other.affine is not None)]
        raise DoesNotFit(f"Mechanism {carrier.name!r} carries {', '.join(carried)} only, not rule {rule.name!r}.")
    n_classes = max((len(card.classes) for card in cards), default=0)
    if cards and (reason := carrier.cannot_carry(rule.name, n_classes)):
        raise DoesNotFit(f"Mechanism {carrier.name!r} cannot carry rule {rule.name!r} here: {reason}.")
    if carrier.inside_models and stack.noise:
        raise DoesNotFit(
            f"Under mechanism {carrier.name!r} no party sees its own answer, so {stack.noise[0].name!r} cannot blur "
            "it; leave the noise out."
        )
    if rule.asks_again and stack.noise:
        raise DoesNotFit(
            f"Rule {rule.name!r} asks each model several times about one query; {stack.noise[0].name!r} would blur "
            "each answer anew, at the price of as many."
        )
    check_outputs(rule, {card.name: card.outputs for card in cards})
    check_facts(rule, {card.name: card.facts for card in cards})
    helpers = _helpers(cards)
    if helpers and rule.enrolment is not None and len(cards) - len(helpers) < MIN_SUMMED:
        raise DoesNotFit(
            f"Rule {rule.name!r} sums private facts of the parties, and of a sum of two each knows the other's part; "
            f"it needs {MIN_SUMMED} parties with a model."
        )
    _check_asked_again(rule, cards)


def _check_carrier(carrier: Mechanism, cards: Sequence[PartyCard], n_parties: int) -> None:
    _check_members(carrier, cards)
    if reason := carrier.cannot(n_parties):
        raise DoesNotFit(f"Mechanism {carrier.name!r} cannot be used here: {reason}.")
    for card in cards:
        if missing := carrier.requires - card.capabilities:
            raise DoesNotFit(
                f"Party {card.name!r} cannot do {', '.join(sorted(missing))}, which {carrier.name!r} needs."
            )
    if n_parties < carrier.min_parties:
        why = f": {carrier.why_min_parties}" if carrier.why_min_parties else ""
        raise DoesNotFit(f"Mechanism {carrier.name!r} needs {carrier.min_parties} parties; there are {n_parties}{why}.")


def _helpers(cards: Iterable[PartyCard]) -> list[str]:
    return [card.name for card in cards if card.model == "helper"]


def _check_members(carrier: Mechanism, cards: Sequence[PartyCard]) -> None:
    """Refuse helpers where they have nothing to do, and models that cannot be computed with while they are hidden."""
    helpers = _helpers(cards)
    if helpers and not carrier.inside_models:
        takes = [name for name, kind in _carriers() if kind.inside_models]
        raise DoesNotFit(
            f"{' and '.join(helpers)} {'has' if len(helpers) == 1 else 'have'} no model; a helper takes part under "
            f"{' and '.join(takes)} only."
        )
    if len(helpers) > MAX_HELPERS:
        raise DoesNotFit(f"There are {len(helpers)} helpers; {MAX_HELPERS} take all the roles that there are for them.")
    outside = [card.name for card in cards if INSIDE_MODEL not in card.capabilities]
    if carrier.inside_models and outside:
        raise DoesNotFit(
            f"Mechanism {carrier.name!r} computes with the models themselves; those of {', '.join(outside)} are no "
            "torch modules that return logits (Party.from_torch)."
        )


def _check_asked_again(rule: Rule, cards: Iterable[PartyCard]) -> None:
    """Refuse a rule that asks the models about rotated images where the queries are none."""
    flat = sorted(card.name for card in cards if len(card.input_shape) < 2)
    if rule.asks_again and flat:
        raise DoesNotFit(f"Rule {rule.name!r} rotates queries, but those of {', '.join(flat)} are no images.")


def _seen(need: str) -> str:
    words = {"nothing": "nothing", "sum": "the sum of the answers", "votes": "each vote", "each": "each answer"}
    return words[need]


def _carriers() -> list[tuple[str, type[Mechanism]]]:
    return [(name, kind) for name, kind in mechanisms.items() if issubclass(kind, Mechanism)]


def _mechanisms_for(rule: Rule, stack: Stack, cards: Sequence[PartyCard], n_parties: int) -> list[str]:
    """Mechanisms under which, as they are by default, a rule that fits ``stack`` fits too, with the same noise."""
    fits = []
    for name, kind in _carriers():
        other = replace(stack, carrier=kind())
        refused = _refused(_check_rule, rule, other, cards) or _refused(_check_carrier, other.carrier, cards, n_parties)
        if refused is None:
            fits.append(name)
    return fits
