"""Private votes: which class has most, under noise that the parties add together, so that nobody sees clean votes.

Sources: N. Papernot et al., Semi-supervised knowledge transfer for deep learning from private training data, ICLR 2017,
arXiv:1610.05755 (LNMax); N. Papernot et al., Scalable private learning with PATE, ICLR 2018, arXiv:1802.08908 (GNMax,
Confident-GNMax); C. Choquette-Choo et al., CaPC learning, ICLR 2021, arXiv:2102.05188 (among parties that trust no
aggregator).

One vote replaced by any other moves two counts by one each: 2 in the L1 norm, sqrt(2) in the L2 norm. There a trusted
aggregator tells nobody more than the winner; here the coordinator sees the noisy counts. That costs no more: the
data-independent accounts of LNMax and GNMax are those of the noisy counts, from which the winner is read off.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.disclosure import Disclosure
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.core.options import Between
from fi_workbench.core.summand import Component, Summand
from fi_workbench.privacy.answer_noise import L2
from fi_workbench.privacy.context import CoordinatorContext, Occasion, PartyContext
from fi_workbench.privacy.distributed import NoisySum, gaussian_share
from fi_workbench.privacy.event import Event
from fi_workbench.privacy.mechanism import Mechanism, mechanisms
from fi_workbench.privacy.sampling import Integers, laplace_share
from fi_workbench.privacy.secure_sum.layout import Entry

VOTES = "votes"
"""The component of the rule ``hard_vote`` that is blurred; how many vote stands in the record anyway."""

AGAIN = "votes_again"
"""The same votes once more, under noise of their own, for Confident-GNMax to test."""

Sigma = Annotated[float, Between(0.1, 1000, log=True), "Standard deviation of the noise on each count, in votes."]


@dataclass(frozen=True)
class PrivateVotes(NoisySum):
    """Noise on the summed votes; subclasses say which."""

    only_rules: ClassVar[frozenset[str] | None] = frozenset({"hard_vote"})

    @abstractmethod
    def event(self) -> Event:
        """What one query costs."""

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """One release of noisy counts a query."""
        return {self.event(): max(occasion.n_queries, 1)} if occasion.kind == "answer" else super().events(occasion)


@dataclass(frozen=True)
class GNMax(PrivateVotes):
    """Gaussian noise on each count: Renyi differential privacy of alpha / sigma^2 a query."""

    name: ClassVar[str] = "gnmax"
    explanation: ClassVar[str] = (
        "Each party votes for one class, under secure sum, and all of them together add Gaussian noise to the counts. "
        "The class that then leads is the answer; with few parties the noise wins, with many the votes do."
    )
    formula: ClassVar[str] = r"\arg\max_c \left(n_c + \mathcal{N}(0, \sigma^2)\right)"
    source: ClassVar[str] = "Papernot et al. 2018, arXiv:1802.08908; Choquette-Choo et al. 2021, arXiv:2102.05188"

    sigma: Sigma = 2.0

    @property
    def disclosure(self) -> Disclosure:
        """As under secure sum: the sum that is seen is that of the votes and noise."""
        return self._assumed(
            f"Counts of votes have Gaussian noise of deviation {self.sigma:g}, for every party: its vote on one query "
            "replaced by any other. Queries add up."
        )

    def event(self) -> Event:
        """A Gaussian of sigma over sqrt(2)."""
        return Event("gaussian", self.sigma / L2)

    def stddevs(self, components: Mapping[str, Component]) -> Mapping[str, float]:
        """Of the noise on the counts."""
        return {VOTES: self.sigma}

    def share(self, entry: Entry, stddev: float, n_shares: int, stream: Keystream) -> Integers:
        """A discrete Gaussian of variance sigma^2 / n_shares."""
        return gaussian_share(entry, stddev, n_shares, stream)


@dataclass(frozen=True)
class LNMax(PrivateVotes):
    """Laplace noise on each count: pure differential privacy of 2 gamma a query, but for 2^-40 in how it is drawn."""

    name: ClassVar[str] = "lnmax"
    explanation: ClassVar[str] = (
        "Each party votes for one class, under secure sum, and all of them together add Laplace noise to the counts. "
        "The class that then leads is the answer. A promise without exception, and dear over many queries."
    )
    formula: ClassVar[str] = r"\arg\max_c \left(n_c + \mathrm{Lap}(1 / \gamma)\right), \quad \varepsilon = 2 \gamma"
    source: ClassVar[str] = "Papernot et al. 2017, arXiv:1610.05755; Goryczka & Xiong 2017 (shares of a Laplace)"

    gamma: Annotated[float, Between(0.005, 10, log=True), "One over the scale of the noise: smaller hides more."] = 0.5

    @property
    def disclosure(self) -> Disclosure:
        """As under secure sum: the sum that is seen is that of the votes and noise."""
        return self._assumed(
            f"Counts of votes are ({2 * self.gamma:g}, 0)-differentially private, for every party: its vote on one "
            "query replaced by any other. Queries add up."
        )

    def event(self) -> Event:
        """A Laplace of scale 1 / gamma over 2."""
        return Event("laplace", 0.5 / self.gamma)

    def stddevs(self, components: Mapping[str, Component]) -> Mapping[str, float]:
        """Of the noise on the counts."""
        return {VOTES: math.sqrt(2.0) / self.gamma}

    def share(self, entry: Entry, stddev: float, n_shares: int, stream: Keystream) -> Integers:
        """What sums over so many parties to a discrete Laplace."""
        n_words = entry.where.stop - entry.where.start
        return laplace_share(stream, n_words, math.ceil(entry.scale / self.gamma), n_shares)


@dataclass(frozen=True)
class ConfidentGNMax(GNMax):
    """GNMax that answers only where enough votes agree, as other noisy counts of the same votes have it.

    Both histograms are words of one masked sum, so both are paid on every query, answered or not. The test costs what
    a GNMax of ``sigma_threshold`` does, alpha / sigma_threshold^2, and not alpha / (2 sigma_threshold^2) as in the
    paper: there a trusted aggregator tests one number, the largest count, which a vote moves by 1; here the coordinator
    sees all counts of the test. Two Gaussians on the same votes are one of the summed precision: one event is booked.
    """

    name: ClassVar[str] = "confident_gnmax"
    explanation: ClassVar[str] = (
        "As gnmax, and where too few votes agree the federation says that it does not know. The test has noise of its "
        "own and is paid on every query. Holding gnmax's own answer against a threshold is free, and less sure."
    )
    formula: ClassVar[str] = (
        r"\arg\max_c \left(n_c + \mathcal{N}(0, \sigma^2)\right) \text{ if } "
        r"\max_c \left(n_c + \mathcal{N}(0, \sigma_T^2)\right) \ge T K"
    )
    source: ClassVar[str] = "Papernot et al. 2018, arXiv:1802.08908, algorithm 1"

    threshold: Annotated[float, Between(0, 1), "Share of the parties' votes that the leading class must have."] = 0.6
    sigma_threshold: Annotated[
        float, Between(0.1, 1000, log=True), "Standard deviation of the noise on each count of the test, in votes."
    ] = 2.0

    @property
    def disclosure(self) -> Disclosure:
        """As under secure sum, with two noisy counts of the same votes."""
        return self._assumed(
            f"Counts of votes have Gaussian noise of deviation {self.sigma:g}, and once more of "
            f"{self.sigma_threshold:g} for the test, for every party: its vote on one query replaced by any other. "
            "Queries add up, those that are not answered too."
        )

    def event(self) -> Event:
        """One Gaussian of the precision of both."""
        return Event("gaussian", 1.0 / (L2 * math.hypot(1.0 / self.sigma, 1.0 / self.sigma_threshold)))

    def stddevs(self, components: Mapping[str, Component]) -> Mapping[str, float]:
        """Of the noise on either count."""
        return {VOTES: self.sigma, AGAIN: self.sigma_threshold}

    def carried(self, components: Mapping[str, Component]) -> Mapping[str, Component]:
        """The rule's components, and the votes once more."""
        return {**components, AGAIN: components[VOTES]}

    def prepared(self, summand: Summand, context: PartyContext) -> Summand:
        """The rule's summand, and the votes once more."""
        return {**summand, AGAIN: summand[VOTES]}

    def coordinator_step(
        self, phase: str, state: Any, replies: Mapping[str, Reply], context: CoordinatorContext
    ) -> tuple[Any, Mapping[str, Body] | Release]:
        """As under secure sum; what failed the test is released as a query on which nobody voted."""
        state, outcome = super().coordinator_step(phase, state, replies, context)
        if isinstance(outcome, Release) and outcome.sums is not None and AGAIN in outcome.sums:
            outcome = self._tested(outcome, outcome.sums)
        return state, outcome

    def _tested(self, release: Release, sums: Mapping[str, NDArray[Any]]) -> Release:
        sure = sums[AGAIN].max(axis=1) >= self.threshold * len(release.present)
        kept = {name: array for name, array in sums.items() if name != AGAIN}
        kept[VOTES] = np.where(sure[:, None], sums[VOTES], 0.0)
        return replace(release, sums=kept, answered=sure)


_kinds: tuple[type[Mechanism], ...] = (GNMax, LNMax, ConfidentGNMax)
for _kind in _kinds:
    mechanisms.add(_kind.name, _kind)
