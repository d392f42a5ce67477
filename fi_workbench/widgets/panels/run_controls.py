"""Run, pause, stop, one batch; how fast, how many at a time, how long to wait."""

from __future__ import annotations

import math
from collections.abc import Callable

import ipywidgets

from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.parts import Quietly, button, changed, column, named, row, set_options

MAX = math.inf
"""The slider's end: as fast as it goes."""

RATES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, MAX)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
DEADLINES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)

_RUN = "Ask batch after batch (key R)"


class RunControls:
    """The buttons and sliders of a stream.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._quietly = desk, Quietly()
        driver, state = desk.driver, desk.state
        self.run = button("Run", _RUN, "fi-run fi-primary", driver.toggle, icon="play")
        self.stop = button(
            "Stop", "Give up the round under way; the next run begins anew (key S)", "fi-stop", driver.stop, icon="stop"
        )
        self.one = button("One batch", "Ask one batch, then pause", "fi-ask-one", lambda: driver.run(1))
        self.rate = named(
            ipywidgets.SelectionSlider(
                options=[(_rate(rate), rate) for rate in RATES], value=state.rate or MAX, description="rate",
                tooltip="At most so many rounds a second; max is as fast as it goes", continuous_update=False,
            ),
            "fi-rate-slider",
        )  # fmt: skip
        self.size = named(
            ipywidgets.SelectionSlider(
                options=[(str(size), size) for size in SIZES], value=state.batch_size, description="batch",
                tooltip="How many queries one round asks", continuous_update=False,
            ),
            "fi-batch-size",
        )  # fmt: skip
        self.deadline = named(
            ipywidgets.SelectionSlider(
                options=[(f"{value:g} s", value) for value in DEADLINES], value=10.0, description="deadline",
                tooltip="A party that has not answered by then is absent from the round", continuous_update=False,
            ),
            "fi-deadline",
        )  # fmt: skip
        self.box = column(
            row(self.run, self.stop, self.one), self.rate, self.size, self.deadline, css="fi-run-controls"
        )
        changed(self.rate, self._quietly, lambda value: setattr(state, "rate", None if value == MAX else value))
        changed(self.size, self._quietly, lambda value: setattr(state, "batch_size", value))
        changed(self.deadline, self._quietly, lambda value: state.choose(deadline_seconds=value))
        shows = ["status", "federation", "members", "rate", "batch_size", "chosen"]
        state.observe(lambda _change: self._show(), shows)
        self._show()

    def _show(self) -> None:
        state, running = self._desk.state, self._desk.state.status == "running"
        ready = state.federation is not None and (state.link is None or bool(state.enabled))
        label = "Pause" if running else "Run"
        if self.run.description != label:
            with self.run.hold_sync():
                self.run.description, self.run.icon = label, "pause" if running else "play"
                self.run.tooltip = "Finish this round and wait (key R)" if running else _RUN
        self.run.disabled = not ready
        self.one.disabled = not ready or running
        self.stop.disabled = state.status not in ("running", "paused")
        with self._quietly:
            rate = state.rate or MAX
            set_options(self.rate, _with(RATES, rate, _rate), rate)
            set_options(self.size, _with(SIZES, state.batch_size, str), state.batch_size)
            seconds = state.chosen.deadline_seconds
            set_options(self.deadline, _with(DEADLINES, seconds, lambda value: f"{value:g} s"), seconds)


def _with(values: tuple[float, ...], value: float, label: Callable[[float], str]) -> tuple[tuple[str, float], ...]:
    """Labelled values of a slider; one that code has set comes in where it belongs."""
    return tuple((label(one), one) for one in sorted({*values, value}))


def _rate(rate: float) -> str:
    return "max" if rate == MAX else f"{rate:g}/s"
