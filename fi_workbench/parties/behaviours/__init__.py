"""Dishonest parties: free riders, attackers and failures, each picked for one party."""

# importing a family registers its members
from fi_workbench.parties.behaviours import attacks, failures, freeriding
from fi_workbench.parties.behaviours.contract import (
    Behaviour,
    Dishonest,
    agreed_truly,
    behaviour,
    behaviours,
    make_behaviour,
)
from fi_workbench.parties.behaviours.sight import Facts, Sight

__all__ = [
    "Behaviour", "Dishonest", "Facts", "Sight", "agreed_truly", "attacks", "behaviour", "behaviours", "failures",
    "freeriding", "make_behaviour",
]  # fmt: skip
