"""What learned combiners are tested on: labelled answers, and combiners of known weights."""

import numpy as np

from fi_workbench.aggregation.combiner import Combiner, Training

QUICK = {"stacked": {"l2": 0.01}, "deep_set": {"epochs": 3, "width": 8}}


def market(n_queries=400, n_classes=4, n_parties=5, seed=0):
    """Logits and labels: a party knows one class, which it sees in another too, and of the rest it is less sure."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n_queries)
    logits = rng.normal(0, 1, (n_parties, n_queries, n_classes))
    for k in range(n_parties):
        own = k % n_classes
        logits[k, (labels == own) | (labels == (own + 1) % n_classes), own] += 4
        elsewhere = labels != own
        logits[k, elsewhere, labels[elsewhere]] += 1
    return logits, labels


def accuracy(scores, labels):
    return (scores.argmax(axis=1) == labels).mean()


def random_combiner(kind="deep_set", n_parties=3, n_classes=4, width=6, seed=0):
    rng = np.random.default_rng(seed)
    if kind == "stacked":
        weights = {"weight": rng.normal(size=(n_parties, n_classes, n_classes)), "bias": rng.normal(size=n_classes)}
    else:
        sizes = [n_classes, width, width, width, n_classes]
        weights = {f"weight_{i}": rng.normal(size=(sizes[i - 1], sizes[i])) for i in range(1, 5)}
        weights |= {f"bias_{i}": rng.normal(size=sizes[i]) for i in range(1, 5)}
    plain = {name: array.astype(np.float32) for name, array in weights.items()}
    parties = tuple("ABCDEFGH"[:n_parties])
    return Combiner(kind, parties, n_classes, plain, {"seed": seed}, Training(40, 0.75, 1.25))


def through_identity(n_classes):
    """A deep set whose encoder and decoder change nothing that is not negative."""
    same, none = np.eye(n_classes, dtype=np.float32), np.zeros(n_classes, dtype=np.float32)
    weights = {f"weight_{i}": same for i in range(1, 5)} | {f"bias_{i}": none for i in range(1, 5)}
    return Combiner("deep_set", ("A",), n_classes, weights)
