"""The Rewards page in real JupyterLab: a student watches the pay, runs out of money, and pays in."""

import re

from playwright.sync_api import expect

from tests.browser.tabs import open_tab

CELL = """
import fi_workbench as fi
from fi_workbench.incentives.ledger import Ledger

federation = fi.Federation.demo(n_parties=3, epochs=2, ledger=Ledger(), budget_micro=2_500_000, history=None)
federation.deposit(20_000_000)
workbench = fi.Workbench(federation)
workbench
"""


def test_pay_and_deposit(box, screenshot):
    rewards = open_tab(box, "Rewards")
    expect(rewards.locator(".fi-ledger-text")).to_contain_text("20.000000")

    # B is set to misbehave, and the stream runs until the money is spent: eight rounds.
    box.locator(".fi-party-edit").nth(1).click()
    box.locator(".fi-behaviour select").select_option("Random confident")
    box.locator(".fi-run").click()
    line = box.locator("[data-testid=fi-status-line]")
    expect(line).to_have_attribute("data-status", "spent", timeout=20_000)
    bars = rewards.locator("[data-testid=fi-pay-bars]")
    expect(bars).to_have_attribute("data-round", "8")
    expect(bars.locator("[data-party=B]")).to_have_attribute("data-status", "random confident")

    # The table adds up to the pot, to the last digit, and marks the one who misbehaves.
    rows = rewards.locator(".fi-table-view").first.locator("tbody tr")
    paid = [cells.split("\t") for cells in rows.all_inner_texts()]
    assert sum(int(row[2].replace(".", "")) for row in paid) == 20_000_000
    assert re.search("fi-fault", rows.nth(1).get_attribute("class"))
    expect(rows.nth(1)).to_contain_text("random confident")

    # Each round's pay instead of the sum so far.
    rewards.get_by_role("button", name="each round").click()
    expect(rewards.locator("[data-testid=fi-series-lines] .fi-title")).to_have_text("Pay of each round")
    screenshot("rewards-spent", box)

    # The notice offers a deposit; the stream then goes on where it was.
    box.locator(".fi-notice .fi-way").first.click()
    expect(line).to_have_attribute("data-status", "paused")
    expect(rewards.locator(".fi-ledger-text")).to_contain_text("250.000000")
    box.locator(".fi-ask-one").click()
    expect(bars).to_have_attribute("data-round", "9", timeout=10_000)
    screenshot("rewards", box)
