"""Progress of long work under the cell that does it: ``fi.Federation.demo(on_progress=fi.ProgressBar())``."""

from __future__ import annotations

import time

import ipywidgets
from IPython.display import display

from fi_workbench.core.progress import Progress
from fi_workbench.widgets.panels.parts import named
from fi_workbench.widgets.wording import escaped

SHOW_SECONDS = 0.1


class ProgressBar:
    """Takes progress and shows it; appears with the first that it hears and goes quiet when all is done.

    Examples
    --------
    >>> bar = ProgressBar()
    >>> bar(Progress("training party A", 3, 30, "epochs"))
    HBox(...)
    >>> bar.text
    'training party A: 3 of 30 epochs'
    """

    def __init__(self) -> None:
        self.text = ""
        self._task = ""
        self._shown = 0.0
        self._bar: ipywidgets.FloatProgress | None = None
        self._words: ipywidgets.HTML | None = None

    def __call__(self, progress: Progress) -> None:
        """Show it, ten times a second at most."""
        self.text = f"{progress.task}: {progress.done} of {progress.total} {progress.unit}".rstrip()
        now, over = time.monotonic(), progress.total > 0 and progress.done >= progress.total
        if self._bar is None or self._words is None:
            self._bar = ipywidgets.FloatProgress(min=0.0, max=1.0, layout={"width": "240px"})
            self._words = ipywidgets.HTML()
            display(named(ipywidgets.HBox((self._bar, self._words)), "fi-progress-bar"))
        elif now - self._shown < SHOW_SECONDS and not over and progress.task == self._task:
            return
        self._shown, self._task = now, progress.task
        self._bar.value = progress.share
        self._words.value = escaped(self.text)
