"""As much of a party and its ring as noise looks at."""

from types import SimpleNamespace

from fi_workbench.aggregation.apply import components_of
from fi_workbench.aggregation.rule import rules
from fi_workbench.core.keystream import Keystream
from fi_workbench.privacy.secure_sum.layout import Layout

N_CLASSES = 4


def declared(rule, n_classes=N_CLASSES):
    return components_of(rules[rule], n_classes, "keep", {})


def party_context(who, components, n_queries, n_classes=N_CLASSES):
    """As much of a party's context as noise looks at; its noise from a fixed key."""
    return SimpleNamespace(
        kind="answer",
        components=components,
        n_queries=n_queries,
        n_classes=n_classes,
        noise=lambda purpose: Keystream.seeded(17, who, purpose),
    )


def layout_of(made, components, n_queries, n_parties, n_classes=N_CLASSES):
    carried = made.carried(components)
    return Layout.of(carried, n_queries, n_classes, n_parties, made.noise_stddev(carried, n_parties))
