"""Noise on each party's own answer, before anything leaves the party: Laplace, Gaussian, randomised response.

Sources: C. Dwork et al., Calibrating noise to sensitivity, TCC 2006 (Laplace); B. Balle, Y.-X. Wang, Improving the
Gaussian mechanism for differential privacy, ICML 2018, arXiv:1805.06530 (analytic calibration, theorem 8); S. L.
Warner, JASA 60(309), 1965, and P. Kairouz, K. Bonawitz, D. Ramage, ICML 2016, arXiv:1602.07387 (k-ary randomised
response); J. Duchi et al., ICML 2008 (projection onto the simplex).

Two answers to one query are neighbours, whatever they are: what is bounded is how much better than before anybody can
tell which of two answers the party gave. The answer is a row of probabilities, rounded down to a grid, so that rows of
integers of at most :data:`GRID` in all are compared: they differ by at most 2 GRID in the L1 norm and sqrt(2) GRID in
the L2 norm, without a rounding error on top. Noise is an integer too: of millions of steps, so that its privacy curve
is that of the continuous one to many digits (C. Canonne et al., NeurIPS 2020, theorem 7). All that follows, the
projection back onto the simplex included, is post-processing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Outputs, to_simplex
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.options import Between
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.event import Event
from fi_workbench.privacy.mechanism import AnswerNoise, mechanisms
from fi_workbench.privacy.sampling import Integers, coins, discrete_gaussian, discrete_laplace, uniform_below

GRID = 2**30
"""Steps from 0 to 1 of a probability that noise is added to."""

LOWEST_LOG = -12.0
"""Logits that are made of probabilities end here: below e^-12 a probability says no more than no."""

L2 = math.sqrt(2.0)
"""How far apart two distributions can be; in the L1 norm it is 2."""

Epsilon = Annotated[float, Between(0.01, 100, log=True), "Privacy spent on each query: smaller hides more."]
REPEATABLE = (
    "The noise comes from the question's public seed, for an experiment: it can be taken off, and protects nobody."
)
"""What is said in place of a promise, where equal seeds give equal noise."""

Reproducible = Annotated[bool, "Noise from the question's public seed, for experiments: it protects nobody."]

_RELATION = "the party's answer to one query replaced by any other (local: whoever sees the answer is bound by it)"


@dataclass(frozen=True)
class LaplaceAnswers(AnswerNoise):
    """Laplace noise on every probability, of scale 2 / epsilon; pure differential privacy."""

    name: ClassVar[str] = "laplace"
    explanation: ClassVar[str] = (
        "Each party blurs every probability of its answer with Laplace noise, before the answer leaves it. Strong and "
        "simple, and costly: the noise of each party is as large as if it were alone."
    )
    formula: ClassVar[str] = r"\Pi_\Delta\!\left(p_k + \mathrm{Lap}(2 / \varepsilon)^C\right)"
    source: ClassVar[str] = "Dwork et al., TCC 2006; discrete: Canonne, Kamath, Steinke 2020, arXiv:2004.00010"

    epsilon: Epsilon = 1.0
    reproducible: Reproducible = False

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Pure differential privacy of each answer."""
        stated = f"Each answer is ({self.epsilon:g}, 0)-differentially private: {_RELATION}. Queries add up."
        return (REPEATABLE if self.reproducible else stated,)

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """One Laplace release a query."""
        return {Event("laplace", 1.0 / self.epsilon): max(occasion.n_queries, 1)}

    def perturb(self, answer: NDArray[Any], outputs: Outputs, noise: Keystream) -> NDArray[Any]:
        """The answer's distribution with noise, back on the simplex, as the same kind (query, class)."""
        grid = _on_grid(answer, outputs)
        scale = math.ceil(2.0 * GRID / self.epsilon)
        return _off_grid(grid + discrete_laplace(noise, grid.size, scale).reshape(grid.shape), answer, outputs)


@dataclass(frozen=True)
class GaussianAnswers(AnswerNoise):
    """Gaussian noise on every probability, calibrated to (epsilon, delta) a query."""

    name: ClassVar[str] = "gaussian"
    explanation: ClassVar[str] = (
        "Each party blurs every probability of its answer with Gaussian noise, before the answer leaves it. Over many "
        "queries it costs less than Laplace noise of the same size."
    )
    formula: ClassVar[str] = (
        r"\Pi_\Delta(p_k + \mathcal{N}(0, \sigma^2 I)), \quad "
        r"\Phi\!\left(\tfrac{\sqrt 2}{2\sigma} - \tfrac{\varepsilon\sigma}{\sqrt 2}\right) - e^\varepsilon "
        r"\Phi\!\left(-\tfrac{\sqrt 2}{2\sigma} - \tfrac{\varepsilon\sigma}{\sqrt 2}\right) = \delta"
    )
    source: ClassVar[str] = "Balle & Wang 2018, arXiv:1805.06530; discrete: Canonne, Kamath, Steinke 2020"

    epsilon: Epsilon = 1.0
    delta: Annotated[float, Between(1e-12, 0.1, log=True), "How unlikely more than epsilon is, on each query."] = 1e-5
    reproducible: Reproducible = False

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Approximate differential privacy of each answer."""
        given = f"({self.epsilon:g}, {self.delta:g})-differentially private"
        stated = f"Each answer is {given}: {_RELATION}. Queries add up, more slowly than one by one."
        return (REPEATABLE if self.reproducible else stated,)

    @property
    def multiplier(self) -> float:
        """Standard deviation over L2 sensitivity."""
        return gaussian_multiplier(self.epsilon, self.delta)

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """One Gaussian release a query."""
        return {Event("gaussian", self.multiplier): max(occasion.n_queries, 1)}

    def perturb(self, answer: NDArray[Any], outputs: Outputs, noise: Keystream) -> NDArray[Any]:
        """The answer's distribution with noise, back on the simplex, as the same kind (query, class)."""
        grid = _on_grid(answer, outputs)
        drawn = discrete_gaussian(noise, grid.size, self.multiplier * L2 * GRID)
        return _off_grid(grid + drawn.reshape(grid.shape), answer, outputs)


@dataclass(frozen=True)
class RandomisedResponse(AnswerNoise):
    """The party's label, or now and then any label at all; nothing of its confidence."""

    name: ClassVar[str] = "randomised_response"
    explanation: ClassVar[str] = (
        "Each party answers with its label alone, and now and then with any other label, so that no answer can be held "
        "against it. Votes over many parties still come out right."
    )
    formula: ClassVar[str] = r"P(\text{its own label}) = e^\varepsilon / (e^\varepsilon + C - 1)"
    source: ClassVar[str] = "Warner 1965, doi:10.1080/01621459.1965.10480775; Kairouz et al. 2016, arXiv:1602.07387"

    epsilon: Epsilon = 1.0
    reproducible: Reproducible = False

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Pure differential privacy of each label."""
        stated = f"Each label is ({self.epsilon:g}, 0)-differentially private: {_RELATION}. Queries add up."
        return (REPEATABLE if self.reproducible else stated,)

    def uniform_probability(self, n_classes: int) -> float:
        """How often the label is drawn from all classes alike, the party's own among them."""
        return n_classes / (math.exp(self.epsilon) + n_classes - 1.0)

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """One randomised label a query."""
        drawn = self.uniform_probability(occasion.n_classes)
        return {Event("randomised_response", drawn, n_classes=occasion.n_classes): max(occasion.n_queries, 1)}

    def perturb(self, answer: NDArray[Any], outputs: Outputs, noise: Keystream) -> NDArray[Any]:
        """One-hot rows (query, class), or their logarithms, for a model of logits."""
        n_queries, n_classes = answer.shape
        anew = coins(noise, n_queries, self.uniform_probability(n_classes))
        label = np.where(anew, uniform_below(noise, n_queries, n_classes), answer.argmax(axis=-1))
        return as_answer(np.eye(n_classes)[label], answer, outputs)


@lru_cache(maxsize=256)
def gaussian_multiplier(epsilon: float, delta: float) -> float:
    """The least standard deviation, over the L2 sensitivity, that is (epsilon, delta)-private."""
    from fi_workbench.privacy.accountant import sigma_for  # noqa: PLC0415 (its scipy.optimize takes long to import)

    return sigma_for(epsilon, delta)


def as_answer(rows: NDArray[Any], like: NDArray[Any], outputs: Outputs) -> NDArray[Any]:
    """Distributions (query, class) as an answer of the kind and dtype of another: themselves, or finite logits."""
    if outputs == "logits":
        rows = np.log(np.maximum(rows, math.exp(LOWEST_LOG)))
    return rows.astype(like.dtype)


def simplex_projection(rows: NDArray[Any]) -> NDArray[np.float64]:
    """The distribution nearest to each row in the L2 norm, (query, class): Duchi et al. 2008, figure 1."""
    ranked = -np.sort(-rows, axis=-1)
    places = np.arange(1, rows.shape[-1] + 1)
    excess = (ranked.cumsum(axis=-1) - 1.0) / places
    n_positive = (ranked > excess).sum(axis=-1, keepdims=True)
    return np.asarray(np.maximum(rows - np.take_along_axis(excess, n_positive - 1, axis=-1), 0.0))


def _on_grid(answer: NDArray[Any], outputs: Outputs) -> Integers:
    # down, never to the nearest: a row's integers sum to GRID at most, however many classes there are
    steps: Integers = np.floor(to_simplex(answer.astype(np.float64), outputs) * GRID).astype(np.int64)
    return steps


def _off_grid(noisy: Integers, like: NDArray[Any], outputs: Outputs) -> NDArray[Any]:
    return as_answer(simplex_projection(noisy / GRID), like, outputs)


for _kind in (LaplaceAnswers, GaussianAnswers, RandomisedResponse):
    mechanisms.add(_kind.name, _kind)
