"""Parties in processes of their own, as `fi-workbench join` starts them, and what a test may do to such a process."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from tests.harness import until

ROOT = Path(__file__).parents[2]

MY_PARTY = """
import time
import numpy as np
import fi_workbench as fi

NAME = {name!r}
WEIGHTS = np.random.default_rng([0, *NAME.encode()]).normal(size=(4, 3)).astype(np.float32)

def model(queries):
    if len(queries) == 5:
        time.sleep(3.0)  # five queries take long
    return queries.reshape(len(queries), -1) @ WEIGHTS

party = fi.Party.from_callable(model, name=NAME, classes=("cat", "dog", "owl"), input_shape=(4,), outputs="logits")
"""

WRONG_CLOCK = """
import datetime as dt, time
import flwr.supercore.date
skew, real, real_now = {seconds}, time.time, flwr.supercore.date.now
time.time = lambda: real() + skew
flwr.supercore.date.now = lambda: real_now() + dt.timedelta(seconds=skew)
"""
"""All that a party's process reads the time of day from."""


def logits(name, asked):
    """What the party of this name answers."""
    weights = np.random.default_rng([0, *name.encode()]).normal(size=(4, 3)).astype(np.float32)
    return asked @ weights


def invitation(link, minutes=60.0):
    """The options of one command that the host gives out."""
    words = link.invite(1, minutes)[0].split()
    return {words[k][2:]: words[k + 1] for k in range(len(words) - 1) if words[k].startswith("--")}


class Far:
    """A party elsewhere.

    `prelude` is run in its process before anything of the workbench is imported; `before` is what starts the process
    in some namespace; `options` are those of the command, a None leaves one out.
    """

    def __init__(self, folder, name="Ada", *, prelude="", before=(), key=None, environment=None, **options):
        self.name, self.key, self.lines = name, key or folder / f"{name}.key", []
        self.file = folder / f"{name}.py"
        self.file.write_text(MY_PARTY.format(name=name))
        self.log = folder / f"{name}-{os.urandom(4).hex()}.log"
        given = {"model": f"{self.file}:party", "key": self.key, "log": self.log} | options
        words = [word for option, value in given.items() if value is not None
                 for word in (f"--{option.replace('_', '-')}", str(value))]  # fmt: skip
        program = f"{prelude}\nimport sys\nfrom fi_workbench.cli import main\nsys.exit(main())"
        self.popen = subprocess.Popen(
            [*before, sys.executable, "-c", program, "join", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "400"} | (environment or {}),
        )  # fmt: skip
        self._reader = threading.Thread(target=lambda: self.lines.extend(iter(self.popen.stdout.readline, "")))
        self._reader.start()

    @property
    def said(self):
        return "".join(self.lines)

    def says(self, text, seconds=40.0):
        assert until(lambda: text in self.said, seconds), self.said
        return self

    def ends(self, seconds=40.0):
        """Its exit status, and all that it said."""
        status = self.popen.wait(seconds)
        self._reader.join(10.0)
        return status, self.said

    def kill(self, number=signal.SIGKILL):
        if self.popen.poll() is None:
            self.popen.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(20.0)
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait(10.0)
        self._reader.join(10.0)
        self.popen.stdout.close()


class Memory:
    """The most that a process holds while this is entered, in bytes above what it held before."""

    def __init__(self, pid=None):
        self._process, self._done = psutil.Process(pid), threading.Event()
        self.grown = 0

    def _watch(self):
        while not self._done.wait(0.02):
            self._look()

    def _look(self):
        with contextlib.suppress(psutil.NoSuchProcess):
            self.grown = max(self.grown, self._process.memory_info().rss - self._before)

    def __enter__(self):
        self._before = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._done.set()
        self._thread.join()
        self._look()


def settles(count, at_most, seconds=20.0):
    """Whether `count()` comes down to `at_most` again."""
    return until(lambda: count() <= at_most, seconds)


def soon(condition, seconds=30.0):
    """Asserts that it comes to that."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)
    return found
