"""A hosted federation in real JupyterLab: a party of another process joins by the command that the page shows."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

PARTY = """
import os
import numpy as np
import fi_workbench as fi

name = os.environ["PARTY_NAME"]
weights = np.random.default_rng([*name.encode()]).normal(size=(64, 10)).astype(np.float32)
party = fi.Party.from_callable(
    lambda queries: queries.reshape(len(queries), -1) @ weights, name=name, model="linear", outputs="logits",
    classes=[str(digit) for digit in range(10)], input_shape=(1, 8, 8), probe=False,
)
"""
HOST = """import fi_workbench as fi
federation = fi.Federation.host(dataset="digits", history=None, announce=False, approve={approve})
workbench = fi.Workbench(federation)
workbench"""
END = "workbench.close(); federation.close()"
SHOWN_SECONDS = 2.0
"""From when a party is on the link until the page shows it."""


@pytest.fixture
def hosted(page, lab, open_notebook, run_all, run_command):
    """Open a notebook that hosts a federation; its workbench."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    def host(approve=False):
        cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [],
                "source": HOST.format(approve=approve)}  # fmt: skip
        notebook = {"cells": [cell], "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
                    "nbformat": 4, "nbformat_minor": 5}  # fmt: skip
        (lab.root / "hosted.ipynb").write_text(json.dumps(notebook))
        open_notebook("hosted.ipynb")
        page.evaluate("() => jupyterapp.shell.collapseLeft()")
        run_all()
        box = page.locator(".fi-workbench").first
        expect(box.locator("[data-testid=fi-status-line]")).to_have_attribute("data-status", "empty", timeout=30_000)
        return box

    yield host
    printed(page, END)


@pytest.fixture
def join(tmp_path):
    """Run a join command, as somebody in a terminal would, until the end of the test."""
    processes = []
    (tmp_path / "my_party.py").write_text(PARTY)

    def run(command, name):
        program, *words = shlex.split(command)
        assert program == "fi-workbench"
        environment = {**os.environ, "PARTY_NAME": name}
        place = words.index("--key") + 1
        words[place] = f"{name}.key"
        with (tmp_path / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / program), *words], cwd=tmp_path, env=environment, stdout=log,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        processes.append(process)
        return process

    yield run
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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


def invited(page, box):
    """A new join command, made and copied with the buttons of the section Link."""
    field = box.locator(".fi-invite-commands")
    before = field.locator("textarea").input_value()
    box.locator(".fi-invite-box button.fi-invite").click()
    expect(field.locator("textarea")).not_to_have_value(before)
    field.locator("[data-testid=fi-copy]").click()
    expect(field.locator(".fi-copy-said")).to_have_text("Copied")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied == field.locator("textarea").input_value()
    return copied


def party(box, name):
    return box.locator(".fi-party-row", has_text=name)


def test_joins_answers_and_is_expelled(page, hosted, join, screenshot, run_command):
    box = hosted()
    expect(box.locator(".fi-nobody-text")).to_contain_text("Nobody has joined yet")
    screenshot("linked-nobody", box)
    box.locator(".fi-nobody-invite").click()
    command = box.locator(".fi-nobody-commands textarea")
    expect(command).to_have_value(re.compile("^fi-workbench join --link "))
    screenshot("linked-invited", box)
    join(command.input_value(), "Ada")
    expect(party(box, "Ada")).to_be_visible(timeout=30_000)
    seen = time.time()
    since = float(printed(page, "print(federation.link.roster.entry('Ada').since)"))
    assert seen - since < SHOWN_SECONDS
    expect(box.locator("[data-testid=fi-sentence]")).to_contain_text("One party answers")
    box.locator(".fi-run").click()
    expect(box.locator(".fi-contribution-bars svg")).to_be_visible()
    bo = join(invited(page, box), "Bo")
    expect(party(box, "Bo")).to_be_visible(timeout=30_000)
    expect(box.locator("[data-testid=fi-sentence]")).to_contain_text("Two parties answer")
    expect(box.locator("[data-testid=fi-row][data-party=Bo][data-status=present]")).to_be_visible()
    shots(page, box, screenshot, run_command, "linked-running")
    bo.terminate()
    expect(party(box, "Bo").locator(".fi-party-state")).to_have_text("offline", timeout=30_000)
    expect(box.locator("[data-testid=fi-row][data-party=Bo][data-status=offline]")).to_be_visible()
    shots(page, box, screenshot, run_command, "linked-offline")
    row = box.locator(".fi-link-members .fi-link-row", has_text="Bo")
    row.locator(".fi-expel").click()
    expect(row).to_contain_text("Expel Bo?")
    screenshot("linked-expel", box)
    row.locator(".fi-expel-keep").click()
    expect(party(box, "Bo")).to_be_visible()
    row.locator(".fi-expel").click()
    row.locator(".fi-expel-sure").click()
    expect(party(box, "Bo")).to_have_count(0)
    expect(box.locator("[data-testid=fi-sentence]")).to_contain_text("One party answers")
    expect(box.locator("[data-testid=fi-status-line]")).to_have_attribute("data-status", "running")
    expect(page.locator(".jp-OutputArea-output[data-mime-type*=stderr]")).to_have_count(0)


def test_waits_for_approval(page, hosted, join, screenshot):
    box = hosted(approve=True)
    join(invited(page, box), "Cy")
    row = box.locator(".fi-link-waiting .fi-link-row", has_text="Cy")
    expect(row).to_be_visible(timeout=30_000)
    expect(box.locator("[data-testid=fi-sentence]")).to_contain_text("Cy waits for approval")
    screenshot("linked-waiting", box)
    row.locator(".fi-approve").click()
    expect(party(box, "Cy")).to_be_visible(timeout=20_000)
    expect(box.locator("[data-testid=fi-status-line]")).to_have_attribute("data-status", "ready")
    box.locator(".fi-ask-one").click()
    expect(box.locator("[data-testid=fi-row][data-party=Cy][data-status=present]")).to_be_visible()


def shots(page, box, screenshot, run_command, name):
    """As it looks at two widths, in both themes; nothing scrolls sideways."""
    before = page.viewport_size
    outside = before["width"] - box.bounding_box()["width"]
    for theme in ("Dark", "Light"):
        run_command("apputils:change-theme", {"theme": f"JupyterLab {theme}"})
        for width in (820, 1050):
            page.set_viewport_size({"width": round(width + outside), "height": 1500})
            page.wait_for_function(
                "w => Math.abs(document.querySelector('.fi-workbench').clientWidth - w) < 2", arg=width
            )
            # pictures follow the width a frame later
            page.wait_for_function(
                "() => {const n = document.querySelector('.fi-workbench'); return n.scrollWidth <= n.clientWidth}",
                timeout=10_000,
            )
            screenshot(f"{name}-{width}-{theme.lower()}", box)
    page.set_viewport_size(before)
