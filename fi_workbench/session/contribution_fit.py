"""Whether a contribution method fits rule, mechanism and parties, and which ones would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fi_workbench.aggregation import Rule
from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import DoesNotFit
from fi_workbench.incentives import ContributionMethod, contribution_methods
from fi_workbench.privacy.mechanism import Mechanism
from fi_workbench.session.cohort_fit import check_asks


def check_contribution(
    method: ContributionMethod,
    options: Mapping[str, Any],
    rule: Rule,
    carrier: Mechanism,
    n_parties: int | None,
    auto: str,
) -> None:
    """Nothing, if a contribution method sees what it needs and can ask what it asks.

    Parameters
    ----------
    method : ContributionMethod
    options : mapping
        Of the method.
    rule : Rule
    carrier : Mechanism
    n_parties : int, optional
        None where others may yet join.
    auto : str
        What stands for the richest method that fits; listed first among those that do.

    Raises
    ------
    DoesNotFit
        Naming what fits.
    """
    if (refusal := _refusal(method, options, rule, carrier, n_parties)) is None:
        return
    others = contribution_methods.items()
    fits = [name for name, other in others if _refusal(other, {}, rule, carrier, n_parties) is None]
    raise DoesNotFit(refusal.message, [auto, *fits], "contribution")


def _refusal(
    method: ContributionMethod, options: Mapping[str, Any], rule: Rule, carrier: Mechanism, n_parties: int | None
) -> DoesNotFit | None:
    if not satisfies(carrier.offers, method.needs):
        return DoesNotFit(
            f"Contribution {method.name!r} must see {method.needs!r}; mechanism {carrier.name!r} shows "
            f"{carrier.offers!r}."
        )
    try:
        check_asks(method, options, rule, carrier, n_parties)
    except DoesNotFit as error:
        return error
    return None
