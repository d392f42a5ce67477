"""A trade-off in words and rows: what each mark says, what the table holds, what was not asked and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from fi_workbench.privacy import mechanisms
from fi_workbench.privacy.mechanism import AnswerNoise
from fi_workbench.session.trading_off.result import Setting, TradeOff, TradeOffRow, said_options
from fi_workbench.session.trading_off.sweep import Plan
from fi_workbench.widgets.wording import in_sentence, listed, noise, per_cent, seen, spell, title

By = Literal["epsilon_per_query", "epsilon_answers"]
"""Which epsilon an axis shows: of one answer, or of all answers of the sweep."""

COLUMNS = (
    {"name": "mechanism"},
    {"name": "rule"},
    {"name": "accuracy", "unit": "%", "kind": "percent"},
    {"name": "95 % interval", "unit": "%", "kind": "number"},
    {"name": "ε a query", "kind": "number"},
    {"name": "ε in all", "kind": "number"},
    {"name": "median", "unit": "ms", "kind": "number"},
    {"name": "95 % within", "unit": "ms", "kind": "number"},
    {"name": "a round", "unit": "kB", "kind": "number"},
)
REFUSED = ({"name": "mechanism"}, {"name": "rules"}, {"name": "why not"})


def mechanism_title(name: str) -> str:
    """A mechanism or noise on each answer, as it is said.

    >>> mechanism_title("secure_sum"), mechanism_title("laplace"), mechanism_title("top_k")
    ('Secure sum', 'Laplace noise', 'Top-k')
    """
    return title(name) if name not in _noises() else _capital(_noise(name))


def method_title(setting: Setting) -> str:
    """The mechanism of a setting without its options.

    >>> method_title(Setting("soft_vote", "commit_reveal", {}, (("laplace", {}),)))
    'Laplace noise under commit-reveal'
    """
    noises = " and ".join(_noise(name) for name, _ in setting.noise)
    if not noises:
        return mechanism_title(setting.mechanism)
    under = "" if setting.mechanism == "plain" else f" under {in_sentence(setting.mechanism)}"
    return f"{_capital(noises)}{under}"


def full_title(setting: Setting) -> str:
    """The mechanism of a setting with the options that differ from the defaults."""
    options = said_options(setting.options)
    return f"{method_title(setting)} ({options})" if options else method_title(setting)


def sentence(row: TradeOffRow, result: TradeOff) -> str:
    """All that is known of one setting."""
    low, high = row.interval or (None, None)
    range_ = f"({per_cent(low)} to {per_cent(high)})"
    said = [f"{full_title(row.setting)}, {in_sentence(row.setting.rule)}: {per_cent(row.accuracy)} right {range_}"]
    if row.coverage is not None and row.coverage < 1:
        said.append(f"a label for {per_cent(row.coverage)} of the queries")
    if row.epsilon is not None and row.epsilon_per_query is not None:
        said.append(
            f"epsilon {row.epsilon_per_query:.3g} a query, {row.epsilon:.3g} for all {row.n_queries}, "
            f"at delta {result.delta:g}"
        )
    elif row.unprotected and row.epsilon_per_query is not None:
        said.append(f"epsilon {row.epsilon_per_query:.3g} an answer, but {row.unprotected}, so there is no guarantee")
    elif row.guarantee == "hidden":
        said.append("single answers are hidden, without noise")
    else:
        said.append("no guarantee")
    if row.median_ms is not None and row.p95_ms is not None and row.bytes_per_round is not None:
        said.append(
            f"{row.median_ms:.3g} ms a round (95 % within {row.p95_ms:.3g}), {row.bytes_per_round / 1000:.3g} kB"
        )
    if row.shows is not None:
        said.append(f"the coordinator sees {seen(row.shows)}")
    if row.n_absent:
        missed = ", ".join(f"{name} in {n}" for name, n in row.n_absent.items())
        said.append(f"absent from rounds: {missed}")
    if row.refused:
        said.append(f"only {row.n_queries} of {result.n_queries} queries: {row.refused}")
    return f"{'; '.join(said)}."


def drawn(result: TradeOff, rows: Sequence[TradeOffRow], by: By, *, latency: bool) -> dict[str, Any]:
    """Traits of the picture; a mark's area is its latency, or its bytes."""
    names = list(dict.fromkeys(row.setting.rule for row in result.measured))
    epsilons = [getattr(row, by) for row in rows]
    ends = [row.interval or (None, None) for row in rows]
    return {
        "names": [title(name) for name in names],
        "colours": list(range(len(names))),
        "rules": [names.index(row.setting.rule) for row in rows],
        "mechanisms": [method_title(row.setting) for row in rows],
        "places": [row.guarantee if one is None else "epsilon" for row, one in zip(rows, epsilons, strict=True)],
        "epsilons": epsilons,
        "accuracies": [row.accuracy for row in rows],
        "lows": [low for low, _ in ends],
        "highs": [high for _, high in ends],
        "sizes": [row.median_ms if latency else (row.bytes_per_round or 0.0) / 1000.0 for row in rows],
        "open_marks": [int(bool(row.unprotected)) for row in rows],
        "size_name": "latency" if latency else "a round",
        "size_unit": "ms" if latency else "kB",
        "sentences": [sentence(row, result) for row in rows],
    }


def table_rows(rows: Iterable[TradeOffRow]) -> list[tuple[str | float | None, ...]]:
    """Rows of the table, with :data:`COLUMNS`."""
    return [
        (
            full_title(row.setting),
            title(row.setting.rule),
            row.accuracy,
            _range(row),
            row.epsilon_per_query,
            row.epsilon,
            row.median_ms,
            row.p95_ms,
            None if row.bytes_per_round is None else row.bytes_per_round / 1000,
        )
        for row in rows
    ]


def refused_rows(rows: Iterable[TradeOffRow]) -> list[tuple[str, str, str]]:
    """One row for each mechanism and reason, with :data:`REFUSED`."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        rules = found.setdefault((method_title(row.setting), _reason(row)), [])
        if (rule := title(row.setting.rule)) not in rules:
            rules.append(rule)
    return [(mechanism, ", ".join(rules), reason) for (mechanism, reason), rules in found.items()]


def said_plan(plan: Plan, running: bool) -> str:
    """What a sweep will ask, before it is begun."""
    refused = ""
    if plan.n_refused:
        others = "more does not fit and is" if plan.n_refused == 1 else "more do not fit and are"
        refused = f" {plan.n_refused} {others} listed with the reason."
    if not plan.n_settings:
        return f"Nothing that is chosen fits these parties.{refused}"
    stream = " The stream is running: pause it, or latencies are of both." if running else ""
    which = "1 setting" if plan.n_settings == 1 else f"{plan.n_settings} settings"
    price = f"each party answers, and books, {plan.n_queries:,} queries"
    return f"{which}, {plan.n_rounds:,} rounds: {price}.{refused}{stream}"


def said_result(result: TradeOff, now: Sequence[str]) -> str:
    """How the rows came about; who was asked, where others are ``now``."""
    each = f"the same {result.n_queries} queries in {result.n_rounds} rounds each"
    n_measured = len(result.measured)
    which = "1 setting" if n_measured == 1 else f"{n_measured} settings"
    said = [f"{which} answered {each}; epsilon at delta {result.delta:g}."]
    if tuple(now) != result.parties:
        said.append(f"Measured with {listed(result.parties)}, not with those who are asked now.")
    if not result.complete:
        said.append("Stopped: what was measured is kept.")
    if best := best_under(result.measured):
        said.append(best)
    return " ".join(said)


def best_under(rows: Sequence[TradeOffRow]) -> str:
    """What the price is, in a sentence: the best of all, and the best with a guarantee; "" where there is none."""
    private = [row for row in rows if row.epsilon is not None and row.accuracy is not None]
    known = [row for row in rows if row.accuracy is not None]
    if not private:
        return ""
    best, held = (max(group, key=lambda row: row.accuracy or 0.0) for group in (known, private))
    said = (
        f"Best: {_named(best)}, {per_cent(best.accuracy)}. Best with a guarantee: {_named(held)}, "
        f"{per_cent(held.accuracy)}"
    )
    return f"{said}, at epsilon {held.epsilon_per_query:.3g} a query."


def _range(row: TradeOffRow) -> str | None:
    return None if row.interval is None else "\u2013".join(f"{100 * end:.3g}" for end in row.interval)


def _named(row: TradeOffRow) -> str:
    return f"{in_sentence(row.setting.rule)} under {spell(_lower(full_title(row.setting)))}"


def _noises() -> set[str]:
    return {name for name, kind in mechanisms.items() if issubclass(kind, AnswerNoise)}


def _noise(name: str) -> str:
    """In a word or two: what follows "with" elsewhere can be a clause."""
    said = noise(name)
    return said if said.endswith("noise") else in_sentence(name)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _reason(row: TradeOffRow) -> str:
    """Without the list of what fits, which is about one rule only."""
    return row.refused.split(" What fits:", maxsplit=1)[0]
