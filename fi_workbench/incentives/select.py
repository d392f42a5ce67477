"""Choosing a contribution method by what the mechanism shows."""

from __future__ import annotations

from fi_workbench.core.disclosure import Need, satisfies

AUTO_COALITIONS_UP_TO = 200
"""Parties up to which ``auto`` picks Shapley values: with more, its default budget buys less than ten orders."""

AUTO_PAIRS_FROM, AUTO_PAIRS_UP_TO = 3, 50
"""Parties of which ``auto`` compares every two: of two alone nothing tells who is right, and of many there are too many
joint counts."""


def auto(offered: Need, n_parties: int) -> str:
    """Name of the richest method that can be computed from what the mechanism offers.

    From votes it is correlated agreement: it pays a constant vote nothing, its rewards follow accuracy on parties with
    skewed data in rounds of any size, and over a stream it is exact. The Dawid-Skene skill follows accuracy better
    still in one pass over thousands of queries, and worse in rounds of tens.

    >>> auto("each", 5), auto("votes", 5), auto("sum", 5), auto("each", 1000)
    ('shapley', 'correlated_agreement', 'equal', 'final_agreement')
    """
    if satisfies(offered, "each") and 1 < n_parties <= AUTO_COALITIONS_UP_TO:
        return "shapley"
    if satisfies(offered, "votes") and n_parties >= AUTO_PAIRS_FROM:
        return "correlated_agreement" if n_parties <= AUTO_PAIRS_UP_TO else "final_agreement"
    return "equal"
