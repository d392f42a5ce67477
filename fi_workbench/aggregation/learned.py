"""Rules that were learned from labelled proxy queries. A rule runs in numpy; ``fi.fit_combiner`` fits what it runs.

``stacked``: D. H. Wolpert, Stacked generalization, Neural Networks 5(2), 1992, doi:10.1016/S0893-6080(05)80023-1; on
class probabilities, with a linear model: K. M. Ting, I. H. Witten, Issues in stacked generalization, JAIR 10, 1999.

``deep_set``: DeepSet-TM of A. Dhasade et al., Robust federated inference, ICLR 2026, arXiv:2510.00310, over M. Zaheer
et al., Deep sets, NeurIPS 2017. Followed: one encoder for all parties, their mean while training, its coordinate-wise
trimmed mean at inference, a decoder; adversarial training on random subsets of the parties, f of n of them corrupt
(n=17, f=4: hence the default trim of 0.25). Different, as :mod:`fi_workbench.aggregation.fitting` says: the adversary
draws from a list of attacks, of which the gradient attack is one, and the loss is the cross-entropy.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.aggregation.combiner import Combiner, Kind, combiners
from fi_workbench.aggregation.rule import aggregation_rule
from fi_workbench.core.arrays import Answers, Scores, softmax
from fi_workbench.core.errors import DoesNotFit, UnknownName
from fi_workbench.core.options import Between

FLOOR = 1e-4
"""Least probability that ``stacked`` tells apart: below, a logarithm is mostly how overconfident a model is."""

TRIM = 0.25
"""Share trimmed at either end unless told otherwise: 4 of 17, 1 of 5."""

Fitted = Annotated[str, "Name of a fitted combiner: combiners.add(fit_combiner(kind, logits, labels))."]


@aggregation_rule(
    needs="each",
    formula=r"\mathrm{softmax}\!\left(b + \sum_k W_k^\top (\log p_k - \overline{\log p_k})\right)(c)",
    source="Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1",
)
def stacked(answers: Answers, parties: tuple[str, ...], *, combiner: Fitted = "") -> Scores:
    """A logistic regression over all parties' log-probabilities, fitted on labelled queries: whom to trust for what.

    It trusts the parties that it was fitted with and is not robust to one that turns. An absent party counts as one
    that knows nothing (a uniform answer).

    Parameters
    ----------
    answers : array (party, query, class)
        Probabilities of those present.
    parties : tuple of str
        Their names, by which they are matched with those that the combiner was fitted with.
    combiner : str
        Name of a fitted combiner.

    Returns
    -------
    scores : array (query, class)
        A distribution over the classes.

    Raises
    ------
    DoesNotFit
        No such combiner, of another kind or number of classes, or a party that it was not fitted with.
    """
    return scores_of(fitted_combiner("stacked", combiner, answers.shape[-1]), answers, parties)


@aggregation_rule(
    needs="each",
    formula=r"\mathrm{softmax}\,\rho\big(\mathrm{TM}_k\, \varphi(p_k)\big)(c)",
    source="DeepSet-TM, Dhasade et al. 2026, arXiv:2510.00310",
)
def deep_set(
    answers: Answers,
    *,
    combiner: Fitted = "",
    trim: Annotated[
        float, Between(0, 0.5), "Share of parties dropped at either end of each encoded coordinate."
    ] = TRIM,
) -> Scores:
    """A small network that was trained among attackers: each answer is encoded, the extremes dropped, the rest decoded.

    All parties share the encoder, so their order and names do not matter, absences need no care, and parties that were
    not there when it was fitted may answer too. It knows a party only by how its answers look.

    Parameters
    ----------
    answers : array (party, query, class)
        Probabilities of those present.
    combiner : str
        Name of a fitted combiner.
    trim : float
        Of K parties int(trim K) are dropped at either end; one always remains.

    Returns
    -------
    scores : array (query, class)
        A distribution over the classes.

    Raises
    ------
    DoesNotFit
        No such combiner, or of another kind or number of classes.
    """
    return scores_of(fitted_combiner("deep_set", combiner, answers.shape[-1]), answers, trim=trim)


def scores_of(
    fitted: Combiner, answers: Answers, parties: tuple[str, ...] | None = None, *, trim: float = TRIM
) -> Scores:
    """What a fitted combiner answers, (query, class), to probabilities (party, query, class); see the rules.

    Where ``parties`` are not given, they are those that it was fitted with.

    Raises
    ------
    DoesNotFit
        A ``stacked`` one was not fitted with one of ``parties``, or a party answers twice.
    """
    if fitted.kind == "deep_set":
        n_parties = len(answers)
        n_drop = min(int(trim * n_parties), (n_parties - 1) // 2)
        # in the precision of the weights: the encoded answers are the largest arrays here
        ranked = np.sort(_through(fitted, answers.astype(np.float32), 1), axis=0)
        kept = ranked[n_drop : n_parties - n_drop].mean(axis=0)
        return softmax(_through(fitted, kept, 3).astype(np.float64))
    parties = fitted.parties if parties is None else parties
    strangers = sorted(set(parties) - set(fitted.parties))
    if strangers or len(parties) != len(answers) or len(set(parties)) < len(parties):
        wrong = f"not with {', '.join(strangers)}" if strangers else f"and {len(answers)} answer as {list(parties)}"
        raise DoesNotFit(
            f"Combiner {fitted.name} was fitted with {', '.join(fitted.parties)}, {wrong}. {_how('stacked')}"
        )
    rows = [fitted.parties.index(name) for name in parties]
    logs = centred_logs(answers.astype(np.float64), float(fitted.options.get("floor", FLOOR)))
    # a sum over those present: whoever is absent adds the features of a uniform answer, which are 0
    evidence = np.einsum("knc,kcd->nd", logs, fitted.weights["weight"][rows], optimize=True)
    return softmax(evidence + fitted.weights["bias"])


def centred_logs(probabilities: NDArray[Any], floor: float) -> NDArray[np.floating[Any]]:
    """Logarithms of probabilities, at least ``floor``, less their mean over the classes: (..., class)."""
    logs = np.log(np.maximum(probabilities, floor))
    return np.asarray(logs - logs.mean(axis=-1, keepdims=True))


def _through(fitted: Combiner, values: NDArray[Any], layer: int) -> NDArray[Any]:
    """Two dense layers, ``layer`` and the next, with a ReLU between, on the last axis."""
    weights = fitted.weights
    hidden = np.maximum(values @ weights[f"weight_{layer}"] + weights[f"bias_{layer}"], 0.0)
    return np.asarray(hidden @ weights[f"weight_{layer + 1}"] + weights[f"bias_{layer + 1}"])


def fitted_combiner(kind: Kind, name: str, n_classes: int) -> Combiner:
    """The combiner of that name, if it is of this kind and for so many classes.

    Raises
    ------
    DoesNotFit
        It is not; the message says how to fit one.
    CorruptFile
        Its file cannot be read.
    """
    if not name:
        raise DoesNotFit(f"Rule {kind!r} needs a fitted combiner. {_how(kind)}")
    try:
        found = combiners.get(name)
    except UnknownName as error:
        raise DoesNotFit(f"{error} {_how(kind)}") from error
    if found.kind != kind or found.n_classes != n_classes:
        raise DoesNotFit(
            f"Combiner {name} is a {found.kind} one for {found.n_classes} classes; rule {kind!r} needs its own kind "
            f"for {n_classes}. {_how(kind)}"
        )
    return found


def _how(kind: Kind) -> str:
    return (
        f'Fit one: name = fi.combiners.add(fi.fit_combiner("{kind}", logits, labels, parties=names)), '
        "then set combiner=name."
    )
