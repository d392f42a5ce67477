"""Meters under way: what they found so far, and how far they are."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.options import check_options
from fi_workbench.core.progress import OnProgress, Progress
from fi_workbench.privacy.meters import Meter, Sight
from fi_workbench.privacy.meters import meters as all_meters
from fi_workbench.privacy.meters.contract import Curve
from fi_workbench.session.leaking.asking import Eyes
from fi_workbench.session.leaking.result import LeakageRow

_STEPS = 10
"""Of one meter, in progress; a round is one."""


class _Stopped(Exception):
    """Somebody asked to stop."""


@dataclass(eq=False)
class Measuring:
    """Meters under way.

    Parameters
    ----------
    eyes : Eyes
    meters : list of Meter
    options : mapping of str to mapping
        Of meters, by name.
    left_out : dict of str to str
        Meters that are not run, and why; grows.
    on_progress : callable
    cancelled : Event
    n_rounds : int
        Rounds that are asked before.
    done : int
        Steps so far; a round is one.
    stopped : bool
        Whether somebody stopped it between two steps of a meter.
    rows, curves
        What was found so far.

    Raises
    ------
    UnknownName, InvalidOption
        An option of a meter that there is not.
    """

    eyes: Eyes
    meters: list[Meter]
    options: Mapping[str, Mapping[str, Any]]
    left_out: dict[str, str]
    on_progress: OnProgress
    cancelled: threading.Event
    n_rounds: int = 0
    done: int = 0
    stopped: bool = False
    rows: list[LeakageRow] = field(default_factory=list)
    curves: dict[str, Curve] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, given in self.options.items():
            check_options(f"Meter {name!r}", all_meters[name].options, given)

    def by_chance(self, n_classes: int, prior: NDArray[np.float64] | None) -> None:
        """The figures of a role that sees nothing."""
        note = "sees nothing of the answers: no better than chance"
        for meter in self.meters:
            for figure, value in meter.chance(n_classes, prior):
                self.rows.append(LeakageRow(meter.name, figure, value, value, value, 0, value, self.eyes.words, note))

    def round_begins(self) -> None:
        """One more round is asked."""
        self._tell(f"asking about {self.eyes.target.name}")
        self.done += 1

    def measure(self, sight: Sight, seed: int) -> None:
        """All meters, one after the other; what was found before somebody stops it stays."""
        for meter in self.meters:
            began = self.done

            def on_step(step: str, share: float, meter: Meter = meter, began: int = began) -> None:
                if self.cancelled.is_set():
                    raise _Stopped
                self.done = began + int(_STEPS * share)
                self._tell(f"{meter.name}: {step}")

            if lacking := sight.missing(meter.needs):
                what = " and ".join(lacking).replace("_", " ")
                self.left_out[meter.name] = f"Too few {what} were there, or answered."
                continue
            try:
                found = meter(sight, seed, on_step, self.options.get(meter.name))
            except _Stopped:
                self.stopped = True
                return
            self.rows += [LeakageRow(meter.name, **vars(one), seen=self.eyes.words) for one in found.readings]
            if found.curve is not None:
                self.curves[meter.name] = found.curve
            self.done = began + _STEPS
        self._tell("done")

    def _tell(self, what: str) -> None:
        self.on_progress(Progress(what, self.done, self.n_rounds + _STEPS * len(self.meters), "steps"))
