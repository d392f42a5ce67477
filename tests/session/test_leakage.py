"""Leakage of a running federation: what a role sees is what is measured, and what protects shows."""

import json
import threading

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.disclosure import Disclosure
from fi_workbench.core.errors import DoesNotFit, InvalidData, InvalidOption, MissingData, NoAnswer, UnknownName
from fi_workbench.core.randomness import generator
from fi_workbench.privacy.meters import meters
from fi_workbench.session.leaking.asking import Eyes
from fi_workbench.session.leaking.auditing import audit_mechanism
from fi_workbench.session.leaking.leakage import leakage, n_leakage_queries
from fi_workbench.session.leaking.samples import choose_samples
from tests.harness import CLASSES, SHAPE, linear_party
from tests.session.toy_link import ToyLink

QUICK = {"lira_lite": {"n_shadows": 2, "n_epochs": 8}, "extraction": {"n_points": 2, "n_epochs": 15}}


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """Five parties that know their few noisy digits by heart."""
    digits, rng = fi.load_dataset("digits"), generator(0, "noisy digits")

    def noisy(images):
        return np.clip(images + rng.normal(scale=0.5, size=images.shape), 0, 1).astype(np.float32)

    path = tmp_path_factory.mktemp("noisy") / "noisy.npz"
    np.savez(
        path, train_images=noisy(digits.train_images), train_labels=digits.train_labels,
        test_images=noisy(digits.test_images), test_labels=digits.test_labels,
    )  # fmt: skip
    with fi.Federation.demo(path, alpha=100.0, epochs=20, history=None, contribution="equal") as federation:
        yield federation


@pytest.fixture
def link():
    link = ToyLink()
    yield link
    link.close()


def small(federation, role="coordinator", **options):
    return leakage(federation, role, meter_options=QUICK, **options)


# ---- what is measured


def test_under_plain_rounds_members_are_told_apart_and_the_model_is_copied(overfitted):
    found = small(overfitted)
    assert found.complete
    assert (found.sees, found.target, found.left_out) == ("answers", "A", {})
    assert {row.meter for row in found.rows} == set(meters)
    for name in ("confidence_attack", "quantile_attack", "lira_lite"):
        assert found.row(name, "AUC").leaks
        assert found.row(name, "AUC").value > 0.7
    assert found.n_members == found.n_non_members > 100
    assert found.n_queries == n_leakage_queries(overfitted)
    assert found.n_rounds == -(-found.n_queries // 256)


def test_under_secure_sum_less_leaks(overfitted):
    plain, hidden = (
        leakage(overfitted.with_(mechanism=one), meters=["confidence_attack"]) for one in ("plain", "secure_sum")
    )
    assert hidden.sees == "scores"
    assert "no answer of A" in hidden.seen
    assert hidden.row("confidence_attack").high < plain.row("confidence_attack").low


def test_noise_on_the_answers_leaves_little(overfitted):
    blurred = overfitted.with_(mechanism="laplace", mechanism_options={"epsilon": 0.05, "reproducible": True})
    found = leakage(blurred, meters=["confidence_attack"])
    assert found.sees == "answers"
    row = found.row("confidence_attack")
    assert row.low <= 0.5 <= row.high
    assert not row.leaks


def test_a_role_that_sees_nothing_costs_nothing_and_knows_what_chance_knows(overfitted):
    before = overfitted.runtime.n_rounds
    found = leakage(overfitted, "other_parties")
    assert overfitted.runtime.n_rounds == before
    assert (found.sees, found.n_queries, n_leakage_queries(overfitted, "other_parties")) == ("nothing", 0, 0)
    assert {row.meter for row in found.rows} == set(meters)
    assert all(row.value == row.low == row.high == row.baseline and row.n == 0 for row in found.rows)
    assert found.row("lira_lite").value == 0.5
    assert not any(row.leaks for row in found.rows)


def test_what_a_role_sees_follows_the_disclosure(overfitted, monkeypatch):
    record = overfitted.ask(*(part[:40] for part in overfitted.test_set))
    for items, sees in (
        ({"query", "answers", "label"}, "answers"), ({"votes", "label"}, "votes"), ({"sum", "label"}, "scores"),
        ({"query", "label"}, "label"), ({"query"}, "nothing"),
    ):  # fmt: skip
        stated = Disclosure({"client": frozenset(items)})
        monkeypatch.setattr(fi.Federation, "disclosure", property(lambda self, stated=stated: stated))
        eyes = Eyes.of(overfitted, "client", "C")
        assert eyes.sees == sees
        shown = None if sees == "nothing" else eyes.shown(record)
        match sees:
            case "answers":
                np.testing.assert_allclose(shown, record.answers[2], rtol=1e-6)
            case "votes":
                np.testing.assert_array_equal(shown.argmax(1), record.answers[2].argmax(1))
            case "scores":
                np.testing.assert_allclose(shown, record.scores)
            case "label":
                np.testing.assert_array_equal(shown.argmax(1), record.labels)
        if sees in ("votes", "label"):
            assert set(np.unique(shown)) == {0.0, 1.0}


def test_members_are_what_the_party_was_trained_on(overfitted):
    demo, data = overfitted.made_from, overfitted.dataset
    for party in overfitted.parties:
        trained, held = demo.samples_of(party.name, data)
        np.testing.assert_array_equal(np.bincount(data.train_labels[trained], minlength=10), party.facts.class_counts)
        assert set(trained) < set(held)
    with pytest.raises(UnknownName, match="Zoe"):
        demo.samples_of("Zoe", data)


def test_members_and_non_members_have_the_same_classes(overfitted):
    skewed = overfitted.dataset
    members = tuple(part[skewed.train_labels < 4] for part in (skewed.train_images, skewed.train_labels))
    chosen = choose_samples(overfitted, overfitted.parties[0], members=members, n_samples=60)
    one, two = (np.bincount(labels, minlength=10) for _, labels in (chosen.members, chosen.non_members))
    np.testing.assert_array_equal(one, two)
    assert one.sum() == 60
    assert not one[4:].any()
    every = [{image.tobytes() for image in part[0]} for part in (chosen.non_members, chosen.reference)]
    assert not every[0] & every[1]


# ---- running it


def test_equal_seeds_measure_equally(overfitted):
    one, two, other = (leakage(overfitted, meters=["confidence_attack"], seed=seed).rows for seed in (1, 1, 2))
    assert one == two != other


def test_its_rounds_are_real_and_unpaid(overfitted):
    before = overfitted.runtime.n_rounds
    found = leakage(overfitted, meters=["confidence_attack"], batch_size=100)
    assert overfitted.runtime.n_rounds - before == found.n_rounds == -(-found.n_queries // 100)
    assert set(overfitted.history[-1]["payments"]) == {0}
    assert found.n_queries == n_leakage_queries(overfitted, meters=["confidence_attack"])
    assert found.n_queries == found.n_members + found.n_non_members


def test_progress_grows_to_its_end(overfitted):
    told = []
    small(overfitted, n_samples=60, n_probes=40, on_progress=told.append)
    done = [one.done for one in told]
    assert done == sorted(done)
    assert told[-1].done == told[-1].total
    assert len({one.total for one in told}) == 1
    assert any("shadow model 2" in one.task for one in told)


@pytest.mark.parametrize("at", ["asking about A", "lira_lite"])
def test_stopping_keeps_what_is_there(overfitted, at):
    stop = threading.Event()

    def on_progress(progress):
        if progress.task.startswith(at):
            stop.set()

    found = small(overfitted, n_samples=60, n_probes=40, batch_size=50, on_progress=on_progress, cancelled=stop)
    assert not found.complete
    measured = {row.meter for row in found.rows}
    assert measured == (set() if at.startswith("asking") else {"confidence_attack", "quantile_attack"})


def test_its_result_is_plain_data_and_a_table(overfitted):
    found = small(overfitted, n_samples=60, n_probes=40)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert len(plain["rows"]) == len(found.rows) == len(found.table())
    assert plain["curves"]["extraction"]["x"][-1] == 40
    assert set(plain["curves"]) == {"confidence_attack", "quantile_attack", "lira_lite", "extraction"}
    with pytest.raises(LookupError, match="confidence_attack: AUC"):
        found.row("confidence_attack", "nonsense")


# ---- what is missing


def test_parties_of_ones_own_need_their_members(make):
    federation = make(contribution="equal")
    rng = generator(0, "own")
    queries, labels = rng.normal(size=(100, *SHAPE)).astype(np.float32), rng.integers(len(CLASSES), size=100)
    with pytest.raises(MissingData, match="non_members"):
        leakage(federation)
    found = small(federation, target="Bo", non_members=(queries, labels))
    assert {row.meter for row in found.rows} == {"extraction"}  # the class counts of one's own parties are private
    assert "give members" in found.left_out["lira_lite"]
    assert "prior" in found.left_out["label_distribution"]
    whole = small(
        federation, target="Bo", members=(queries[:50] + 1, labels[:50]), non_members=(queries, labels), prior=[1, 1, 2]
    )
    assert {row.meter for row in whole.rows} == set(meters)
    assert whole.left_out == {}


def test_a_meter_asked_for_by_name_is_refused_before_anybody_is_asked(make):
    federation = make()
    queries = np.zeros((40, *SHAPE), np.float32)
    with pytest.raises(InvalidData, match="give members"):
        leakage(federation, meters=["lira_lite"], non_members=(queries, np.zeros(40, int)))
    assert federation.runtime.n_rounds == 0


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"role": "owner"}, UnknownName, "coordinator"),
        ({"target": "Zoe"}, UnknownName, "Zoe"),
        ({"meters": ["nonsense"]}, UnknownName, "lira_lite"),
        ({"meter_options": {"lira_lite": {"n_shadows": 0}}}, InvalidOption, "n_shadows"),
        ({"batch_size": 0}, InvalidOption, "batch_size"),
        ({"n_samples": 0}, InvalidOption, "n_samples"),
        ({"prior": [1, 2]}, InvalidOption, "prior"),
    ],
)
def test_what_there_is_not_is_refused_by_name(overfitted, options, error, says):
    before = overfitted.runtime.n_rounds
    with pytest.raises(error, match=says):
        leakage(overfitted, **options)
    assert overfitted.runtime.n_rounds == before


def test_of_parties_elsewhere_only_what_is_seen_can_be_held_against_a_copy(link):
    rng = generator(0, "elsewhere")
    asked = rng.normal(size=(60, *SHAPE)).astype(np.float32), rng.integers(len(CLASSES), size=60)
    with fi.Federation._over(link, None, None, {"history": None, "contribution": "equal"}) as federation:
        for name in ("Ada", "Bo", "Cy"):
            link.join(linear_party(name))
        found = small(federation, target="Bo", non_members=asked)
        assert found.complete
        assert found.row("extraction").n == 36  # held out, and asked: the model is not at hand
        assert found.n_queries == n_leakage_queries(federation, target="Bo", non_members=asked) == 60
        hidden = small(federation.with_(mechanism="secure_sum"), target="Bo", non_members=asked)
        assert "elsewhere" in hidden.left_out["extraction"]
        assert hidden.rows == ()


def test_a_batch_is_not_told_by_its_company(make):
    batches = []

    def model(queries):
        batches.append(queries[:, 0] > 50)
        return np.zeros((len(queries), len(CLASSES)))

    party = fi.Party.from_callable(
        model, name="Bo", classes=CLASSES, input_shape=SHAPE, outputs="logits", class_counts=[1, 1, 1], probe=False
    )
    queries, labels = np.zeros((100, *SHAPE), np.float32), np.arange(100) % 3
    found = leakage(
        make(parties=[party]), members=(queries + 100, labels), non_members=(queries, labels),
        meters=["confidence_attack"], batch_size=30,
    )  # fmt: skip
    assert len(batches) == found.n_rounds > 2
    assert all(0.2 < batch.mean() < 0.8 for batch in batches[:3])


def test_a_target_that_refuses_is_not_asked_on(make):
    queries, labels = np.zeros((80, *SHAPE), np.float32), np.arange(80) % 3
    federation = make(contribution="equal", policies={"Bo": fi.Policy(query_budget=15)})
    found = leakage(
        federation, target="Bo", non_members=(queries, labels), prior=[1, 1, 1], meters=["label_distribution"],
        batch_size=15,
    )  # fmt: skip
    assert not found.complete
    assert (found.n_rounds, found.n_reference) == (2, 15)
    with pytest.raises(NoAnswer, match=r"Bo did not answer.*budget"):
        leakage(federation, target="Bo", non_members=(queries, labels), prior=[1, 1, 1], meters=["label_distribution"])


def test_an_absent_target_is_named_with_its_reason(make, troubled):
    troubled.mood = "raises"
    federation = make(parties=[linear_party("Ada"), troubled.party])
    with pytest.raises(NoAnswer, match=r"Bo did not answer.*RuntimeError"):
        leakage(federation, target="Bo", non_members=(np.zeros((50, *SHAPE), np.float32), np.arange(50) % 3))


# ---- audits of whole mechanisms


@pytest.mark.parametrize(
    ("mechanism", "options"),
    [
        ("gaussian", {"epsilon": 2.0}), ("distributed_gaussian", {"noise_multiplier": 2.0}), ("gnmax", {"sigma": 2.0}),
        ("lnmax", {"gamma": 0.5}), ("confident_gnmax", {"sigma": 3.0}),
    ],
)  # fmt: skip
def test_mechanisms_keep_what_they_state(mechanism, options):
    found = audit_mechanism(mechanism, options, n_trials=2000, confidence=1 - 1e-9)
    assert not found.refuted
    assert found.claimed_epsilon < found.most


def test_a_carrier_with_too_little_noise_is_caught():
    claimed = audit_mechanism("gnmax", {"sigma": 6.0}, n_trials=200).claimed_epsilon
    found = audit_mechanism("gnmax", {"sigma": 0.6}, epsilon=claimed, n_trials=4000)
    assert found.refuted
    assert "gnmax(sigma=0.6)" in found.what


def test_without_noise_everything_is_told_apart():
    found = audit_mechanism("secure_sum", n_trials=500)
    assert found.claimed_epsilon == np.inf
    assert found.lower_epsilon == pytest.approx(found.most)
    with pytest.raises(DoesNotFit):
        audit_mechanism("secure_sum", n_parties=2)
