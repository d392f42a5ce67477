"""A gaming matrix as shades, sentences and a tidy table."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fi_workbench.session.gaming_result import GamingMatrix
from fi_workbench.widgets.wording import in_sentence, per_cent, title

FULL_GAIN = 10.0
"""A share multiplied or divided by this has the full shade."""

LEAST_POINTS = 5.0
"""The scale of costs reaches at least so many points of accuracy."""

_DOING = {
    "copy_peer": "Copying the best peer",
    "constant_label": "Always giving the same label",
    "random_confident": "Answering at random, confidently",
    "sharpened": "Sharpening its logits",
    "over_claimed_counts": "Over-claiming its class counts",
    "sign_flip": "Turning its logits round",
    "loss_maximising": "Naming the least likely class",
    "class_prior_attack": "Naming the class least like the agreed one",
    "strongest_inverted": "Naming the runner-up",
    "informed_inversion": "Naming the likeliest wrong class",
    "abstain": "Abstaining",
    "slow": "Answering too late",
    "garbage": "Sending garbage",
}

SUMMARY = (
    {"name": "behaviour"},
    {"name": "gains most under"},
    {"name": "share", "unit": "×", "kind": "number"},
    {"name": "costs most under"},
    {"name": "accuracy lost", "unit": "points", "kind": "percent"},
    {"name": "audit of claims"},
)
"""Columns of :func:`summary_rows`."""

Measure = Literal["gain", "cost"]


@dataclass(frozen=True, eq=False)
class Drawn:
    """One heat map of a gaming matrix, as a view takes it.

    Parameters
    ----------
    columns : tuple of str
    values, shades : array (behaviour, method)
        Shades are negative (brown) where cheating pays or harms.
    sentences : tuple of str
        One per cell, row after row.
    legend : tuple of (float, str)
    summary : str
        The worst cell, in words.
    """

    columns: tuple[str, ...]
    values: NDArray[np.float64]
    shades: NDArray[np.float64]
    sentences: tuple[str, ...]
    legend: tuple[tuple[float, str], ...]
    summary: str


def gain_map(result: GamingMatrix, protection: int) -> Drawn:
    """The cheater's share multiplied, by behaviour and reward."""
    values = result.gain[protection]
    with np.errstate(divide="ignore"):
        shades = np.clip(-np.log(values) / math.log(FULL_GAIN), -1.0, 1.0)
    legend = ((-1.0, f"× {FULL_GAIN:g} cheating pays"), (0.0, "× 1"), (1.0, f"÷ {FULL_GAIN:g}"))
    return _drawn(result, "gain", result.rewards, values, shades, legend)


def cost_map(result: GamingMatrix, protection: int) -> Drawn:
    """Accuracy lost as a share, by behaviour and rule; one scale for both protections."""
    known = np.abs(result.cost[np.isfinite(result.cost)])
    most = max(LEAST_POINTS, math.ceil(float(known.max(initial=0.0)) / 5.0) * 5.0)
    values = result.cost[protection] / 100.0
    legend = ((-1.0, f"{most:g} points lost"), (0.0, "0"), (1.0, f"{most:g} gained"))
    return _drawn(result, "cost", result.rules, values, -values * 100.0 / most, legend)


def marks(result: GamingMatrix, protection: int) -> tuple[str, ...]:
    """Per behaviour, what the audit of claims says of the cheater; empty where it says nothing."""
    found = f"The audit of claims flags {result.cheater}: it knows less than it claims."
    return tuple(found if flag == 1.0 else "" for flag in result.flagged[protection])


def doing(behaviour: str) -> str:
    """What a cheater does, as the beginning of a sentence.

    >>> doing("copy_peer"), doing("a_plug_in")
    ('Copying the best peer', 'A plug in')
    """
    return _DOING.get(behaviour, title(behaviour))


def changed(result: GamingMatrix) -> str:
    """What commit-reveal changes, in a sentence; empty where it was not computed."""
    if len(result.protections) < 2:
        return ""
    both_gains, both_costs = ~np.isnan(result.gain).any(axis=0), ~np.isnan(result.cost).any(axis=0)
    if not both_gains.any() and not both_costs.any():
        return ""  # stopped before anything was computed both ways
    other_gain = both_gains & ~np.isclose(result.gain[0], result.gain[1], rtol=1e-3)
    other_cost = both_costs & ~np.isclose(result.cost[0], result.cost[1], atol=1e-3)
    n_rows = int((other_gain.any(axis=1) | other_cost.any(axis=1)).sum())
    if not n_rows:
        return "Commit-reveal changes nothing here: none of these behaviours gains by hearing its peers."
    gain = np.where(np.isfinite(result.gain[0]), result.gain[0], -np.inf)
    drop = np.where(other_gain & np.isfinite(gain), gain - np.nan_to_num(result.gain[1]), -np.inf)
    j, m = np.unravel_index(int(np.argmax(drop)), drop.shape) if drop.size else (0, 0)
    which = "one behaviour" if n_rows == 1 else f"{n_rows} behaviours"
    if not drop.size or drop[j, m] <= 0:
        return f"Commit-reveal changes what {which} brings or costs."
    return (
        f"Commit-reveal changes what {which} brings or costs, most of all: {doing(result.behaviours[j]).lower()} "
        f"multiplies {result.cheater}'s share under {in_sentence(result.rewards[m])} by {_times(result.gain[0, j, m])} "
        f"without it, by {_times(result.gain[1, j, m])} with it."
    )


def summary_rows(result: GamingMatrix, protection: int) -> list[tuple[str | float | None, ...]]:
    """Per behaviour: where it gains most and how much, where it costs most, and what the audit says.

    Columns as in :data:`SUMMARY`.
    """
    audit = {1.0: "flagged", 0.0: "not flagged"}
    return [
        (
            title(name),
            *_gained(result, protection, j),
            *_most(result.cost[protection, j] / 100.0, result.rules),
            "no answer" if result.absent[protection, j] else audit.get(float(result.flagged[protection, j])),
        )
        for j, name in enumerate(result.behaviours)
    ]


def _gained(result: GamingMatrix, protection: int, j: int) -> tuple[str | None, float | str | None]:
    """As :func:`_most`; no reward where it gains under none."""
    reward, factor = _most(result.gain[protection, j], result.rewards)
    return (None if isinstance(factor, float) and factor <= 1.0 else reward), factor


def _most(values: NDArray[np.float64], methods: tuple[str, ...]) -> tuple[str | None, float | str | None]:
    """The method with the largest value, and the value; None where nothing was computed."""
    if not len(values) or np.isnan(values).all():
        return None, None
    place = int(np.nanargmax(values))
    value = float(values[place])
    return title(methods[place]), "infinite" if math.isinf(value) else value


def tidy(result: GamingMatrix) -> pd.DataFrame:
    """One row per protection, behaviour and method; ``gain`` is a factor, ``cost`` in points of accuracy."""
    rows = [
        (
            result.cheater, protection, behaviour, measure, method, values[i, j, m], bool(result.absent[i, j]),
            None if np.isnan(result.flagged[i, j]) else bool(result.flagged[i, j]),
        )
        for measure, methods, values in (("gain", result.rewards, result.gain), ("cost", result.rules, result.cost))
        for i, protection in enumerate(result.protections)
        for j, behaviour in enumerate(result.behaviours)
        for m, method in enumerate(methods)
    ]  # fmt: skip
    names = ["cheater", "protection", "behaviour", "measure", "method", "value", "absent", "flagged"]
    return pd.DataFrame(rows, columns=names)


def _drawn(
    result: GamingMatrix,
    measure: Measure,
    methods: tuple[str, ...],
    values: NDArray[np.float64],
    shades: NDArray[np.float64],
    legend: tuple[tuple[float, str], ...],
) -> Drawn:
    say = _gain_sentence if measure == "gain" else _cost_sentence
    told = tuple(say(result, j, m) for j in range(len(result.behaviours)) for m in range(len(methods)))
    ranked = np.where(np.isnan(values), -np.inf, values)
    worst = told[int(np.argmax(ranked))] if ranked.size and np.isfinite(ranked.max(initial=-np.inf)) else ""
    return Drawn(tuple(title(name) for name in methods), values, shades, told, legend, worst)


def _gain_sentence(result: GamingMatrix, j: int, m: int) -> str:
    """Without commit-reveal, then under it, where both were computed."""
    gain, reward, who = result.gain[:, j, m], in_sentence(result.rewards[m]), result.cheater
    first = gain[0]
    if result.absent[0, j]:
        said = f"{doing(result.behaviours[j])} leaves {who} without an answer, and with no share under {reward}"
    elif math.isnan(first):
        earns = result.honest_share[m] == 0 and result.share[0, j, m] == 0
        return f"{doing(result.behaviours[j])}, under {reward}: " + (
            f"{who} earns nothing, as it does honestly." if earns else "not computed."
        )
    elif math.isinf(first):
        share = per_cent(float(result.share[0, j, m]))
        said = f"{doing(result.behaviours[j])} brings {who} {share} under {reward}, where honesty brings nothing"
    else:
        said = f"{doing(result.behaviours[j])} multiplies {who}'s share under {reward} by {_times(first)}"
    if result.protections[0] == "commit_reveal":
        return f"{said}, under commit-reveal."
    if len(gain) == 1 or math.isnan(result.share[1, j, m]):
        return f"{said}."
    if result.absent[0, j] or result.share[0, j, m] == result.share[1, j, m]:
        return f"{said}; so it does under commit-reveal."
    if math.isinf(first):
        return f"{said}; under commit-reveal {per_cent(float(result.share[1, j, m]))}."
    return f"{said}; under commit-reveal by {_times(gain[1])}."


def _cost_sentence(result: GamingMatrix, j: int, m: int) -> str:
    cost, rule = result.cost[:, j, m], in_sentence(result.rules[m])
    if math.isnan(cost[0]):
        return f"{doing(result.behaviours[j])}, under {rule}: not computed."
    before, after = per_cent(float(result.honest_accuracy[m])), per_cent(float(result.accuracy[0, j, m]))
    verb = "costs" if cost[0] >= 0 else "brings"
    said = f"{doing(result.behaviours[j])} {verb} {_points(cost[0])} under {rule} ({before} to {after})"
    if result.protections[0] == "commit_reveal":
        return f"{said}, under commit-reveal."
    if len(cost) == 1 or math.isnan(cost[1]):
        return f"{said}."
    if cost[0] == cost[1]:
        return f"{said}; so it does under commit-reveal."
    verb = "" if cost[0] * cost[1] >= 0 else "it costs " if cost[1] > 0 else "it brings "
    return f"{said}; under commit-reveal {verb}{_points(cost[1]).removesuffix(' of accuracy')}."


def _times(factor: float) -> str:
    """A factor in two or three digits.

    >>> _times(8.876), _times(0.58), _times(12.34), _times(float("inf"))
    ('8.9', '0.58', '12', '∞')
    """
    if math.isinf(factor):
        return "∞"
    return f"{factor:.2f}" if factor < 0.995 else f"{factor:.1f}" if factor < 9.95 else f"{factor:.0f}"


def _points(cost: float) -> str:
    size = f"{abs(cost):.1f}"
    return f"{size} point{'' if size == '1.0' else 's'} of accuracy"
