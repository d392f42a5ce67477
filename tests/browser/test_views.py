"""The live views in a real notebook: both themes, all widths, updates, states, menu, keys."""

import re
import time

import nbformat
import pytest
from playwright.sync_api import expect

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark", "contrast": "JupyterLab Dark High Contrast"}
WIDTHS = (400, 820, 1050)

GALLERY = """
import numpy as np, ipywidgets as W
from fi_workbench.widgets.views import *

parties = ["A mlp", "B lenet", "C mlp", "Hospital of the long name", *"EFGHI"]
classes = [str(k) for k in range(10)]
rng = np.random.default_rng(0)
n = len(parties)

status = StatusLine(sentence="Nine parties answer; soft vote; every answer is visible to the coordinator.",
                    status="running", rate=41.23, round=128)
bars = ContributionBars(parties=parties, method="leave-one-out", window="share of the last 50 rounds")
bars.update(shares=[.31, .17, .05, .12, .1, .09, .08, .05, .03], accuracies=[.781, .44, None, *[.5] * 6],
            latencies_ms=[12, 9.31, None, 1234, 3, 4, 5, 6, 7.5],
            statuses=["present", "present", "late", "raised", *["present"] * 5],
            reasons=["", "", "no answer within 2 s", "ValueError in its model", *[""] * 5], round=128)
lines = SeriesLines(names=["consensus", "best party", "oracle", "A mlp", "B lenet", "I"],
                    kinds=["consensus", "best", "oracle", "party", "party", "party"],
                    colours=[None, None, None, 0, 1, 8])
start = np.array([[.81], [.78], [.97], [.7], [.44], [.45]])
walk = np.clip(start + rng.normal(0, .0016, (6, 600)).cumsum(1), 0, 1)
lines.update(points=walk)
counts = ClassCounts(parties=parties, classes=classes)
counts.update(counts=[*[list(rng.integers(0, 90, 10) * (rng.random(10) > .4)) for _ in range(n - 1)], None])
gains = GainBars(parties=parties)
gains.update(gains=[.12, -.03, .05, .08, .02, .01, .1, .2, -.01],
             gains_own=[.05, -.06, -.02, .01, None, .02, .04, .1, .02])
query = QueryView(parties=parties, classes=classes)
answers = rng.dirichlet([.3] * 10, n)
answers[:4, 7] += 2; answers /= answers.sum(1, keepdims=True); answers[2] = np.nan
picture = np.zeros((8, 8)); picture[1, 1:7] = 16; picture[2, 5] = 12; picture[3, 4] = 14; picture[4:7, 3] = 15
query.show_query(picture, answers=answers, scores=np.nanmean(answers, 0), truth=7, n_queries=64, position=11)
matrix = DisclosureMatrix(roles=["client", "coordinator", "other parties", "owner", "the wire"],
    items=[("query", [True, False, True, True, False]), ("each answer", [True, True, False, True, False]),
           ("sum", [True, True, False, False, False])],
    assumptions=["All parties follow the protocol (semi-honest); at most one colludes with the coordinator."])
log = LogLines()
log.extend([(f"12:03:{k:02}", "info", f"round {k} answered by 9 parties") for k in range(40)])
log.append("C mlp was late: no answer within 2 s; the round went on without it", level="warning", time="12:04:00")
log.append("B lenet raised ValueError: wrong shape", level="error", time="12:04:01")
table = TableView(title="Compare", columns=[{"name": "rule"}, {"name": "accuracy", "unit": "%", "kind": "percent"},
                  {"name": "queries", "kind": "count"}, {"name": "time", "unit": "ms", "kind": "number"}])
table.update(rows=[("soft_vote", .8123, 1280, 3.14159), ("hard_vote", float("nan"), 12800, None)],
             faults=["", "needs votes"], colours=[0, 9])
pictures = [status, bars, lines, counts, gains, query, matrix, log, table]
box = W.VBox(pictures, layout=W.Layout(width="1050px"))
box
"""

UPDATE = """
for one in pictures:
    one.update(round=129)
bars.update(shares=[.05, .4, .05, .12, .1, .09, .08, .05, .06], round=130)
"""


@pytest.fixture
def notebook(page, lab, open_notebook, run_all):
    """Open a notebook of these cells and run them."""

    def go(*cells):
        content = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        )
        name = f"views-{time.time_ns()}.ipynb"
        nbformat.write(content, lab.root / name)
        open_notebook(name)
        run_all()

    return go


@pytest.fixture
def kernel(page):
    """Run code in the notebook's kernel, in no cell, and wait for it; returns what it printed."""

    def run(code):
        return page.evaluate(
            """async code => {
                const future = jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({ code });
                let printed = '';
                future.onIOPub = ({ content }) => { printed += content.text ?? ''; };
                const reply = await future.done;
                if (reply.content.status !== 'ok') throw new Error(reply.content.evalue);
                return printed.trim();
            }""",
            code,
        )

    return run


@pytest.fixture
def view(page):
    return lambda name: page.get_by_test_id(f"fi-{name}")


def test_gallery_in_all_themes_and_widths(page, notebook, kernel, view, run_command, screenshot):
    page.set_viewport_size({"width": 1500, "height": 2600})
    notebook(GALLERY)
    expect(view("query-view").get_by_test_id("fi-party")).to_have_count(9, timeout=30_000)
    names = ["status-line", "contribution-bars", "series-lines", "class-counts", "gain-bars", "query-view",
             "disclosure-matrix", "log-lines", "table-view"]  # fmt: skip
    for name in names:
        expect(view(name)).to_have_attribute("data-status", "running" if name == "status-line" else "drawn")
    output = page.locator(".jp-OutputArea-output").first
    for theme, theme_name in THEMES.items():
        run_command("apputils:change-theme", {"theme": theme_name})
        page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=theme_name)
        for width in WIDTHS if theme == "light" else (1050,):
            kernel(f"box.layout.width = '{width}px'")
            page.wait_for_function(
                "width => Math.abs(document.querySelector('.fi-view').offsetWidth - width) < 12", arg=width
            )
            page.wait_for_timeout(500)
            screenshot(f"views-{theme}-{width}", output)
            assert sideways(page) == []
    assert "NaN" not in output.inner_text()
    # The party's colour and the text follow the theme.
    assert page.evaluate("() => getComputedStyle(document.querySelector('.fi-view')).color") == "rgb(255, 255, 255)"

    bar = view("contribution-bars").get_by_test_id("fi-bar").nth(1)
    before = bar.bounding_box()["width"]
    kernel(UPDATE)
    expect(view("contribution-bars")).to_have_attribute("data-round", "130")
    assert bar.bounding_box()["width"] > 1.5 * before
    for name in set(names) - {"contribution-bars"}:
        expect(view(name)).to_have_attribute("data-round", "129")
    expect(view("contribution-bars").locator(".fi-picture")).to_have_attribute(
        "aria-label", re.compile("round 130: A mlp 5.00 %; B lenet 40.0 %; C mlp 5.00 %, late")
    )


def sideways(page):
    """What is wider than its view, or makes the view scroll."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.fi-view')].flatMap(view => {
            const right = view.getBoundingClientRect().right + 1;
            const unseen = '[hidden], .fi-hidden-text, .fi-table-holder, defs';
            const out = [...view.querySelectorAll('*')]
                .filter(node => !node.closest(unseen) && node.getBoundingClientRect().right > right);
            return out.map(node => `${view.dataset.testid}: ${node.outerHTML.slice(0, 120)}`);
        })"""
    )


STATES = """
import numpy as np, ipywidgets as W
from fi_workbench.widgets.views import *
empty = ContributionBars()
refused = ContributionBars(parties=["A"], refusal="Leave-one-out needs each answer; secure sum shows only the sum.",
                           way_out="Show every answer")
reason = "Secure sum: only the sum is visible to the coordinator, so no party's answer can be shown."
hidden = QueryView(parties=["A", "B"], classes=["pneumonia", "normal"], disclosed=False, n_queries=2, scores=[.2, .8],
                   hidden_reason=reason)
hidden.show_query(np.sin(np.arange(30)))
private = GainBars(parties=["A"], gains=[-.02], gains_own=[None])
line = SeriesLines(names=["loss"], unit="", title="Loss", kinds=["consensus"])
line.append([.61])
loss = SeriesLines(names=["loss", "bound"], unit="nat", title="Loss", kinds=["consensus", "bound"])
loss.update(points=np.array([[2.3, 1.9, np.nan, 1.2], [.9] * 4]))
preparing = StatusLine(status="preparing", sentence="Five parties are being trained.", progress=.41,
                       task="Training C, about 12 s left")
lost = StatusLine(status="lost", sentence="The link to hospital B is down; trying again in 4 s.", task="Waiting")
negative = ContributionBars(parties=["A", "B", "C"], shares=[.8, -.1, .3])
asked = []
for one in (refused, hidden):
    one.on_request(asked.append)
box = W.VBox([empty, refused, hidden, private, line, loss, preparing, lost, negative], layout=W.Layout(width="820px"))
box
"""


def test_states(page, notebook, kernel, view, screenshot):
    page.set_viewport_size({"width": 1300, "height": 2000})
    notebook(STATES)
    bars = view("contribution-bars")
    expect(bars.nth(0)).to_have_attribute("data-status", "empty")
    expect(bars.nth(0)).to_contain_text("No parties yet")
    expect(bars.nth(1)).to_have_attribute("data-status", "refused")
    expect(view("query-view").locator("svg")).to_have_attribute("data-disclosed", "false")
    expect(view("gain-bars").get_by_test_id("fi-row")).to_have_attribute("data-loses", "true")
    expect(view("status-line").nth(1)).to_have_attribute("data-status", "lost")
    screenshot("views-states", page.locator(".jp-OutputArea-output").first)

    page.get_by_test_id("fi-way-out").click()
    page.get_by_test_id("fi-next").click()
    page.get_by_test_id("fi-next").click()
    page.get_by_test_id("fi-next-disagreement").click()
    assert kernel("print(asked)") == "['way_out', 'next', 'next', 'next_disagreement']"
    kernel("refused.update(refusal='', shares=[1.0])")
    expect(bars.nth(1)).to_have_attribute("data-status", "drawn")
    expect(page.get_by_test_id("fi-way-out")).to_be_hidden()


MENU = """
from fi_workbench.widgets.views import *
import ipywidgets as W
bars = ContributionBars(parties=["A", "=B"], shares=[.3125, None], statuses=["present", "late"],
                        reasons=["", 'no answer, "late"'])
lines = SeriesLines(names=["consensus"])
lines.append([.8]); lines.append([.75])
W.VBox([bars, lines])
"""


def test_menu_shows_the_table_copies_and_saves(page, notebook, kernel, view, screenshot, tmp_path):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    notebook(MENU)
    bars, lines = view("contribution-bars"), view("series-lines")

    def choose(figure, entry):
        figure.get_by_test_id("fi-menu").click()
        figure.get_by_test_id(f"fi-menu-{entry}").click()

    def save(figure, entry):
        with page.expect_download() as download:
            choose(figure, entry)
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    choose(bars, "table")
    expect(bars.locator("table.fi-table")).to_be_visible()
    expect(bars.locator(".fi-picture")).to_be_hidden()
    expect(bars.locator("tr.fi-fault")).to_have_attribute("title", 'no answer, "late"')
    kernel("bars.update(shares=[.5, .5])")
    expect(bars.locator("tbody td").nth(1)).to_have_text("50.0")
    bars.get_by_test_id("fi-menu").click()
    screenshot("views-menu", page.locator(".jp-OutputArea-output").first)
    page.keyboard.press("ArrowDown")
    expect(bars.get_by_test_id("fi-menu-copy")).to_be_focused()
    page.keyboard.press("Escape")
    expect(bars.locator(".fi-menu-list")).to_be_hidden()
    choose(bars, "copy")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied.splitlines()[0] == "party\tshare (%)\taccuracy (%)\tlatency (ms)\tstatus\treason"
    assert copied.splitlines()[2] == '\'=B\t50\t\t\tlate\tno answer, "late"'  # a name is no formula
    assert save(bars, "csv").read_text().splitlines()[2] == '\'=B,50,,,late,"no answer, ""late"""'
    choose(bars, "table")
    expect(bars.locator(".fi-picture")).to_be_visible()
    picture = save(bars, "save").read_text()
    assert picture.startswith("<svg")
    assert "var(" not in picture
    assert "rgb(0, 114, 178)" in picture
    assert save(lines, "save").read_bytes().startswith(b"\x89PNG")
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 1


def test_instances_stay_apart_and_leave_nothing_behind(page, notebook, kernel, view):
    notebook(
        "from fi_workbench.widgets.views import *\nimport ipywidgets as W\n"
        "names = [str(k) for k in range(9)]\n"
        "one, two = (ContributionBars(parties=names, shares=[.1] * 9, statuses=['late'] * 9) for _ in range(2))\n"
        "W.VBox([one, two, one])"
    )
    bars = view("contribution-bars")
    expect(bars).to_have_count(3)
    ids = page.evaluate("() => [...document.querySelectorAll('.fi-view [id]')].map(node => node.id)")
    assert len(ids) == len(set(ids)) == 6  # per picture: the ninth party's pattern, and the hatch of what is late
    kernel("one.update(shares=[.2] * 9)")
    expect(bars.nth(0)).to_have_attribute("data-round", "1")
    expect(bars.nth(2)).to_have_attribute("data-round", "1")
    expect(bars.nth(1)).to_have_attribute("data-round", "0")
    kernel("one.close()")
    expect(bars).to_have_count(1)
    kernel("two.update(shares=[.3] * 9)")
    expect(bars).to_have_attribute("data-round", "1")


WORKBENCH = """
import ipywidgets as W
from fi_workbench.widgets.views import *

def marked(widget, *names):
    for name in names:
        widget.add_class(name)
    return widget

def section(name, *children, folded=False):
    head = marked(W.Button(description=name), "fi-section-head")
    names = ["fi-section", "fi-folded"] if folded else ["fi-section"]
    return marked(W.VBox([head, marked(W.VBox(children), "fi-section-body")]), *names)

keys = KeyCatcher()
asked = []
keys.on_request(asked.append)
name = W.Text(description="name", value="C")
rate = W.FloatSlider(description="rate", min=1, max=60, value=10, readout_format=".0f")
left = marked(W.VBox([
    marked(W.HBox([marked(W.Button(description="Run", icon="play"), "fi-primary"),
                   W.Button(description="Pause", icon="pause"), W.Button(description="Stop", icon="stop")]), "fi-row"),
    rate,
    section("Parties", W.Checkbox(description="A mlp", indent=False, value=True),
            W.Checkbox(description="B lenet", indent=False), name,
            W.FloatLogSlider(description="skew", min=-2, max=2, value=.1)),
    section("Rule", W.Dropdown(description="rule", options=["soft_vote", "hard_vote"]),
            W.IntSlider(description="trim", max=5),
            marked(W.HTML("The mean of all answers. <span class='fi-formula'>p = 1/n &Sigma; p_i</span>"), "fi-hint")),
    section("Privacy", W.ToggleButtons(options=["none", "noise"]), W.Textarea(description="note"), folded=True),
]), "fi-left")
bars = ContributionBars(parties=["A mlp", "B lenet", "C mlp"], shares=[.6, .3, .1],
                        statuses=["present", "present", "late"])
lines = SeriesLines(names=["consensus", "best party"], kinds=["consensus", "best"])
for k in range(30):
    lines.append([.7 + .003 * k, .68])
counts = ClassCounts(parties=["A", "B", "C"], classes=list("0123456789"), counts=[range(10), range(10, 0, -1), None])
live = marked(W.VBox([marked(bars, "fi-whole"), lines, counts]), "fi-grid")
titles = ["Live", "Queries", "Compare", "Rewards", "Privacy", "Cost", "Log"]
tabs = W.Tab([live, *(W.HTML("Nothing yet: ask a batch.") for _ in range(6))], titles=titles)
status = StatusLine(status="running", round=128, rate=41.2,
                    sentence="Three parties answer; soft vote; every answer is visible to the coordinator.")
body = marked(W.HBox([left, marked(W.VBox([tabs]), "fi-right")]), "fi-body")
workbench = marked(W.VBox([keys, status, body]), "fi-workbench")
holder = W.VBox([workbench], layout=W.Layout(width="1050px"))
holder
"""


def test_workbench_around_the_views(page, notebook, kernel, run_command, screenshot):
    page.set_viewport_size({"width": 1500, "height": 1600})
    notebook(WORKBENCH, "'a cell that D D would delete'")
    root = page.get_by_test_id("fi-workbench")
    expect(page.get_by_test_id("fi-contribution-bars")).to_have_attribute("data-status", "drawn")
    expect(root).to_have_attribute("data-lm-suppress-shortcuts", "true")
    for theme, width in [("light", 1050), ("light", 820), ("dark", 820), ("dark", 1050)]:
        run_command("apputils:change-theme", {"theme": THEMES[theme]})
        kernel(f"holder.layout.width = '{width}px'")
        page.wait_for_timeout(700)
        screenshot(f"workbench-{theme}-{width}", page.locator(".jp-OutputArea-output").first)
        assert sideways(page) == []
        left, right = (page.locator(f".fi-{side}").bounding_box() for side in ("left", "right"))
        assert (right["y"] >= left["y"] + left["height"]) == (width < 900)
        assert width < 900 or 240 <= left["width"] <= 280
    head = page.locator(".fi-section-head", has_text="Privacy")
    expect(page.locator("textarea")).to_be_hidden()
    head.click()
    expect(page.locator("textarea")).to_be_visible()
    expect(head).to_have_attribute("aria-expanded", "true")
    assert kernel("print(asked)") == "[]"


def test_keys_belong_to_the_workbench(page, notebook, kernel, screenshot):
    notebook(WORKBENCH, "'a cell that D D would delete'")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    expect(cells).to_have_count(2)
    expect(page.get_by_test_id("fi-keys")).to_have_attribute("data-status", "listening")

    # There is nothing to focus there but the workbench itself.
    page.locator(".fi-status-line").click(position={"x": 400, "y": 8})
    expect(page.get_by_test_id("fi-workbench")).to_be_focused()
    for key in ("d", "d", "r", "Shift+S", "ArrowLeft", "ArrowRight"):
        page.keyboard.press(key)
    said = ["next_disagreement"] * 2 + ["run_pause", "stop", "previous", "next"]
    assert kernel("print(asked)") == str(said)
    expect(cells).to_have_count(2)

    page.keyboard.press("?")
    expect(page.get_by_test_id("fi-help")).to_be_visible()
    screenshot("workbench-help", page.locator(".jp-OutputArea-output").first)
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("fi-help")).to_be_hidden()
    expect(page.get_by_test_id("fi-workbench")).to_be_focused()

    # What is typed is typed; a slider's arrows move the slider.
    page.locator(".fi-workbench input[type=text]").first.click()
    page.keyboard.press("End")
    page.keyboard.type("drs?")
    page.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    deadline = time.monotonic() + 5  # the slider tells its value when it comes to rest
    while kernel("print(rate.value > 10)") != "True":
        assert time.monotonic() < deadline
    assert kernel("print(asked)") == str(said)
    expect(page.locator(".fi-workbench input[type=text]").first).to_have_value("Cdrs?")

    # A press in the workbench must not hand the keyboard back to the notebook.
    page.get_by_role("button", name="Stop").click()
    page.keyboard.press("d")
    page.keyboard.press("d")
    expect(cells).to_have_count(2)
    # Outside of it, the notebook's keys are its own.
    cells.nth(1).locator(".jp-InputPrompt").click()
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    page.keyboard.press("d")
    expect(cells).to_have_count(1)
    # When the workbench is closed, nothing of it stays.
    kernel("workbench.close()")
    expect(page.get_by_test_id("fi-workbench")).to_have_count(0)
    expect(page.get_by_test_id("fi-help")).to_have_count(0)
