"""Dishonest parties in a live federation, calibration by their owners, and abstention."""

import threading
import time

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.arrays import softmax
from fi_workbench.core.errors import DoesNotFit, InvalidOption, Refused, UnknownName
from fi_workbench.parties.behaviours import behaviour, behaviours, make_behaviour
from fi_workbench.parties.leak import Leak
from fi_workbench.protocol import party_context
from tests.harness import HANG, SOON, Table, linear_party, queries
from tests.session.conftest import NAMES


class TestBehaving:
    def test_from_the_next_question_on_and_back(self, make):
        federation = make()
        honest = federation.ask(queries())
        federation.behave("Bo", "constant_label", label=2)
        lying = federation.ask(queries())
        assert (lying.answers[1].argmax(axis=1) == 2).all()
        assert lying.answers[[0, 2]] == pytest.approx(honest.answers[[0, 2]])
        assert lying.behaviours == {"Bo": "constant_label"} == {n: b.name for n, b in federation.behaviours.items()}
        federation.behave("Bo", None)
        assert federation.ask(queries()).answers == pytest.approx(honest.answers)
        assert federation.behaviours == {}

    def test_in_all_copies(self, make):
        federation = make()
        copy = federation.with_(rule="hard_vote")
        federation.behave("Cy", "sharpened")
        assert copy.ask(queries()).behaviours == {"Cy": "sharpened"}

    def test_it_is_no_setting_and_not_in_the_question(self, make):
        federation = make()
        before = federation.to_dict()
        federation.behave("Bo", "sign_flip")
        assert federation.to_dict() == before
        assert "sign_flip" not in str(federation.ask(queries()).settings)

    def test_a_copier_hears_what_is_on_the_wire(self, make):
        federation = make(contribution="equal")
        federation.behave("Bo", "copy_peer", peer="Ada")
        answers = federation.ask(queries()).answers
        assert answers[1] == pytest.approx(answers[0], abs=1e-6)

    def test_under_commit_reveal_it_hears_nothing_in_time(self, make):
        federation = make(mechanism="commit_reveal", contribution="equal")
        honest = federation.ask(queries()).answers
        federation.behave("Bo", "copy_peer", peer="Ada")
        assert federation.ask(queries()).answers == pytest.approx(honest)

    def test_claims_reach_the_rule_and_are_enrolled_again(self, make):
        asked = queries(50)
        federation = make(rule="class_competence")
        honest = federation.ask(asked).scores
        federation.behave("Bo", "over_claimed_counts", n_per_class=100_000)
        claimed = federation.ask(asked).scores
        own = softmax(federation.parties[1].predict(asked))
        assert np.abs(claimed - own).max() < 0.01 < np.abs(honest - own).max()
        federation.behave("Bo", None)
        assert federation.ask(asked).scores == pytest.approx(honest)

    def test_labels_reach_who_is_said_to_know_them(self, make):
        federation = make(contribution="equal")
        labels = np.zeros(6, dtype=int)
        federation.behave("Bo", "loss_maximising")
        assert (federation.ask(queries(), labels).answers[1].argmax(axis=1) != 0).all()

    def test_it_may_look_and_not_change(self, make):
        def meddles(sight):
            """Writes to all that it is shown."""
            for what in (sight.own, sight.queries, sight.facts["class_counts"], sight.truth(), sight.heard()["Ada"]):
                with pytest.raises(ValueError, match="read-only"):
                    what[:] = 0
            for mapping in (sight.standing, sight.facts):
                with pytest.raises(TypeError, match="assignment"):
                    mapping["Bo"] = 1e9
            done.append(True)
            return sight.own

        done = []
        behaviour(sees=("own", "peers", "labels", "facts"))(meddles)
        try:
            federation = make(contribution="equal")
            honest = federation.ask(queries(), np.zeros(6, dtype=int)).answers
            federation.behave("Bo", "meddles")
            assert federation.ask(queries(), np.zeros(6, dtype=int)).answers == pytest.approx(honest)
        finally:
            behaviours.remove("meddles")
        assert done == [True]

    def test_two_who_copy_each_other_answer_in_time(self, make):
        federation = make(contribution="equal")
        honest = federation.ask(queries()).answers
        for pair in (("Ada", "Bo"), ("Bo", "Ada")):
            federation.behave(pair[0], "copy_peer", peer=pair[1])
        started = time.monotonic()
        record = federation.ask(queries())
        assert time.monotonic() - started < 5
        assert record.present == NAMES
        assert record.answers[2] == pytest.approx(honest[2])
        for answer in record.answers[:2]:  # who lost patience first gave its own, which the other may have copied
            assert any(answer == pytest.approx(own, abs=1e-6) for own in honest[:2])

    def test_who_is_to_behave_otherwise_listens_no_longer(self, make, monkeypatch):
        monkeypatch.setattr(party_context, "LISTEN_SECONDS", HANG)
        federation = make(contribution="equal", deadline_seconds=2 * HANG)
        for name in NAMES:
            federation.behave(name, "copy_peer")  # all wait for each other
        records = []
        asking = threading.Thread(target=lambda: records.append(federation.ask(queries())))
        asking.start()
        time.sleep(0.2)
        assert not records
        for name in NAMES:
            federation.behave(name, None)
        asking.join(SOON)
        assert [record.present for record in records] == [NAMES]

    def test_who_listens_in_a_short_round_still_answers_in_it(self, make, monkeypatch):
        monkeypatch.setattr(party_context, "LISTEN_SECONDS", HANG)
        federation = make(contribution="equal", deadline_seconds=1.6)
        federation.ask(queries())
        for name in NAMES:
            federation.behave(name, "copy_peer")
        assert federation.ask(queries()).present == NAMES

    @pytest.mark.parametrize("name", ["slow", "copy_peer"])
    def test_all_waiting_ends_with_the_round_however_often_a_rule_asks(self, name):
        table = Table([linear_party("Ada"), linear_party("Bo")])
        side, asked = table.sides["Ada"], queries()
        side.leak = Leak()  # on which Bo never says a word
        side.behave(make_behaviour(name, **({"seconds": 0.6} if name == "slow" else {})))
        try:
            question = table.protect(asked, table.settings(deadline_seconds=1.0))
            context = side._begin(question.messages["Ada"]).facts.context
            started, n_answers = time.monotonic(), 0
            try:
                for _ in range(8):
                    context.answer(asked)
                    n_answers += 1
            except Refused:
                assert name == "slow"
            assert n_answers == (1 if name == "slow" else 8)
            assert time.monotonic() - started < 3
        finally:
            table.close()

    def test_unknown_names(self, make):
        federation = make()
        with pytest.raises(UnknownName, match="Ada, Bo, Cy"):
            federation.behave("Dan", "sharpened")
        with pytest.raises(UnknownName, match="copy_peer"):
            federation.behave("Bo", "lazy")
        with pytest.raises(InvalidOption, match="label"):
            federation.behave("Bo", "constant_label", lable=1)


class TestCalibration:
    @pytest.fixture
    def parties(self):
        return [
            linear_party(name, temperature=temperature) for name, temperature in zip(NAMES, (0.5, 1, 4), strict=True)
        ]

    def test_each_party_divides_by_its_own(self, make, parties):
        asked = queries()
        answers = make(parties=parties, calibration="temperature").ask(asked).answers
        for party, values in zip(parties, answers, strict=True):
            assert values == pytest.approx(softmax(party.predict(asked) / party.facts.temperature), abs=1e-6)

    def test_the_same_offline(self, make, parties):
        asked = queries()
        scores = make(parties=parties, calibration="temperature").ask(asked).scores
        logits = [party.predict(asked) for party in parties]
        assert scores == pytest.approx(fi.aggregate(logits, temperatures=[0.5, 1, 4]), abs=1e-6)

    def test_probabilities_too(self, make):
        party = linear_party("Ada", outputs="probabilities", temperature=2.0)
        values = make(parties=[party], calibration="temperature").ask(queries()).answers[0]
        assert values == pytest.approx(softmax(np.log(party.predict(queries())) / 2), abs=1e-6)

    def test_who_has_none_is_named(self, make, parties):
        with pytest.raises(DoesNotFit, match=r"Dan hold none.*fit_temperature"):
            make(parties=[*parties, linear_party("Dan")], calibration="temperature")

    def test_unknown_calibration(self, make):
        with pytest.raises(UnknownName, match="temperature"):
            make(calibration="plat")


def log_mean(answers):
    """The mean of the logarithms, as somebody's own rule may have it."""
    return np.log(answers).mean(axis=0)


class TestAbstention:
    def test_below_the_threshold_it_does_not_know(self, make):
        asked, labels = queries(100), np.random.default_rng(0).integers(0, 3, 100)
        record = make(abstain_below=0.6).ask(asked, labels)
        sure = record.scores.max(axis=1) >= 0.6
        assert 0 < sure.sum() < 100
        assert record.answered.tolist() == sure.tolist()
        assert record.coverage == pytest.approx(sure.mean())
        assert record.selective_accuracy == pytest.approx((record.labels == labels)[sure].mean())
        assert record.accuracy == pytest.approx((record.labels == labels).mean())

    def test_at_zero_it_always_answers(self, make):
        record = make().ask(queries(), np.zeros(6, dtype=int))
        assert record.coverage == 1.0
        assert record.selective_accuracy == record.accuracy

    def test_a_rule_whose_scores_are_no_distribution_answers_at_zero(self, make):
        fi.aggregation_rule()(log_mean)
        try:
            record = make(rule="log_mean").ask(queries())
            assert (record.scores < 0).any()
            assert record.coverage == 1.0
        finally:
            fi.rules.remove("log_mean")

    def test_at_one_it_hardly_ever_does(self, make):
        record = make(abstain_below=1.0).ask(queries(), np.zeros(6, dtype=int))
        assert record.coverage == 0.0
        assert record.selective_accuracy is None

    @pytest.mark.parametrize("below", [-0.1, 1.1, float("nan"), True, "half"])
    def test_a_confidence_that_cannot_be(self, make, below):
        with pytest.raises(InvalidOption, match="abstain_below"):
            make(abstain_below=below)
