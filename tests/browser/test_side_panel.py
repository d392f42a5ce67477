"""The side panel as somebody uses it: federations started, watched, joined, inserted into notebooks, stopped."""

import json
import re
import time

import nbformat
import numpy as np
import pytest
from playwright.sync_api import expect

import fi_workbench as fi
from fi_workbench.transport.hosted.link import HostedLink

THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}
SECONDS_TO_SHOW = 2.0
KERNEL_ANSWERS = """async () => {
    const panel = jupyterapp.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
}"""


@pytest.fixture
def panel(page, open_lab, run_command):
    """The panel in a page without a notebook; federations that were started are stopped in the end."""
    open_lab()
    run_command("fi-workbench:show-federations")
    panel = page.get_by_test_id("fi-panel")
    expect(panel).to_have_attribute("data-link", "live")
    yield panel
    page.evaluate(
        """async () => {
            const settings = jupyterapp.serviceManager.serverSettings;
            const api = settings.baseUrl + 'fi-workbench/api/federations';
            const xsrf = decodeURIComponent(/_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? '');
            const headers = {'X-XSRFToken': xsrf, Authorization: `token ${settings.token}`};
            const {federations} = await (await fetch(api, {headers})).json();
            const own = federations.filter(one => one.by === 'panel');
            await Promise.all(own.map(one => fetch(`${api}/${one.id}`, {method: 'DELETE', headers})));
        }"""
    )


@pytest.fixture
def start(page, panel):
    """Start demo parties by the panel's form, and wait until they are there; the entry."""

    def started(name, parties=3):
        panel.get_by_test_id("fi-start").click()
        form = panel.get_by_test_id("fi-form")
        form.get_by_label("Name").fill(name)
        form.get_by_test_id("fi-parties").fill(str(parties))
        form.get_by_role("button", name="Start", exact=True).click()
        expect(form).to_have_count(0)
        entry = of(panel, name)
        expect(entry.get_by_test_id("fi-count")).to_have_text(f"{parties} of {parties} online", timeout=60_000)
        return entry

    return started


@pytest.fixture
def hosted(lab):
    """A federation that this process hosts, as a notebook would, announced where the lab looks."""
    with HostedLink.open(
        name="course", announce_by="kernel", announce_in=lab.root.parent / "runtime/fi-workbench"
    ) as link:
        yield link


@pytest.fixture
def new_notebook(page, run_command):
    """Open a new notebook, and wait until its kernel answers."""

    def opened():
        run_command("notebook:create-new", {"kernelName": "python3"})
        page.wait_for_function("() => jupyterapp.shell.currentWidget?.sessionContext")
        page.evaluate(KERNEL_ANSWERS)

    return opened


def of(panel, name):
    return panel.locator(f"[data-testid=fi-federation][data-name='{name}']")


def press(entry, command):
    entry.get_by_test_id(f"fi-workbench:{command}").click()


def sources(page):
    """The code of the current notebook's cells."""
    return page.evaluate(
        "() => jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.sharedModel.getSource())"
    )


def party(name):
    def model(queries):
        return np.zeros((len(queries), 3), np.float32)

    return fi.Party.from_callable(
        model, name=name, classes=("cat", "dog", "owl"), input_shape=(4,), outputs="logits", probe=False
    )


def joined(link, name, folder):
    """A party that joins by an invitation, in threads of this process."""
    [command] = link.invite(1)
    words = command.split()
    given = dict(zip(words[2::2], words[3::2], strict=True))
    return fi.join(
        party(name),
        given["--link"],
        key=folder / f"{name}.key",
        token=given["--token"],
        fingerprint=given["--fingerprint"],
    )


def test_empty_panel_says_what_to_do(page, panel, screenshot):
    expect(panel.get_by_test_id("fi-empty")).to_contain_text("No federation runs on this machine")
    expect(page.get_by_test_id("fi-status")).to_have_text("0 federations")
    screenshot("panel-empty")
    panel.get_by_test_id("fi-empty").get_by_role("button", name="Start a federation").click()
    form = panel.get_by_test_id("fi-form")
    expect(form.get_by_label("Name")).to_be_focused()
    form.get_by_test_id("fi-parties").fill("0")
    expect(form.get_by_role("alert")).to_contain_text("1 to 50")
    expect(form.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    page.keyboard.press("Escape")
    expect(form).to_have_count(0)


def test_a_federation_is_started_scaled_watched_and_stopped(page, start, panel, run_command, screenshot):
    entry = start("demo", 3)
    expect(page.get_by_test_id("fi-status")).to_have_text("1 federation")
    expect(entry.get_by_test_id("fi-party")).to_have_count(3)
    colours = entry.locator(".fi-Swatch").evaluate_all(
        "nodes => nodes.map(node => getComputedStyle(node).backgroundColor)"
    )
    assert colours == ["rgb(0, 114, 178)", "rgb(230, 159, 0)", "rgb(86, 180, 233)"]
    entry.get_by_test_id("fi-more").click()
    expect(entry.get_by_test_id("fi-count")).to_have_text("4 of 4 online", timeout=30_000)
    press(entry, "show-log")
    expect(entry.get_by_test_id("fi-log")).to_contain_text("up at 127.0.0.1")
    press(entry, "invite")
    expect(entry.get_by_test_id("fi-invite")).to_contain_text("fi-workbench join --link 127.0.0.1:")
    for theme, name in THEMES.items():
        run_command("apputils:change-theme", {"theme": name})
        page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)
        # JupyterLab takes its splash away twice, and stumbles, when a theme follows another within its 200 ms.
        expect(page.locator("#jupyterlab-splash")).to_have_count(0)
        screenshot(f"panel-{theme}")
    run_command("apputils:change-theme", {"theme": THEMES["light"]})
    assert panel.evaluate("node => node.scrollWidth <= node.clientWidth")
    press(entry, "stop")
    expect(entry).to_have_count(0, timeout=15_000)
    expect(panel.get_by_test_id("fi-empty")).to_be_visible()


def test_what_fails_stays_and_says_why(panel, run_command, screenshot):
    run_command("fi-workbench:start", {"name": "wrong", "parties": 2, "dataset": "nonsense"})
    entry = of(panel, "wrong")
    expect(entry).to_have_attribute("data-state", "failed", timeout=30_000)
    expect(entry.get_by_role("alert")).to_contain_text("nonsense")
    screenshot("panel-failed")
    press(entry, "stop")
    expect(entry).to_have_count(0)


def test_what_the_server_refuses_is_said_in_the_form(panel, run_command, screenshot):
    run_command("fi-workbench:host", {"name": "twin", "address": "127.0.0.1:0"})
    expect(of(panel, "twin")).to_have_attribute("data-state", "up", timeout=30_000)
    panel.get_by_test_id("fi-host").click()
    form = panel.get_by_test_id("fi-form")
    form.get_by_label("Name").fill("twin")
    expect(form.locator(".fi-Warning")).to_have_count(0)
    form.get_by_test_id("fi-address").fill("0.0.0.0:0")
    expect(form.locator(".fi-Warning")).to_contain_text("Others on the network")
    form.get_by_test_id("fi-address").fill("127.0.0.1:0")
    form.get_by_role("button", name="Host", exact=True).click()
    expect(form.get_by_role("alert")).to_contain_text("'twin' runs already")
    form.get_by_label("Name").fill("no twin")
    form.get_by_role("button", name="Host", exact=True).click()
    entry = of(panel, "no twin")
    expect(entry.get_by_test_id("fi-count")).to_have_text("no parties yet", timeout=30_000)
    screenshot("panel-hosted")


def test_a_party_that_joins_is_shown_within_two_seconds(page, panel, hosted, tmp_path, screenshot, shots_folder):
    entry = of(panel, "course")
    expect(entry).to_have_attribute("data-state", "up")
    expect(entry).to_contain_text("hosted by a notebook")
    page.evaluate(
        """() => {
            window.seen = {};
            new MutationObserver(() => document.querySelectorAll('[data-testid=fi-party][data-state=online]').forEach(
                node => (window.seen[node.dataset.name] ??= Date.now()))
            ).observe(document.body, {subtree: true, childList: true, attributes: true});
        }"""
    )
    lags = []
    for name in ("Ann", "Bob", "Cem"):
        with joined(hosted, name, tmp_path):
            assert hosted.roster.wait_for(lambda name=name: any(one.name == name for one in hosted.roster.members), 20)
            online = hosted.roster.entry(name).since
            expect(entry.locator(f"[data-name={name}]")).to_have_attribute("data-state", "online")
            lags.append(page.evaluate("name => window.seen[name]", name) / 1000 - online)
        expect(entry.locator(f"[data-name={name}]")).to_have_attribute("data-state", "offline")
    shots_folder.joinpath("seconds-until-a-new-party-shows.json").write_text(json.dumps(lags))
    screenshot("panel-joined")
    assert max(lags) < SECONDS_TO_SHOW


def test_a_party_that_waits_is_approved_and_expelled(panel, lab, tmp_path):
    folder = lab.root.parent / "runtime/fi-workbench"
    strict = HostedLink.open(name="strict", approve=True, announce_by="kernel", announce_in=folder)
    with strict as link, joined(link, "Ann", tmp_path):
        row = of(panel, "strict").locator("[data-name=Ann]")
        expect(row).to_have_attribute("data-state", "waiting")
        row.get_by_role("button", name="Let Ann take part", exact=True).click()
        expect(row).to_have_attribute("data-state", "online")
        row.hover()
        row.get_by_role("button", name="Let Ann take part no longer").click()
        expect(row).to_have_attribute("data-state", "expelled")


def test_a_class_is_invited_and_approved_at_once(page, panel, lab, tmp_path, screenshot):
    folder = lab.root.parent / "runtime/fi-workbench"
    with HostedLink.open(name="school", approve=True, announce_by="kernel", announce_in=folder) as link:
        entry = of(panel, "school")
        expect(entry).to_have_attribute("data-state", "up")
        press(entry, "invite")
        box = entry.get_by_test_id("fi-invite")
        box.get_by_test_id("fi-invitations").fill("3")
        box.get_by_role("button", name="Make new ones").click()
        expect(box).to_contain_text("3 invitations")
        commands = box.locator("code").inner_text().splitlines()
        assert len({command.split("--token ")[1].split()[0] for command in commands}) == 3
        screenshot("panel-invitations")
        box.get_by_role("button", name="Close").click()
        long = "Bartholomew the Third of Somewhere"
        with joined(link, "Ann", tmp_path), joined(link, long, tmp_path):
            expect(entry.get_by_test_id("fi-count")).to_have_text("2 waiting")
            heights = entry.get_by_test_id("fi-party").evaluate_all("rows => rows.map(row => row.clientHeight)")
            assert heights[0] == heights[1], "a party is a line, however long its name"
            assert panel.evaluate("node => node.scrollWidth <= node.clientWidth")
            screenshot("panel-waiting")
            entry.get_by_test_id("fi-approve-all").click()
            expect(entry.get_by_test_id("fi-count")).to_have_text("2 of 2 online")
            expect(entry.get_by_test_id("fi-approve-all")).to_have_count(0)


def test_code_is_inserted_by_button_toolbar_and_drag(page, panel, hosted, new_notebook, run_command, screenshot):
    entry = of(panel, "course")
    expect(entry).to_have_attribute("data-state", "up")
    press(entry, "insert-code")
    expect(entry.get_by_role("alert")).to_contain_text("No notebook is open")
    new_notebook()
    press(entry, "insert-code")
    first = 'import fi_workbench as fi\nfederation = fi.attach("course")'
    page.wait_for_function("() => jupyterapp.shell.currentWidget?.content?.activeCell")
    expect(page.locator(".jp-CodeCell").first).to_contain_text("fi.attach")
    assert sources(page) == [first]
    # again, from the notebook's own toolbar: the cell is taken, so a new one comes below
    page.locator(".jp-NotebookPanel-toolbar [data-command='fi-workbench:insert-code']").click()
    expect(page.locator(".jp-CodeCell")).to_have_count(2)
    assert sources(page)[1] == 'federation = fi.attach("course")'

    def drag(target):
        head, box = entry.locator(".fi-Entry-name").bounding_box(), target.bounding_box()
        page.mouse.move(head["x"] + 5, head["y"] + 5)
        page.mouse.down()
        page.mouse.move(head["x"] + 60, head["y"] + 30, steps=3)
        page.mouse.move(box["x"] + 20, box["y"] + 8, steps=5)
        page.mouse.up()

    run_command("notebook:insert-cell-below")
    drag(page.locator(".jp-CodeCell .jp-CodeMirrorEditor").last)
    expect(page.locator(".jp-CodeCell").last).to_contain_text("fi.attach")
    assert len(sources(page)) == 3
    drag(page.locator(".jp-CodeCell .jp-InputPrompt").last)  # beside the editor: a cell of its own
    expect(page.locator(".jp-CodeCell")).to_have_count(4)
    assert sources(page)[2:] == ['federation = fi.attach("course")'] * 2
    assert entry.locator(".fi-Entry-fold").get_attribute("aria-expanded") == "true"  # a drag is no click
    screenshot("panel-inserted")


def test_context_menu_acts_on_its_entry(page, panel, hosted):
    expect(of(panel, "course")).to_have_attribute("data-state", "up")
    of(panel, "course").click(button="right", position={"x": 60, "y": 12})
    menu = page.locator(".lm-Menu")
    expect(menu.get_by_text("Open the workbench")).to_be_visible()
    menu.get_by_text("Invite a party").click()
    expect(of(panel, "course").get_by_test_id("fi-invite")).to_contain_text("fi-workbench join")


def test_workbench_opens_beside_the_notebook_and_comes_back_after_reload_and_restart(
    page, start, panel, new_notebook, run_command, screenshot
):
    entry = start("shown", 3)
    new_notebook()
    press(entry, "open-workbench")
    workbench = page.locator(".fi-workbench")
    expect(workbench).to_be_visible(timeout=90_000)
    expect(page.locator(".lm-TabBar-tabLabel", has_text="Federation shown.ipynb")).to_be_visible()
    assert page.locator(".jp-NotebookPanel:visible").count() == 2
    screenshot("panel-workbench")
    press(entry, "open-workbench")  # it is open: no second one
    run_command("docmanager:save")
    page.reload()
    page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")
    expect(panel).to_have_attribute("data-link", "live")
    expect(of(panel, "shown").get_by_test_id("fi-count")).to_have_text("3 of 3 online")
    expect(workbench).to_be_visible(timeout=60_000)
    page.evaluate(
        """() => [...jupyterapp.shell.widgets('main')].find(widget => widget.context?.path.startsWith('Federation'))
            .sessionContext.session.kernel.restart()"""
    )
    status = workbench.locator("[data-testid=fi-status-line]")
    expect(status).to_have_attribute("data-status", re.compile("ready|empty"), timeout=90_000)


@pytest.mark.parametrize(
    ("call", "source"),
    [
        ('attach("x")', "open('ran', 'w')"),
        ('attach("x"); open("ran", "w")', None),
        ('attach("x", __import__("os").mkdir("ran"))', None),
        ('Federation.connect("elsewhere.example:9091")', None),
    ],
)
def test_a_notebook_from_elsewhere_does_not_run_by_saying_that_it_is_a_pane(page, lab, open_notebook, call, source):
    source = source or f"import fi_workbench as fi\nfederation = fi.{call}\nfi.Workbench(federation)"
    content = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "fi_workbench": {"title": "x", "call": call},
        },
        cells=[nbformat.v4.new_code_cell(source)],
    )
    name = f"elsewhere-{time.time_ns()}.ipynb"
    nbformat.write(content, lab.root / name)
    open_notebook(name)
    # Several questions of our own, one after another: what the page had sent in between would have been answered too.
    page.evaluate(
        """async () => {
            const {kernel} = jupyterapp.shell.currentWidget.sessionContext.session;
            for (let asked = 0; asked < 10; asked++) await kernel.requestExecute({code: '1', silent: true}).done;
        }"""
    )
    counts = "() => jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.executionCount)"
    assert page.evaluate(counts) == [None]
    assert page.locator(".jp-NotebookPanel .jp-OutputArea-output").count() == 0
    assert not (lab.root / "ran").exists()


def test_superlinks_are_remembered_and_forgotten(page, panel, new_notebook, run_command):
    run_command("fi-workbench:connect")
    form = panel.get_by_test_id("fi-form")
    form.get_by_test_id("fi-superlink").fill("no address")
    expect(form.get_by_role("alert")).to_contain_text("HOST:PORT")
    form.get_by_test_id("fi-superlink").fill("superlink.example.org:9091")
    page.keyboard.press("Enter")
    entry = panel.get_by_test_id("fi-superlink-entry")
    expect(entry).to_contain_text("superlink.example.org:9091")
    page.reload()
    page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")
    run_command("fi-workbench:show-federations")
    new_notebook()
    entry.get_by_role("button", name="Insert code into the notebook").click()
    expect(page.locator(".jp-CodeCell").first).to_contain_text("connect")
    assert sources(page)[0].endswith('federation = fi.Federation.connect("superlink.example.org:9091")')
    entry.get_by_test_id("fi-forget").click()
    expect(entry).to_have_count(0)


def test_everything_is_reached_by_keyboard(page, panel, hosted):
    entry = of(panel, "course")
    expect(entry).to_have_attribute("data-state", "up")
    panel.get_by_test_id("fi-start").focus()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText")
        )
        outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", reached[-1]
        if "Stop" in reached:
            break
    names = ["Host a federation that others join", "Connect to a SuperLink", "Insert code into the notebook",
             "Open the workbench", "Invite a party", "Stop"]  # fmt: skip
    assert [name for name in reached if name in names] == names
    page.keyboard.press("Shift+Tab")  # back to the invitation
    page.keyboard.press("Enter")
    expect(entry.get_by_test_id("fi-invite")).to_be_visible()
    unnamed = panel.evaluate(
        "node => [...node.querySelectorAll('button, input, select')].filter(one => "
        "!one.getAttribute('aria-label') && !one.innerText.trim() && !one.labels?.length).length"
    )
    assert unnamed == 0


def test_a_server_that_is_gone_for_a_while_is_said_and_found_again(page, panel, hosted):
    expect(of(panel, "course")).to_have_attribute("data-state", "up")
    page.route("**/fi-workbench/api/federations**", lambda route: route.abort())
    page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")  # the question under way is let go
    expect(panel).to_have_attribute("data-link", "lost", timeout=40_000)
    expect(panel.get_by_test_id("fi-link")).to_contain_text("asked again every few seconds")
    expect(page.get_by_test_id("fi-status")).to_have_text("federations: no answer")
    page.unroute("**/fi-workbench/api/federations**")
    expect(panel).to_have_attribute("data-link", "live", timeout=15_000)


def test_settings_hide_panel_and_status_item(page, panel, run_command):
    def choose(settings):
        save = "settings => jupyterapp.serviceManager.settings.save('fi-workbench:plugin', JSON.stringify(settings))"
        page.evaluate(save, settings)
        page.reload()
        page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")

    try:
        choose({"showPanel": False, "showStatusBar": False})
        expect(page.get_by_test_id("fi-status")).to_have_count(0)
        expect(page.locator(".jp-SideBar [data-id=fi-workbench-federations]")).to_have_count(0)
    finally:
        choose({})
    expect(page.get_by_test_id("fi-status")).to_be_visible()
    expect(page.locator(".jp-SideBar [data-id=fi-workbench-federations]")).to_have_count(1)
