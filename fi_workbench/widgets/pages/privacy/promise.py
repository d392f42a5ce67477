"""What the settings in force promise, in sentences that are read off the disclosure and the price of a query."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from fi_workbench.aggregation.apply import components_of, enrolment_components_of
from fi_workbench.core.disclosure import Disclosure, Item, Need, Role, satisfies
from fi_workbench.incentives.contribution import contribution_methods
from fi_workbench.privacy.accountant import epsilon_of
from fi_workbench.privacy.context import Kind, Occasion
from fi_workbench.privacy.event import Event, Relation
from fi_workbench.privacy.plain import Plain
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.wording import listed, noise, protects_nobody, title

DELTA = 1e-5
"""At which the price of one query is told."""

_ROLES: dict[Role, str] = {
    "client": "the client",
    "coordinator": "the coordinator",
    "other_parties": "the other parties",
    "wire": "whoever reads the wire",
}
_SHOWN: dict[Item, str] = {"sum": "their sum", "votes": "each vote", "label": "the label"}
_RELATIONS: dict[Relation, str] = {
    "replace": "the odds of telling one answer of a party from any other grow by at most e to the epsilon",
    "participate": "the odds of telling whether a party took part in a query grow by at most e to the epsilon",
}

PICTURES: tuple[tuple[str, Need], ...] = (
    ("Accuracy and gain", "votes"),
    ("Agreement, fairness", "votes"),
    ("Answers, redundancy", "each"),
    ("Gaming", "each"),
)
"""Pictures of the workbench that cannot be drawn under every mechanism, and what they must see."""


@dataclass(frozen=True)
class Required:
    """One thing that must see something of the answers.

    Parameters
    ----------
    what, name : str
    need : {"nothing", "sum", "votes", "each"}
    met : bool
        Whether the mechanism shows as much.
    """

    what: str
    name: str
    need: Need
    met: bool


def promise(federation: Federation) -> list[str]:
    """Who learns of an answer, and how much of it, in a few sentences."""
    stack = federation.settings.mechanism
    said = [_who_sees(federation.disclosure, [member.name for member in stack.noise])]
    if protects_nobody(stack):
        return [*said, "The noise comes from a public seed: it can be taken off again, and promises nothing."]
    hidden = not satisfies(stack.carrier.offers, "votes")
    said.append(_priced(_price(federation, "answer"), hidden))
    if federation.settings.the_rule.enrolment is not None:
        events = _price(federation, "enrol")
        spent = epsilon(events)
        cost = f"at most epsilon {spent:.3g}" if math.isfinite(spent) else "without noise"
        said.append(f"Once per cohort, class counts of the parties are summed for the rule, {cost}.")
    return said


def baseline(federation: Federation) -> Disclosure:
    """Who would see what without any protection, under the same rule."""
    plain = Plain().disclosure
    return plain if federation.settings.the_rule.facts else plain.without("class_counts")


def required(federation: Federation) -> list[Required]:
    """What the rule, the contribution, the payout and the pictures must see."""
    settings = federation.settings
    offers = settings.mechanism.carrier.offers
    method = settings.method(len(federation.parties))
    found: list[tuple[str, str, Need]] = [
        ("rule", title(settings.rule), settings.the_rule.needs),
        ("contribution", title(method.name), method.needs),
        ("payout", title(settings.payout), "nothing"),
        *(("pictures", name, need) for name, need in PICTURES),
    ]
    return [Required(what, name, need, satisfies(offers, need)) for what, name, need in found]


def n_that_fit(offers: Need) -> str:
    """How many of the contribution methods can be computed under a mechanism, in words."""
    fit = sum(satisfies(offers, method.needs) for _, method in contribution_methods.items())
    return f"{fit} of {len(contribution_methods)} contribution methods can be computed here."


def epsilon(events: Mapping[Event, int]) -> float:
    """The epsilon of these releases together, at :data:`DELTA`; infinite without a guarantee."""
    return _epsilon(frozenset(events.items()))


@lru_cache(maxsize=256)
def _epsilon(events: frozenset[tuple[Event, int]]) -> float:
    return epsilon_of(dict(events), DELTA, "pld")  # tight, and quick for a single query


def _price(federation: Federation, kind: Kind) -> Mapping[Event, int]:
    """What one query, or one enrolment, costs each party."""
    for_round, n_classes = federation.settings.for_round(), len(federation.classes)
    rule, options = for_round.rule, for_round.rule_options
    declared = (
        components_of(rule, n_classes, for_round.on_absence, options)
        if kind == "answer"
        else enrolment_components_of(rule, n_classes, options)
    )
    n_queries = 1 if kind == "answer" else 0
    n_parties, uses_facts = len(federation.parties), bool(rule.facts)
    asked = Occasion(kind, rule.name, declared, n_parties, n_queries, n_classes, uses_facts)
    return federation.settings.mechanism.events(asked)


def _who_sees(disclosure: Disclosure, noises: list[str]) -> str:
    after = f", after {listed([noise(name) for name in noises])}," if noises else ""
    seen: tuple[tuple[Item, str], ...] = (("answers", "answer"), ("votes", "vote"))
    for item, words in seen:
        seeing = [name for role, name in _ROLES.items() if disclosure.allows(role, item)]
        if seeing:
            return f"Each party's {words}{after} is seen by {listed(seeing)}."
    learned: dict[str, list[str]] = {}
    learners: tuple[Role, ...] = ("coordinator", "client")
    for role in learners:
        items = [words for item, words in _SHOWN.items() if disclosure.allows(role, item)]
        learned.setdefault(listed(items) or "nothing of them", []).append(_ROLES[role])
    said = [f"{listed(who)} learn{'s' * (len(who) == 1)} {items}" for items, who in learned.items()]
    return f"Each party's answer{after} stays with the party: {', '.join(said)}."


def _priced(events: Mapping[Event, int], hidden: bool) -> str:
    spent = epsilon(events)
    if not math.isfinite(spent):
        return (
            "No noise is added to the sum: nobody sees an answer, but what the sum tells of it is not bounded."
            if hidden
            else "Nothing bounds what can be learned from an answer."
        )
    pure = all(event.noise != "gaussian" for event in events)
    relations = {event.relation for event in events}
    told = next((words for relation, words in _RELATIONS.items() if relation in relations), "")
    at = "" if pure else f", at delta {DELTA:g}"
    return (
        f"Each query tells at most epsilon {spent:.3g} of each party{at}: {told}. What a party books for it, by its "
        "own accounting, is below."
    )
