"""Rules compared as a student would: add, compare, read the curves, bring a threshold into force."""

import re
import time

import nbformat
import pytest
from playwright.sync_api import expect

CELL = """
import fi_workbench as fi
federation = fi.Federation.demo(n_parties=3, epochs=2, history=None)
workbench = fi.Workbench(federation)
workbench
"""


@pytest.fixture
def workbench(page, lab, open_notebook, run_all):
    """The Compare page of a new workbench."""
    content = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        cells=[nbformat.v4.new_code_cell(CELL)],
    )
    name = f"compare-{time.time_ns()}.ipynb"
    nbformat.write(content, lab.root / name)
    open_notebook(name)
    page.evaluate("() => jupyterapp.shell.collapseLeft()")
    run_all()
    box = page.locator(".fi-workbench").first
    box.locator("[data-testid=fi-status-line][data-status=ready]").wait_for(timeout=60_000)
    box.get_by_role("tab", name="Compare").click()
    box.locator(".fi-compare-go").wait_for()
    return box


def test_rules_are_added_compared_and_a_threshold_is_used(page, workbench, screenshot):
    workbench.locator(".fi-compare-add").click()
    workbench.locator(".fi-compare-rule select").select_option(label="Class competence")
    expect(workbench.locator(".fi-rule-row")).to_have_count(3)
    expect(workbench.locator(".fi-rule-row").last).to_contain_text("Class competence")
    workbench.locator(".fi-compare-go").click()
    expect(workbench.locator(".fi-compare-how")).to_contain_text("They agree on", timeout=20_000)

    expect(workbench.locator(".fi-compare-verdict")).to_have_text(
        re.compile(r"Best: .*, [\d.]+ %\. Worst: .* class \d: ")
    )

    dots = workbench.locator(".fi-accuracy-dots")
    expect(dots.locator("[data-testid=fi-row]")).to_have_count(3)
    expect(dots.locator("[data-testid=fi-bound]")).to_have_count(2)
    curves = workbench.locator(".fi-risk-curves")
    expect(curves.locator("[data-testid=fi-curve]")).to_have_count(5)
    expect(curves.locator("[data-testid=fi-threshold-mark]")).to_have_count(3)
    colour = "node => getComputedStyle(node).stroke"
    row = dots.locator("[data-rule='Class competence'] .fi-whisker")
    line = curves.locator("[data-rule='Class competence'] .fi-rule-curve")
    assert row.evaluate(colour) == line.evaluate(colour)

    # over a line of many steps: what is read there is where it is, and a press takes it over
    curves.scroll_into_view_if_needed()
    x, y = page.evaluate(
        """node => {
            const path = node.querySelector("[data-rule='Soft vote'] .fi-rule-curve");
            const at = path.getPointAtLength(path.getTotalLength() * 0.7);
            const box = node.querySelector("svg.fi-svg").getBoundingClientRect();
            return [box.left + at.x, box.top + at.y];
        }""",
        curves.element_handle(),
    )
    page.mouse.move(x, y)  # no scrolling from here to the press
    readout = curves.locator("[data-testid=fi-readout]")
    expect(readout).to_be_visible()
    expect(readout).to_contain_text(re.compile(r"confidence from 0\.\d+.*coverage [\d.]+ %.*risk [\d.]+ %", re.DOTALL))
    page.mouse.click(x, y)
    use = workbench.locator(".fi-use-threshold")
    expect(use).to_be_enabled()
    use.click()
    expect(workbench.locator(".fi-threshold-in-force")).to_contain_text(re.compile(r"In force: 0\.\d+"))

    screenshot("compare", workbench)
    curves.locator("[data-testid=fi-menu]").click()
    curves.locator("[data-testid=fi-menu-table]").click()
    expect(curves.locator("thead")).to_contain_text("coverage")
    with page.expect_download() as saved:
        workbench.locator(".fi-save-button", has_text="Save every label").click()
    assert saved.value.suggested_filename == "comparison.csv"
    assert workbench.evaluate("node => node.scrollWidth <= node.clientWidth")


def test_a_rule_is_learned_at_a_press(page, workbench, screenshot):
    workbench.locator(".fi-rule select").first.select_option(label="Stacked")
    line = workbench.locator("[data-testid=fi-status-line]")
    expect(line).to_have_attribute("data-status", "refused")
    height = line.bounding_box()["height"]
    workbench.locator(".fi-notice .fi-way", has_text="Fit it on").click()
    task = line.locator(".fi-task")
    expect(task).to_contain_text("Fitting stacked")
    assert line.bounding_box()["height"] == height  # nothing jumps, and nothing lies over the tabs
    below, tabs = task.bounding_box(), workbench.locator(".lm-TabBar").bounding_box()
    assert below["y"] + below["height"] <= tabs["y"]
    screenshot("fitting", workbench)
    expect(line.get_by_test_id("fi-sentence")).to_contain_text("stacked", timeout=60_000)
    expect(workbench.locator(".fi-fit-said")).to_contain_text("is flattering")
    screenshot("fitted", workbench)
    workbench.locator(".fi-compare-all").click()
    workbench.locator(".fi-compare-go").click()
    expect(workbench.locator(".fi-compare-how")).to_contain_text("which flatters it", timeout=30_000)
    expect(workbench.locator(".fi-accuracy-dots [data-rule=Stacked]")).to_have_count(1)
