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
from fi_workbench.privacy.secure_sum import SecureSum
from fi_workbench.session.hosting import _options
from tests.harness import linear_party, queries, shows
from tests.transcript import recording
from tests.transport.superlink_process import SuperLinkProcess

NAMES = ("Ada", "Bo", "Cy", "Di")
ROOT = Path(__file__).parents[2]


LINEAR = "from tests.harness import linear_party\nparty = linear_party({name!r})\n"


@contextmanager
def one_process(name, folder, *how, party=LINEAR):
    """A party's process, as its owner would start it."""
    (folder / "eve.py").write_text(party.format(name=name))
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
    phases = SecureSum.phases
    assert (absence.party, absence.phase) == (name, phases[phases.index(phase) + 1])
    assert absence.kind in ("unreachable", "late")
    summed = (*NAMES, name) if phase in ("masked", "agree") else NAMES
    assert record.present == summed
    assert record.answers is None
    with fi.Federation([linear_party(name) for name in summed], history=None) as plain:
        np.testing.assert_allclose(record.scores, plain.ask(queries()).scores, atol=1e-6)


@pytest.fixture(scope="module")
def transcript():
    """What each role in this process receives; entered before anybody joins."""
    with recording() as heard:
        yield heard


@pytest.fixture(scope="module")
def hosted(transcript, tmp_path_factory):
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


@pytest.fixture(scope="module")
def on_superlink(transcript, tmp_path_factory):
    with ExitStack() as stack:
        superlink = stack.enter_context(SuperLinkProcess(tmp_path_factory.mktemp("superlink")))
        for name in NAMES:
            stack.enter_context(fi.join(linear_party(name), superlink.address, key=Keys.fresh(name), insecure=True))
        federation = fi.Federation.connect(
            superlink.address, insecure=True, history=None, mechanism="secure_sum", deadline_seconds=12
        )
        yield stack.enter_context(federation), superlink.address


def roles_that_got_an_answer(transcript, federation):
    """Who received something in which a party's logits, probabilities, votes or model can be read."""
    transcript.entries.clear()
    asked, parties = queries(5), [linear_party(name) for name in NAMES]
    record = federation.ask(asked)
    assert record.present == NAMES, record.absent
    got = set()
    for party in parties:
        logits = party.predict(asked)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        model = party.function.__defaults__[0]
        for secret in (logits, powers / powers.sum(axis=1, keepdims=True), np.eye(3)[logits.argmax(axis=1)], model):
            if shows([entry.body for entry in transcript.of_coordinator()], secret):
                got.add("coordinator")
            if any(shows([entry.body for entry in transcript.of_party(name)], secret) for name in NAMES):
                got.add("other_parties")
    return got


@pytest.mark.parametrize("place", ["hosted", "superlink"])
def test_no_role_receives_an_answer(place, request, transcript):
    federation = request.getfixturevalue("hosted") if place == "hosted" else request.getfixturevalue("on_superlink")[0]
    federation.wait_for(len(NAMES), 30)
    assert roles_that_got_an_answer(transcript, federation) == set()
    assert {entry.phase for entry in transcript.of_coordinator()} == set(SecureSum.phases)
    plain = federation.with_(mechanism="plain")
    assert roles_that_got_an_answer(transcript, plain) == {"coordinator"}, "the same search sees them there"


@pytest.mark.parametrize("phase", SecureSum.phases[:-1])
def test_killed_between_the_phases_on_a_hosted_link(hosted, tmp_path, phase):
    name, at = f"Eve {phase}", _options(hosted.invite()[0])
    how = ("--link", at["link"], "--token", at["token"], "--fingerprint", at["fingerprint"])
    with one_process(name, tmp_path, *how) as process:
        hosted.wait_for(len(NAMES) + 1, 30)
        check(fallen(hosted, name, process, phase), name, phase)
    hosted.expel(name)


def test_killed_between_the_phases_on_a_superlink(on_superlink, tmp_path):
    federation, address = on_superlink
    with one_process("Eve", tmp_path, "--link", address, "--insecure") as process:
        federation.wait_for(len(NAMES) + 1, 30)
        check(fallen(federation, "Eve", process, "shares"), "Eve", "shares")
