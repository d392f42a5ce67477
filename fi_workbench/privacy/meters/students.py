"""Small networks that an attacker trains: on labels to imitate a party, on answers to copy one.

scikit-learn's, one pass over the samples at a time: so they can be stopped, and never warn of not having converged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels, Queries

Architecture = Literal["linear", "mlp"]
"""No hidden layer, or one."""

_HIDDEN: dict[Architecture, tuple[int, ...]] = {"linear": (), "mlp": (64,)}


@dataclass(frozen=True, eq=False)
class Scaling:
    """Features as the attacker's own samples have them: flattened, each with mean 0 and deviation 1 there."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, queries: Queries) -> Scaling:
        """From samples (query, *input_shape)."""
        flat = _flat(queries)
        deviation = flat.std(axis=0)
        return cls(flat.mean(axis=0), np.where(deviation > 0, deviation, 1.0))

    def __call__(self, queries: Queries) -> NDArray[np.float64]:
        """(query, feature)."""
        return np.asarray((_flat(queries) - self.mean) / self.deviation)


def _flat(queries: Queries) -> NDArray[np.float64]:
    return np.asarray(queries, dtype=np.float64).reshape(len(queries), -1)


def taught_labels(
    features: NDArray[np.float64], labels: Labels, n_classes: int, architecture: Architecture, n_epochs: int, seed: int
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A classifier trained on labels: (query, feature) -> probabilities (query, class)."""
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 (scikit-learn takes seconds to import)

    model = MLPClassifier(**_settings(architecture, len(features), seed))
    for _ in range(n_epochs):
        model.partial_fit(features, labels, classes=np.arange(n_classes))
    return lambda asked: np.asarray(model.predict_proba(asked))


def taught_answers(
    features: NDArray[np.float64], answers: NDArray[Any], architecture: Architecture, n_epochs: int, seed: int
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """A student trained on whole answers (query, class): (query, feature) -> answers like these."""
    from sklearn.neural_network import MLPRegressor  # noqa: PLC0415 (as above)

    model = MLPRegressor(**_settings(architecture, len(features), seed))
    for _ in range(n_epochs):
        model.partial_fit(features, answers)
    return lambda asked: np.asarray(model.predict(asked)).reshape(len(asked), -1)


def _settings(architecture: Architecture, n_samples: int, seed: int) -> dict[str, Any]:
    return {
        "hidden_layer_sizes": _HIDDEN[architecture],
        "batch_size": min(32, n_samples),
        "learning_rate_init": 3e-3,
        "random_state": seed % 2**32,
    }
