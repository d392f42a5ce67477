"""Contributions without labels and without coalitions: everybody the same, agreement (seen or told), certainty.

Source: the label-free rewards of FedSEI (arXiv:2603.02214).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import entropy as shannon_entropy
from fi_workbench.incentives.asks import Asks
from fi_workbench.incentives.contribution import ContributionView, contribution_method
from fi_workbench.incentives.estimate import Estimate


@contribution_method(needs="nothing", formula=r"1/K", source="the baseline of every scheme")
def equal(view: ContributionView) -> NDArray[np.floating[Any]]:
    """Every party the same, whatever it answered."""
    return np.full(view.n_parties, 1.0 / view.n_parties)


@contribution_method(
    needs="votes",
    formula=r"\sum_n \mathbf{1}[y_{kn} = \hat y_n] \,/\, \sum_j \mathbf{1}[y_{jn} = \hat y_n]",
    source="FedSEI, arXiv:2603.02214",
    over_queries="sum",
)
def final_agreement(view: ContributionView) -> NDArray[np.floating[Any]]:
    """On each query one point is split among the parties whose vote is the federation's label.

    A query whose label nobody voted for pays nobody. Under the rule ``soft_vote`` this is the reference's scheme; under
    another rule it is agreement with that rule's label. Without scores, the label is the answers' soft vote.
    """
    agrees = view.each_vote == view.final_labels  # (party, query)
    n_agree = agrees.sum(axis=0)
    return np.asarray((agrees / np.maximum(n_agree, 1)).sum(axis=1))


@contribution_method(
    needs="each",
    formula=r"\sum_n e^{-H(p_{kn})} \,/\, \sum_j e^{-H(p_{jn})}",
    source="FedSEI, arXiv:2603.02214",
    over_queries="sum",
)
def entropy(view: ContributionView) -> NDArray[np.floating[Any]]:
    """On each query one point is split among the parties by how certain they are, right or wrong."""
    certainty = np.exp(-shannon_entropy(view.probabilities)).astype(np.float64)  # (party, query)
    return np.asarray((certainty / certainty.sum(axis=0)).sum(axis=1))


def what_agreement_discloses() -> str:
    """What it gives away to tell the parties their labels and to ask how often they agree, in a sentence."""
    return (
        "contributions: after a round its parties, and the coordinator who carries it, are told the released labels; "
        "each party says on how many queries it had given these, one number a round, unchecked. A client that makes "
        "labels up can read single votes off that, so owners who let nobody see votes need not tell."
    )


@contribution_method(
    needs="nothing",
    formula=r"\frac{1}{N} \sum_n \mathbf{1}[y_{kn} = \hat y_n], \text{ by the party's own word}",
    source="agreement as in FedSEI, arXiv:2603.02214, told by the party",
    asks=Asks(what_agreement_discloses, agreement=True),
)
def released_agreement(view: ContributionView) -> Estimate:
    """How often the party had given the label that was released, as it says itself, and signs.

    It works under mechanisms that show no votes. Nobody can check it without the votes: a liar says always, and is
    paid for it; its signature only proves that it said so. Who says nothing counts as never.
    """
    said = np.full(view.n_parties, np.nan) if view.agreed is None else np.asarray(view.agreed, np.float64)
    silent = int(np.isnan(said).sum())
    note = (
        f"{silent} of {view.n_parties} parties did not say how often they agree, and count as never." if silent else ""
    )
    return Estimate(np.nan_to_num(said) / view.n_queries, note=note)
