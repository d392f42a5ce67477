"""How long after its cell runs the workbench stands on the page of a real JupyterLab, beside a bare button."""

from __future__ import annotations

import statistics

from benchmarks.figures import Figure
from benchmarks.page import notebook

FEDERATION = """
import ipywidgets
import fi_workbench as fi
federation = fi.Federation.demo()
"""
BUTTON = "ipywidgets.Button(description='bare').add_class('fi-bare-button')"
WORKBENCH = "fi.Workbench(federation)"

# milliseconds from running the active cell to what the selector names being on the page, two frames later
PAINTED = """([index, selector]) => new Promise(async (resolve, reject) => {
    const panel = jupyterapp.shell.currentWidget;
    panel.content.activeCellIndex = index;
    panel.content.deselectAll();
    const cell = panel.content.activeCell.node, started = performance.now();
    jupyterapp.commands.execute('notebook:run-cell');
    const look = () => {
        if (cell.querySelector(selector)) {
            requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - started)));
        } else if (performance.now() - started > 30000) reject(new Error(`${selector} did not appear`));
        else requestAnimationFrame(look);
    };
    cell.querySelectorAll('.jp-OutputArea-child').forEach(node => node.remove());
    look();
})"""
RUN_FIRST = """async () => {
    const panel = jupyterapp.shell.currentWidget;
    panel.content.activeCellIndex = 0;
    await jupyterapp.commands.execute('notebook:run-cell');
}"""


def run(n: int = 3) -> list[Figure]:
    """Median of `n` fresh notebooks: the first paint is what a user sees, not the second."""
    workbench, button = [], []
    for _ in range(n):
        with notebook(FEDERATION, BUTTON, WORKBENCH) as page:
            page.evaluate(RUN_FIRST)
            button.append(page.evaluate(PAINTED, [1, ".fi-bare-button"]))
            workbench.append(page.evaluate(PAINTED, [2, '.fi-workbench [data-testid="fi-contribution-bars"] svg']))
    detail = f"a bare button {statistics.median(button) / 1e3:.2f} s; all {[round(one) for one in workbench]} ms"
    return [Figure("Workbench, first paint", statistics.median(workbench) / 1e3, "s", 2.0, detail)]
