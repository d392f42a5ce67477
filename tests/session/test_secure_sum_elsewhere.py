"""Secure sum over a wire: one party is a process of its own, and is killed between the phases of a round."""

import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.keyfile import Keys
from fi_workbench.session.hosting import _options
from tests.harness import linear_party, queries
from tests.transport.superlink_process import SuperLinkProcess

NAMES = ("Ada", "Bo", "Cy", "Di")
ROOT = Path(__file__).parents[2]


@contextmanager
def one_process(name, folder, *how):
    """A party's process, as its owner would start it."""
    (folder / "eve.py").write_text(f"from tests.harness import linear_party\nparty = linear_party({name!r})\n")
    command = [sys.executable, "-m", "fi_workbench", "join", "--model", f"{folder}/eve.py:party"]
    process = subprocess.Popen(
        [*command, "--key", str(folder / "eve.key"), *map(str, how)], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FI_WORKBENCH_HOME": str(folder)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(20)


def fallen(federation, name, process, phase):
    """The record of a round in which a party's process is killed the moment it has answered `phase`."""

    def kill(event):
        if (event.phase, event.party, event.kind) == (phase, name, "replied"):
            process.kill()
            process.wait(20)

    return federation.ask(queries(), on_event=kill)


def check(record, name, phase):
    """It is absent after `phase`; what was summed is what those in it answer in the clear."""
    [absence] = record.absent
    phases = ("keys", "shares", "masked", "unmask")
    assert (absence.party, absence.phase) == (name, phases[phases.index(phase) + 1])
    assert absence.kind in ("unreachable", "late")
    summed = (*NAMES, name) if phase == "masked" else NAMES
    assert record.present == summed
    assert record.answers is None
    with fi.Federation([linear_party(name) for name in summed], history=None) as plain:
        np.testing.assert_allclose(record.scores, plain.ask(queries()).scores, atol=1e-6)


@pytest.fixture(scope="module")
def hosted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosted")
    with ExitStack() as stack:
        federation = stack.enter_context(
            fi.Federation.host(name=f"sum-{folder.name}", history=None, mechanism="secure_sum", deadline_seconds=20)
        )
        for name in NAMES:
            at = _options(federation.invite()[0])
            keys, terms = Keys.fresh(name), {"token": at["token"], "fingerprint": at["fingerprint"]}
            stack.enter_context(fi.join(linear_party(name), at["link"], key=keys, **terms))
        yield federation


@pytest.mark.parametrize("phase", ["keys", "shares", "masked"])
def test_killed_between_the_phases_on_a_hosted_link(hosted, tmp_path, phase):
    name, at = f"Eve {phase}", _options(hosted.invite()[0])
    how = ("--link", at["link"], "--token", at["token"], "--fingerprint", at["fingerprint"])
    with one_process(name, tmp_path, *how) as process:
        hosted.wait_for(len(NAMES) + 1, 30)
        check(fallen(hosted, name, process, phase), name, phase)
    hosted.expel(name)


def test_killed_between_the_phases_on_a_superlink(tmp_path):
    with ExitStack() as stack:
        superlink = stack.enter_context(SuperLinkProcess(tmp_path))
        for name in NAMES:
            stack.enter_context(fi.join(linear_party(name), superlink.address, key=Keys.fresh(name), insecure=True))
        process = stack.enter_context(one_process("Eve", tmp_path, "--link", superlink.address, "--insecure"))
        federation = stack.enter_context(
            fi.Federation.connect(
                superlink.address, insecure=True, history=None, mechanism="secure_sum", deadline_seconds=12
            )
        )
        federation.wait_for(len(NAMES) + 1, 30)
        check(fallen(federation, "Eve", process, "shares"), "Eve", "shares")
