"""What happened, line by line."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import CannotDraw, Frozen
from fi_workbench.widgets.views.view import View

LEVELS = ("info", "warning", "error")


def _lines(lines: Any) -> tuple[tuple[str, str, str], ...]:
    frozen = tuple((time, level, text) for time, level, text in lines)
    for line in frozen:
        if not all(isinstance(part, str) for part in line) or line[1] not in LEVELS:
            raise CannotDraw(f"LogLines.lines takes (time, {' | '.join(LEVELS)}, text), not {line!r}.")
    return frozen


class LogLines(View):
    """The latest lines of a log, the newest at the bottom; it follows them unless the reader has scrolled up.

    Examples
    --------
    >>> log = LogLines()
    >>> log.append("C was late: no answer within 2 s", level="warning", time="12:03:04")
    >>> log.lines
    (('12:03:04', 'warning', 'C was late: no answer within 2 s'),)
    """

    _esm = module("log_lines")
    _css = stylesheet("views")

    latest: ClassVar[int] = 200
    """How many lines are kept; all of them travel with each frame."""

    title = traitlets.Unicode("Log").tag(sync=True)
    empty_text = traitlets.Unicode("Nothing has happened yet.").tag(sync=True)
    lines = Frozen(_lines, "a sequence of (time, level, text)").tag(sync=True)
    first = traitlets.Int(0, min=0).tag(sync=True)  # how many lines came before those in `lines`

    def append(self, text: str, *, level: str = "info", time: str | None = None) -> None:
        """Add a line; `time` is now where it is not given."""
        self.extend([(time or datetime.now().astimezone().strftime("%H:%M:%S"), level, text)])

    def extend(self, lines: Iterable[tuple[str, str, str]]) -> None:
        """Add (time, level, text) lines in one message."""
        with self._lock:
            grown = (*self.lines, *lines)
            n_dropped = max(len(grown) - self.latest, 0)
            self.update(lines=grown[n_dropped:], first=self.first + n_dropped)

    def clear(self) -> None:
        """Forget all lines."""
        self.update(lines=(), first=self.first + len(self.lines))
