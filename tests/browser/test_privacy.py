"""The Privacy page in real JupyterLab: what is promised changes with what is chosen, and budgets run out."""

import re

from playwright.sync_api import expect

from tests.browser.tabs import n_rows_of_tabs, open_tab, resize

CELL = """
import fi_workbench as fi

made = fi.Federation.demo(n_parties=4, epochs=2, history=None)
policies = {"A": fi.Policy(epsilon=2000), "B": fi.Policy(epsilon=40)}
federation = fi.Federation(made.parties, dataset=made.dataset, policies=policies, mechanism="laplace", history=None)
workbench = fi.Workbench(federation)
workbench
"""


def test_promise_matrix_and_budgets(page, box, run_command, screenshot):
    open_tab(box, "Privacy")
    privacy = box.locator(".fi-page-privacy")
    promise, gauges = privacy.locator(".fi-promise"), privacy.locator("[data-testid=fi-budget-gauges]")
    expect(promise).to_contain_text("after Laplace noise, is seen by")
    expect(promise).to_contain_text("at most epsilon 1 of each party:")

    # One batch of 32 queries is within what A and B grant, a second is more than B does.
    expect(gauges.locator("[data-party=B]")).to_have_attribute("data-kind", "open")
    box.locator(".fi-ask-one").click()
    expect(gauges.locator("[data-party=A]")).to_have_attribute("data-spent", re.compile(r"^[1-9]"))
    box.locator(".fi-ask-one").click()
    expect(gauges.locator("[data-party=B]")).to_have_attribute("data-kind", "refused")
    expect(gauges.locator("[data-party=A]")).to_have_attribute("data-kind", "open")
    expect(privacy.locator(".fi-budget-refused")).to_contain_text("B refused the last round: privacy budget spent")
    screenshot("privacy-budgets", box)
    privacy.locator(".fi-leave-out").click()
    expect(gauges.locator("[data-testid=fi-row]")).to_have_count(3)
    expect(privacy.locator(".fi-budget-refused")).to_be_hidden()

    # Noise from a public seed is said in red, and promises nothing.
    warning = box.locator(".fi-public-noise")
    box.locator(".fi-option-reproducible input").check()
    expect(warning).to_contain_text("protects nobody")
    red = page.evaluate(
        "() => {const n = document.createElement('i'); n.style.color = 'var(--jp-error-color1)';"
        " document.body.append(n); const c = getComputedStyle(n).color; n.remove(); return c}"
    )
    expect(warning.locator(".widget-html-content")).to_have_css("color", red)
    expect(promise).to_contain_text("promises nothing")
    screenshot("privacy-public-seed", box)
    box.locator(".fi-option-reproducible input").uncheck()
    expect(warning).to_be_hidden()

    # Secure sum: the coordinator does not see each answer any more, and a picture that needs it says so.
    matrix = privacy.locator("[data-testid=fi-disclosure-matrix]")
    answers = matrix.locator("[data-testid=fi-row]").nth(1)
    expect(answers.locator("circle").nth(1)).to_have_attribute("data-seen", "true")
    box.locator(".fi-mechanism select").select_option("Secure sum")
    expect(promise).to_contain_text("stays with the party")
    expect(answers.locator("circle").nth(1)).to_have_attribute("data-seen", "false")
    expect(answers.locator("circle").nth(1)).to_have_attribute("data-change", "withheld")
    expect(box.locator("[data-testid=fi-sentence]")).to_contain_text("under secure sum, with Laplace noise")
    for theme, widths in (("Dark", (1050,)), ("Light", (820, 1050))):
        run_command("apputils:change-theme", {"theme": f"JupyterLab {theme}"})
        for width in widths:
            resize(page, box, width)
            assert n_rows_of_tabs(box) == 1
            screenshot(f"privacy-{width}-{theme.lower()}", box)
    open_tab(box, "Live")
    gains = box.locator("[data-testid=fi-gain-bars]")
    expect(gains).to_have_attribute("data-status", "refused")
    expect(gains).to_contain_text("It needs each party's vote")
    gains.locator("[data-testid=fi-way-out]").click()
    expect(gains).not_to_have_attribute("data-status", "refused")
    expect(box.locator("[data-testid=fi-sentence]")).to_contain_text("with Laplace noise on each answer; soft vote")
