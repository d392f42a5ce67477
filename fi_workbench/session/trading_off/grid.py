"""Which settings a trade-off sweeps: mechanisms with a few strengths of their noise, each under each rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fi_workbench.aggregation import rules as all_rules
from fi_workbench.core.options import Between, Option, options_of_fields
from fi_workbench.privacy.mechanism import Mechanism, mechanisms
from fi_workbench.session.trading_off.result import Method, Setting

RULES = ("soft_vote", "hard_vote", "entropy_weighted", "class_competence")
"""Swept where nothing else is asked for: rules that need no more than a sum."""

STRENGTHS: Mapping[str, tuple[float, ...]] = {
    "epsilon": (1.0, 4.0, 16.0, 64.0),
    "sigma": (1.0, 2.0, 4.0),
    "gamma": (0.25, 1.0, 4.0),
    "noise_multiplier": (0.25, 1.0, 4.0),
}
"""Values of options that say how much noise there is; values outside an option's range are left out."""


def default_settings(
    mechanisms: Iterable[str] | None = None, rules: Iterable[str] | None = None
) -> tuple[Setting, ...]:
    """A grid of settings: each mechanism with a few strengths of its noise, under each rule.

    Parameters
    ----------
    mechanisms : iterable of str, optional
        Names of what carries a round, or of answer noise, which then travels in the clear; all that are registered,
        where none are given.
    rules : iterable of str, optional
        :data:`RULES` where none are given.

    Raises
    ------
    UnknownName
        A mechanism or a rule that there is not.
    """
    return tuple(
        _setting(name, options, all_rules[rule].name)
        for name in (_known() if mechanisms is None else mechanisms)
        for options in strengths(name)
        for rule in (RULES if rules is None else rules)
    )


def strengths(mechanism: str) -> tuple[Mapping[str, float], ...]:
    """Options under which a mechanism is swept: those of :data:`STRENGTHS` that it has, else its defaults.

    Raises
    ------
    UnknownName
        A mechanism that there is not.
    """
    swept = [one for one in options_of_fields(mechanisms[mechanism]) if one.name in STRENGTHS]
    if not swept:
        return ({},)
    first = swept[0]  # more than one would be a grid within the grid
    return tuple({first.name: value} for value in STRENGTHS[first.name] if _accepts(first, value)) or ({},)


def _setting(name: str, options: Mapping[str, float], rule: str) -> Setting:
    """Answer noise stands before a plain round."""
    if issubclass(mechanisms[name], Mechanism):
        return Setting(rule, name, options)
    method: Method = (name, options)
    return Setting(rule, noise=(method,))


def _known() -> list[str]:
    """All mechanisms: first what carries a round, then answer noise."""
    return sorted(mechanisms, key=lambda name: not issubclass(mechanisms[name], Mechanism))


def _accepts(option: Option, value: float) -> bool:
    return not isinstance(option.limits, Between) or option.limits.accepts(value)
