"""An audit of promises: a claimed epsilon against an empirical lower bound.

Two neighbouring answers, the mechanism many times on each, and a test that tells which it was: (epsilon, delta)-privacy
bounds how well any test can do, so how well one does bounds epsilon from below (Jagielski et al., NeurIPS 2020,
arXiv:2006.07709; Nasr et al., USENIX Security 2023, arXiv:2302.07956). The test is chosen on one half of the trials and
judged on the other, with exact intervals of its two error rates. A bound above the claim refutes it; one below proves
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from fi_workbench.core.arrays import Outputs, to_logits
from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.keystream import Keystream
from fi_workbench.privacy.accountant import epsilon_of
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.mechanism import AnswerNoise

World: TypeAlias = Literal[0, 1]

Draw: TypeAlias = Callable[[World, int], NDArray[Any]]
"""``(world, n_trials) -> (trial, ...)``: what is released, so many times anew, for one of two neighbouring answers."""

MIN_TRIALS = 100

_N_THRESHOLDS = 400


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Parameters
    ----------
    what : str
        The mechanism, with its options.
    claimed_epsilon : float
        Of one query, at ``delta``; infinite where nothing is claimed.
    lower_epsilon : float
        Epsilon is at least this, with the confidence given.
    delta : float
    confidence : float
    n_trials : int
        Of each of the two answers; half of them chose the test.
    false_positive_rate, false_negative_rate : float
        Of that test, on the other half.
    """

    what: str
    claimed_epsilon: float
    lower_epsilon: float
    delta: float
    confidence: float
    n_trials: int
    false_positive_rate: float
    false_negative_rate: float

    @property
    def refuted(self) -> bool:
        """Whether the claim is false, as sure as ``confidence``."""
        return self.lower_epsilon > self.claimed_epsilon

    @property
    def most(self) -> float:
        """The largest lower bound that so many trials could have shown: no claim above it can be refuted."""
        n = self.n_trials - self.n_trials // 2
        return float(_bounds(np.zeros(1), np.zeros(1), n, self.delta, self.confidence)[0])

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes; None where nothing is claimed."""
        claimed = self.claimed_epsilon if math.isfinite(self.claimed_epsilon) else None
        return asdict(self) | {"claimed_epsilon": claimed, "refuted": self.refuted, "most": self.most}


def audit_epsilon(
    draw: Draw, epsilon: float, delta: float = 1e-5, *, n_trials: int = 20_000, confidence: float = 0.99, what: str = ""
) -> Audit:
    """Hold a claimed epsilon against what a test tells apart.

    Parameters
    ----------
    draw : callable
        ``(world, n_trials) -> (trial, ...)``, world 0 or 1.
    epsilon, delta : float
        The claim; infinite for none.
    n_trials : int
        Of each world. An epsilon of e can only be refuted with some multiples of e^epsilon trials.
    confidence : float
        A true claim is refuted with at most the rest of it.
    what : str
        For people.

    Raises
    ------
    InvalidOption
        A delta or confidence outside 0 to 1, or fewer than 100 trials.
    """
    if not 0 <= delta < 1 or not 0 < confidence < 1:
        raise InvalidOption(f"delta ({delta!r}) and confidence ({confidence!r}) lie between 0 and 1.")
    if n_trials < MIN_TRIALS:
        raise InvalidOption(f"An audit needs {MIN_TRIALS} trials of each answer at least, not {n_trials}.")
    half = n_trials // 2
    released = [np.asarray(draw(world, n_trials), np.float64).reshape(n_trials, -1) for world in (0, 1)]
    chosen, judged = [one[:half] for one in released], [one[half:] for one in released]

    best = (-math.inf, 0.0, 0)
    tests = _tests(*chosen)
    for place, test in enumerate(tests):
        scores = [np.sort(test(one)) for one in chosen]
        thresholds = np.unique(np.quantile(np.concatenate(scores), np.linspace(0, 1, _N_THRESHOLDS), method="higher"))
        false_positives = half - np.searchsorted(scores[0], thresholds)
        false_negatives = np.searchsorted(scores[1], thresholds)
        bounds = _bounds(false_positives, false_negatives, half, delta, confidence)
        found = int(bounds.argmax())
        best = max(best, (float(bounds[found]), float(thresholds[found]), place))
    _, threshold, place = best
    n_judged = n_trials - half
    false_positive = int((tests[place](judged[0]) >= threshold).sum())
    false_negative = int((tests[place](judged[1]) < threshold).sum())
    bound = _bounds(np.array([false_positive]), np.array([false_negative]), n_judged, delta, confidence)[0]
    return Audit(
        what, float(epsilon), float(bound), delta, confidence, n_trials, false_positive / n_judged,
        false_negative / n_judged,
    )  # fmt: skip


def audit_noise(
    noise: AnswerNoise,
    *,
    n_classes: int = 3,
    outputs: Outputs = "probabilities",
    epsilon: float | None = None,
    delta: float = 1e-5,
    n_trials: int = 20_000,
    confidence: float = 0.99,
    stream: Keystream | None = None,
) -> Audit:
    """Audit noise on answers: can one class, answered with certainty, be told from another.

    Parameters
    ----------
    noise : AnswerNoise
    n_classes : int
    outputs : {"logits", "probabilities"}
        What kind of answer it is given.
    epsilon : float, optional
        The claim; what it states as its events otherwise, and infinite where it states none.
    stream : Keystream, optional
        Where its noise comes from; a fresh one otherwise.
    delta, n_trials, confidence
        See :func:`audit_epsilon`.
    """
    if epsilon is None:
        stated = noise.events(Occasion("answer", "", {}, n_parties=1, n_queries=1, n_classes=n_classes))
        epsilon = math.inf if stated is None else epsilon_of(stated, delta, "pld")
    keys = stream or Keystream.fresh()

    def draw(world: World, n: int) -> NDArray[Any]:
        answer = np.tile(np.eye(n_classes)[world], (n, 1))
        given = answer if outputs == "probabilities" else to_logits(answer, "probabilities")
        return noise.perturb(given, outputs, keys)

    return audit_epsilon(draw, epsilon, delta, n_trials=n_trials, confidence=confidence, what=repr(noise))


def _bounds(
    false_positives: NDArray[Any], false_negatives: NDArray[Any], n: int, delta: float, confidence: float
) -> NDArray[np.float64]:
    """Lower bounds of epsilon from counts of errors among ``n`` trials of each world; never negative."""
    tail = (1 - confidence) / 2  # each of the two error rates may be worse than this says half of the time allowed
    positive, negative = (
        np.where(count >= n, 1.0, betaincinv(count + 1, np.maximum(n - count, 1), 1 - tail))
        for count in (false_positives, false_negatives)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        either = np.maximum(
            np.log(np.maximum(1 - delta - negative, 0) / positive),
            np.log(np.maximum(1 - delta - positive, 0) / negative),
        )
    return np.asarray(np.maximum(either, 0.0))


def _tests(first: NDArray[np.float64], second: NDArray[np.float64]) -> list[Callable[[Any], NDArray[np.float64]]]:
    """Scores of releases that should be high in the second world: what suits Gaussian, Laplace and label noise."""
    means = first.mean(axis=0), second.mean(axis=0)
    towards = means[1] - means[0]

    def along(released: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(released @ towards)

    def nearer(released: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.abs(released - means[0]).sum(axis=1) - np.abs(released - means[1]).sum(axis=1))

    def single(place: int) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        return lambda released: released[:, place] * np.sign(towards[place])

    return [along, nearer, *(single(int(place)) for place in np.argsort(-np.abs(towards))[:2])]
