"""What a party's privacy budget allows: how many queries under which mechanism, and what its clients have spent."""

from __future__ import annotations

from fi_workbench.aggregation import rules
from fi_workbench.aggregation.apply import components_of
from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import FederationError
from fi_workbench.privacy import mechanisms
from fi_workbench.privacy.accountant import n_affordable, protected
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.stack import Stack, make_mechanism
from fi_workbench.protocol.journal import Journal
from fi_workbench.protocol.policy import Policy
from fi_workbench.session.budget import PartyBudget

USUAL_PARTIES = 5
"""So many are in the cohort that is reckoned with, or as many as mechanism and policy need."""

_USUAL_RULES = ("soft_vote", "hard_vote")


def affordable(policy: Policy, n_classes: int) -> dict[str, int]:
    """How many queries in all one client may ask under each mechanism, with its usual options; 0 for no guarantee.

    Empty where the policy has no epsilon. A mechanism that carries none of the accepted rules is left out.
    """
    if policy.epsilon is None:
        return {}
    allowed = {}
    for name in mechanisms:
        if policy.mechanisms is not None and name not in policy.mechanisms:
            continue
        try:
            stack = make_mechanism(name)
            if (occasion := _usual(stack, policy, n_classes)) is None:
                continue
            events = stack.events(occasion)
        except FederationError:  # its usual options do not suit this party
            continue
        guaranteed = bool(events) and protected(events)
        allowed[name] = n_affordable(events, policy.epsilon, policy.delta, policy.accounting) if guaranteed else 0
    return allowed


def accounts(party: str, journal: Journal, policy: Policy) -> tuple[PartyBudget, ...]:
    """What each client of a party was told, the one told most first."""
    rows = [PartyBudget.of(party, client, journal.account(client), policy) for client in journal.clients()]
    return tuple(sorted(rows, key=lambda row: (-row.epsilon, -row.n_queries, row.client)))


def _usual(stack: Stack, policy: Policy, n_classes: int) -> Occasion | None:
    """One query under the first usual rule that the mechanism carries and the policy accepts."""
    carrier = stack.carrier
    for name in _USUAL_RULES:
        carried = carrier.only_rules is None or name in carrier.only_rules
        if not carried or not satisfies(carrier.offers, rules[name].needs):
            continue
        if policy.rules is None or name in policy.rules:
            components = components_of(rules[name], n_classes, "keep" if carrier.hides_absence else "renormalise", {})
            n_parties = max(USUAL_PARTIES, policy.min_cohort, carrier.min_parties)
            return Occasion("answer", name, components, n_parties, 1, n_classes, bool(rules[name].facts))
    return None
