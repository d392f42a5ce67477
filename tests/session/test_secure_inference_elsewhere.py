"""Secure inference over a wire: parties that meet over TLS, one of them a process of its own that is killed."""

import secrets
from contextlib import ExitStack

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.keyfile import Keys
from fi_workbench.session.hosting import _options
from tests.harness import queries, shows, torch_party, weights_of
from tests.session.test_secure_sum_elsewhere import one_process
from tests.transcript import recording
from tests.transport.hosted.parties import until as eventually
from tests.transport.superlink_process import SuperLinkProcess

NAMES = ("Ada", "Bo", "Cy")
HOW = {"history": None, "mechanism": "secure_inference", "rule": "mean_logit"}
TORCH = "from tests.harness import torch_party\nparty = torch_party({name!r})\n"


@pytest.fixture(scope="module")
def transcript():
    """What each role in this process receives by way of the link; entered before anybody joins."""
    with recording() as heard:
        yield heard


@pytest.fixture(scope="module")
def joined():
    """The parties of this process, once they have joined."""
    return []


@pytest.fixture(scope="module")
def hosted(transcript, joined, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosted")
    with ExitStack() as stack:
        host = fi.Federation.host(name=f"secure-{folder.name}", deadline_seconds=20, **HOW)
        federation = stack.enter_context(host)
        for name in NAMES:
            at = _options(federation.invite()[0])
            terms = {"token": at["token"], "fingerprint": at["fingerprint"]}
            joined.append(stack.enter_context(fi.join(torch_party(name), at["link"], key=Keys.fresh(name), **terms)))
        yield federation


def plain_scores(asked, names):
    with fi.Federation([torch_party(name) for name in names], history=None, rule="mean_logit") as plain:
        return plain.ask(asked).scores


def test_the_sum_is_that_in_the_clear_and_nothing_else_is_there_to_be_seen(hosted, transcript):
    hosted.wait_for(len(NAMES), 30)
    asked = queries(5)
    wanted = plain_scores(asked, NAMES)
    transcript.entries.clear()
    record = hosted.ask(asked)
    np.testing.assert_allclose(record.scores, wanted, atol=1e-3)
    hidden = [asked, *(weights_of(torch_party(name)) for name in NAMES)]
    hidden += [torch_party(name).predict(asked) for name in NAMES]
    for secret in (*hidden, record.scores):
        assert not shows([entry.body for entry in transcript.of_coordinator()], secret)
    for name in NAMES:
        assert not any(shows([entry.body for entry in transcript.of_party(name)], secret) for secret in hidden)
    plain = hosted.with_(mechanism="plain")
    transcript.entries.clear()
    plain.ask(asked)
    assert shows([entry.body for entry in transcript.of_coordinator()], hidden[-1]), "the same search sees it there"


@pytest.mark.parametrize(("when", "pool"), [("set up", 4), ("asked", 0), ("at work", 64)])
def test_a_party_that_is_killed_ends_its_session_and_the_next_question_is_answered(
    hosted, joined, tmp_path, when, pool
):
    name, at = f"Eve {secrets.token_hex(2)}", _options(hosted.invite()[0])
    how = ("--link", at["link"], "--token", at["token"], "--fingerprint", at["fingerprint"])
    under = hosted.with_(mechanism=[{"name": "secure_inference", "pool": pool}])
    with one_process(name, tmp_path, *how, party=TORCH) as process:
        hosted.wait_for(len(NAMES) + 1, 30)
        if when != "set up":
            assert under.ask(queries()).present == tuple(sorted((*NAMES, name)))
        process.kill()
        process.wait(20)
        if when == "asked":  # its session is open at the others, and nobody waits for it
            with pytest.raises(fi.NoAnswer) as caught:
                under.with_(deadline_seconds=4.0).ask(queries())
            assert name in str(caught.value)
        if when == "at work":  # the others make masks with it, and notice at once
            seats = [one._side.runtime.kept.all()[-1] for one in joined]
            assert eventually(lambda: all(seat.party.ended for seat in seats))
        record = under.ask(queries())
        assert record.present == NAMES
        np.testing.assert_allclose(record.scores, plain_scores(queries(), NAMES), atol=1e-3)
    hosted.expel(name)


def test_on_a_superlink(transcript, tmp_path_factory):
    with ExitStack() as stack:
        superlink = stack.enter_context(SuperLinkProcess(tmp_path_factory.mktemp("superlink")))
        for name in NAMES:
            stack.enter_context(fi.join(torch_party(name), superlink.address, key=Keys.fresh(name), insecure=True))
        federation = stack.enter_context(
            fi.Federation.connect(superlink.address, insecure=True, deadline_seconds=20, **HOW)
        )
        federation.wait_for(len(NAMES), 30)
        for asked in (queries(4), queries(4, seed=2)):
            np.testing.assert_allclose(federation.ask(asked).scores, plain_scores(asked, NAMES), atol=1e-3)
