"""One workbench per cell: when a cell runs again, what it made before is stopped.

ipywidgets keeps every widget alive for the page's sake, so a workbench that was replaced would ask its parties for
ever. Several workbenches made in one run of one cell live side by side.
"""

from __future__ import annotations

import weakref
from typing import Any

_made: dict[str, tuple[str, list[weakref.ref[Any]]]] = {}
"""By cell: the run that made them, and the workbenches."""


def replace_earlier(workbench: Any) -> None:
    """Close the workbenches that an earlier run of this cell made; nothing where there is no cell."""
    cell, run = _this_run()
    if cell is None:
        return
    earlier, made = _made.get(cell, ("", []))
    if earlier != run:
        for reference in made:
            if (old := reference()) is not None:
                old.close()
        made = []
    _made[cell] = run, [*made, weakref.ref(workbench)]


def _this_run() -> tuple[str | None, str]:
    """The cell that runs now, as JupyterLab names it, and the message that runs it."""
    try:
        from IPython import get_ipython  # noqa: PLC0415 (there need not be one)
    except ImportError:
        return None, ""
    shell = get_ipython()
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None, ""
    parent: dict[str, Any] = kernel.get_parent() or {}
    return parent.get("metadata", {}).get("cellId"), parent.get("header", {}).get("msg_id", "")
