"""The settings of a federation: frozen, plain, and checked as a whole against its parties."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, get_args

import numpy as np

from fi_workbench.aggregation import Rule, rules
from fi_workbench.core.errors import InvalidOption, UnknownName
from fi_workbench.core.messages import PartyCard
from fi_workbench.core.options import check_options
from fi_workbench.incentives import ContributionMethod, auto, contribution_methods
from fi_workbench.incentives.payout import MAX_BUDGET, MICRO, payouts
from fi_workbench.parties.party import Party
from fi_workbench.privacy.stack import Stack, make_mechanism
from fi_workbench.protocol.header import MAX_DEADLINE_SECONDS, Calibration
from fi_workbench.protocol.settings import RoundSettings, check_fit
from fi_workbench.session.contribution_fit import check_contribution
from fi_workbench.session.members import check_alike

AUTO = "auto"
"""The contribution method that stands for the richest one that the mechanism allows."""


@dataclass(frozen=True, eq=False)
class Settings:
    """How a federation answers; everything but its parties.

    Parameters
    ----------
    rule : str
    rule_options : mapping
        What differs from the rule's defaults.
    mechanism : Stack
    contribution : str
        A method's name, or ``"auto"``.
    contribution_options : mapping
    deadline_seconds : float
        For a whole round; a party that has not answered by then is absent.
    seed : int
        From which every random choice that is not a secret derives.
    calibration : {"none", "temperature"}
        Whether each party divides its logits by the temperature that its owner fitted.
    abstain_below : float
        Confidence (the top score, 0 to 1) below which the federation says that it does not know.
    payout : str
        How a round's budget is split by contribution.
    payout_options : mapping
    budget_micro : int
        Micro-units that a round pays out in all.
    """

    rule: str = "soft_vote"
    rule_options: Mapping[str, Any] = field(default_factory=dict)
    mechanism: Stack = field(default_factory=lambda: make_mechanism("plain"))
    contribution: str = AUTO
    contribution_options: Mapping[str, Any] = field(default_factory=dict)
    deadline_seconds: float = 10.0
    seed: int = 0
    calibration: Calibration = "none"
    abstain_below: float = 0.0
    payout: str = "proportional"
    payout_options: Mapping[str, Any] = field(default_factory=dict)
    budget_micro: int = MICRO

    def __post_init__(self) -> None:
        seconds, seed = self.deadline_seconds, self.seed
        number = isinstance(seconds, int | float | np.number) and not isinstance(seconds, bool)
        if not number or not 0 < seconds <= MAX_DEADLINE_SECONDS:
            raise InvalidOption(
                f"deadline_seconds must be a positive number, at most {MAX_DEADLINE_SECONDS:g}, not {seconds!r}."
            )
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            raise InvalidOption(f"seed must be a whole number, not {seed!r}.")
        below, budget = self.abstain_below, self.budget_micro
        if not isinstance(below, int | float | np.number) or isinstance(below, bool) or not 0 <= below <= 1:
            raise InvalidOption(f"abstain_below must be a confidence from 0 to 1, not {below!r}.")
        if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or not 0 <= budget <= MAX_BUDGET:
            raise InvalidOption(
                f"budget_micro must be a whole number of micro-units, 0 or more, not {budget!r}; one unit is {MICRO:_}."
            )
        if self.calibration not in get_args(Calibration):
            raise UnknownName("calibration", self.calibration, get_args(Calibration))
        object.__setattr__(self, "abstain_below", float(below))
        object.__setattr__(self, "budget_micro", int(budget))
        object.__setattr__(self, "deadline_seconds", float(seconds))
        object.__setattr__(self, "seed", int(seed))
        for name in ("rule_options", "contribution_options", "payout_options"):
            given = getattr(self, name)
            if given is not None and not isinstance(given, Mapping):
                raise InvalidOption(f"{name} must be a mapping of option to value, not {given!r}.")
            plain = {
                key: value.item() if isinstance(value, np.generic) else value for key, value in (given or {}).items()
            }
            object.__setattr__(self, name, MappingProxyType(plain))  # nobody changes them behind its back

    @property
    def the_rule(self) -> Rule:
        """The rule as registered."""
        return rules[self.rule]

    def method(self, n_parties: int) -> ContributionMethod:
        """The contribution method, ``"auto"`` resolved for that many parties."""
        name = self.contribution
        return contribution_methods[auto(self.mechanism.carrier.offers, n_parties) if name == AUTO else name]

    def for_round(self) -> RoundSettings:
        """What the protocol needs of it, with all options filled in."""
        rule = self.the_rule
        options = check_options(f"Rule {rule.name!r}", rule.options, self.rule_options)
        return RoundSettings(rule, options, self.mechanism, self.deadline_seconds, self.calibration)

    def all_options(self, n_parties: int) -> dict[str, dict[str, Any]]:
        """Options of rule, contribution and payout with every default filled in: a later version may have others."""
        rule, method, payout = self.the_rule, self.method(n_parties), payouts[self.payout]
        return {
            "rule_options": check_options(f"Rule {rule.name!r}", rule.options, self.rule_options),
            "contribution_options": check_options(
                f"Contribution {method.name!r}", method.options, self.contribution_options
            ),
            "payout_options": check_options(f"Payout {payout.name!r}", payout.options, self.payout_options),
        }

    def check(self, parties: Sequence[Party], cards: Sequence[PartyCard]) -> None:
        """Nothing, if these settings and parties fit together.

        Raises
        ------
        InvalidParty
            No party, two of one name, or parties that differ in classes or input shape.
        UnknownName, InvalidOption
            A rule, method or option that does not exist, or is out of range.
        DoesNotFit
            Rule, contribution, mechanism and parties that exclude one another; says what would fit.
        """
        check_alike(parties)
        self.check_methods(cards, len(parties))

    def check_methods(self, cards: Sequence[PartyCard] = (), n_parties: int | None = None) -> None:
        """Nothing, if these settings fit together, and each of these parties; for a link that others may yet join.

        Parameters
        ----------
        cards : sequence of PartyCard
        n_parties : int, optional
            Of the whole cohort; as many as the mechanism needs when None.

        Raises
        ------
        UnknownName, InvalidOption, DoesNotFit
            As for :meth:`check`.
        """
        _check_travels(self.mechanism)
        self.for_round()
        enough = self.mechanism.carrier.min_parties if n_parties is None else n_parties
        check_fit(self.the_rule, self.mechanism, cards, self.calibration, enough)
        method = self.method(enough)
        self.all_options(enough)
        check_contribution(
            method, self.contribution_options, self.the_rule, self.mechanism.carrier, n_parties, AUTO
        )  # fmt: skip

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Settings with other values; options go back to their defaults where the method they belong to changes.

        Parameters
        ----------
        changes : mapping
            Fields by name, and ``mechanism_options`` for a mechanism given by name.

        Raises
        ------
        InvalidOption
            For another name; lists the known ones.
        """
        known = {*type(self).__dataclass_fields__, "mechanism_options"}
        if unknown := sorted(set(changes) - known):
            listed = ", ".join(sorted(known | {"parties"}))
            raise InvalidOption(f"A federation has no setting {', '.join(unknown)}. Known: {listed}.")
        fields = {name: getattr(self, name) for name in type(self).__dataclass_fields__}
        for method in ("rule", "contribution", "payout"):
            if changes.get(method, fields[method]) != fields[method]:
                fields[f"{method}_options"] = {}
        fields |= {name: value for name, value in changes.items() if name != "mechanism_options"}
        if "mechanism" in changes or "mechanism_options" in changes:
            options = changes.get("mechanism_options") or {}
            if "mechanism" not in changes and self.mechanism.noise:
                raise InvalidOption(f"Say which mechanism of {self.mechanism.name!r} the mechanism_options are for.")
            mechanism = changes.get("mechanism", self.mechanism.carrier.name)
            fields["mechanism"] = make_mechanism(mechanism, **options)
        return Settings(**fields)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes and :meth:`from_dict` makes settings of again."""
        return {
            "rule": self.rule,
            "rule_options": dict(self.rule_options),
            "mechanism": self.mechanism.settings(),
            "contribution": self.contribution,
            "contribution_options": dict(self.contribution_options),
            "deadline_seconds": self.deadline_seconds,
            "seed": self.seed,
            "calibration": self.calibration,
            "abstain_below": self.abstain_below,
            "payout": self.payout,
            "payout_options": dict(self.payout_options),
            "budget_micro": self.budget_micro,
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Settings:
        """Settings from what :meth:`to_dict` returned; unknown fields are refused by name."""
        known = cls.__dataclass_fields__
        if unknown := sorted(set(given) - set(known)):
            raise InvalidOption(f"Settings have no field {', '.join(unknown)}. Known: {', '.join(known)}.")
        fields = dict(given)
        if "mechanism" in fields:
            fields["mechanism"] = make_mechanism(fields["mechanism"])
        return cls(**fields)


def _check_travels(stack: Stack) -> None:
    """Nothing, if parties can make the same mechanism from its name and options: these are all that travels.

    Raises
    ------
    UnknownName
        A member that is not registered.
    InvalidOption
        An option that is no plain data.
    """
    try:
        plain = json.loads(json.dumps(stack.settings(), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidOption(f"An option of mechanism {stack.name!r} is no plain data: {error}.") from error
    make_mechanism(plain)
