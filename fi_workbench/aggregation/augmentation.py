"""Rules in which a party asks its own model again about slightly rotated images: test-time augmentation.

Sources: M. S. Ayhan, P. Berens, Test-time data augmentation for estimation of heteroscedastic aleatoric uncertainty in
deep neural networks, MIDL 2018; weights by instability as in FedSEI (arXiv:2603.02214). What a rotation costs is one
more answer of every model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform

from fi_workbench.aggregation.normalise import one, simplex_component, weighted_mean
from fi_workbench.aggregation.rule import Component, LocalView, OnAbsence, Summand, sum_rule
from fi_workbench.aggregation.voting import mean_components, mean_probabilities
from fi_workbench.core.arrays import TINY, Queries, check_answer, log_softmax, to_logits, to_simplex
from fi_workbench.core.errors import DoesNotFit, InvalidQuery
from fi_workbench.core.options import Between, OneOf

N_TOP = 5
"""Instability is that of the logits of the classes that lead before rotation."""

LOG_WEIGHT = 20.0
"""Logarithms of weights are clipped here, either side, so that a summand has bounds."""

NRotations = Annotated[int, Between(1, 32), "Rotated copies of each image; each is one more answer of the model."]
Degrees = Annotated[float, Between(0.1, 45), "The largest rotation, either way."]
Seed = Annotated[int, Between(0, 2**31 - 1), "Of the angles, the same for all parties."]
Distance = Annotated[str, OneOf("l2", "cosine", "kl", "js"), "Between the top logits before and after a rotation."]
Sign = Annotated[str, OneOf("reference", "corrected"), "exp(+gamma i), as the reference has it, or exp(-gamma i)."]
Gamma = Annotated[float, Between(0, 20), "How fast weight changes with instability."]


def rotated(images: Queries, degrees: float) -> NDArray[np.float32]:
    """Images turned about their centre, (query, ..., height, width) as given.

    Bilinear; what comes in from outside repeats the edge, which is background in any normalisation.

    Raises
    ------
    InvalidQuery
        The queries are no images.
    """
    images = np.asarray(images)
    if images.ndim < 3 or min(images.shape[-2:]) < 2:
        raise InvalidQuery(
            f"Queries have shape {images.shape}; rotation needs images (query, ..., height, width). "
            "Choose a rule that asks once, such as soft_vote."
        )
    turn = math.radians(degrees)
    plane = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    centre = (np.array(images.shape[-2:]) - 1) / 2
    # one call for all images: the first axis stays where it is
    matrix, offset = np.eye(3), np.zeros(3)
    matrix[1:, 1:], offset[1:] = plane, centre - plane @ centre
    stacked = images.reshape(-1, *images.shape[-2:]).astype(np.float32)
    turned = affine_transform(stacked, matrix, offset, order=1, mode="nearest")
    return np.asarray(turned.reshape(images.shape))


def angles(n_rotations: int, degrees: float, seed: int) -> NDArray[np.float64]:
    """Angles in degrees, (rotation,), uniform from ``-degrees`` to ``degrees``."""
    return np.random.default_rng(seed).uniform(-degrees, degrees, n_rotations)


def _asked_again(view: LocalView, n_rotations: int, degrees: float, seed: int) -> Iterator[NDArray[Any]]:
    """The model's checked answers to the rotated queries, one rotation after the other, as declared in the view."""
    if view.queries is None or view.predict is None:
        raise DoesNotFit("This rule asks each party's model again; there are answers only, no queries.")
    n_queries, n_classes = view.values.shape
    for angle in angles(n_rotations, degrees, seed):
        answer = view.predict(rotated(view.queries, float(angle)))
        yield check_answer(answer, view.outputs, n_queries, n_classes, "The party's model, asked again,")


@sum_rule(
    components=mean_components,
    finish=mean_probabilities,
    asks_again=True,
    formula=r"\frac{1}{K} \sum_k \frac{1}{T} \sum_t p_k(c \mid R_t x)",
    source="Ayhan & Berens 2018 (MIDL); FedSEI, arXiv:2603.02214",
)
def tta_soft(view: LocalView, *, n_rotations: NRotations = 8, degrees: Degrees = 5.0, seed: Seed = 0) -> Summand:
    """Each party answers the mean of its probabilities on slightly rotated copies of the image; then the mean.

    The image as it came is left out, as in the reference. Images only.
    """
    turned = [to_simplex(answer, view.outputs) for answer in _asked_again(view, n_rotations, degrees, seed)]
    mean = np.mean(turned, axis=0)
    return {"probabilities": mean, "count": one(mean)}


def instability(before: NDArray[Any], after: NDArray[Any], distance: str) -> NDArray[np.floating[Any]]:
    """How far the logits of the top 5 classes moved, (query,), 0 or more.

    Both are centred over these classes, which no softmax sees, so that models which return probabilities are treated
    alike.

    Parameters
    ----------
    before, after : array (query, class)
        Logits.
    distance : {"l2", "cosine", "kl", "js"}
        KL of the softmax over these classes, before against after; JS with logarithms to base e.
    """
    top = np.argsort(-before, axis=-1, kind="stable")[:, :N_TOP]
    old, new = (np.take_along_axis(logits, top, axis=-1).astype(np.float64) for logits in (before, after))
    old, new = (logits - logits.mean(axis=-1, keepdims=True) for logits in (old, new))
    if distance == "l2":
        return np.asarray(np.linalg.norm(new - old, axis=-1))
    if distance == "cosine":
        lengths = np.linalg.norm(old, axis=-1) * np.linalg.norm(new, axis=-1)
        cosine = np.where(lengths > TINY, (old * new).sum(axis=-1) / np.maximum(lengths, TINY), 1.0)
        return np.asarray(np.maximum(1.0 - cosine, 0.0))
    log_old, log_new = log_softmax(old), log_softmax(new)
    if distance == "kl":
        return _divergence(log_old, log_new)
    log_mean = np.logaddexp(log_old, log_new) - math.log(2.0)
    return np.asarray(0.5 * (_divergence(log_old, log_mean) + _divergence(log_new, log_mean)))


def _divergence(log_p: NDArray[Any], log_q: NDArray[Any]) -> NDArray[np.floating[Any]]:
    return np.asarray(np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=-1), 0.0))


def _instability_components(
    _n_classes: int, _on_absence: OnAbsence, *, sign: Sign = "reference"
) -> Mapping[str, Component]:
    # instability is 0 or more, so its sign says on which side of one the weights are
    lower, upper = (1.0, math.exp(LOG_WEIGHT)) if sign == "reference" else (math.exp(-LOG_WEIGHT), 1.0)
    return {
        "weighted": simplex_component(upper),
        "weight": Component("query", lower, upper, l1=upper - lower, l2=upper - lower),
    }


@sum_rule(
    components=_instability_components,
    finish=weighted_mean,
    uses="logits",
    asks_again=True,
    formula=r"\sum_k w_k p_k(c) \,/ \sum_k w_k, \quad w_k = e^{\pm\gamma i_k}, \; "
    r"i_k = \frac{1}{T} \sum_t d(z_k(x), z_k(R_t x))",
    source="FedSEI, arXiv:2603.02214",
)
def tta_instability(
    view: LocalView,
    *,
    n_rotations: NRotations = 8,
    degrees: Degrees = 5.0,
    seed: Seed = 0,
    distance: Distance = "l2",
    sign: Sign = "reference",
    gamma: Gamma = 1.0,
) -> Summand:
    """Weights exp(+gamma i), i how far a party's top logits move under rotation; "corrected" is exp(-gamma i).

    The reference weighs by exp(+gamma i), so that the less steady party counts for more; sign="corrected" weighs by
    exp(-gamma i), so that it counts for less. The answer that is weighted is the one on the image as it came. Images
    only.
    """
    moved = [
        instability(view.logits, to_logits(answer, view.outputs), distance)
        for answer in _asked_again(view, n_rotations, degrees, seed)
    ]
    exponent = np.minimum(gamma * np.mean(moved, axis=0), LOG_WEIGHT)
    weight = np.exp(exponent if sign == "reference" else -exponent)
    return {"weighted": weight[:, None] * view.probabilities, "weight": weight}
