"""Sights of attackers on models whose leaks are known by construction."""

import numpy as np

from fi_workbench.core.arrays import softmax
from fi_workbench.core.randomness import generator
from fi_workbench.privacy.meters import Sample, Sight

N_CLASSES = 3


def blobs(n, seed, n_features=8, spread=1.5):
    """Queries (query, feature) and labels of three overlapping clusters."""
    rng = generator(seed, "blobs")
    labels = rng.integers(N_CLASSES, size=n)
    centres = 2 * np.eye(N_CLASSES, n_features)
    return centres[labels] + spread * rng.normal(size=(n, n_features)), labels


def honest(queries):
    """A model of the clusters themselves, (query, class): it knows nothing of any sample."""
    return softmax(2 * queries[:, :N_CLASSES] / 1.5**2)


def sight(seen_of, n=200, seed=0, **more):
    """`seen_of(part, queries, labels)` says what is seen of the samples of one use."""
    parts = {}
    for place, part in enumerate(("members", "non_members", "reference", "probes")):
        queries, labels = blobs(n, 10 * seed + place)
        parts[part] = Sample(queries, labels, seen_of(part, queries, labels))
    queries, labels = blobs(n, 10 * seed + 5)
    held_out = blobs(n, 10 * seed + 6)[0]
    more = {"own": (queries, labels), "held_out": (held_out, honest(held_out)), "prior": np.full(3, 1 / 3)} | more
    return Sight(**parts, **more)


def surer(part, queries, labels, by=2.0):
    """What an overfitted model shows: `by` more of logit for the true label of its members."""
    logits = np.log(honest(queries))
    if part == "members":
        logits[np.arange(len(labels)), labels] += by
    return softmax(logits)


def fair(part, queries, labels):
    """What a model shows that treats everybody alike."""
    return honest(queries)


def constant(part, queries, labels):
    """What a party of constants shows."""
    return np.tile([0.5, 0.3, 0.2], (len(labels), 1))
