"""The Secure page in real JupyterLab: secure inference is chosen by its button, and one query is looked into."""

from playwright.sync_api import expect

from tests.browser.tabs import n_rows_of_tabs, open_tab, resize

CELL = """
import fi_workbench as fi

federation = fi.Federation.demo("digits", n_parties=3, model="mlp", epochs=2, history=None)
workbench = fi.Workbench(federation)
workbench
"""


def test_one_query_is_looked_into_step_by_step(page, box, run_command, screenshot):
    open_tab(box, "Secure")
    secure = box.locator(".fi-page-secure")
    expect(secure.locator(".fi-secure-missing")).to_contain_text("Another mechanism is in force")
    screenshot("secure-refused", box)
    secure.locator(".fi-secure-use").click()
    expect(box.locator("[data-testid=fi-sentence]")).to_contain_text("no party sees the query")
    expect(box.locator(".fi-pool")).to_contain_text("sets up a session with 3 parties")

    secure.locator(".fi-secure-go").click()
    flow = secure.locator("[data-testid=fi-message-flow]").first
    expect(flow).to_contain_text("truncate and ReLU", timeout=30_000)
    arrows = flow.locator("[data-testid=fi-row]")
    expect(arrows.and_(flow.locator("[data-sender=owner][data-receiver=dealer]"))).to_have_attribute(
        "data-name", "lanes"
    )
    assert set(arrows.evaluate_all("rows => rows.map(row => row.dataset.fair)")) == {"true"}

    # The keys lead from step to step; so does a row of the table.
    secure.locator(".fi-secure-back").focus()
    page.keyboard.press("Enter")
    expect(flow).to_contain_text("Step 2 of 4: linear")
    held = secure.locator("[data-testid=fi-message-flow]").nth(1)
    weight = held.locator("[data-name=weight]")
    expect(weight).to_contain_text("its own")
    secure.locator(".fi-secure-layers tbody tr").nth(3).click()
    expect(flow).to_contain_text("Step 4 of 4")
    expect(flow.locator("[data-receiver=client]")).to_have_count(2)
    secure.locator(".fi-secure-layers tbody tr").nth(2).click()
    expect(flow).to_contain_text("Step 3 of 4")

    box.locator(".fi-ask-one").click()
    expect(box.locator(".fi-pool")).to_contain_text("4 of 4 questions' masks are ready", timeout=30_000)
    for theme, widths in (("Dark", (820, 1300)), ("Light", (820, 1300))):
        run_command("apputils:change-theme", {"theme": f"JupyterLab {theme}"})
        for width in widths:
            resize(page, box, width)
            assert n_rows_of_tabs(box) == 1
            screenshot(f"secure-{width}-{theme.lower()}", box)
