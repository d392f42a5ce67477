"""A real JupyterLab, driven by a real browser."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 60


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("browser")


@dataclass(frozen=True)
class Lab:
    """A JupyterLab server that runs, the token that opens it, and the folder that it shows."""

    url: str
    token: str
    root: Path

    def address(self, path=""):
        """Where `path` opens, each time in a new workspace, so that no test finds the tabs of another."""
        tree = f"/tree/{path}" if path else ""
        return f"{self.url}/lab/workspaces/{secrets.token_hex(4)}{tree}?token={self.token}"


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    base = tmp_path_factory.mktemp("lab")
    root = base / "files"
    if NOTEBOOKS.is_dir():
        shutil.copytree(NOTEBOOKS, root / "notebooks")
    root.mkdir(exist_ok=True)
    # Without this, a pop-up asks whether to fetch news, over whatever the test looks at.
    settings = base / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    environment = {
        **os.environ,
        "JUPYTERLAB_SETTINGS_DIR": str(base / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(base / "config"),
        "JUPYTER_RUNTIME_DIR": str(base / "runtime"),
        "IPYTHONDIR": str(base / "ipython"),
    }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}"),
        "--LabApp.expose_app_in_browser=True",
    ]
    log_path = base / "server.log"
    with log_path.open("w") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        _wait_until_up(f"http://127.0.0.1:{port}/api", server, log_path)
        yield Lab(f"http://127.0.0.1:{port}", token, root)
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _wait_until_up(address, server, log_path):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start. Its log:\n{log_path.read_text()[-4000:]}")


@pytest.fixture(scope="module")
def browser():
    """A browser for one module: while its driver lives, an event loop runs in this thread, and no other can."""
    executable = os.environ.get("CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if executable is None:
        pytest.skip("no Chromium: install the package chromium, or name its program in CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api").sync_playwright().start()
    chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
    yield chromium
    chromium.close()
    playwright.stop()


@pytest.fixture
def page(browser, lab):
    """A new page; whatever the page's own code raises unhandled fails the test."""
    context = browser.new_context(viewport={"width": 1400, "height": 950}, reduced_motion="reduce")
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    if page.evaluate("() => 'jupyterapp' in window"):
        page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")
    context.close()
    assert not errors


@pytest.fixture
def open_lab(page, lab):
    """Open JupyterLab without a notebook: the launcher shows."""

    def go():
        page.goto(lab.address())
        page.wait_for_function("() => window.jupyterapp?.restored.then(() => true)")

    return go


@pytest.fixture
def open_notebook(page, lab):
    """Open a notebook by its path in the lab's folder, and wait until its kernel answers."""

    def go(path):
        page.goto(lab.address(path))
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext")
        # Cells that are run before the kernel is ready are lost in silence.
        page.evaluate(
            """async () => {
                const panel = jupyterapp.shell.currentWidget;
                await panel.context.ready;
                await panel.sessionContext.ready;
                await panel.sessionContext.session.kernel.info;
            }"""
        )

    return go


@pytest.fixture
def run_command(page):
    """Run a command of JupyterLab by its id and wait until it is done; what it returns stays in the page."""

    def run(command, args=None):
        page.evaluate(
            "([command, args]) => jupyterapp.commands.execute(command, args).then(() => null)", [command, args or {}]
        )

    return run


@pytest.fixture
def run_all(run_command):
    """Run all cells of the current notebook and wait until the last has finished."""
    return lambda: run_command("notebook:run-all-cells")


@pytest.fixture
def box(request, page, lab, open_notebook, run_all):
    """The workbench that the module's ``CELL`` makes, in a notebook of its own, once its ``READY`` is drawn."""
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = nbformat.v4.new_notebook(metadata=metadata, cells=[nbformat.v4.new_code_cell(request.module.CELL)])
    name = f"{request.module.__name__.rpartition('.')[2]}-{time.time_ns()}.ipynb"
    nbformat.write(notebook, lab.root / name)
    open_notebook(name)
    page.evaluate("() => jupyterapp.shell.collapseLeft()")
    run_all()
    box = page.locator(".fi-workbench").first
    box.locator(getattr(request.module, "READY", ".fi-contribution-bars svg")).first.wait_for(timeout=60_000)
    return box


@pytest.fixture(scope="session")
def shots_folder(tmp_path_factory):
    named = os.environ.get("FI_WORKBENCH_SHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def screenshot(page, shots_folder):
    """Save what the page shows as <name>.png in the folder FI_WORKBENCH_SHOTS, or else in a temporary one."""

    def shoot(name, target=None):
        path = shots_folder / f"{name}.png"
        (target or page).screenshot(path=path, animations="disabled")
        return path

    return shoot
