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
    "aggregation": ("LocalView", "Rule", "aggregate", "aggregation_rule", "rules", "sum_rule"),
    "incentives": ("Fairness", "contribution_method", "contribution_methods", "contributions", "fairness", "shares"),
    "privacy": ("Mechanism", "mechanisms"),
    "parties": ("Dataset", "Party", "PrivateFacts", "datasets", "demo_parties", "load_dataset", "make_partition",
                "partitions", "train_party"),
    "core.errors": ("FederationError", "NoAnswer"),
    "core.identity": ("Identity",),
    "core.options": ("Between", "OneOf"),
    "core.records": ("RoundRecord",),
    "protocol.policy": ("Policy",),
    "session.federation": ("Federation",),
    "session.history": ("History",),
    "widgets.progress_bar": ("ProgressBar",),
    "widgets.workbench": ("Workbench",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Between",
    "Dataset",
    "Fairness",
    "Federation",
    "FederationError",
    "History",
    "Identity",
    "LocalView",
    "Mechanism",
    "NoAnswer",
    "OneOf",
    "Party",
    "Policy",
    "PrivateFacts",
    "RoundRecord",
    "Rule",
    "Workbench",
    "__version__",
    "aggregate",
    "aggregation_rule",
    "contribution_method",
    "contribution_methods",
    "contributions",
    "datasets",
    "demo_parties",
    "fairness",
    "load_dataset",
    "make_partition",
    "mechanisms",
    "partitions",
    "rules",
    "shares",
    "sum_rule",
    "train_party",
]

if TYPE_CHECKING:
    from fi_workbench.aggregation import LocalView, Rule, aggregate, aggregation_rule, rules, sum_rule
    from fi_workbench.core.errors import FederationError, NoAnswer
    from fi_workbench.core.identity import Identity
    from fi_workbench.core.options import Between, OneOf
    from fi_workbench.core.records import RoundRecord
    from fi_workbench.incentives import (
        Fairness,
        contribution_method,
        contribution_methods,
        contributions,
        fairness,
        shares,
    )  # fmt: skip
    from fi_workbench.parties import (
        Dataset,
        Party,
        PrivateFacts,
        datasets,
        demo_parties,
        load_dataset,
        make_partition,
        partitions,
        train_party,
    )  # fmt: skip
    from fi_workbench.privacy import Mechanism, mechanisms
    from fi_workbench.protocol.policy import Policy
    from fi_workbench.session.federation import Federation
    from fi_workbench.session.history import History
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
