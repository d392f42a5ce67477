"""A row of a trade-off as what the pickers choose, and whether it is what is in force."""

from __future__ import annotations

from fi_workbench.aggregation.apply import checked_options
from fi_workbench.aggregation.rule import rules
from fi_workbench.core.errors import FederationError
from fi_workbench.session.federation import Federation
from fi_workbench.session.trading_off.result import Setting
from fi_workbench.widgets.running.choosing import in_force
from fi_workbench.widgets.running.state import Choice


def choice_of(setting: Setting, now: Choice, federation: Federation) -> tuple[Choice, bool]:
    """What to choose for a setting, all else as now; whether contributions are chosen anew, for they would not fit."""
    wished = now.with_(
        rule=setting.rule, rule_options=dict(setting.rule_options), mechanism=setting.mechanism,
        mechanism_options=dict(setting.mechanism_options),
        noise=tuple((name, dict(options)) for name, options in setting.noise),
    )  # fmt: skip
    try:
        in_force(federation, wished)
    except FederationError:
        return wished.with_(contribution="auto"), True
    return wished, False


def is_in_force(setting: Setting, federation: Federation) -> bool:
    """Whether these are the federation's rule and mechanism, whatever is named of the defaults."""
    settings = federation.settings
    if setting.rule != settings.rule:
        return False
    rule = rules[setting.rule]
    same = checked_options(rule, setting.rule_options) == checked_options(rule, settings.rule_options)
    try:
        return same and setting.stack() == settings.mechanism
    except FederationError:
        return False  # a mechanism that is no longer registered
