"""Rules that combine the parties' answers."""

# importing a family registers its members
from fi_workbench.aggregation import (
    augmentation,
    competence,
    consensus,
    learned,
    logits,
    matching,
    pooling,
    priors,
    robust,
    truth,
    voting,
)
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import Enrolment, LocalView, Rule, aggregation_rule, each_rule, rules, sum_rule

__all__ = [
    "Enrolment", "LocalView", "Rule", "aggregate", "aggregation_rule", "augmentation", "competence", "consensus",
    "each_rule", "learned", "logits", "matching", "pooling", "priors", "robust", "rules", "sum_rule", "truth", "voting",
]  # fmt: skip
