"""The figures of the issue, read off what was measured; what was not measured makes no figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.figures import Figure

REFERENCE, ONLINE, TOTAL, PLAIN = "CrypTen, 3 parties", "ours, online", "ours, total", "plain torch"
_AT_LEAST = (
    # model, models, where, at least this often faster in total, and online
    ("mlp", 1, "loopback", 30.0, 60.0),
    ("lenet", 1, "loopback", 30.0, 60.0),
    ("cnn", 1, "loopback", 30.0, 60.0),
    ("resnet18", 1, "loopback", 10.0, None),
    ("lenet", 3, "loopback", 25.0, None),
    ("lenet", 1, "wan", 20.0, None),
)


def figures(measured: Mapping[str, Any]) -> list[Figure]:
    """All that there are.

    Parameters
    ----------
    measured : mapping
        As it is kept in JSON: ``cases``, ``sustained``, ``owners``.
    """
    return [*_ratios(measured["cases"]), *_absolute(measured)]


def seconds_of(case: Mapping[str, Any], system: str) -> float | None:
    """Median of one system on a case; None where it has none."""
    found = case["systems"].get(system)
    return found.get("median_seconds") if found else None


def ratio(case: Mapping[str, Any], over: str, of: str) -> float | None:
    """How many times longer one takes than the other; None where one was not measured."""
    first, second = seconds_of(case, over), seconds_of(case, of)
    return None if first is None or second is None else first / second


def find(cases: Sequence[Mapping[str, Any]], model: str, n_models: int, where: str) -> Mapping[str, Any] | None:
    """The case of batch 1."""
    wanted = (model, n_models, where, 1)
    return next(
        (one for one in cases if (one["model"], one["n_models"], one["where"], one["n_queries"]) == wanted), None
    )


def _ratios(cases: Sequence[Mapping[str, Any]]) -> Iterator[Figure]:
    for model, n_models, where, total, online in _AT_LEAST:
        case = find(cases, model, n_models, where)
        if case is None:
            continue
        for system, target in ((TOTAL, total), (ONLINE, online)):
            times = ratio(case, REFERENCE, system)
            if target is None or times is None:
                continue
            name = f"{case['title']}, {'WAN' if where == 'wan' else 'loopback'}, {system.removeprefix('ours, ')}"
            ours, theirs = (1e3 * (seconds_of(case, one) or 0) for one in (system, REFERENCE))
            detail = f"{ours:.3g} ms; {REFERENCE} {theirs:.4g} ms, whose party 0 sees the query"
            yield Figure(name, times, "times faster than the reference", target, detail, at_least=True)


def _absolute(measured: Mapping[str, Any]) -> Iterator[Figure]:
    lenet = find(measured["cases"], "lenet", 1, "loopback")
    if lenet is not None:
        counted = lenet["systems"].get(TOTAL, {}).get("counted")
        if counted:
            detail = f"{counted['online_bytes'] / 1e6:.3g} MB online, {counted['n_messages']} messages"
            yield Figure("LeNet, bytes of a query, offline and online", counted["n_bytes"] / 1e6, "MB", 1.2, detail)
        over = ratio(lenet, ONLINE, PLAIN)
        if over is not None:
            detail = f"plain {1e3 * (seconds_of(lenet, PLAIN) or 0):.3g} ms"
            yield Figure("LeNet, online over plaintext", over, "times", 25.0, detail)
    resnet = find(measured["cases"], "resnet18", 1, "loopback")
    peaks = resnet and resnet["systems"].get(TOTAL, {}).get("counted", {}).get("peak_bytes")
    if peaks:
        name, peak = max(peaks.items(), key=lambda one: one[1])
        detail = f"the largest of three, {name}; two sessions, imports and set-up in it"
        yield Figure("ResNet18, peak memory of a role", peak / 1e9, "GB", 1.5, detail)
    if run := measured.get("sustained"):
        detail = f"{run['n_queries']} in {run['seconds']:.0f} s, median {1e3 * run['median_seconds']:.3g} ms"
        yield Figure("LeNet, sustained", run["queries_per_minute"], "queries a minute", 200.0, detail, at_least=True)
    if rows := measured.get("owners"):
        first, last = rows[0], rows[-1]
        detail = ", ".join(f"{row['n_models']} owners {row['critical_messages']}" for row in rows)
        grown = last["critical_messages"] / first["critical_messages"]
        yield Figure("messages one behind another, as owners grow", grown, "times", 1.0, detail)
