"""Choosing a contribution method by what the mechanism shows."""

from __future__ import annotations

from fi_workbench.core.disclosure import Need, satisfies

AUTO_COALITIONS_UP_TO = 200
"""Parties up to which ``auto`` picks Shapley values: with more, its default budget buys less than ten orders."""


def auto(offered: Need, n_parties: int) -> str:
    """Name of the richest method that can be computed from what the mechanism offers.

    >>> auto("each", 5), auto("votes", 5), auto("sum", 5), auto("each", 1000)
    ('shapley', 'final_agreement', 'equal', 'final_agreement')
    """
    if n_parties > 1 and satisfies(offered, "each") and n_parties <= AUTO_COALITIONS_UP_TO:
        return "shapley"
    return "final_agreement" if n_parties > 1 and satisfies(offered, "votes") else "equal"
