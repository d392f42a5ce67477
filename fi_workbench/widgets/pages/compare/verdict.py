"""Which rule does best, which fails, and where: a comparison in two sentences, and the parties behind it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fi_workbench.session.comparison import Comparison
from fi_workbench.widgets.wording import listed, per_cent

KNOWN = 0.5
"""A party that gets at least this share of a class right knows it."""


def party_shares(comparison: Comparison) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Who answered, and how often each alone is right on each class, (party, class); NaN where none was asked.

    Nobody where each answer is not shown, or without true labels.
    """
    record = comparison.record
    if record.answers is None or record.truth is None:
        return (), np.zeros((0, len(record.classes)))
    rows = [record.parties.index(name) for name in record.present]
    right = record.answers[rows].argmax(axis=2) == record.truth  # (party, query)
    asked = record.truth == np.arange(len(record.classes))[:, None]  # (class, query)
    nothing = np.full((len(rows), len(asked)), np.nan)
    n_asked = asked.sum(axis=1)
    return tuple(record.present), np.divide(right.astype(float) @ asked.T, n_asked, out=nothing, where=n_asked > 0)


def verdict(comparison: Comparison) -> str:
    """Best and worst rule, the class that makes most of the difference, and who knows it; "" without true labels."""
    truth = comparison.truth
    if truth is None or not comparison.outcomes:
        return ""
    n_right = [one.n_right or 0 for one in comparison.figures[: len(comparison.outcomes)]]
    best, worst = (comparison.outcomes[int(place(n_right))] for place in (np.argmax, np.argmin))
    n_most, n_least = max(n_right), min(n_right)
    if n_most == n_least:
        alike = "All of them are" if len(n_right) > 1 else f"{best.title} is"
        return f"{alike} right on {per_cent(n_most / len(truth))}."
    ahead = (best.labels == truth).astype(int) - (worst.labels == truth)
    n_ahead = np.bincount(truth, weights=ahead, minlength=len(comparison.record.classes))
    hard = int(n_ahead.argmax())
    here = truth == hard
    said = worst.labels[here & (worst.labels != truth)]
    name, classes = comparison.record.classes[hard], comparison.record.classes
    behind = 100.0 * (n_most - n_least) / len(truth)
    shares = [float((one.labels[here] == hard).mean()) for one in (worst, best)]
    return (
        f"Best: {best.title}, {per_cent(n_most / len(truth))}. Worst: {worst.title}, {behind:.3g} "
        f"point{'' if f'{behind:.3g}' == '1' else 's'} behind. It loses most on class {name}: "
        f"{per_cent(shares[0])} right, against {per_cent(shares[1])}; it mostly says "
        f"{classes[int(np.bincount(said).argmax())]} instead.{_knowing(comparison, hard)}"
    )


def _knowing(comparison: Comparison, hard: int) -> str:
    """Which parties know a class."""
    names, shares = party_shares(comparison)
    if not names:
        return ""
    ranked = np.argsort(-shares[:, hard], kind="stable")
    knowing = [k for k in ranked if shares[k, hard] >= KNOWN]
    if not knowing:
        top = ranked[0]
        return f" No party knows that class well; {names[top]} does best, right on {per_cent(shares[top, hard])}."
    if len(knowing) == len(names):
        return " Every party knows that class."
    told = [f"{names[k]} ({per_cent(shares[k, hard])} right)" for k in knowing]
    which = "Only" if 2 * len(knowing) <= len(names) else "Of the parties,"
    return f" {which} {listed(told)} {'knows' if len(told) == 1 else 'know'} that class."
