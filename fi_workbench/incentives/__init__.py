"""What the parties contributed, and how fairly it is rewarded."""

# importing a family registers its members
from fi_workbench.incentives import agreement, coalition, cohorts, crowd_skill, peers, scoring
from fi_workbench.incentives.apply import contribute, estimate
from fi_workbench.incentives.asks import Asks, CohortAnswer
from fi_workbench.incentives.contribution import (
    ContributionMethod,
    ContributionView,
    contribution_method,
    contribution_methods,
    counting_method,
)
from fi_workbench.incentives.estimate import Estimate
from fi_workbench.incentives.fairness import Fairness, fairness
from fi_workbench.incentives.games.interaction import Interactions
from fi_workbench.incentives.offline import contributions, interactions, payments
from fi_workbench.incentives.payout import MICRO, PayoutRule, payout_rule, payouts
from fi_workbench.incentives.running import Running
from fi_workbench.incentives.select import auto
from fi_workbench.incentives.shares import shares

__all__ = [
    "MICRO", "Asks", "CohortAnswer", "ContributionMethod", "ContributionView", "Estimate", "Fairness", "Interactions",
    "PayoutRule", "Running", "agreement", "auto", "coalition", "cohorts", "contribute", "contribution_method",
    "contribution_methods", "contributions", "counting_method", "crowd_skill", "estimate", "fairness", "interactions",
    "payments", "payout_rule", "payouts", "peers", "scoring", "shares",
]  # fmt: skip
