"""What a question costs a party in privacy, and which mechanisms would have given it a guarantee."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fi_workbench.aggregation.rule import Rule
from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import FederationError, Refused
from fi_workbench.privacy.accountant import protected
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.event import Event
from fi_workbench.privacy.mechanism import mechanisms
from fi_workbench.privacy.stack import Stack, make_mechanism
from fi_workbench.protocol.header import RoundHeader
from fi_workbench.protocol.party_context import declared


def occasion_of(header: RoundHeader, rule: Rule, n_classes: int) -> Occasion:
    """What a question is, as far as its price in privacy goes; client and party come to the same."""
    components = declared(header, rule, n_classes)
    n_parties, uses_facts = len(header.cohort), bool(rule.facts)
    return Occasion(header.kind, header.rule, components, n_parties, header.n_queries, n_classes, uses_facts)


def check_guarantee(
    stack: Stack, events: Mapping[Event, int], occasion: Occasion, rule: Rule, allowed: Iterable[str] | None = None
) -> None:
    """Nothing, if all that a question releases has a privacy guarantee; setting up releases nothing.

    Parameters
    ----------
    stack : Stack
        Under which it is asked.
    events : mapping of Event to int
        What ``stack`` says of ``occasion``.
    occasion : Occasion
    rule : Rule
    allowed : iterable of str, optional
        Mechanisms that the party answers under; None for any.

    Raises
    ------
    Refused
        Naming the mechanisms that would give one.
    """
    if occasion.kind == "prepare" or protected(event for event, count in events.items() if count):
        return
    if stack.reproducible and (drawn := [one.name for one in stack.members if _has(one.name, occasion, rule)]):
        raise Refused(
            f"this party keeps a privacy budget, and reproducible noise of {' and '.join(drawn)} protects nobody; "
            "ask without reproducible=True."
        )
    names = [name for name in mechanisms if allowed is None or name in allowed]
    fitting = [name for name in names if _has(name, occasion, rule)]
    what = "an enrolment" if occasion.kind == "enrol" else f"rule {rule.name!r}"
    raise Refused(
        f"this party keeps a privacy budget, and mechanism {stack.name!r} gives {what} no guarantee; "
        f"one with it: {', '.join(fitting) or 'none here'}."
    )


def _has(name: str, occasion: Occasion, rule: Rule) -> bool:
    """Whether a mechanism with its usual options carries ``rule`` and gives a guarantee."""
    try:
        stack = make_mechanism(name)
        carrier = stack.carrier
        serves = carrier.carries(rule.name, rule.affine is not None)
        if not serves or not satisfies(carrier.offers, rule.needs) or occasion.n_parties < carrier.min_parties:
            return False
        return bool(events := stack.events(occasion)) and protected(events)
    except FederationError:
        return False
