"""The workbench in real JupyterLab, used as a newcomer would use it."""

import json
import time

import pytest
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import expect

from tests.browser.tabs import open_tab

NOTEBOOK = "notebooks/01_first_federation.ipynb"
TABS = (
    *("Live", "Rewards", "Queries", "Compare", "Agreement", "Gaming"),
    *("Privacy", "Leakage", "Trade-off", "Cost", "Log", "Export"),
)
BARS = ".fi-contribution-bars svg rect.fi-bar"


@pytest.fixture(scope="module")
def page(browser, lab):
    """One page for all tests here, for opening the notebook and training takes most of their time."""
    context = browser.new_context(
        viewport={"width": 1400, "height": 1000}, reduced_motion="reduce", accept_downloads=True
    )
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")
    context.close()
    assert not errors


@pytest.fixture
def workbench(page, open_notebook, run_all, run_command):
    """The workbench of the first notebook, which is run from top to bottom once, and its cell anew for each test."""
    box = page.locator(".fi-workbench").first
    if "jupyterapp" not in page.evaluate("() => Object.keys(window)"):
        open_notebook(NOTEBOOK)
        page.evaluate("() => jupyterapp.shell.collapseLeft()")
        run_all()
    else:
        page.set_viewport_size({"width": 1400, "height": 1000})
        run_cell(page, run_command, "workbench =")
    line = box.locator("[data-testid=fi-status-line]")
    try:
        line.wait_for(state="attached", timeout=20_000)
    except PlaywrightError:
        # seen once, after a file had been loaded: the cell ran, and its output stayed away
        run_cell(page, run_command, "workbench =")
    expect(line).to_have_attribute("data-status", "ready", timeout=20_000)
    expect(box.locator(".fi-contribution-bars svg")).to_be_visible(timeout=20_000)
    box.evaluate("node => node.scrollIntoView()")
    return box


def run_cell(page, run_command, beginning):
    """Run the cell that begins so, and wait until it is done."""
    page.evaluate(
        """beginning => {
            const notebook = jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = notebook.widgets.findIndex(
                cell => cell.model.sharedModel.getSource().startsWith(beginning));
        }""",
        beginning,
    )
    run_command("notebook:run-cell")


def new_cell(page, run_command, source):
    """Write a cell at the end and run it."""
    page.evaluate(
        """source => {
            const panel = jupyterapp.shell.currentWidget;
            panel.content.model.sharedModel.addCell({ cell_type: 'code', source });
            panel.content.activeCellIndex = panel.content.widgets.length - 1;
        }""",
        source,
    )
    run_command("notebook:run-cell")


def printed(page, code):
    """What the kernel prints for some code, beside the notebook."""
    return page.evaluate(
        """async code => {
            const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const future = kernel.requestExecute({ code });
            let text = '';
            future.onIOPub = message => { if (message.header.msg_type === 'stream') text += message.content.text; };
            await future.done;
            return text.trim();
        }""",
        code,
    )


def status(box):
    return box.locator("[data-testid=fi-status-line]")


def round_of(box, view="fi-contribution-bars"):
    return int(box.locator(f"[data-testid={view}]").get_attribute("data-round"))


def reaches(box, number, view="fi-contribution-bars"):
    """Wait until a view shows a later round than `number`, and say which."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if round_of(box, view) > number:
            return round_of(box, view)
        time.sleep(0.05)
    pytest.fail(f"{view} still shows round {round_of(box, view)}")


def widths(box):
    return box.locator(BARS).evaluate_all("bars => bars.map(bar => bar.getBoundingClientRect().width)")


def test_stream(page, workbench, screenshot):
    """Run, change the rule while it runs, pause, stop."""
    expect(status(workbench)).to_have_attribute("data-status", "ready")
    workbench.locator(".fi-run").click()
    expect(status(workbench)).to_have_attribute("data-status", "running")
    first = reaches(workbench, 3)
    before = widths(workbench)
    assert len(before) == 5
    reaches(workbench, first + 10)
    assert widths(workbench) != before
    workbench.locator(".fi-rule select").select_option("Hard vote")
    expect(workbench.locator("[data-testid=fi-sentence]")).to_contain_text("hard vote")
    expect(status(workbench)).to_have_attribute("data-status", "running")
    reaches(workbench, round_of(workbench) + 5)
    screenshot("workbench-live", workbench)
    workbench.locator(".fi-run").click()
    expect(status(workbench)).to_have_attribute("data-status", "paused")
    time.sleep(0.5)
    paused_at = round_of(workbench)
    time.sleep(0.5)
    assert round_of(workbench) == paused_at
    workbench.locator(".fi-run").click()
    reaches(workbench, paused_at)
    workbench.locator(".fi-stop").click()
    expect(status(workbench)).to_have_attribute("data-status", "stopped")
    expect(page.locator(".jp-OutputArea-output[data-mime-type*=stderr]")).to_have_count(0)


def settled(locator, seconds=1.0):
    """Its text, once that has stood for a while: keys travel to the kernel and back."""
    text, since = locator.inner_text(), time.monotonic()
    while time.monotonic() - since < seconds:
        time.sleep(0.1)
        if (now := locator.inner_text()) != text:
            text, since = now, time.monotonic()
    return text


def test_keys(page, workbench, run_command):
    """R, S, D, arrows, ? work, and D D does not delete the cell."""
    n_cells = page.locator(".jp-Notebook .jp-Cell").count()
    run_command("notebook:enter-command-mode")
    workbench.focus()
    page.keyboard.press("r")
    expect(status(workbench)).to_have_attribute("data-status", "running")
    reaches(workbench, 2)
    page.keyboard.press("r")
    expect(status(workbench)).to_have_attribute("data-status", "paused")
    page.keyboard.press("d")
    query = workbench.locator("[data-testid=fi-query-view]")
    expect(query).to_be_visible()
    place = settled(query.locator(".fi-place"))
    page.keyboard.press("d")
    expect(query.locator(".fi-place")).not_to_have_text(place)
    place = settled(query.locator(".fi-place"))
    page.keyboard.press("ArrowRight")
    expect(query.locator(".fi-place")).not_to_have_text(place)
    page.keyboard.press("ArrowLeft")
    expect(query.locator(".fi-place")).to_have_text(place)
    page.keyboard.press("?")
    expect(workbench.locator("[data-testid=fi-help]")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    expect(status(workbench)).to_have_attribute("data-status", "stopped")
    assert page.locator(".jp-Notebook .jp-Cell").count() == n_cells


@pytest.mark.parametrize(
    "css", [".fi-rate-slider .noUi-handle", ".fi-rule select", ".fi-party-asked input", ".fi-party-edit"]
)
def test_jupyters_keys_do_nothing_over_a_control(page, workbench, run_command, css):
    """JupyterLab looks at the focused element first: D D over a slider once deleted the cell."""
    n_cells = page.locator(".jp-Notebook .jp-Cell").count()
    run_command("notebook:enter-command-mode")
    workbench.locator(css).first.focus()
    for key in ("d", "d", "x", "a", "ArrowDown"):
        page.keyboard.press(key)
    time.sleep(0.3)
    assert page.locator(".jp-Notebook .jp-Cell").count() == n_cells
    assert workbench.evaluate("node => node.contains(document.activeElement)")


def test_keys_go_on_after_a_button_is_disabled(page, workbench):
    """Stop disables itself under the focus; R still runs."""
    workbench.locator(".fi-run").click()
    reaches(workbench, 1)
    workbench.locator(".fi-stop").focus()
    page.keyboard.press("Enter")
    expect(status(workbench)).to_have_attribute("data-status", "stopped")
    page.keyboard.press("r")
    expect(status(workbench)).to_have_attribute("data-status", "running")


@pytest.mark.parametrize(("theme", "widths"), [("Light", (820, 1050, 1400)), ("Dark", (1050,))])
def test_tabs_at_all_widths(page, workbench, run_command, screenshot, theme, widths):
    """Every tab, in both themes: nothing scrolls sideways, nothing fails to draw."""
    run_command("apputils:change-theme", {"theme": f"JupyterLab {theme}"})
    workbench.locator(".fi-run").click()
    reaches(workbench, 5)
    open_tab(workbench, "Compare")
    workbench.locator(".fi-compare-go").click()
    expect(workbench.locator(".fi-compare-how")).to_contain_text("They agree on")
    for width in widths:
        outside = page.viewport_size["width"] - workbench.bounding_box()["width"]
        page.set_viewport_size({"width": round(width + outside), "height": 1500})
        page.wait_for_function("w => Math.abs(document.querySelector('.fi-workbench').clientWidth - w) < 2", arg=width)
        for tab in TABS:
            open_tab(workbench, tab)
            time.sleep(0.3)
            workbench.evaluate("node => node.scrollIntoView()")
            # pictures follow the width a frame later
            page.wait_for_function(
                "() => {const n = document.querySelector('.fi-workbench'); return n.scrollWidth <= n.clientWidth}",
                timeout=10_000,
            )
            assert page.locator(".jupyter-widgets-error-widget").count() == 0
            screenshot(f"workbench-{tab.lower()}-{width}-{theme.lower()}", workbench)
    run_command("apputils:change-theme", {"theme": "JupyterLab Light"})


def test_refusal_and_way_back(workbench, screenshot):
    """A combination that does not fit is refused in words, with a button that goes back."""
    asked = workbench.locator(".fi-party-asked input")
    for number in range(4):
        asked.nth(number).click()
    expect(workbench.locator("[data-testid=fi-sentence]")).to_contain_text("One of five parties answers")
    asked.nth(4).click()
    notice = workbench.locator(".fi-notice")
    expect(notice).to_contain_text("Somebody must be asked")
    expect(asked.nth(4)).to_be_checked()
    screenshot("workbench-refused", workbench)
    workbench.locator(".fi-dismiss").click()
    expect(notice).to_be_hidden()


def test_cell_that_runs_again_leaves_no_stream_behind(page, workbench, run_command):
    """Running the cell anew stops the stream of the workbench that it replaces, and paints within two seconds."""
    workbench.locator(".fi-run").click()
    reaches(workbench, 2)
    started = time.monotonic()
    run_cell(page, run_command, "workbench =")
    expect(status(workbench)).to_have_attribute("data-status", "ready")
    expect(workbench.locator(".fi-contribution-bars svg")).to_be_visible()
    assert time.monotonic() - started < 4  # twice what is promised, for a machine that others use too
    names = "[one.name for one in threading.enumerate() if one.name.startswith('fi-workbench')]"
    assert printed(page, f"import threading, time; time.sleep(0.5); print({names})") == "[]"


def test_files(page, workbench, tmp_path):
    """The history and the settings are saved, and the settings load again."""
    workbench.locator(".fi-run").click()
    reaches(workbench, 3)
    workbench.locator(".fi-stop").click()
    workbench.locator(".fi-rule select").select_option("Entropy weighted")
    open_tab(workbench, "Export")
    saved = {}
    for css in ("fi-save-history-csv", "fi-save-settings-json", "fi-save-accuracy-html"):
        with page.expect_download() as download:
            workbench.locator(f".{css} button").click()
        saved[css] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[css])
    assert saved["fi-save-history-csv"].read_text().startswith("round,")
    assert json.loads(saved["fi-save-settings-json"].read_text())["settings"]["rule"] == "entropy_weighted"
    workbench.locator(".fi-rule select").select_option("Soft vote")
    expect(workbench.locator("[data-testid=fi-sentence]")).to_contain_text("soft vote")
    workbench.locator(".fi-load-settings input").set_input_files(saved["fi-save-settings-json"])
    expect(workbench.locator("[data-testid=fi-sentence]")).to_contain_text("entropy weighted")


def test_parties_that_hang_and_raise(page, workbench, run_command, screenshot):
    """They are shown as what they are, nothing is printed under the cell, and Stop does not wait for them."""
    source = """
import time
import numpy as np

def model(behave):
    def answer(queries):
        behave(len(queries))
        return np.full((len(queries), 10), 0.1)
    return answer

def slow(n):
    time.sleep(30)

def broken(n):
    raise RuntimeError("out of memory")

declared = {"classes": federation.classes, "input_shape": federation.input_shape, "probe": False}
strange = fi.Federation(
    [*federation.parties[:2], fi.Party.from_callable(model(broken), name="Broken", **declared),
     fi.Party.from_callable(model(slow), name="Slow", **declared)], deadline_seconds=2, history=None)
fi.Workbench(strange, queries=images, labels=labels)
"""
    new_cell(page, run_command, source.strip())
    box = page.locator(".fi-workbench").nth(1)
    expect(box.locator(".fi-contribution-bars svg")).to_be_visible()
    box.evaluate("node => node.scrollIntoView()")
    box.locator(".fi-run").click()
    states = box.locator(".fi-party-state")
    expect(states.nth(3)).to_have_text("waiting")
    expect(states.nth(2)).to_have_text("raised", timeout=10_000)
    expect(states.nth(3)).to_have_text("late", timeout=10_000)
    screenshot("workbench-absent", box)
    expect(status(box)).to_have_attribute("data-status", "running")
    started = time.monotonic()
    box.locator(".fi-stop").click()
    expect(status(box)).to_have_attribute("data-status", "stopped")
    assert time.monotonic() - started < 1.5
    open_tab(box, "Log")
    expect(box.locator("[data-testid=fi-log-lines]")).to_contain_text("Broken raised an error")
    expect(box.locator("[data-testid=fi-log-lines]")).to_contain_text("RuntimeError: out of memory")
    screenshot("workbench-log-absent", box)
    expect(page.locator(".jp-OutputArea-output[data-mime-type*=stderr]")).to_have_count(0)
    run_command("notebook:delete-cell")
    expect(page.locator(".fi-workbench")).to_have_count(1)


def test_two_on_one_page_do_not_disturb_each_other(page, workbench, run_command):
    """A second workbench over the same federation runs by itself."""
    new_cell(page, run_command, "fi.Workbench(federation, queries=images[:50], labels=labels[:50])")
    boxes = page.locator(".fi-workbench")
    expect(boxes).to_have_count(2)
    first, second = boxes.nth(0), boxes.nth(1)
    second.locator(".fi-rule select").select_option("Class competence")
    second.locator(".fi-run").click()
    reaches(second, 3)
    expect(status(first)).to_have_attribute("data-status", "ready")
    expect(first.locator("[data-testid=fi-sentence]")).to_contain_text("soft vote")
    first.locator(".fi-run").click()
    reaches(first, 2)
    second.locator(".fi-stop").click()
    expect(status(second)).to_have_attribute("data-status", "stopped")
    reaches(first, round_of(first) + 3)
    expect(status(first)).to_have_attribute("data-status", "running")
    run_command("notebook:delete-cell")
    expect(page.locator(".fi-workbench")).to_have_count(1)


def test_empty(page, workbench, run_command, screenshot):
    """Without a federation, a button makes one and shows how far it is."""
    new_cell(page, run_command, "fi.Workbench()")
    box = page.locator(".fi-workbench").nth(1)
    expect(status(box)).to_have_attribute("data-status", "empty")
    box.evaluate("node => node.scrollIntoView()")
    screenshot("workbench-empty", box)
    box.locator(".fi-demo-model select").select_option("lenet")
    box.locator(".fi-demo-skew").focus()
    box.locator(".fi-make-demo").click()
    expect(status(box)).to_have_attribute("data-status", "preparing")
    screenshot("workbench-preparing", box)
    expect(status(box)).to_have_attribute("data-status", "ready", timeout=60_000)
    expect(box.locator("[data-testid=fi-sentence]")).to_contain_text("Five parties answer")
    run_command("notebook:delete-cell")


def test_kernel_that_restarts(page, workbench, run_all, screenshot):
    """What is left on the page says that it is no longer live, and the cell brings it back."""
    workbench.locator(".fi-run").click()
    reaches(workbench, 2)
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    expect(status(workbench)).to_have_attribute("data-status", "lost")
    expect(workbench.locator("[data-testid=fi-sentence]")).to_contain_text("Run the cell again")
    expect(workbench.locator(".fi-rate")).to_have_text("")
    screenshot("workbench-lost", workbench)
    page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.info")
    run_all()
    expect(status(workbench)).to_have_attribute("data-status", "ready", timeout=30_000)
