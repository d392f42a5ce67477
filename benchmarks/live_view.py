"""Live views in a real JupyterLab: frames per second that reach the page, and their lag from the kernel.

A thread in the kernel drives `ContributionBars` and `SeriesLines` (10 parties, 12 lines of 500 points); the page notes
when each shows a round. The baseline, in the same notebook, is a bare anywidget that writes one text: what the way from
the kernel to the page costs by itself. `python -m benchmarks.live_view --seconds 60` prints all figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
from typing import Any

from benchmarks.figures import Figure
from benchmarks.page import RUN, notebook

FRAMES_PER_SECOND = 20
BASELINE_SECONDS = 10

KERNEL = """
import json, threading, time
import anywidget, ipywidgets, numpy as np, traitlets
from fi_workbench.widgets.views import ContributionBars, SeriesLines

class Bare(anywidget.AnyWidget):
    _esm = '''export default { render({ model, el }) {
        const draw = () => { el.textContent = model.get("round"); el.dataset.round = model.get("round"); };
        el.dataset.testid = "fi-bare"; draw(); model.on("change:round", draw); } };'''
    round = traitlets.Int(0).tag(sync=True)

names = [f"party {k}" for k in range(10)]
rng = np.random.default_rng(0)
bare = Bare()
bars = ContributionBars(parties=names, statuses=["present"] * 10)
lines = SeriesLines(names=["consensus", "best party", *names], kinds=["consensus", "best", *["party"] * 10])
walk = np.linspace(.4, .9, 12)[:, None] + .004 * rng.normal(size=(12, 500)).cumsum(1)  # accuracies as they wander
lines.update(points=np.clip(walk, 0, 1), round=0)
sent = {}

def frame_of_bare(k):
    bare.round = k

def frame_of_views(k):
    values = dict(shares=rng.dirichlet(np.full(10, 20.)), accuracies=rng.random(10), latencies_ms=20 * rng.random(10))
    bars.update(**values, round=k)
    lines.append(np.clip(lines.array[:, -1] + .004 * rng.normal(size=12), 0, 1), round=k)

def drive(frame, n, rate):
    def run():
        times, start = [], time.perf_counter()
        for k in range(1, n + 1):
            times.append(time.time() * 1e3)
            frame(k)
            time.sleep(max(start + k / rate - time.perf_counter(), 0))
        sent[frame.__name__] = times
    threading.Thread(target=run, daemon=True).start()

ipywidgets.VBox([bare, bars, lines])
"""

WATCH = """names => {
    window.seen = Object.fromEntries(names.map(name => [name, []]));
    for (const name of names) {
        const node = document.querySelector(`[data-testid="fi-${name}"]`);
        const now = () => performance.timeOrigin + performance.now();
        const note = () => window.seen[name].push([Number(node.dataset.round), now()]);
        new MutationObserver(note).observe(node, { attributes: true, attributeFilter: ['data-round'] });
    }
}"""


def _phase(page: Any, frame: str, names: list[str], seconds: float) -> dict[str, Any]:
    """Drive `frame` for so many seconds and see when each of the named views shows its rounds."""
    n = round(seconds * FRAMES_PER_SECOND)
    page.evaluate(WATCH, names)
    page.evaluate(RUN, f"drive({frame}, {n}, {FRAMES_PER_SECOND})")
    page.wait_for_timeout(seconds * 1000 + 1500)
    sent = json.loads(page.evaluate(RUN, f"print(json.dumps(sent[{frame!r}]))"))
    seen = page.evaluate("() => window.seen")
    shown = [dict(reversed(seen[name])) for name in names]
    complete = sorted(set.intersection(*(set(one) for one in shown)) - {0})
    at = {k: max(one[k] for one in shown) for k in complete}  # a frame is there when all views show it
    lags = sorted(at[k] - sent[k - 1] for k in complete)
    duration = (at[complete[-1]] - at[complete[0]]) / 1000
    times = list(at.values())
    worst = min(sum(start <= one < start + 1000 for one in times) for start in times if start + 1000 <= times[-1])
    return {
        "frames_sent": n,
        "frames_shown": len(complete),
        "frames_per_second": (len(complete) - 1) / duration,
        "frames_in_the_worst_second": worst,
        "lag_ms_median": statistics.median(lags),
        "lag_ms_p95": lags[int(0.95 * (len(lags) - 1))],
        "lag_ms_max": lags[-1],
        "kernel_ms_per_frame_late": max((sent[-1] - sent[0]) / (n - 1) - 1000 / FRAMES_PER_SECOND, 0.0),
    }


def measure(seconds: float = 60) -> dict[str, Any]:
    """All figures, JSON-able: the views for `seconds`, the bare widget for ten, before and after."""
    with notebook(KERNEL) as page:
        page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells').then(() => null)")
        page.wait_for_selector('[data-testid="fi-series-lines"][data-status="drawn"]', timeout=60_000)
        page.wait_for_timeout(1500)
        half = min(BASELINE_SECONDS, seconds) / 2
        before = _phase(page, "frame_of_bare", ["bare"], half)
        views = _phase(page, "frame_of_views", ["contribution-bars", "series-lines"], seconds)
        after = _phase(page, "frame_of_bare", ["bare"], half)
    baseline = {key: (before[key] + after[key]) / 2 for key in ("lag_ms_median", "lag_ms_p95", "frames_per_second")}
    return {"seconds": seconds, "driven_at": FRAMES_PER_SECOND, "views": views, "baseline": baseline}


def run(seconds: float = 60) -> list[Figure]:
    """The figures that have targets."""
    result = measure(seconds)
    views, bare = result["views"], result["baseline"]
    what = f"10 parties, bars and 12 lines of 500 points, {seconds:g} s at {FRAMES_PER_SECOND} frames/s"
    return [
        Figure("Live view, frames shown", views["frames_per_second"], "1/s", 15.0,
               f"{what}; worst second {views['frames_in_the_worst_second']}", at_least=True),
        Figure("Live view, lag, median", views["lag_ms_median"], "ms", 15.0,
               f"bare widget {bare['lag_ms_median']:.1f} ms"),
        Figure("Live view, lag, p95", views["lag_ms_p95"], "ms", 60.0, f"bare widget {bare['lag_ms_p95']:.1f} ms"),
    ]  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.live_view", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    print(json.dumps(measure(parser.parse_args().seconds), indent=2))
