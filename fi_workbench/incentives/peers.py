"""Contributions by comparing votes with the peers' votes, two parties at a time: no labels, and no coalitions.

Each method is a function of joint counts J_ij(a, b), the queries to which party i said a and party j said b, which
rounds add up; P_ij is J_ij over its sum, and P_i, P_j are its margins. With fewer than three parties there is nobody to
tell two apart by, so they get the same, and a note says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.crowd import check_votes
from fi_workbench.core.errors import InvalidData
from fi_workbench.incentives.contribution import ContributionView, counting_method
from fi_workbench.incentives.estimate import Estimate

MAX_CELLS = 1 << 25
"""Joint counts that are kept, (party * class)^2: 256 MiB of them."""

BLOCK = 1 << 12
"""Queries counted at a time."""

TOO_FEW = "Fewer than three parties answered: nobody can tell two apart, so they get the same."


def alike(answered: NDArray[np.bool_]) -> Estimate:
    """The same for each party that answered, with a note that comparison needs three."""
    return Estimate(answered / max(1, int(answered.sum())), note=TOO_FEW)


def joint_counts(before: NDArray[np.int64] | None, view: ContributionView) -> NDArray[np.int64]:
    """Joint counts of every two parties, (party, party, class, class), those of the rounds before included.

    A pair is counted on the queries that both answered; a party with itself gives its own counts on the diagonal.

    Raises
    ------
    InvalidData
        Other classes than before, or more parties and classes than counts can be kept of.
    InvalidAnswer
        Votes outside the classes.
    """
    found = _counted(view.each_vote, view.n_classes)
    if before is None:
        return found
    if before.shape != found.shape:
        raise InvalidData(f"Rounds of {before.shape[-1]} and of {found.shape[-1]} classes cannot be counted together.")
    return before + found


@dataclass(frozen=True, eq=False)
class Halves:
    """Joint counts of two halves of the queries: every other query is in the second.

    Parameters
    ----------
    first, second : integers (party, party, class, class)
    n_queries : int
        Queries so far, from which it follows where the next one goes.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    n_queries: int


def halved_counts(before: Halves | None, view: ContributionView) -> Halves:
    """Joint counts of two halves of the queries, those before included; raises as :func:`joint_counts`."""
    votes, n_before = view.each_vote, 0 if before is None else before.n_queries
    odd = n_before % 2
    halves = [_counted(votes[:, (start + odd) % 2 :: 2], view.n_classes) for start in (0, 1)]
    if before is not None:
        if before.first.shape != halves[0].shape:
            raise InvalidData(
                f"Rounds of {before.first.shape[-1]} and {view.n_classes} classes cannot be counted as one."
            )
        halves = [before.first + halves[0], before.second + halves[1]]
    return Halves(halves[0], halves[1], n_before + votes.shape[1])


@counting_method(
    accumulate=joint_counts,
    needs="votes",
    formula=r"\frac{1}{K-1} \sum_{j \ne k} \sum_{ab} P_{kj}(a,b) \log \frac{P_{kj}(a,b)}{P_k(a)\,P_j(b)}",
    source="Kong & Schoenebeck, ACM Transactions on Economics and Computation 7(1), 2019, arXiv:1605.01021",
)
def pairwise_information(counts: NDArray[np.int64]) -> NDArray[np.floating[Any]] | Estimate:
    """Mean mutual information, in nats, of the party's votes and each peer's: what knowing the one tells of the other.

    It is estimated from frequencies, which makes chance look like information: about (C - 1)^2 / 2N nats on N queries,
    so follow it over a stream or use large batches. A bijection of the labels goes unnoticed.
    """
    joint, together = _frequencies(counts)
    if (answered := _who_answered(together)).sum() < 3:
        return alike(answered)
    apart = joint.sum(axis=3, keepdims=True) * joint.sum(axis=2, keepdims=True)
    there = joint > 0
    ratio = np.divide(joint, apart, out=np.ones_like(joint), where=there)
    return _mean_over_peers((joint * np.log(ratio)).sum(axis=(2, 3)), together)


@counting_method(
    accumulate=joint_counts,
    needs="votes",
    formula=r"\frac{1}{K-1} \sum_{j \ne k} \sum_{ab} [P_{kj}(a,b) - P_k(a)\,P_j(b)]_+",
    source="Shnayder, Agarwal, Frongillo & Parkes, EC 2016, arXiv:1603.03151",
)
def correlated_agreement(counts: NDArray[np.int64]) -> NDArray[np.floating[Any]] | Estimate:
    """Mean over the peers of how much more often than by chance the party's vote goes with the peer's.

    A pair of labels counts where it is more frequent than if the two voted independently (the score matrix is the sign
    of the correlation), so labels that peers mix up alike are not held against anybody.
    """
    joint, together = _frequencies(counts)
    if (answered := _who_answered(together)).sum() < 3:
        return alike(answered)
    apart = joint.sum(axis=3, keepdims=True) * joint.sum(axis=2, keepdims=True)
    return _mean_over_peers(np.maximum(joint - apart, 0.0).sum(axis=(2, 3)), together)


@counting_method(
    accumulate=joint_counts,
    needs="votes",
    formula=r"\frac{1}{K-1} \sum_{j \ne k} \sum_{a} P_{kj}(a,a) \,/\, R_k(a)",
    source="Radanovic, Faltings & Jurca, ACM Transactions on Intelligent Systems and Technology 7(4), 2016",
)
def peer_truth_serum(counts: NDArray[np.int64]) -> NDArray[np.floating[Any]] | Estimate:
    """Agreement with each peer, worth the more the rarer the label: 1 / R where they agree, R the label's frequency.

    R is taken from the votes of all others, so nobody moves their own price. Voting at random earns 1.
    """
    joint, together = _frequencies(counts)
    if (answered := _who_answered(together)).sum() < 3:
        return alike(answered)
    own = np.diagonal(np.diagonal(counts, axis1=0, axis2=1), axis1=0, axis2=1).astype(np.float64)  # (party, class)
    others = own.sum(axis=0) - own
    agree = np.diagonal(joint, axis1=2, axis2=3)  # (party, party, class)
    # where the others never voted for a class nobody agrees on it either
    worth = np.divide(others.sum(axis=1, keepdims=True), others, out=np.zeros_like(others), where=others > 0)
    return _mean_over_peers((agree * worth[:, None]).sum(axis=2), together)


@counting_method(
    accumulate=halved_counts,
    needs="votes",
    formula=r"\frac{1}{K-1} \sum_{j \ne k} \det(C\,P^{(1)}_{kj}) \, \det(C\,P^{(2)}_{kj})",
    source="Kong, Dominantly truthful multi-task peer prediction with a constant number of tasks, SODA 2020",
)
def dmi(halves: Halves) -> Estimate:
    """Determinants of the joint frequencies with each peer, on one half of the queries times on the other.

    Truth is the best strategy whatever the others do, from 2 C queries on. It is 0 where a class is never reported in a
    half by either party, as the determinant then is: a note says for how many parties. The determinants are scaled so
    that full agreement on equally frequent classes earns 1.
    """
    (first, in_first), (second, in_second) = _frequencies(halves.first), _frequencies(halves.second)
    answered = _who_answered(in_first + in_second)
    if answered.sum() < 3:
        return alike(answered)
    n_classes = first.shape[-1]
    # a row or column of zeros makes a determinant 0 exactly
    values = np.linalg.det(n_classes * first) * np.linalg.det(n_classes * second)
    own = np.stack([np.einsum("kkaa->ka", half) for half in (first, second)])  # (half, party, class)
    lacking = answered & (own == 0).any(axis=(0, 2))
    note = ""
    if lacking.any():
        note = (
            f"{int(lacking.sum())} of {int(answered.sum())} parties never reported some class in a half of the "
            "queries, which makes their value 0 whatever they know."
        )
    # a pair that met in one half only has no second determinant
    return Estimate(_mean_over_peers(values, np.minimum(in_first, in_second)), note=note)


def _counted(votes: NDArray[np.integer[Any]], n_classes: int) -> NDArray[np.int64]:
    """Joint counts of votes (party, query), some of which may be absent: (party, party, class, class)."""
    check_votes(votes, n_classes)
    n_parties, n_queries = votes.shape
    if (n_parties * n_classes) ** 2 > MAX_CELLS:
        raise InvalidData(
            f"Joint counts of {n_parties} parties and {n_classes} classes are more than {MAX_CELLS}; "
            "dawid_skene_skill and final_agreement do without."
        )
    counts = np.zeros((n_parties * n_classes, n_parties * n_classes), dtype=np.int64)
    for start in range(0, n_queries, BLOCK):
        # float32 counts exactly to 2^24, and its product is the fast one
        cast = (votes[:, None, start : start + BLOCK] == np.arange(n_classes)[:, None]).astype(np.float32)
        flat = cast.reshape(n_parties * n_classes, -1)
        counts += (flat @ flat.T).astype(np.int64)
    return counts.reshape(n_parties, n_classes, n_parties, n_classes).transpose(0, 2, 1, 3)


def _frequencies(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Joint frequencies, and of how many queries that both answered, (party, party): 0 for pairs that never met."""
    together = counts.sum(axis=(2, 3))
    return counts / np.maximum(together, 1)[:, :, None, None], together


def _who_answered(together: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which parties answered any query, (party,)."""
    return np.diagonal(together) > 0


def _mean_over_peers(pairs: NDArray[np.float64], together: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of ``pairs`` (party, peer) over the peers with whom a party answered the same queries, (party,)."""
    peers = (together > 0) & ~np.eye(len(pairs), dtype=np.bool_)
    return np.asarray(np.where(peers, pairs, 0.0).sum(axis=1) / np.maximum(peers.sum(axis=1), 1))
