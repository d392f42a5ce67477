"""Privacy mechanisms: what travels, and who can read it."""

from fi_workbench.privacy import answer_noise as _answer_noise  # registers its members
from fi_workbench.privacy import coarsening as _coarsening  # registers its members
from fi_workbench.privacy import commit_reveal as _commit_reveal  # registers its member
from fi_workbench.privacy import distributed as _distributed  # registers its member
from fi_workbench.privacy import encrypted_sum as _encrypted_sum  # registers its member
from fi_workbench.privacy import plain as _plain  # registers its member
from fi_workbench.privacy import private_votes as _private_votes  # registers its members
from fi_workbench.privacy import secure_inference as _secure_inference  # registers its member
from fi_workbench.privacy import secure_sum as _secure_sum  # registers its member
from fi_workbench.privacy.context import CoordinatorContext, PartyContext
from fi_workbench.privacy.mechanism import AnswerNoise, Mechanism, mechanisms
from fi_workbench.privacy.stack import make_mechanism

__all__ = ["AnswerNoise", "CoordinatorContext", "Mechanism", "PartyContext", "make_mechanism", "mechanisms"]
del _answer_noise, _coarsening, _commit_reveal, _distributed, _encrypted_sum, _plain, _private_votes
del _secure_inference, _secure_sum
