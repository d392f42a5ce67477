"""Whether a contribution method can ask what it needs beside a round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fi_workbench.aggregation import Rule
from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import DoesNotFit
from fi_workbench.incentives import ContributionMethod
from fi_workbench.incentives.apply import settled
from fi_workbench.privacy.mechanism import Mechanism

_SEARCHED_TO = 1000
"""Parties up to which it is looked for how many a method would need."""


def check_asks(
    method: ContributionMethod, options: Mapping[str, Any], rule: Rule, carrier: Mechanism, n_parties: int | None
) -> None:
    """Nothing, if a contribution method can ask what it needs beside a round.

    Parameters
    ----------
    method : ContributionMethod
    options : mapping
        Of the method.
    rule : Rule
    carrier : Mechanism
    n_parties : int, optional
        None where others may yet join.

    Raises
    ------
    DoesNotFit
        The parties see nothing that they could tell of. Labels that the coordinator may not see would pass through its
        hands. Too few parties. Or, under a mechanism
        that shows sums only, a rule that puts private facts into them: these are the same in every round, and sums over
        ever other cohorts would tell them apart.
    """
    if method.asks is None:
        return
    if carrier.inside_models:
        raise DoesNotFit(
            f"Contribution {method.name!r} asks the parties something beside the round; under mechanism "
            f"{carrier.name!r} they know nothing of it, and another cohort would have to be set up. Choose another."
        )
    if method.asks.agreement and carrier.finish_at == "client":
        raise DoesNotFit(
            f"Contribution {method.name!r} tells the parties the released labels by way of the coordinator, which does "
            f"not see them under mechanism {carrier.name!r}. Choose another contribution."
        )
    if method.asks.cohorts is None:
        return
    if rule.facts and not satisfies(carrier.offers, "votes"):
        raise DoesNotFit(
            f"Contribution {method.name!r} adds up ever other parties, and rule {rule.name!r} puts their private "
            f"{', '.join(sorted(rule.facts))} into the sum, the same in every round: mechanism {carrier.name!r} could "
            "not hide these. Choose a rule that uses no private facts, or another contribution."
        )
    if n_parties is None:
        return
    settings, smallest, cohorts = settled(method, options), carrier.min_parties, method.asks.cohorts
    if not cohorts(n_parties, 0, 0, smallest, **settings):
        enough = (n for n in range(n_parties, _SEARCHED_TO) if cohorts(n, 0, 0, smallest, **settings))
        under = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        raise DoesNotFit(
            f"Contribution {method.name!r} with {under} finds no cohort to ask among {n_parties} parties; it needs "
            f"{next(enough, 'more')}, or options that ask for less, or choose another contribution."
        )
