"""Progress of long work in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from fi_workbench.core.progress import OnProgress
    from fi_workbench.core.progress import Progress as Step


def bars_on(console: Console) -> Progress:
    """Bars that are gone when the work is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True)


def shown_in(bars: Progress) -> OnProgress:
    """Progress of long work as one bar for each task."""
    tasks: dict[str, TaskID] = {}

    def show(progress: Step) -> None:
        if progress.task not in tasks:
            tasks[progress.task] = bars.add_task(progress.task, total=progress.total or None)
        bars.update(tasks[progress.task], completed=progress.done, total=progress.total or None)

    return show
