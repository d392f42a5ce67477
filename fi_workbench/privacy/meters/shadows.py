"""``lira_lite``: the offline likelihood-ratio attack, with few shadow models.

Carlini et al., IEEE S&P 2022, arXiv:2112.03570, sections V and VI.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.options import Between, OneOf
from fi_workbench.core.randomness import derive_seed, generator
from fi_workbench.privacy.meters.contract import Measured, OnStep, leakage_meter
from fi_workbench.privacy.meters.membership import LEAST, logit_confidence
from fi_workbench.privacy.meters.separation import by_chance, separation
from fi_workbench.privacy.meters.sight import Sample, Sight
from fi_workbench.privacy.meters.students import Scaling, taught_labels


@leakage_meter(needs=("members", "non_members", "reference", "own"), chance=by_chance)
def lira_lite(
    sight: Sight,
    seed: int,
    on_step: OnStep,
    *,
    n_shadows: Annotated[int, Between(2, 64), "Models that the attacker trains to imitate the target."] = 8,
    architecture: Annotated[str, OneOf("linear", "mlp"), "Of the shadow models."] = "mlp",
    n_epochs: Annotated[int, Between(1, 200), "Passes over the samples of each."] = 30,
) -> Measured:
    """Membership by likelihood ratio.

    Shadow models, trained on the attacker's own samples, say how sure a model is of a query that it was not trained on;
    whoever is surer than that was trained on it. Each query has its own yardstick, so that hard ones are not taken for
    strangers.

    The confidence is taken as normal on the logit scale, with the mean of the shadows and one variance for all queries,
    as is best with few of them. How the target differs from a shadow (in size, in classes, in being one of several
    whose sum is seen) is fitted away by a line, with an offset per class, on the reference.
    """
    from sklearn.linear_model import Ridge  # noqa: PLC0415 (scikit-learn takes seconds to import)

    own_queries, own_labels = sight.pair("own")
    samples = [sight.sample("members"), sight.sample("non_members"), sight.sample("reference")]
    scaling, n_classes = Scaling.of(own_queries), samples[0].n_classes
    own, asked = scaling(own_queries), np.concatenate([scaling(sample.queries) for sample in samples])
    labels = np.concatenate([sample.labels for sample in samples])
    without = np.empty((n_shadows, len(labels)))
    for shadow in range(n_shadows):
        on_step(f"shadow model {shadow + 1} of {n_shadows}", shadow / n_shadows)
        rng = generator(seed, "shadow", shadow)
        half = rng.permutation(len(own))[: max(1, len(own) // 2)]
        model = taught_labels(
            own[half], np.asarray(own_labels)[half], n_classes, "mlp" if architecture == "mlp" else "linear", n_epochs,
            derive_seed(seed, "shadow", shadow),
        )  # fmt: skip
        p = np.clip(model(asked)[np.arange(len(labels)), labels], LEAST, 1 - LEAST)
        without[shadow] = np.log(p) - np.log1p(-p)
    *expected, fitted = np.split(without.mean(axis=0), np.cumsum([len(sample) for sample in samples])[:-1])
    line = Ridge(alpha=1.0).fit(_explained(fitted, samples[2]), logit_confidence(samples[2]))
    surplus = [
        logit_confidence(sample) - line.predict(_explained(mean, sample))
        for mean, sample in zip(expected, samples, strict=False)
    ]
    # one variance for all: the surplus ranks as its probability under a non-member does
    return separation(surplus[0], surplus[1], seed)


def _explained(mean: NDArray[np.float64], sample: Sample) -> NDArray[np.float64]:
    """What the line is fitted on, (query, 1 + class): the shadows' mean, and the true label."""
    return np.concatenate([mean[:, None], np.eye(sample.n_classes)[sample.labels]], axis=1)
