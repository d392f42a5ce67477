"""The sentence at the top: what is set, and what is going on."""

from __future__ import annotations

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.view import View

STATUSES = ("empty", "preparing", "ready", "running", "paused", "stopped", "refused", "spent", "lost")
"""What a workbench may be doing; spent: a budget is used up; lost: the link is down and retried."""


class StatusLine(View):
    """A dot and a word for the status, the settings as a sentence, round and rounds per second, progress.

    ``data-status`` is the status itself here.

    Parameters
    ----------
    status : {"empty", "preparing", "ready", "running", "paused", "stopped", "refused", "spent", "lost"}
    sentence : str
        The settings in plain words.
    rate : float, optional
        Rounds per second.
    task : str
        What is being prepared and for how long, e.g. "Training C, about 12 s left"; empty when nothing is.
    progress : float, optional
        Its share done, 0 to 1; None where it cannot be told.

    Examples
    --------
    >>> line = StatusLine(sentence="Five parties answer; soft vote.")
    >>> line.update(status="running", round=128, rate=41.2)
    """

    _esm = module("status_line")
    _css = stylesheet("views")

    status = traitlets.Enum(STATUSES, "empty").tag(sync=True)
    sentence = traitlets.Unicode("").tag(sync=True)
    rate = traitlets.Float(None, min=0, allow_none=True).tag(sync=True)
    task = traitlets.Unicode("").tag(sync=True)
    progress = traitlets.Float(None, min=0, max=1, allow_none=True).tag(sync=True)

    @traitlets.validate("rate", "progress")
    def _finite(self, proposal: traitlets.Bunch) -> float | None:
        value: float | None = proposal["value"]
        return value if value is not None and abs(value) < float("inf") else None
