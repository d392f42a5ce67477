"""The agreement and the gaming page in real JupyterLab: found by pointing, by keys, and by a sweep."""

import re

from playwright.sync_api import expect

from tests.browser.tabs import open_tab

CELL = """
import ipywidgets
from pathlib import Path
import numpy as np
import fi_workbench as fi
from fi_workbench.widgets import panels
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.pages.agreement.page import AgreementPage
from fi_workbench.widgets.pages.gaming.page import GamingPage
from fi_workbench.widgets.pages.tabs import Tabs
from fi_workbench.widgets.views import KeyCatcher

CLASSES = ("cat", "dog", "owl")
labels = np.arange(120) % 3
queries = np.eye(3, dtype=np.float32)[labels]

def party(name, noise, seed):
    def model(asked):
        rng = np.random.default_rng([seed, len(asked)])
        scores = np.asarray(asked, float) + noise * rng.random((len(asked), 3))
        return scores / scores.sum(axis=1, keepdims=True)
    return fi.Party.from_callable(model, name=name, classes=CLASSES, input_shape=(3,), probe=False)

# C answers as A does: the map must show it
federation = fi.Federation([party("A", 2, 1), party("B", 2, 2), party("C", 2, 1), party("D", 9, 3)], history=None)
desk = Desk.new()
desk.driver.take(federation, queries, labels)
style = ipywidgets.HTML(f"<style>{(Path(panels.__file__).parents[1] / 'panels.css').read_text()}</style>")
pages = (AgreementPage(desk), GamingPage(desk))
box = ipywidgets.VBox((style, Tabs(desk, pages).box, KeyCatcher()), layout=ipywidgets.Layout(width="820px"))
box.add_class("fi-workbench")
desk.driver.run(3)
box
"""

READY = "[data-testid=fi-heat-map]"


def test_student_finds_the_twin_and_what_copying_pays(page, box, screenshot):
    page.set_viewport_size({"width": 1300, "height": 1900})
    maps = box.get_by_test_id("fi-heat-map")
    agreement, redundancy, _, true = (maps.nth(k) for k in range(4))
    expect(agreement).to_have_attribute("data-status", "drawn", timeout=30_000)
    expect(agreement.locator(".fi-note")).to_contain_text("of 3 rounds", timeout=20_000)

    # The twins agree on everything, are redundant, and the pointer says so.
    cells = agreement.get_by_test_id("fi-cell")
    expect(cells).to_have_count(16)
    expect(cells.nth(2)).to_have_text("100")
    hit = agreement.get_by_test_id("fi-heat-hit")
    place, frame = cells.nth(2).bounding_box(), hit.bounding_box()
    hit.hover(position={"x": place["x"] - frame["x"] + 5, "y": place["y"] - frame["y"] + 5})
    expect(agreement.get_by_test_id("fi-readout")).to_have_text(
        "A and C give the same label to 100 % of the queries that both answered."
    )
    expect(box.locator(".fi-redundancy-words")).to_contain_text("Most redundant: A and C")
    expect(redundancy.get_by_test_id("fi-cell").nth(2)).to_have_text(re.compile("^−"))

    # By keys to D, Enter: its mistakes beneath. The arrows move no query and no cell of the notebook.
    picture = agreement.locator(".fi-picture")
    picture.focus()
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(agreement).to_have_attribute("data-selected", "D")
    expect(box.locator(".fi-agreement-skill")).to_contain_text("D: estimated skill")
    expect(true.get_by_test_id("fi-cell")).to_have_count(9)
    expect(picture).to_have_attribute("aria-label", re.compile("Most alike are A and C, 100 %"))
    screenshot("maps-agreement", box)

    # The table behind the picture.
    agreement.get_by_test_id("fi-menu").click()
    agreement.get_by_test_id("fi-menu-table").click()
    expect(agreement.get_by_test_id("fi-table").locator("tbody tr").first).to_have_text(re.compile(r"A-[\d.]+100"))

    # What copying pays, and that commit-reveal ends it.
    gain = open_tab(box, "Gaming").get_by_test_id("fi-heat-map").first
    expect(gain).to_have_attribute("data-status", "empty")
    box.locator(".fi-gaming-go").click()
    expect(gain).to_have_attribute("data-status", "drawn", timeout=20_000)
    names = gain.locator(".fi-heat-column").all_text_contents()
    row = gain.locator("[data-testid=fi-row][data-row='Copy peer']")
    at = [one.get_attribute("data-row") for one in gain.get_by_test_id("fi-row").all()].index("Copy peer")
    cell = gain.get_by_test_id("fi-cell").nth(at * len(names) + names.index("Correlated agreement"))
    expect(row).to_be_visible()
    unprotected = float(cell.text_content())
    box.locator(".fi-gaming-protected input").check()
    expect(gain.locator(".fi-note")).to_have_text("under commit-reveal")
    expect(cell).to_have_text("1.0")
    assert unprotected > 1.2
    gain.locator(".fi-picture").focus()
    page.keyboard.press("ArrowDown")
    expect(gain.get_by_test_id("fi-readout")).to_have_text(re.compile("share under .* by|share under"))
    with page.expect_download() as saved:
        box.locator(".fi-save-gaming-csv button").click()
    assert saved.value.suggested_filename.endswith(".csv")
    screenshot("maps-gaming", box)
