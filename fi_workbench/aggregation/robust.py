"""Rules that a few dishonest parties cannot move far: medians, trimmed means, and the answer with the nearest company.

Sources: D. Yin et al., Byzantine-robust distributed learning, ICML 2018 (median, trimmed mean); E. Weiszfeld, Sur le
point pour lequel la somme des distances de n points donnés est minimum, Tohoku Math. J. 43, 1937, and K. Pillutla et
al., Robust aggregation for federated learning, IEEE TSP 70, 2022 (geometric median); P. Blanchard et al., Machine
learning with adversaries, NeurIPS 2017 (Krum). They were made for gradients; here each query's probabilities are the
points, as in robust federated inference (arXiv:2510.00310).
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.normalise import as_distribution
from fi_workbench.aggregation.rule import aggregation_rule
from fi_workbench.core.arrays import TINY, Answers, Scores
from fi_workbench.core.options import Between

N_STEPS = 20
"""Weiszfeld steps; each brings every query's point closer to the geometric median."""

TIE = 1e-9
"""Squared distances that differ by no more than this share are a tie."""


@aggregation_rule(
    formula=r"\mathrm{median}_k\, p_k(c), \text{ renormalised}",
    source="Yin et al. 2018, arXiv:1803.01498",
)
def median(answers: Answers) -> Scores:
    """The middle value of each class: fewer than half of the parties cannot move it beyond what the others say.

    The medians of a query are scaled to sum to one. A class that fewer than half of the parties know is lost.
    """
    return as_distribution(np.median(answers, axis=0))


@aggregation_rule(
    formula=r"\frac{1}{K - 2t} \sum_{i=t+1}^{K-t} p_{(i)}(c), \text{ renormalised}, \quad t = \lfloor \tau K \rfloor",
    source="Yin et al. 2018, arXiv:1803.01498",
)
def trimmed_mean(
    answers: Answers,
    *,
    trim: Annotated[float, Between(0, 0.5), "Share of the parties dropped at either end of each class."] = 0.2,
) -> Scores:
    """The mean of each class, after dropping the ``trim`` share of parties at either end.

    At least one party (two where their number is even) is always left: trimming all but them gives the median.
    """
    n_drop = min(int(trim * len(answers)), (len(answers) - 1) // 2)
    ranked = np.sort(answers, axis=0) if n_drop else answers
    return as_distribution(ranked[n_drop : len(answers) - n_drop].mean(axis=0))


@aggregation_rule(
    formula=r"\arg\min_{s} \sum_k \lVert p_k - s \rVert_2",
    source="Weiszfeld 1937; Pillutla et al. 2022, doi:10.1109/TSP.2022.3153135",
)
def geometric_median(answers: Answers) -> Scores:
    """The point with the least summed distance to all answers: unlike the mean, no far answer pulls it along.

    20 steps of Weiszfeld's iteration from the mean; a mean of distributions stays one.
    """
    points = answers.astype(np.float64)
    centre = points.mean(axis=0)
    apart = np.empty_like(points)
    for _ in range(N_STEPS):
        np.subtract(points, centre, out=apart)
        squared = np.einsum("knc,knc->kn", apart, apart)
        # a party whose answer is the centre itself would have infinite weight
        weights = 1.0 / np.sqrt(np.maximum(squared, TINY))
        weights /= weights.sum(axis=0)
        centre = np.einsum("kn,knc->nc", weights, points)
    return as_distribution(centre)


@aggregation_rule(
    formula=r"p_{k^*}, \quad k^* = \arg\min_k \sum_{j \in \mathcal{N}_k} \lVert p_k - p_j \rVert_2^2, "
    r"\; |\mathcal{N}_k| = K - f - 2",
    source="Blanchard et al. 2017 (Krum), arXiv:1703.02757",
)
def krum(
    answers: Answers,
    *,
    n_byzantine: Annotated[int, Between(0, 50), "How many parties may be dishonest (f)."] = 1,
) -> Scores:
    """On each query, the answer of the one party that is closest to its K - f - 2 nearest peers.

    Where several are equally close, their mean. With fewer than f + 3 parties nobody has such peers: then the median of
    each class takes its place. The guarantee needs 2 f + 3 parties or more.
    """
    n_parties = len(answers)
    n_nearest = n_parties - n_byzantine - 2
    if n_nearest < 1:
        return median(answers)
    distances = _squared_distances(answers)
    # each party's distance to itself, 0, comes first
    nearest = np.partition(distances, n_nearest, axis=-1)[..., : n_nearest + 1].sum(axis=-1)
    chosen = nearest <= nearest.min(axis=-1, keepdims=True) * (1.0 + TIE) + TINY
    share = chosen / chosen.sum(axis=-1, keepdims=True)
    return as_distribution(np.einsum("nk,knc->nc", share, answers))


def _squared_distances(answers: Answers) -> NDArray[np.floating[Any]]:
    """Squared Euclidean distances of each query's answers, (query, party, party)."""
    points = answers.transpose(1, 0, 2).astype(np.float64)
    gram = np.matmul(points, points.transpose(0, 2, 1))
    squares = np.diagonal(gram, axis1=1, axis2=2)
    # rounding may leave the distance of equal answers a little off zero, but not below it
    return np.asarray(np.maximum(squares[:, :, None] + squares[:, None, :] - 2.0 * gram, 0.0))
