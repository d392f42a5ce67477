"""Dishonest parties: free riders, attackers and failures, each picked for one party."""

# importing a family registers its members
from fi_workbench.parties.behaviours import attacks, failures, freeriding
from fi_workbench.parties.behaviours.contract import (
    Behaviour,
    Dishonest,
    behaviour,
    behaviours,
    make_behaviour,
)
from fi_workbench.parties.behaviours.sight import Facts, Sight

__all__ = [
    "Behaviour", "Dishonest", "Facts", "Sight", "attacks", "behaviour", "behaviours", "failures", "freeriding",
    "make_behaviour",
]  # fmt: skip
