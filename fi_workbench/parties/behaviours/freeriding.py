"""Free riders: parties that want a larger share than their model deserves.

Four of them answer falsely, to game rewards that are computed without labels (such as those of arXiv:2603.02214); two
answer truly, and lie about their training data, or about how often their label was the released one.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import Refused
from fi_workbench.core.options import Between, OneOf
from fi_workbench.parties.behaviours.contract import behaviour
from fi_workbench.parties.behaviours.sight import Facts, Sight

Confidence = Annotated[float, Between(0.5, 1.0), "Probability that it puts on the class it names."]


@behaviour(sees=("own", "peers"), formula=r"p_k = p_j,\; j = \arg\max_{j \ne k} \mathrm{standing}_j")
def copy_peer(
    sight: Sight,
    *,
    peer: Annotated[str, "Whom it copies; empty: the best it knows of."] = "",
    otherwise: Annotated[str, OneOf("own", "abstain"), "What it does where it hears nobody."] = "own",
) -> NDArray[Any]:
    """Repeats a peer's answer that it read off the wire. Where nothing can be read in time it gives its own answer.

    The best peer is the one of highest standing; where nothing is known of any, the one that agrees most often with
    the soft vote of all that was heard.

    Raises
    ------
    Refused
        It hears nobody and is set to abstain then.
    """
    heard = sight.heard()
    chosen = peer if peer in heard else "" if peer else _best(sight, heard)
    if chosen:
        return sight.as_declared(heard[chosen])
    if otherwise == "abstain":
        raise Refused("this party abstains: it has nobody to copy.")
    return sight.own


def _best(sight: Sight, heard: dict[str, NDArray[np.floating[Any]]]) -> str:
    if not heard:
        return ""
    if known := {name: sight.standing[name] for name in heard if name in sight.standing}:
        return max(sorted(known), key=known.__getitem__)
    stacked = np.stack(list(heard.values()))  # (party, query, class)
    agreement = (stacked.argmax(axis=-1) == stacked.mean(axis=0).argmax(axis=-1)).mean(axis=1)
    return list(heard)[int(agreement.argmax())]


@behaviour(formula=r"p_k = \mathbf{1}_c")
def constant_label(
    sight: Sight,
    *,
    label: Annotated[int, Between(0, 10_000), "Index of the class; past the last one, the last."] = 0,
    confidence: Confidence = 1.0,
) -> NDArray[Any]:
    """Names the same class on every query, whatever its model says."""
    named = np.full(sight.n_queries, min(label, sight.n_classes - 1))
    return sight.confident(named, confidence)


@behaviour(formula=r"p_k = \mathbf{1}_c,\; c \sim U\{1..C\}")
def random_confident(sight: Sight, *, confidence: Confidence = 1.0) -> NDArray[Any]:
    """Names a random class on each query and is sure of it, whatever its model says."""
    return sight.confident(sight.rng.integers(sight.n_classes, size=sight.n_queries), confidence)


@behaviour(sees=("own",), formula=r"z_k \to \beta z_k")
def sharpened(sight: Sight, *, factor: Annotated[float, Between(1.0, 1000.0, log=True)] = 10.0) -> NDArray[Any]:
    """Multiplies its logits: the same labels, with a certainty that its model does not have."""
    return sight.scaled(factor)


def claim_more(
    facts: Facts,
    *,
    n_per_class: Annotated[int, Between(0, 10_000_000), "Training samples claimed of each class."] = 6000,
) -> Facts:
    """The same number of training samples for every class; only facts that the party holds are claimed."""
    claimed = dict(facts)
    if "class_counts" in facts:
        claimed["class_counts"] = np.full_like(np.asarray(facts["class_counts"]), n_per_class)
        claimed["data_size"] = int(claimed["class_counts"].sum())
    elif "data_size" in facts:
        claimed["data_size"] = max(int(facts["data_size"]), n_per_class)
    return claimed


@behaviour(sees=("own",), facts=claim_more, formula=r"n_{kc} \to n \;\forall c")
def over_claimed_counts(sight: Sight) -> NDArray[Any]:
    """Answers truly and claims many training samples of every class, so that rules by competence believe it in all."""
    return sight.own


def claim_all(_n_agreed: int, n_queries: int) -> int:
    """Every label, whatever it gave."""
    return n_queries


@behaviour(sees=("own",), agreed=claim_all, formula=r"\sum_n \mathbf{1}[y_{kn} = \hat y_n] \to N")
def over_claimed_agreement(sight: Sight) -> NDArray[Any]:
    """Answers truly and says, where it is asked, that every released label was its own."""
    return sight.own
