"""Privacy mechanisms: what travels, and who can read it."""

from fi_workbench.privacy import commit_reveal as _commit_reveal  # registers its member
from fi_workbench.privacy import plain as _plain  # registers its member
from fi_workbench.privacy.mechanism import AnswerNoise, CoordinatorContext, Mechanism, PartyContext, mechanisms
from fi_workbench.privacy.stack import make_mechanism

__all__ = ["AnswerNoise", "CoordinatorContext", "Mechanism", "PartyContext", "make_mechanism", "mechanisms"]
del _commit_reveal, _plain
