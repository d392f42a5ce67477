"""Rules that weigh a party by how well it goes with the others: over all queries, or query by query.

Sources: F. Parisi et al., Ranking and combining multiple predictors without labeled data, PNAS 111(4), 2014 (the
leading eigenvector of the covariance of predictions ranks predictors); H. Jeffreys, An invariant form for the prior
probability in estimation problems, Proc. R. Soc. A 186, 1946 (the symmetrised divergence); as combined in FedSEI
(arXiv:2603.02214).
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.rule import aggregation_rule
from fi_workbench.core.arrays import TINY, Answers, Scores
from fi_workbench.core.options import Between

Beta = Annotated[float, Between(0, 50), "How fast weight falls with the distance from the mean answer."]


def spectral_weights(answers: Answers) -> NDArray[np.float64]:
    """Weights (party,) that sum to one, from how the parties' confidence goes up and down together.

    The top eigenvector of the covariance over queries of each party's largest probability, in absolute values. Even
    weights where no party's confidence moves at all.

    Parameters
    ----------
    answers : array (party, query, class)
        Probabilities.
    """
    confidence = answers.max(axis=-1).astype(np.float64)
    confidence -= confidence.mean(axis=1, keepdims=True)
    n_parties, n_queries = confidence.shape
    covariance = confidence @ confidence.T / max(n_queries - 1, 1)
    if np.trace(covariance) <= TINY:
        return np.full(n_parties, 1.0 / n_parties)
    leading = np.abs(np.linalg.eigh(covariance)[1][:, -1])
    return np.asarray(leading / leading.sum())


def consensus_weights(answers: Answers, beta: float) -> NDArray[np.floating[Any]]:
    """Weights (party, query) that sum to one over the parties: exp(-beta d), d the distance from the mean answer.

    d = (KL(p, m) + KL(m, p)) / 2, half of Jeffreys' divergence, m the mean over the parties.
    """
    mean = answers.mean(axis=0)
    # KL(p, m) + KL(m, p) = sum_c (p - m) (log p - log m)
    log_ratio = np.log(answers + TINY) - np.log(mean + TINY)
    distance = 0.5 * ((answers - mean) * log_ratio).sum(axis=-1)
    powers = np.exp(-beta * (distance - distance.min(axis=0)))
    return np.asarray(powers / powers.sum(axis=0))


def _weighted_mean(weights: NDArray[np.floating[Any]], answers: Answers) -> Scores:
    """Mean (query, class) of the answers under weights (party, query)."""
    pooled = np.einsum("kn,knc->nc", weights, answers)
    return np.asarray(pooled / weights.sum(axis=0)[:, None])


@aggregation_rule(
    formula=r"\sum_k w_k p_k(c), \quad w \propto |v_1|, \; v_1 \text{ leading in } \mathrm{Cov}_n(\max_c p_k)",
    source="Parisi et al. 2014, doi:10.1073/pnas.1219097111; FedSEI, arXiv:2603.02214",
)
def spectral(answers: Answers) -> Scores:
    """A party counts by how much its confidence moves with that of the others over the batch; no labels are needed.

    Only over many queries do the weights say anything; over one they are even. Under label skew a specialist is
    confident elsewhere than the others are, and is trusted the less for it.
    """
    return np.asarray(np.tensordot(spectral_weights(answers), answers, axes=1))


@aggregation_rule(
    formula=r"\sum_k w_k p_k(c), \quad w_k \propto e^{-\beta d_k}, \; "
    r"d_k = \tfrac12 (\mathrm{KL}(p_k, m) + \mathrm{KL}(m, p_k)), \; m = \tfrac1K \sum_k p_k",
    source="FedSEI, arXiv:2603.02214; divergence of Jeffreys 1946, doi:10.1098/rspa.1946.0056",
)
def js_consensus(answers: Answers, *, beta: Beta = 5.0) -> Scores:
    """On each query, a party counts the less the further its answer is from the mean answer.

    The reference calls the distance Jensen-Shannon; what it computes, and what stands here, is half of Jeffreys'
    divergence. Under label skew the only party that knows a class is the outlier, and is silenced.
    """
    return _weighted_mean(consensus_weights(answers, beta), answers)


@aggregation_rule(
    formula=r"\sum_k w_k p_k(c), \quad w_k \propto w_k^{\mathrm{spectral}} e^{-\beta d_k}",
    source="FedSEI, arXiv:2603.02214",
)
def hybrid_consensus(answers: Answers, *, beta: Beta = 5.0) -> Scores:
    """Both at once: the spectral weight of a party over the batch, times its consensus weight on the query."""
    weights = spectral_weights(answers)[:, None] * consensus_weights(answers, beta)
    total = weights.sum(axis=0)
    # those near the mean may all have no spectral weight; then nothing speaks against an even say
    weights = np.where(total > TINY, weights, 1.0)
    return _weighted_mean(weights, answers)
