"""A notebook on a page of a real JupyterLab, in headless Chromium."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import sync_playwright

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")

RUN = """async code => {
    const future = jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({ code });
    let printed = '';
    future.onIOPub = ({ content }) => { printed += content.text ?? ''; };
    const reply = await future.done;
    if (reply.content.status !== 'ok') throw new Error(reply.content.evalue);
    return printed;
}"""

READY = """async () => {
    const panel = jupyterapp.shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
}"""


@contextmanager
def lab(root: Path) -> Iterator[str]:
    """A JupyterLab server on `root`; gives the address of its API's root with `{}` for the path."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token, base = secrets.token_hex(16), tempfile.mkdtemp(prefix="fi-workbench-lab-")
    settings = Path(base) / "settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    folders = {f"JUPYTER{name}_DIR": f"{base}/{name}" for name in ("_CONFIG", "_RUNTIME", "LAB_WORKSPACES")}
    here = Path(__file__).parents[1]
    paths = os.pathsep.join(filter(None, (str(here), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, **folders, "JUPYTERLAB_SETTINGS_DIR": f"{base}/settings", "PYTHONPATH": paths}
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}"),
        "--LabApp.expose_app_in_browser=True",
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                break
            except OSError:
                if server.poll() is not None:
                    raise RuntimeError("JupyterLab did not start.") from None
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/lab/workspaces/benchmark/tree/{{}}?token={token}"
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def notebook(*cells: str) -> Iterator[Any]:
    """A page that shows a notebook of these cells, its kernel ready, nothing run yet."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        raise RuntimeError("No Chromium: install Debian's chromium, or name its program in CHROMIUM.")
    with tempfile.TemporaryDirectory() as root, lab(Path(root)) as address, sync_playwright() as playwright:
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        content = nbformat.v4.new_notebook(metadata=metadata, cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(content, Path(root) / "benchmark.ipynb")
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1300, "height": 950})
        page.goto(address.format("benchmark.ipynb"))
        page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext")
        page.evaluate(READY)
        yield page
        page.evaluate("() => jupyterapp.serviceManager.sessions.shutdownAll()")
        browser.close()
