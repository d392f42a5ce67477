"""Rules that combine the parties' answers."""

# importing a family registers its members
from fi_workbench.aggregation import competence, pooling, voting
from fi_workbench.aggregation.offline import aggregate
from fi_workbench.aggregation.rule import Enrolment, LocalView, Rule, aggregation_rule, rules, sum_rule

__all__ = [
    "Enrolment", "LocalView", "Rule", "aggregate", "aggregation_rule", "competence", "pooling", "rules", "sum_rule",
    "voting",
]  # fmt: skip
