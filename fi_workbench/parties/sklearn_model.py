"""A scikit-learn classifier as a function of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Outputs, Queries, to_logits
from fi_workbench.core.errors import InvalidParty


class SklearnModel:
    """Array (query, *input_shape) -> array (query, class), through ``predict_proba``.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Fitted; not copied.
    classes : tuple of str
        The class axis of the answers.
    n_features : int
        Length of one flattened query.
    outputs : {"probabilities", "logits"}
        Logits are the logarithms of the probabilities.
    who : str
        Name of the party, for messages.

    Raises
    ------
    InvalidParty
        No ``predict_proba``, not fitted, other classes, or another number of features.
    """

    def __init__(
        self, estimator: Any, classes: tuple[str, ...], *, n_features: int, outputs: Outputs, who: str
    ) -> None:
        kind = type(estimator).__name__
        if not callable(getattr(estimator, "predict_proba", None)):
            raise InvalidParty(
                f"Party {who!r}: {kind} gives no probabilities. Wrap it in sklearn.calibration.CalibratedClassifierCV, "
                'or give its scores with Party.from_callable(..., outputs="logits").'
            )
        seen = getattr(estimator, "classes_", None)
        if seen is None:
            raise InvalidParty(f"Party {who!r}: {kind} is not fitted; call fit first.")
        expected = getattr(estimator, "n_features_in_", n_features)
        if expected != n_features:
            raise InvalidParty(
                f"Party {who!r}: {kind} was fitted on {expected} features, but input_shape has {n_features} values."
            )
        self.estimator = estimator
        self.n_classes = len(classes)
        self.outputs = outputs
        self.positions = _positions(seen, classes, f"Party {who!r}")

    def __call__(self, queries: Queries) -> NDArray[np.floating[Any]]:
        """Answer a batch."""
        given = np.asarray(self.estimator.predict_proba(queries.reshape(len(queries), -1)))
        probabilities = np.zeros((len(queries), self.n_classes), dtype=given.dtype)
        probabilities[:, self.positions] = given
        return probabilities if self.outputs == "probabilities" else to_logits(probabilities, "probabilities")


def _positions(seen: Any, classes: tuple[str, ...], who: str) -> list[int]:
    """For each column of the estimator, its position in ``classes``."""
    if isinstance(seen, list):
        raise InvalidParty(f"{who}: the estimator predicts several targets; one is needed.")
    labels = [label.item() if isinstance(label, np.generic) else label for label in seen]
    if all(isinstance(label, str) for label in labels):
        unknown = [label for label in labels if label not in classes]
        positions = [classes.index(label) for label in labels if label in classes]
    else:
        whole = [label for label in labels if isinstance(label, int | float) and float(label).is_integer()]
        positions = [int(label) for label in whole if 0 <= label < len(classes)]
        unknown = [label for label in labels if label not in positions]
    if unknown:
        raise InvalidParty(
            f"{who}: the estimator was fitted on classes {unknown} that are not among {classes}; fit it on these names "
            f"or on their positions 0 to {len(classes) - 1}."
        )
    return positions
