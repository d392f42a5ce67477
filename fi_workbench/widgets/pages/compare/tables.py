"""A comparison as tables."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from fi_workbench.session.comparison import Comparison
from fi_workbench.widgets.wording import in_sentence, spell

_COMBINER = re.compile(r" \(combiner [0-9a-f]{16}\)|, combiner [0-9a-f]{16}(?=[,)])|(?<=\()combiner [0-9a-f]{16}, ")

MOST_ROWS = 200
MOST_COLUMNS = 4
"""Up to so many rules have a column each where they differ; more are gathered by what they say."""

SUMMARY_COLUMNS: list[dict[str, str]] = [
    {"name": "rule"},
    {"name": "accuracy", "unit": "%", "kind": "percent"},
    {"name": "95 % from", "unit": "%", "kind": "percent"},
    {"name": "to", "unit": "%", "kind": "percent"},
    {"name": "over soft vote", "unit": "points", "kind": "points"},
    {"name": "gap closed", "unit": "%", "kind": "percent"},
    {"name": "same label", "unit": "%", "kind": "percent"},
    {"name": "AURC", "kind": "number"},
]
"""Gap closed: the gain as a share of what the oracle gains over the soft vote. AURC: 0 is best."""

DIFFER_COLUMNS: list[dict[str, str]] = [{"name": "query", "kind": "count"}, {"name": "truth"}]


def spelled(comparison: Comparison) -> Comparison:
    """The same with the names of rules as people write them; a combiner is named only where a rule has several."""
    titles = [one.title for one in comparison.outcomes] + [one for one, _ in comparison.failed]
    short = [_COMBINER.sub("", one) for one in titles]

    def said(text: str) -> str:
        return spell(_COMBINER.sub("", text) if len(set(short)) == len(short) else text)

    outcomes = tuple(replace(one, title=said(one.title)) for one in comparison.outcomes)
    failed = tuple((said(one), why) for one, why in comparison.failed)
    return replace(comparison, outcomes=outcomes, failed=failed, how=said(comparison.how))


def summary_columns(comparison: Comparison) -> list[dict[str, str]]:
    """The columns, with the rule that agreement is held against."""
    same = f"same as {in_sentence(comparison.outcomes[comparison.reference].name)}"
    return [{**one, "name": same} if one["name"] == "same label" else one for one in SUMMARY_COLUMNS]


def summary_rows(comparison: Comparison) -> list[tuple[Any, ...]]:
    """One row per rule, per bound, and per rule that failed; columns as in ``SUMMARY_COLUMNS``."""
    rows: list[tuple[Any, ...]] = [
        (
            f"{one.title} (bound)" if one.bound else one.title,
            one.accuracy, one.low, one.high, one.gain, one.gap_closed, one.agreement, one.aurc,
        )
        for one in comparison.figures
    ]  # fmt: skip
    return rows + [(f"{title}: not computed", *[None] * (len(SUMMARY_COLUMNS) - 1)) for title, _ in comparison.failed]


def differ_table(comparison: Comparison) -> dict[str, Any]:
    """Columns and rows of the queries on which the rules differ, the most disputed first."""
    classes, truth = comparison.record.classes, comparison.truth
    names = [one.title for one in comparison.outcomes]
    shown = comparison.differ[:MOST_ROWS]
    known = ["-" if truth is None else classes[truth[query]] for query in shown]
    if len(names) <= MOST_COLUMNS:
        said = [[classes[label] for label in comparison.labels[:, query]] for query in shown]
        columns = [{"name": name} for name in names]
    else:
        said = [_said(comparison.labels[:, query], classes, names) for query in shown]
        columns = [{"name": "most say"}, {"name": "others"}]
    n_differ, n_queries = len(comparison.differ), comparison.labels.shape[1]
    cut = f"; the {MOST_ROWS} most disputed" if n_differ > MOST_ROWS else ""
    return {
        "title": f"Where they differ: {n_differ} of {n_queries} queries{cut}",
        "columns": [*DIFFER_COLUMNS, *columns],
        "rows": [(int(query) + 1, right, *cells) for query, right, cells in zip(shown, known, said, strict=True)],
        "empty_text": "All rules give every query the same label.",
    }


def _said(labels: np.ndarray, classes: tuple[str, ...], names: list[str]) -> list[str]:
    """Who says what of one query: what most say, and every other label with the rules that give it."""
    values, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    first, *others = values[order]
    who = [
        f"{classes[value]}: {', '.join(name for name, label in zip(names, labels, strict=True) if label == value)}"
        for value in others
    ]
    return [f"{classes[first]} ({counts.max()} of {len(labels)})", "; ".join(who)]
