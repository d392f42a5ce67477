"""Federated inference: independently trained, privately owned models answer together.

    import fi_workbench as fi
    federation = fi.Federation.demo()
    fi.Workbench(federation)

Everything in the app can be done headless; names are looked up when first used, so importing this is quick.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# What goes wrong is in the records; nothing is printed into a notebook unless its author turns logging on.
logging.getLogger(__name__).addHandler(logging.NullHandler())

_HOMES = {
    "aggregation": ("LocalView", "Rule", "aggregate", "aggregation_rule", "each_rule", "rules", "sum_rule"),
    "aggregation.abstention": ("RiskCoverage", "risk_coverage"),
    "aggregation.bounds": ("bound", "bounds"),
    "aggregation.combiner": ("Combiner", "combiners"),
    "aggregation.fitting": ("fit_combiner",),
    "incentives": ("Estimate", "Fairness", "Interactions", "MICRO", "contribution_method", "contribution_methods",
                   "contributions", "counting_method", "fairness", "interactions", "payments", "payout_rule",
                   "payouts", "shares"),
    "incentives.audit": ("audit_claims",),
    "incentives.ledger": ("Ledger", "Receipt", "Settlement"),
    "privacy": ("AnswerNoise", "Mechanism", "mechanisms"),
    "privacy.accountant": ("epsilon_of",),
    "privacy.event": ("Event",),
    "privacy.meters": ("audit_epsilon", "meters"),
    "parties": ("Dataset", "Party", "PrivateFacts", "datasets", "demo_parties", "fit_temperature", "helper",
                "load_dataset", "make_partition", "partitions", "train_party"),
    "parties.behaviours": ("behaviour", "behaviours", "make_behaviour"),
    "core.errors": ("FederationError", "NoAnswer"),
    "core.identity": ("Identity",),
    "core.options": ("Between", "OneOf"),
    "core.records": ("RoundRecord",),
    "protocol.policy": ("Policy",),
    "session.attaching": ("attach",),
    "session.leaking.auditing": ("audit_mechanism",),
    "session.comparing": ("compare_rules",),
    "session.federation": ("Federation",),
    "session.gaming": ("gaming_matrix", "gaming_matrix_of"),
    "session.history": ("History",),
    "session.joining": ("Joined", "join"),
    "session.leaking.leakage": ("leakage", "n_leakage_queries"),
    "session.secure_view": ("secure_view",),
    "session.trading_off.result": ("Setting",),
    "session.trading_off.sweep": ("trade_off",),
    "widgets.progress_bar": ("ProgressBar",),
    "widgets.workbench": ("Workbench",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "MICRO",
    "AnswerNoise",
    "Between",
    "Combiner",
    "Dataset",
    "Estimate",
    "Event",
    "Fairness",
    "Federation",
    "FederationError",
    "History",
    "Identity",
    "Interactions",
    "Joined",
    "Ledger",
    "LocalView",
    "Mechanism",
    "NoAnswer",
    "OneOf",
    "Party",
    "Policy",
    "PrivateFacts",
    "ProgressBar",
    "Receipt",
    "RiskCoverage",
    "RoundRecord",
    "Rule",
    "Setting",
    "Settlement",
    "Workbench",
    "__version__",
    "aggregate",
    "aggregation_rule",
    "attach",
    "audit_claims",
    "audit_epsilon",
    "audit_mechanism",
    "behaviour",
    "behaviours",
    "bound",
    "bounds",
    "combiners",
    "compare_rules",
    "contribution_method",
    "contribution_methods",
    "contributions",
    "counting_method",
    "datasets",
    "demo_parties",
    "each_rule",
    "epsilon_of",
    "fairness",
    "fit_combiner",
    "fit_temperature",
    "gaming_matrix",
    "gaming_matrix_of",
    "helper",
    "interactions",
    "join",
    "leakage",
    "load_dataset",
    "make_behaviour",
    "make_partition",
    "mechanisms",
    "meters",
    "n_leakage_queries",
    "partitions",
    "payments",
    "payout_rule",
    "payouts",
    "risk_coverage",
    "rules",
    "secure_view",
    "shares",
    "sum_rule",
    "trade_off",
    "train_party",
]

if TYPE_CHECKING:
    from fi_workbench.aggregation import LocalView, Rule, aggregate, aggregation_rule, each_rule, rules, sum_rule
    from fi_workbench.aggregation.abstention import RiskCoverage, risk_coverage
    from fi_workbench.aggregation.bounds import bound, bounds
    from fi_workbench.aggregation.combiner import Combiner, combiners
    from fi_workbench.aggregation.fitting import fit_combiner
    from fi_workbench.core.errors import FederationError, NoAnswer
    from fi_workbench.core.identity import Identity
    from fi_workbench.core.options import Between, OneOf
    from fi_workbench.core.records import RoundRecord
    from fi_workbench.incentives import (
        MICRO,
        Estimate,
        Fairness,
        Interactions,
        contribution_method,
        contribution_methods,
        contributions,
        counting_method,
        fairness,
        interactions,
        payments,
        payout_rule,
        payouts,
        shares,
    )  # fmt: skip
    from fi_workbench.incentives.audit import audit_claims
    from fi_workbench.incentives.ledger import Ledger, Receipt, Settlement
    from fi_workbench.parties import (
        Dataset,
        Party,
        PrivateFacts,
        datasets,
        demo_parties,
        fit_temperature,
        helper,
        load_dataset,
        make_partition,
        partitions,
        train_party,
    )  # fmt: skip
    from fi_workbench.parties.behaviours import behaviour, behaviours, make_behaviour
    from fi_workbench.privacy import AnswerNoise, Mechanism, mechanisms
    from fi_workbench.privacy.accountant import epsilon_of
    from fi_workbench.privacy.event import Event
    from fi_workbench.privacy.meters import audit_epsilon, meters
    from fi_workbench.protocol.policy import Policy
    from fi_workbench.session.attaching import attach
    from fi_workbench.session.comparing import compare_rules
    from fi_workbench.session.federation import Federation
    from fi_workbench.session.gaming import gaming_matrix, gaming_matrix_of
    from fi_workbench.session.history import History
    from fi_workbench.session.joining import Joined, join
    from fi_workbench.session.leaking.auditing import audit_mechanism
    from fi_workbench.session.leaking.leakage import leakage, n_leakage_queries
    from fi_workbench.session.secure_view import secure_view
    from fi_workbench.session.trading_off.result import Setting
    from fi_workbench.session.trading_off.sweep import trade_off
    from fi_workbench.widgets.progress_bar import ProgressBar
    from fi_workbench.widgets.workbench import Workbench


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"fi_workbench has no {name!r}. It has: {', '.join(__all__)}.")
    value = getattr(import_module(f"fi_workbench.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
