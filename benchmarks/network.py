"""A round whose parties are processes of their own, hosted and on a SuperLink, beside Flower's stock path.

64 queries of 8x8 numbers, 10 classes, soft vote, parties with a linear model in numpy: what is measured is the way
there and back. Every round's scores are checked.
"""

from __future__ import annotations

import time

import numpy as np

import fi_workbench as fi
from benchmarks.figures import Figure, median
from benchmarks.sites import embedded, hosted, on_superlink
from benchmarks.stock import stock_rounds
from benchmarks.toy_parties import expected_scores, toy_queries

N_ROUNDS, N_WARM_UP, N_STOCK_ROUNDS = 40, 10, 4
DEADLINE_SECONDS = 30.0


def seconds_of(federation: fi.Federation, n: int = N_ROUNDS) -> list[float]:
    """Of each of `n` rounds after a warm-up, all with every party and the right scores."""
    seconds, n_parties = [], len(federation.parties)
    for number in range(N_WARM_UP + n):
        queries = toy_queries(number)
        began = time.perf_counter()
        record = federation.ask(queries)
        seconds.append(time.perf_counter() - began)
        if len(record.present) < n_parties:
            raise RuntimeError(f"of {n_parties} parties not all answered: {record.absent}")
        np.testing.assert_allclose(record.scores, expected_scores(record.present, queries), atol=1e-5)
    return seconds[N_WARM_UP:]


def hosted_seconds(n_each: int, n: int = N_ROUNDS) -> list[float]:
    """Five processes with so many parties each; over TLS, every request signed."""
    with hosted(5, n_each, deadline_seconds=DEADLINE_SECONDS) as site:
        return seconds_of(site.federation, n)


def superlink_seconds(*, tls: bool) -> list[float]:
    """Five processes on an unmodified flower-superlink."""
    with on_superlink(5, tls=tls, deadline_seconds=DEADLINE_SECONDS) as site:
        return seconds_of(site.federation)


def run() -> list[Figure]:
    """Flower's stock path first: the others are held against it."""
    stock = stock_rounds(N_STOCK_ROUNDS)
    with embedded(5) as site:
        here = spread(seconds_of(site.federation))
    here_or_there = f"embedded {here}"
    five, plain, secure = hosted_seconds(1), superlink_seconds(tls=False), superlink_seconds(tls=True)
    fifty, hundred = hosted_seconds(10, 30), hosted_seconds(20, 30)
    beside = f"beside {median(stock):.1f} s on the stock path (median of {len(stock)})"
    return [
        Figure("round, 5 party processes, hosted", 1e3 * median(five), "ms", 40.0, f"{spread(five)}; {here_or_there}"),
        Figure("round, 5 party processes, flower-superlink", 1e3 * median(plain), "ms", 150.0, spread(plain)),
        Figure("the same with TLS and node authentication", 1e3 * median(secure), "ms", 150.0, spread(secure)),
        Figure("hosted, times faster than Flower's stock path", median(stock) / median(five), "x", 200.0, beside,
               at_least=True),
        Figure("SuperLink with TLS, times faster than Flower's stock path", median(stock) / median(secure), "x", 60.0,
               beside, at_least=True),
        Figure("round, 50 parties in 5 processes, hosted", 1e3 * median(fifty), "ms", 500.0,
               f"{spread(fifty)}; 100 parties {spread(hundred)}"),
    ]  # fmt: skip


def spread(seconds: list[float]) -> str:
    """Median and 95th percentile."""
    return f"{1e3 * median(seconds):.1f} ms, p95 {1e3 * float(np.percentile(seconds, 95)):.1f} ms"
