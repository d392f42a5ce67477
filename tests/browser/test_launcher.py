import json

import pytest
from playwright.sync_api import expect

COMMAND = "fi-workbench:new-workbench"


@pytest.fixture
def cells(page):
    """Sources of the current notebook's code cells."""

    def read():
        return page.evaluate(
            """async () => {
                const panel = jupyterapp.shell.currentWidget;
                await panel.context.ready;
                const codeCells = panel.content.widgets.filter(cell => cell.model.type === 'code');
                return codeCells.map(cell => cell.model.sharedModel.getSource());
            }"""
        )

    return read


def test_launcher_has_a_card(page, open_lab, screenshot):
    open_lab()
    card = page.locator(".jp-LauncherCard", has_text="Federated workbench")
    expect(card).to_be_visible()
    expect(card.locator("svg")).to_be_visible()
    expect(page.locator(".jp-Launcher-sectionTitle", has_text="Federated inference")).to_be_visible()
    screenshot("launcher")


def test_palette_finds_the_command(page, open_lab, run_command):
    open_lab()
    run_command("apputils:activate-command-palette")
    page.locator(".lm-CommandPalette-input").fill("federated workbench")
    expect(page.locator(".lm-CommandPalette-itemLabel", has_text="New federated workbench")).to_be_visible()


def test_menu_holds_the_command(page, open_lab):
    open_lab()
    page.locator(".lm-MenuBar-itemLabel", has_text="Federation").click()
    expect(page.locator(".lm-Menu-itemLabel", has_text="New federated workbench")).to_be_visible()


def test_card_gives_way_to_a_notebook_in_the_current_folder(page, lab, open_lab, run_command, cells):
    (lab.root / "course").mkdir()
    open_lab()
    run_command("filebrowser:go-to-path", {"path": "course"})
    run_command("launcher:create", {"cwd": "course"})
    page.locator(".jp-LauncherCard:visible", has_text="Federated workbench").click()
    page.wait_for_function("() => jupyterapp.shell.currentWidget?.context?.path.startsWith('course/')")
    made = "federation = fi.Federation.demo(on_progress=fi.ProgressBar())"
    assert cells() == ["import fi_workbench as fi", made, "fi.Workbench(federation)"]


def test_command_writes_a_notebook_that_names_its_kernel(page, lab, open_lab, run_command, cells):
    open_lab()
    run_command(COMMAND, {"cwd": "", "dataset": "fashionmnist", "parties": 3, "runOnOpen": False})
    given = 'dataset="fashionmnist", n_parties=3, on_progress=fi.ProgressBar()'
    assert cells()[1] == f"federation = fi.Federation.demo({given})"
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    path = page.evaluate("() => jupyterapp.shell.currentWidget.context.path")
    content = json.loads((lab.root / path).read_text())
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    assert content["cells"][0]["cell_type"] == "markdown"


def test_cells_run_when_the_kernel_is_ready(page, open_lab, run_command, screenshot):
    open_lab()
    run_command(COMMAND, {"runOnOpen": True})
    expect(page.locator(".jp-Notebook .fi-workbench")).to_be_visible(timeout=90_000)
    screenshot("new-workbench")


def test_error_says_what_to_do(page, open_lab, run_command, screenshot):
    open_lab()
    run_command(COMMAND, {"cwd": "no-such-folder"})
    toast = page.locator(".Toastify__toast", has_text="No workbench opened")
    expect(toast).to_contain_text("Choose a folder that you can write to")
    expect(toast).to_contain_text("no-such-folder")
    screenshot("new-workbench-error")
