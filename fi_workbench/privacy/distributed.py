"""Noise that the parties bring together under secure sum: each adds a share, and nobody sees a sum without noise.

Sources: P. Kairouz, Z. Liu, T. Steinke, The distributed discrete Gaussian mechanism for federated learning with secure
aggregation, ICML 2021, arXiv:2102.06387; C. Dwork et al., Our data, ourselves, EUROCRYPT 2006 (shares of noise).

Of K parties up to d may fall out and up to c may tell the coordinator what noise they drew. Each of the others draws
its share so that K - d - c shares already make the whole noise; whoever else is there adds more of it, never less. A
party opens no mask where fewer than K - d are in the sum.

A sum of discrete Gaussians is no discrete Gaussian, but the odds of any outcome are within a factor of exp(tau) of it,
tau = 10 sum_k exp(-2 pi^2 s^2 k / (k + 1)) with s the deviation of a share in steps of the ring (Kairouz et al. 2021,
theorem 1). Here s is at least :data:`LEAST_STEPS`, so that tau is below 10^-40000 and no epsilon shows it.
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
from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.options import Between
from fi_workbench.core.summand import Component, Summand
from fi_workbench.privacy.answer_noise import REPEATABLE, Reproducible
from fi_workbench.privacy.context import CoordinatorContext, Occasion, PartyContext
from fi_workbench.privacy.event import Event
from fi_workbench.privacy.mechanism import Mechanism, mechanisms
from fi_workbench.privacy.sampling import Integers, coins, discrete_gaussian
from fi_workbench.privacy.secure_sum.layout import Entry, Layout
from fi_workbench.privacy.secure_sum.mechanism import EXACT_SUM, SecureSum
from fi_workbench.privacy.secure_sum.plan import Plan

LEAST_STEPS = 100.0
"""Steps of the ring to a standard deviation of one party's share of noise, at the least."""

PER_QUERY = ("query_class", "query")
"""Axes of what a party says of each query; the rest it says once a round."""

Colluders = Annotated[int, Between(0, 1000), "Parties that may tell the coordinator their noise: others add more."]


@dataclass(frozen=True)
class NoisySum(SecureSum):
    """A secure sum to which each party adds a share of noise; subclasses say how much of what kind.

    It needs so many parties that noise is left when the tolerated dropouts and colluders are taken off.
    """

    tolerated_colluders: Colluders = 0
    reproducible: Reproducible = False

    def __post_init__(self) -> None:
        n_parties = SecureSum.min_parties
        while self.n_shares(n_parties) < 1:
            n_parties += 1
        if n_parties > SecureSum.min_parties:  # frozen: this is what the options come to
            object.__setattr__(self, "min_parties", n_parties)
            why = f"of fewer, no noise is left once {self.tolerated_colluders} tell theirs and others fall out"
            object.__setattr__(self, "why_min_parties", why)

    def least_present(self, n_parties: int) -> int:
        """With fewer inputs in the sum than this, a party opens nothing."""
        return max(SecureSum.min_parties, n_parties - math.floor(self.tolerated_dropouts * n_parties))

    def n_shares(self, n_parties: int) -> int:
        """How many shares make the whole noise, in a cohort of that many."""
        return self.least_present(n_parties) - self.tolerated_colluders

    @abstractmethod
    def stddevs(self, components: Mapping[str, Component]) -> Mapping[str, float]:
        """Standard deviation of the whole noise on each component that travels; those without noise are left out."""

    @abstractmethod
    def share(self, entry: Entry, stddev: float, n_shares: int, stream: Keystream) -> Integers:
        """One of so many shares of the noise of that deviation on one component, in steps of the ring (word,)."""

    def noise_stddev(self, components: Mapping[str, Component], n_parties: int) -> Mapping[str, float]:
        """Of the sum's noise where all are there, and so bring more than the whole."""
        more = math.sqrt(n_parties / self.n_shares(n_parties))
        return {name: more * stddev for name, stddev in self.stddevs(components).items()}

    def blur(self, layout: Layout, context: PartyContext) -> Integers | None:
        """This party's shares of noise, in steps of the ring, (word,)."""
        noise = np.zeros(layout.size, dtype=np.int64)
        stddevs = self.stddevs({entry.name: entry.component for entry in layout.entries})
        for entry in layout.entries:
            if entry.name in stddevs:
                stream = context.noise(f"noise on {entry.name}")
                noise[entry.where] = self.share(entry, stddevs[entry.name], self.n_shares(layout.n_parties), stream)
        return noise

    def plan(self, context: PartyContext | CoordinatorContext, cohort: tuple[str, ...]) -> Plan:
        """As under secure sum, with as many in the sum as bring the whole noise."""
        planned = super().plan(context, cohort)
        least = self.least_present(len(cohort))
        return replace(planned, min_parties=least) if context.kind == "answer" else planned

    def _assumed(self, promise: str) -> Disclosure:
        """Who sees what, with a promise and what it rests on in front of the assumptions."""
        stated = super().disclosure
        colluders = f"at most {self.tolerated_colluders} tell" if self.tolerated_colluders else "none tells"
        rests = (
            f"The noise is whole as long as no more than {self.tolerated_dropouts:.0%} of the parties fall out (else "
            f"nothing is opened) and {colluders} the coordinator its noise; parties that a client invented bring none."
        )
        if self.reproducible:
            return replace(stated, assumptions=(REPEATABLE, *stated.assumptions))
        kept = (text for text in stated.assumptions if text != EXACT_SUM)
        return replace(stated, assumptions=(promise, rests, *kept))


@dataclass(frozen=True)
class DistributedGaussian(NoisySum):
    """Gaussian noise on the sum, in shares: as much as one party would add alone is divided among all of them.

    Of m noisy components, component i with L2 sensitivity S_i has the standard deviation

        sigma_i = noise_multiplier sqrt(m) S_i

    so that all of them together, each in units of its sigma_i, move by sqrt(m / m) / noise_multiplier: the release of a
    query is one Gaussian of that multiplier. Rounding to the ring moves each of n entries by up to one step; S_i has
    sqrt(n) steps in it for that. Components that depend on private facts and on no answer have their declared
    sensitivity, so that a change of these facts is covered too, as often as there are queries.

    With ``participation`` below 1 a party takes part in each query by a coin of its own; where it does not, it sends
    zeros and its noise. What is hidden is then whether it took part, and a row moves by its own length: at most
    S_i / sqrt(2), to which longer ones are scaled down (rows of the simplex and centred logits never are longer), or
    for a single number its largest magnitude. Where zero lies outside the declared bounds the ring makes room for it. A
    party's size or mask, said once a round, is there whether its coin fell so or not.
    """

    name: ClassVar[str] = "distributed_gaussian"
    explanation: ClassVar[str] = (
        "Secure sum with noise: the parties together add as much Gaussian noise to the sum as hides any one of them, "
        "so that each adds only a little. Nobody sees a single answer, nor the sum without noise."
    )
    formula: ClassVar[str] = (
        r"\sum_k \left(x_k + \mathcal{N}_{\mathbb{Z}}\!\left(0, \sigma^2 / (K - d - c)\right)\right), \quad "
        r"\sigma_i = z \sqrt{m}\, S_i"
    )
    source: ClassVar[str] = "Kairouz, Liu, Steinke 2021, arXiv:2102.06387"

    noise_multiplier: Annotated[
        float, Between(0.05, 100, log=True), "Noise over what one party can change in the sum: larger hides more."
    ] = 1.0
    participation: Annotated[
        float, Between(0.01, 1, log=True), "Chance with which a party takes part in a query: less hides more."
    ] = 1.0

    @property
    def disclosure(self) -> Disclosure:
        """As under secure sum, with the promise of the noise."""
        changed = (
            "the party's answer to one query replaced by any other"
            if self.participation == 1
            else f"the party takes part in one query or not, of which it does {self.participation:.0%} at random"
        )
        return self._assumed(
            f"What is released of a query has Gaussian noise of {self.noise_multiplier:g} times what one party can "
            f"change in it, for every party: {changed}. Queries add up."
        )

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """One Gaussian release a query; enrolling costs what it costs under secure sum."""
        if occasion.kind != "answer":
            return super().events(occasion)
        relation: Any = "replace" if self.participation == 1 else "participate"
        event = Event("gaussian", self.noise_multiplier, sampling=self.participation, relation=relation)
        return {event: max(occasion.n_queries, 1)}

    def stddevs(self, components: Mapping[str, Component]) -> Mapping[str, float]:
        """Standard deviation of the whole noise of each component that an answer or private fact can move."""
        moved = {name: reach for name, one in components.items() if (reach := self._sensitivity(one)) > 0.0}
        return {name: self.noise_multiplier * math.sqrt(len(moved)) * reach for name, reach in moved.items()}

    def share(self, entry: Entry, stddev: float, n_shares: int, stream: Keystream) -> Integers:
        """A discrete Gaussian of variance stddev^2 / n_shares, and what rounding to the ring takes."""
        n_rounded = entry.shape[-1] if "class" in entry.component.axes else 1
        rounded = 1.0 + math.sqrt(n_rounded) / (entry.scale * self._sensitivity(entry.component))
        return gaussian_share(entry, rounded * stddev, n_shares, stream)

    def carried(self, components: Mapping[str, Component]) -> Mapping[str, Component]:
        """The rule's components, with bounds that hold zero where parties may stay out of a query."""
        if self.participation == 1:
            return components
        return {
            name: replace(one, lower=min(one.lower, 0.0), upper=max(one.upper, 0.0)) if one.axes in PER_QUERY else one
            for name, one in components.items()
        }

    def prepared(self, summand: Summand, context: PartyContext) -> Summand:
        """The rule's summand, of those queries that the party takes part in."""
        if self.participation == 1:
            return summand
        takes_part = coins(context.noise("participation"), context.n_queries, self.participation)
        return {name: self._thinned(context.components[name], array, takes_part) for name, array in summand.items()}

    def _sensitivity(self, component: Component) -> float:
        """How far one party can move an entry's row, in the L2 norm."""
        if self.participation == 1 or component.axes not in PER_QUERY:
            return component.l2
        return component.l2 / math.sqrt(2.0) if component.axes == "query_class" else _largest(component)

    def _thinned(
        self, component: Component, array: NDArray[Any], takes_part: NDArray[np.bool_]
    ) -> NDArray[np.floating[Any]]:
        most = self._sensitivity(component)
        if component.axes not in PER_QUERY or most == 0.0:  # the same from all, or said once a round
            return array
        if component.axes == "query":
            return np.where(takes_part, array, 0.0)
        length = np.linalg.norm(array, axis=-1, keepdims=True)
        within = array * np.minimum(1.0, most / np.maximum(length, most))
        return np.where(takes_part[:, None], within, 0.0)


def gaussian_share(entry: Entry, stddev: float, n_shares: int, stream: Keystream) -> Integers:
    """One of ``n_shares`` shares of Gaussian noise of that deviation on one component, in steps of the ring (word,).

    Raises
    ------
    InvalidOption
        The ring is too coarse for a share so small: a sum of such shares would not be as private as is said.
    """
    steps = stddev * entry.scale / math.sqrt(n_shares)
    if steps < LEAST_STEPS:
        raise InvalidOption(f"Noise of {steps:g} steps of the ring on {entry.name!r} is too little to be shared.")
    return discrete_gaussian(stream, entry.where.stop - entry.where.start, steps)


def _largest(component: Component) -> float:
    return max(abs(component.lower), abs(component.upper))


_kinds: tuple[type[Mechanism], ...] = (DistributedGaussian,)
for _kind in _kinds:
    mechanisms.add(_kind.name, _kind)
