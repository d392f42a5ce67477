"""Temperature scaling: one number by which a party divides its logits, fitted by its owner on data held out.

Source: C. Guo et al., On calibration of modern neural networks, ICML 2017, arXiv:1706.04599, section 4.2.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from fi_workbench.core.arrays import Outputs, check_answer, check_labels, log_softmax, to_logits
from fi_workbench.core.errors import InvalidAnswer

COOLEST, HOTTEST = 0.1, 10.0
"""A model that is right on all of its held-out data would be cooled without end; one that is at chance, heated."""


def fit_temperature(values: ArrayLike, labels: ArrayLike, outputs: Outputs = "logits") -> float:
    """The temperature that makes a model's answers most likely to have produced the labels.

    Parameters
    ----------
    values : array (query, class)
        The model's answers to held-out queries, on which it was not trained.
    labels : array (query,)
        Their true labels.
    outputs : {"logits", "probabilities"}
        What ``values`` are.

    Returns
    -------
    float
        From 0.1 to 10; above 1 the model was too sure.

    Raises
    ------
    InvalidAnswer, InvalidQuery
        Answers or labels of wrong shape, NaN, or labels outside the classes.

    Examples
    --------
    >>> fit_temperature([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0]], [0, 0, 1]) > 1  # sure, and wrong one time in three
    True
    """
    array = np.asarray(values)
    if array.ndim != 2 or 0 in array.shape:
        raise InvalidAnswer(f"The model's answers have shape {array.shape}; (query, class), none of them 0, is needed.")
    n_queries, n_classes = array.shape
    logits = to_logits(check_answer(array, outputs, n_queries, n_classes, "The model"), outputs).astype(np.float64)
    truth = check_labels(labels, n_queries, n_classes)

    def negative_log_likelihood(log_temperature: float) -> float:
        log_p = log_softmax(logits / math.exp(log_temperature))
        return -float(log_p[np.arange(n_queries), truth].mean())

    found = minimize_scalar(
        negative_log_likelihood,
        bounds=(math.log(COOLEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return math.exp(float(found.x))
