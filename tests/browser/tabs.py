"""The tabs of a workbench in a page, and its width."""

import re

from playwright.sync_api import expect


def open_tab(box, title):
    """Show a tab; what it holds, for pages that are named by their title."""
    tab = box.locator(".lm-TabBar-tab", has_text=re.compile(f"^{title}$"))
    tab.click()
    expect(tab).to_have_class(re.compile("lm-mod-current"))
    return box.locator(f".fi-page-{title.lower()}")


def n_rows_of_tabs(box):
    """How many rows the titles take."""
    tabs = box.locator(".fi-tabs > .lm-TabBar .lm-TabBar-tab")
    return tabs.evaluate_all("tabs => new Set(tabs.map(tab => Math.round(tab.getBoundingClientRect().top))).size")


def resize(page, box, width):
    """Make the workbench as wide, and wait until nothing sticks out."""
    outside = page.viewport_size["width"] - box.bounding_box()["width"]
    page.set_viewport_size({"width": round(width + outside), "height": 1500})
    page.wait_for_function("w => Math.abs(document.querySelector('.fi-workbench').clientWidth - w) < 2", arg=width)
    page.wait_for_function(
        "() => {const n = document.querySelector('.fi-workbench'); return n.scrollWidth <= n.clientWidth}"
    )
