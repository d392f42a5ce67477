"""A look inside secure inference: what is recorded is what was sent, and what is put together is the value."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.errors import DoesNotFit, InvalidQuery, UnknownName
from fi_workbench.mpc.compiler import compile_module
from fi_workbench.mpc.costs import cost
from fi_workbench.session.secure_seen import Sample
from tests.harness import SHAPE, queries, torch_party

NAMES = ("Ada", "Bo", "Cy")


def made_here(*names):
    return [replace(torch_party(name, class_counts=[1, 2, 3]), made_here=True) for name in names]


@pytest.fixture(scope="module")
def federation():
    with fi.Federation(made_here(*NAMES), history=None) as federation:
        yield federation


@pytest.fixture(scope="module")
def digits():
    with fi.Federation.demo("digits", 3, model="mlp", epochs=1, history=None) as federation:
        yield federation


@pytest.fixture(scope="module")
def view(digits):
    return fi.secure_view(digits, "B")


def test_who_plays_is_who_would_in_a_round(view):
    assert view.party == "B"
    assert view.player == {"owner": "B", "evaluator": "C", "dealer": "A"}


def test_bytes_and_hops_are_those_of_the_account(view, digits):
    party = next(one for one in digits.parties if one.name == "B")
    plan = compile_module(party.module, party.input_shape, input_bound=8.0, sample=party.sample, name="B").plan
    account = cost(plan, 1)
    for step, expected in zip(view.steps, account.steps, strict=True):
        for phase in ("set_up", "offline", "online"):
            assert step.n_bytes(phase) == expected.traffic(phase).n_bytes
        assert step.hops == expected.hops
        between = [one for one in step.messages if "client" not in (one.sender, one.receiver)]
        assert sorted((one.phase, one.sender, one.receiver, one.name) for one in between) == sorted(
            (one.phase, one.sender, one.receiver, one.name.replace("-", " ")) for one in expected.messages
        )


def test_words_are_as_wide_as_they_were_sent(view):
    for message in (one for step in view.steps for one in step.messages):
        assert sum(-(-array.n * array.bits // 8) for array in message.arrays) == message.n_bytes, message.name


def test_what_is_put_together_is_the_value_in_the_clear(view):
    for step in view.steps:
        np.testing.assert_allclose(step.secure, step.plain, atol=1e-3)
        assert step.difference < 1e-3
    assert any(any(abs(value) > 0.01 for value in step.plain) for step in view.steps[1:])
    assert 0 < view.difference < 2e-3


def test_all_that_is_sent_looks_uniform_and_weights_do_not(view):
    arrays = [array for step in view.steps for one in step.messages for array in one.arrays]
    assert sum(array.uniform is not None for array in arrays) > 10
    assert all(array.uniform is not False for array in arrays)
    weights = [one.array for step in view.steps for one in step.holdings if one.array.name == "weight"]
    assert len(weights) == 2
    assert all(weight.uniform is False for weight in weights)


def test_words_and_residues_are_counted_where_they_fall():
    words = np.arange(0, 1 << 16, 1 << 6, dtype=np.uint64)
    even = Sample.of("opened", words, 16)
    assert even.counts == (64,) * 16
    assert even.uniform
    assert even.first[:2] == ("0000", "0040")
    assert Sample.of("opened", words // np.uint64(2), 16).uniform is False
    residues = np.tile(np.arange(127, dtype=np.uint8), 40)
    assert Sample.of("lanes", residues, 8).uniform
    assert Sample.of("lanes", np.full(500, 3, np.uint8), 8).uniform is False
    assert Sample.of("top bits", np.ones(100, np.uint8), 1).uniform is False
    assert Sample.of("share", words[:20], 64).uniform is None


def test_the_rule_is_folded_in_as_the_mechanism_does_it(federation):
    asked = queries(1)[0]
    under = federation.with_(rule="mean_logit", mechanism="secure_inference")
    plain, folded = fi.secure_view(federation, query=asked), fi.secure_view(under, query=asked)
    logits = federation.parties[0].predict(asked[None])[0]
    np.testing.assert_allclose(plain.steps[-1].secure, logits, atol=1e-3)
    np.testing.assert_allclose(folded.steps[-1].secure, logits - logits.mean(), atol=1e-3)


def test_too_small_a_federation_is_helped(federation):
    view = fi.secure_view(federation.with_(parties=federation.parties[:1]), query=queries(1)[0])
    assert view.player == {"owner": "Ada", "evaluator": "helper 1", "dealer": "helper 2"}


def test_what_is_not_here_is_refused(federation):
    with pytest.raises(UnknownName, match="Eve"):
        fi.secure_view(federation, "Eve", queries(1)[0])
    with pytest.raises(InvalidQuery, match="no data set"):
        fi.secure_view(federation)
    with pytest.raises(InvalidQuery):
        fi.secure_view(federation, query=np.zeros((*SHAPE, 2), np.float32))
    other = fi.Federation([torch_party("Zed", class_counts=[1, 2, 3])], history=None)
    with other, pytest.raises(DoesNotFit, match="only models that this kernel made"):
        fi.secure_view(other, query=queries(1)[0])


def test_it_is_a_table_a_dictionary_and_a_file(view, tmp_path):
    frame = view.to_frame()
    assert list(frame["kind"]) == [step.kind for step in view.steps]
    assert frame["online_bytes"].sum() == view.n_bytes("online")
    assert len(view.messages_frame()) > len(frame)
    plain = json.loads(view.save(tmp_path / "view.json").read_text())
    assert plain == json.loads(json.dumps(view.to_dict()))
    assert plain["simulation"] is True
    assert view.save(tmp_path / "view.csv").read_text().startswith("step,path,kind")


def test_a_round_tells_how_many_masks_are_ready(federation):
    under = federation.with_(rule="mean_logit", mechanism=[{"name": "secure_inference", "pool": 2}])
    record = under.ask(queries(2))
    assert set(record.ready) == set(NAMES) == set(record.capacity)
    assert set(record.capacity.values()) == {2}
    assert 0 <= record.n_ready <= 2
    assert record.to_dict()["ready"] == record.ready
    end = time.monotonic() + 20
    while dict(under.masks_ready) != dict.fromkeys(NAMES, 2) and time.monotonic() < end:
        time.sleep(0.01)
    assert under.masks_ready == dict.fromkeys(NAMES, 2), "they are made on while nobody asks"
    assert federation.ask(queries(2)).ready is None
