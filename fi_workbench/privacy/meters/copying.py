"""``extraction``: a copy of the target's model, trained on what its answers show.

Tramer et al., USENIX Security 2016, arXiv:1609.02943; here on whole answers, as in Hinton et al., arXiv:1503.02531.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.options import Between, OneOf
from fi_workbench.core.randomness import derive_seed, generator
from fi_workbench.privacy.meters.contract import Curve, Measured, OnStep, Reading, leakage_meter
from fi_workbench.privacy.meters.intervals import clopper_pearson
from fi_workbench.privacy.meters.sight import MIN_SAMPLES, Sight
from fi_workbench.privacy.meters.students import Architecture, Scaling, taught_answers


def _by_chance(n_classes: int, _prior: NDArray[np.float64] | None) -> tuple[tuple[str, float], ...]:
    return (("agreement", 1 / n_classes),)


@leakage_meter(needs=("probes", "held_out"), chance=_by_chance)
def extraction(
    sight: Sight,
    seed: int,
    on_step: OnStep,
    *,
    n_points: Annotated[int, Between(1, 10), "Points of the curve of agreement against queries spent."] = 5,
    architecture: Annotated[str, OneOf("linear", "mlp"), "Of the student."] = "mlp",
    n_epochs: Annotated[int, Between(1, 500), "Passes over the queries."] = 60,
) -> Measured:
    """Copying the model.

    A student is trained on queries and what is seen of their answers; on queries that were not asked, how often does it
    give the label that the target's own model gives? The baseline is the same student, taught by the true labels of the
    same queries: only what lies above it was learnt from the target.
    """
    probes, (queries, teacher) = sight.sample("probes"), sight.pair("held_out")
    kind: Architecture = "mlp" if architecture == "mlp" else "linear"
    order = generator(seed, "probes").permutation(len(probes))
    scaling = Scaling.of(probes.queries)
    features, held_out, wanted = scaling(probes.queries)[order], scaling(queries), np.asarray(teacher).argmax(axis=1)
    answers, truth = probes.scores[order], np.eye(probes.n_classes)[probes.labels[order]]

    def n_agree(n_queries: int, taught: NDArray[Any]) -> int:
        student = taught_answers(
            features[:n_queries], taught[:n_queries], kind, n_epochs, derive_seed(seed, "student", n_queries)
        )
        return int((student(held_out).argmax(axis=1) == wanted).sum())

    sizes = np.unique(np.geomspace(MIN_SAMPLES, len(probes), n_points).astype(int)) if n_points > 1 else [len(probes)]
    hits = []
    for place, n_queries in enumerate(sizes):
        on_step(f"student of {n_queries} queries", place / (len(sizes) + 1))
        hits.append(n_agree(int(n_queries), answers))
    on_step("student of the true labels", len(sizes) / (len(sizes) + 1))
    baseline = n_agree(len(probes), truth) / len(wanted)
    bounds = np.array([clopper_pearson(k, len(wanted)) for k in hits])
    share = np.array(hits) / len(wanted)
    note = f"after {len(probes)} queries; on {len(wanted)} others"
    low, high = map(float, bounds[-1])
    reading = Reading("agreement", float(share[-1]), low, high, len(wanted), baseline, note)
    curve = Curve("queries spent", "agreement", np.asarray(sizes, float), share, bounds[:, 0], bounds[:, 1])
    return Measured((reading,), curve)
