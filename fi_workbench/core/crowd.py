"""Who is how good, from votes alone: the Dawid-Skene model of a crowd, estimated by expectation maximisation.

Source: A. P. Dawid, A. M. Skene, Maximum likelihood estimation of observer error-rates using the EM algorithm, Journal
of the Royal Statistical Society C 28(1), 1979, doi:10.2307/2346806. Step-wise updates over a stream: O. Cappé, E.
Moulines, On-line expectation-maximization algorithm for latent data models, JRSS B 71(3), 2009, arXiv:0712.4273.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from fi_workbench.core.arrays import TINY, softmax
from fi_workbench.core.errors import InvalidAnswer

ABSENT = -1
"""The vote of a party that did not answer."""


@dataclass(frozen=True, eq=False)
class Crowd:
    """What votes say about queries and parties.

    Parameters
    ----------
    posterior : array (query, class)
        How likely each class is the true one.
    counts : array (party, class, class)
        Expected number of queries of each true class (second axis) that the party gave each label (third axis).
    class_counts : array (class,)
        Expected number of queries of each true class.
    smoothing : float
        Added to each count before rates are taken.
    n_iterations : int
        EM steps taken.
    converged : bool
        Whether the last step moved no posterior by more than the tolerance.
    """

    posterior: NDArray[np.float64]
    counts: NDArray[np.float64]
    class_counts: NDArray[np.float64]
    smoothing: float
    n_iterations: int
    converged: bool

    @property
    def confusion(self) -> NDArray[np.float64]:
        """(party, true class, reported class): estimated probabilities; each row sums to one."""
        smoothed = self.counts + self.smoothing
        return np.asarray(smoothed / smoothed.sum(axis=-1, keepdims=True))

    @property
    def prior(self) -> NDArray[np.float64]:
        """(class,): estimated frequency of each true class."""
        smoothed = self.class_counts + self.smoothing
        return np.asarray(smoothed / smoothed.sum())

    @property
    def skill(self) -> NDArray[np.float64]:
        """(party,): mean diagonal of the estimated confusion matrix."""
        return np.asarray(np.diagonal(self.confusion, axis1=1, axis2=2).mean(axis=1))


def check_votes(votes: NDArray[np.integer[Any]], n_classes: int) -> None:
    """Nothing, if ``votes`` (party, query) are classes or :data:`ABSENT`.

    Raises
    ------
    InvalidAnswer
        They are no integers, or some are outside the classes.
    """
    if votes.ndim != 2 or votes.dtype.kind not in "iu":
        raise InvalidAnswer(
            f"Votes have shape {votes.shape} and dtype {votes.dtype}; integers (party, query) are needed."
        )
    if votes.size and (votes.min() < ABSENT or votes.max() >= n_classes):
        raise InvalidAnswer(
            f"Votes reach from {votes.min()} to {votes.max()}; the classes are 0 to {n_classes - 1}, and {ABSENT} is "
            "no vote."
        )


def dawid_skene(
    votes: NDArray[np.integer[Any]],
    n_classes: int,
    *,
    start: NDArray[np.floating[Any]] | None = None,
    before: Crowd | None = None,
    smoothing: float | None = None,
    max_iterations: int = 50,
    tolerance: float = 1e-5,
) -> Crowd:
    """Estimate true labels and each party's confusion matrix from votes.

    Parameters
    ----------
    votes : array (party, query)
        Labels; :data:`ABSENT` where a party did not answer.
    n_classes : int
    start : array (query, class), optional
        First guess of the posterior, e.g. the soft vote; shares of the votes where not given.
    before : Crowd, optional
        Of the same parties on other queries: its counts are added to these votes', and its rates are the first guess.
    smoothing : float, optional
        1 / n_classes where not given.
    max_iterations : int
    tolerance : float
        On the largest change of any posterior.

    Returns
    -------
    Crowd
        Posterior of these queries; counts of all, those of ``before`` included.

    Raises
    ------
    InvalidAnswer
        As :func:`check_votes`.
    """
    check_votes(votes, n_classes)
    n_parties, n_queries = votes.shape
    smoothing = 1.0 / n_classes if smoothing is None else smoothing
    # (query, party * class), one entry a vote: with it both steps are one sparse matrix product
    party, query = np.nonzero(votes != ABSENT)
    cells = party * n_classes + votes[party, query]
    flat = csr_array((np.ones(len(cells)), (query, cells)), shape=(n_queries, n_parties * n_classes))
    old = np.zeros((n_parties, n_classes, n_classes)) if before is None else before.counts
    old_classes = np.zeros(n_classes) if before is None else before.class_counts

    def maximised(posterior: NDArray[np.float64], n_iterations: int, converged: bool) -> Crowd:
        counts = (flat.T @ posterior).reshape(n_parties, n_classes, n_classes).transpose(0, 2, 1)
        return Crowd(posterior, old + counts, old_classes + posterior.sum(axis=0), smoothing, n_iterations, converged)

    def expected(crowd: Crowd) -> NDArray[np.float64]:
        log_rates = np.log(np.maximum(crowd.confusion, TINY)).transpose(0, 2, 1).reshape(-1, n_classes)
        return np.asarray(softmax(np.log(np.maximum(crowd.prior, TINY)) + flat @ log_rates))

    if before is not None and start is None:
        posterior = expected(before)
    elif start is None:
        shares = flat @ np.tile(np.eye(n_classes), (n_parties, 1)) + smoothing
        posterior = shares / shares.sum(axis=1, keepdims=True)
    else:
        posterior = np.asarray(start, dtype=np.float64)
    crowd = maximised(posterior, 0, max_iterations == 0)
    for step in range(1, max_iterations + 1):
        posterior = expected(crowd)
        moved = float(np.abs(posterior - crowd.posterior).max(initial=0.0))
        crowd = maximised(posterior, step, moved <= tolerance)
        if crowd.converged:
            break
    return crowd
