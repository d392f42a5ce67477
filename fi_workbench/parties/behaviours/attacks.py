"""Attackers: parties that want the federation to be wrong.

Source: A. Dhasade et al., Robust federated inference, ICLR 2026, arXiv:2510.00310. The paper lets f < n/2 parties
replace their probability vectors, knowing the honest answers (white box: LMA, CPA, SIA) or only their own (black box:
SIA, flipped logits). Here the honest answers are those that a leak shows; where it shows none, each attack falls back
to the party's own answer. The paper aggregates the honest answers by the attacked rule; here by their mean, as an
attacker need not know the rule. The attack ``informed_inversion`` is SIA for one who knows the labels too.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.options import Between
from fi_workbench.parties.behaviours.contract import behaviour
from fi_workbench.parties.behaviours.sight import Sight

Confidence = Annotated[float, Between(0.5, 1.0), "Probability that it puts on the class it names; the paper's is 1."]

_PAPER = "Dhasade et al., ICLR 2026, arXiv:2510.00310"


@behaviour(sees=("own",), formula=r"z_k \to -\beta z_k", source=f"{_PAPER}: flipped logits, black box")
def sign_flip(sight: Sight, *, strength: Annotated[float, Between(0.01, 1000.0, log=True)] = 1.0) -> NDArray[Any]:
    """Turns its logits round: what its model holds for least likely becomes its answer."""
    return sight.scaled(-strength)


@behaviour(
    sees=("own", "peers"),
    formula=r"p_k = \mathbf{1}_c,\; c = \arg\min_c \bar p_c",
    source=f"{_PAPER}: loss maximisation attack (LMA), white box",
)
def loss_maximising(sight: Sight, *, confidence: Confidence = 1.0) -> NDArray[Any]:
    """Names the class that the peers together hold for least likely."""
    return sight.confident(_consensus(sight).argmin(axis=-1), confidence)


@behaviour(
    sees=("own", "peers"),
    formula=r"p_k = \mathbf{1}_c,\; c = \arg\min_c S_{\hat y c},\; S = \mathrm{Cov}_n(\bar p_n)",
    source=f"{_PAPER}: class prior attack (CPA), white box",
)
def class_prior_attack(sight: Sight, *, confidence: Confidence = 1.0) -> NDArray[Any]:
    """Names the class that is least like the one the peers agree on, judged by which classes rise and fall together.

    The similarity of classes is the covariance of the peers' mean answer, here over the queries of the round, in the
    paper over a validation set.
    """
    consensus = _consensus(sight).astype(np.float64)
    centred = consensus - consensus.mean(axis=0)
    similarity = centred.T @ centred / len(consensus)  # (class, class)
    return sight.confident(similarity.argmin(axis=-1)[consensus.argmax(axis=-1)], confidence)


@behaviour(
    sees=("own", "peers"),
    formula=r"p_k = \mathbf{1}_c,\; c \text{ second in } \bar p",
    source=f"{_PAPER}: strongest inverted attack (SIA); white box with a leak, black box without",
)
def strongest_inverted(sight: Sight, *, confidence: Confidence = 1.0) -> NDArray[Any]:
    """Names the runner-up: the class that needs the least push to overtake the one the peers agree on."""
    consensus = _consensus(sight)
    return sight.confident(_most_likely_but(consensus, consensus.argmax(axis=-1)), confidence)


@behaviour(
    sees=("own", "peers", "labels"),
    formula=r"p_k = \mathbf{1}_c,\; c = \arg\max_{c \ne y} \bar p_c",
    source=f"{_PAPER}: SIA, with the truth known",
)
def informed_inversion(sight: Sight, *, confidence: Confidence = 1.0) -> NDArray[Any]:
    """Names the likeliest wrong class, knowing the truth; where nobody tells it, what it takes for the truth."""
    consensus, truth = _consensus(sight), sight.truth()
    return sight.confident(
        _most_likely_but(consensus, consensus.argmax(axis=-1) if truth is None else truth), confidence
    )


def _consensus(sight: Sight) -> NDArray[np.floating[Any]]:
    """Mean probabilities of the peers that were heard, (query, class); the party's own where nobody was."""
    heard = sight.heard()
    return np.mean(list(heard.values()), axis=0) if heard else sight.probabilities()


def _most_likely_but(probabilities: NDArray[Any], excluded: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """The likeliest class other than the excluded one, (query,)."""
    masked = np.array(probabilities, dtype=np.float64)
    masked[np.arange(len(masked)), excluded] = -np.inf
    return np.asarray(masked.argmax(axis=-1))
