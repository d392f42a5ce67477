"""The three roles that evaluate one model: its owner, the evaluator and the dealer, one file each."""

from fi_workbench.mpc.roles.dealer import DealerRole
from fi_workbench.mpc.roles.evaluator import EvaluatorRole
from fi_workbench.mpc.roles.owner import OwnerRole
from fi_workbench.mpc.roles.role import Seen

__all__ = ["DealerRole", "EvaluatorRole", "OwnerRole", "Seen"]
