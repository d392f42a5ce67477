"""What the parties contributed, and how fairly it is rewarded."""

# importing a family registers its members
from fi_workbench.incentives import agreement, coalition
from fi_workbench.incentives.apply import contribute
from fi_workbench.incentives.contribution import (
    ContributionMethod,
    ContributionView,
    contribution_method,
    contribution_methods,
)
from fi_workbench.incentives.fairness import Fairness, fairness
from fi_workbench.incentives.offline import contributions
from fi_workbench.incentives.select import auto
from fi_workbench.incentives.shares import shares

__all__ = [
    "ContributionMethod", "ContributionView", "Fairness", "agreement", "auto", "coalition", "contribute",
    "contribution_method", "contribution_methods", "contributions", "fairness", "shares",
]  # fmt: skip
