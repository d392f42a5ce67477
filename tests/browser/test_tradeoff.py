"""Trade-off and Leakage in real JupyterLab: a sweep, a mark that is loaded by a click and by a key, a leak measured."""

from playwright.sync_api import expect

from tests.browser.tabs import open_tab

CELL = """
import fi_workbench as fi

federation = fi.Federation.demo(n_parties=3, epochs=2, history=None)
workbench = fi.Workbench(federation)
page = next(page for page in workbench._tabs._pages if page.title == "Trade-off")
page.open()
page.choice.size.value = 50
page.choice.mechanisms.value = ("plain", "secure_sum", "laplace")
page.choice.rules.value = ("soft_vote", "hard_vote", "median")
page = next(page for page in workbench._tabs._pages if page.title == "Leakage")
page.open()
page.choice.size.value = 100
page.choice.meters.value = ("confidence_attack", "label_distribution")
workbench
"""


def test_sweep_load_and_measure(page, box, screenshot):
    page.set_viewport_size({"width": 1230, "height": 1500})
    sweep = open_tab(box, "Trade-off")
    expect(sweep.locator(".fi-trade-how")).to_contain_text("17 settings, 85 rounds")
    sweep.locator(".fi-trade-go").click()
    plot = sweep.locator("[data-testid=fi-trade-off-plot]")
    expect(plot).to_have_attribute("data-marks", "17", timeout=30_000)
    expect(plot.locator("[data-testid=fi-trade-slot]")).to_have_count(2)  # hidden: secure sum; no guarantee: plain

    # What is in force is ringed; a click on another mark puts that in force.
    ringed = plot.locator("[data-testid=fi-trade-mark][data-selected]")
    expect(ringed).to_have_attribute("data-mechanism", "Plain")
    mark = plot.locator(
        "[data-mechanism='Secure sum'][data-rule='Hard vote'][data-testid=fi-trade-mark]"
    ).bounding_box()
    place = mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2
    page.mouse.move(*place)
    expect(sweep.locator("[data-testid=fi-readout][data-mark]")).to_contain_text("Secure sum, hard vote:")
    page.mouse.click(*place)
    expect(ringed).to_have_attribute("data-mechanism", "Secure sum")
    expect(sweep.locator(".fi-trade-about")).to_contain_text("Secure sum, hard vote")
    expect(box.locator(".fi-sentence")).to_contain_text("hard vote")

    screenshot("trade-off", box)

    # So do the keys, in the table behind it.
    table = sweep.locator("[data-testid=fi-choice-table] .fi-choice-holder")
    row = table.locator("tbody tr", has_text="Laplace noise (epsilon 64)").first
    steps = row.evaluate("line => [...line.parentNode.rows].indexOf(line) + 1")
    table.focus()
    for _ in range(steps):
        page.keyboard.press("ArrowDown")
    expect(row).to_have_attribute("data-current", "true")
    page.keyboard.press("Enter")
    expect(row).to_have_attribute("data-selected", "true")
    expect(ringed).to_have_attribute("data-mechanism", "Laplace noise")

    # What does not fit is listed with its reason.
    sweep.locator(".fi-trade-refused .fi-section-head").click()
    expect(sweep.locator(".fi-trade-refused tbody tr")).to_contain_text("must see each answer")

    # Nobody else sees anything: chance, at no cost. The coordinator does.
    leak = open_tab(box, "Leakage")
    leak.locator(".fi-leak-role select").select_option("the other parties")
    expect(leak.locator(".fi-leak-how")).to_contain_text("asks nothing")
    leak.locator(".fi-leak-go").click()
    expect(leak.locator(".fi-leak-verdict")).to_contain_text("chance", timeout=15_000)
    leak.locator(".fi-leak-role select").select_option("the coordinator")
    leak.locator(".fi-leak-go").click()
    dots = leak.locator("[data-testid=fi-leak-dots]")
    expect(leak.locator(".fi-leak-which option")).to_have_count(2, timeout=15_000)
    expect(leak.locator(".fi-leak-verdict")).to_contain_text("The coordinator sees each answer of A.")
    expect(dots.locator("[data-testid=fi-row]")).to_have_count(3)
    dots.locator("[data-testid=fi-row]").first.hover()
    expect(dots.locator("[data-testid=fi-readout]")).to_contain_text("Membership by confidence, AUC")
    screenshot("leakage", box)
