"""Federations' managers over processes that only pretend."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from fi_workbench.lab.federations import FederationsManager
from fi_workbench.transport.hosted.announced import listed

FAKE_HOST = (sys.executable, str(Path(__file__).with_name("fake_host.py")))


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    folder = tmp_path / "runtime"
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def find(runtime):
    """What is announced, as the files in the runtime folder have it."""
    return listed


@pytest.fixture
def managing(find):
    """A manager that is closed in the end, and has then left no process behind."""

    @asynccontextmanager
    async def managed(**options):
        manager = FederationsManager(
            find, **{"scan_seconds": 0.05, "poll_seconds": 0.02, "command": FAKE_HOST} | options
        )
        try:
            yield manager
        finally:
            await manager.close()
            own = [child.cmdline() for child in psutil.Process(os.getpid()).children(recursive=True)]
            assert not [line for line in own if FAKE_HOST[1] in line]

    return managed


@pytest.fixture
def until():
    """Wait until the list fulfils a condition, as a browser would: by asking for the next version."""

    async def waited(manager, condition, seconds=20.0):
        listed = await manager.wait()
        async with asyncio.timeout(seconds):
            while not condition(listed["federations"]):
                listed = await manager.wait(listed["version"], 5.0)
        return listed["federations"]

    return waited


@pytest.fixture
def is_up():
    return lambda federations: [one["state"] for one in federations] == ["up"]


@pytest.fixture
def elsewhere(runtime):
    """A federation that somebody else hosts: started by the test itself."""

    @asynccontextmanager
    async def hosted(name="theirs", *options):
        process = await asyncio.create_subprocess_exec(
            *FAKE_HOST,
            "host",
            "--name",
            name,
            *options,
            stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    return hosted
