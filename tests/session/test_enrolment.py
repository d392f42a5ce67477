"""Rules that ask for a sum over private facts before the first round."""

import threading
import time

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.session import asking, enrolling
from fi_workbench.session import runtime as module
from tests.harness import HANG, SOON, linear_party, queries
from tests.session.conftest import NAMES

COUNTS = {"Ada": [30, 2, 5], "Bo": [1, 40, 5], "Cy": [10, 10, 0]}


class Enrolling:
    """A party whose facts cannot be read while it is away."""

    def __init__(self, name):
        self.party = linear_party(name, class_counts=COUNTS[name])
        self.counts, self.away = self.party.facts.class_counts, False
        facts = type(self.party.facts)(COUNTS[name])

        object.__setattr__(self.party, "facts", Facts(self, facts))


class Facts:
    def __init__(self, owner, facts):
        self.owner, self.names, self.data_size = owner, facts.names, facts.data_size

    @property
    def class_counts(self):
        if self.owner.away:
            raise OSError("disk asleep")
        return self.owner.counts() if callable(self.owner.counts) else self.owner.counts


@pytest.fixture
def members():
    return {name: Enrolling(name) for name in NAMES}


@pytest.fixture
def go_on():
    """Lets those go who hang, at the end."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def federation(make, members):
    return make(parties=[one.party for one in members.values()], rule="class_competence", deadline_seconds=HANG)


def expected(asked, names, cohort=NAMES):
    """By the pure function, with the weights of `cohort` renormalised over `names`."""
    logits = np.stack([linear_party(name).predict(asked) for name in names])
    return fi.aggregate(logits, rule="class_competence", class_counts=np.array([COUNTS[name] for name in names]))


def test_the_first_round_enrols_and_the_next_do_not(federation):
    asked = queries(10)
    first, second = federation.ask(asked), federation.ask(asked)
    np.testing.assert_allclose(first.scores, expected(asked, NAMES), atol=1e-5)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert "enrol" in first.cost.stage_seconds
    assert (first.cost.messages_out, first.cost.messages_in) == (6, 6), "the enrolment's messages are counted too"
    assert (second.cost.messages_out, second.cost.messages_in) == (3, 3)
    assert first.cost.bytes_out > second.cost.bytes_out


def test_the_coordinator_gets_totals_only_of_the_cohort_asked(federation):
    federation.ask(queries())
    (known,) = federation.runtime._enrolments.values()
    np.testing.assert_array_equal(known.totals["class_totals"], np.sum(list(COUNTS.values()), axis=0))


def test_another_cohort_has_other_totals(federation):
    asked = queries(10)
    for names in (NAMES, ("Ada", "Bo"), ("Cy", "Bo"), ("Ada",)):
        record = federation.with_(parties=names).ask(asked)
        assert record.present == names
        np.testing.assert_allclose(record.scores, expected(asked, names), atol=1e-5)
    assert len(federation.runtime._enrolments) == 4
    record = federation.with_(parties=("Cy", "Bo", "Ada")).ask(asked)
    assert "enrol" in record.cost.stage_seconds
    assert record.cost.messages_out == 3, "the same members in another order are the same cohort"


def test_rules_of_one_enrolment_do_not_disturb_each_other(federation):
    federation.ask(queries())
    assert federation.with_(rule="log_pool_competence").ask(queries()).cost.messages_out == 6
    assert federation.with_(rule="soft_vote").ask(queries()).cost.messages_out == 3


def test_who_misses_the_enrolment_is_left_out_with_the_reason_and_comes_back(federation, members, monkeypatch):
    members["Bo"].away = True
    asked = queries(10)
    record = federation.ask(asked)
    (absence,) = record.absent
    assert (absence.party, absence.phase, absence.kind) == ("Bo", "enrol", "excluded")
    assert "missed the enrolment (raised, OSError" in absence.reason
    assert "disk asleep" not in absence.reason
    assert record.present == ("Ada", "Cy")
    assert record.parties == NAMES
    np.testing.assert_allclose(record.scores, expected(asked, ("Ada", "Cy")), atol=1e-5)
    assert record.contributions[1] == 0

    members["Bo"].away = False
    assert federation.ask(asked).present == ("Ada", "Cy"), "not at once"
    monkeypatch.setattr(module, "_ENROL_AGAIN_SECONDS", 0.0)
    back = federation.ask(asked)
    assert back.present == NAMES
    np.testing.assert_allclose(back.scores, expected(asked, NAMES), atol=1e-5)


def test_who_is_absent_at_answer_time_only_leaves_the_others_its_weight(federation, members):
    asked = queries(10)
    federation.ask(asked)
    members["Bo"].away = True  # its weight is read at every answer
    record = federation.ask(asked)
    assert [(one.party, one.phase, one.kind) for one in record.absent] == [("Bo", "answer", "raised")]
    np.testing.assert_allclose(record.scores, expected(asked, ("Ada", "Cy")), atol=1e-5)


def test_an_enrolment_that_nobody_joins_is_a_round_that_nobody_answered(federation, members):
    for one in members.values():
        one.away = True
    started = time.monotonic()
    with pytest.raises(fi.NoAnswer) as silence:
        federation.ask(queries())
    assert time.monotonic() - started < SOON
    record = silence.value.record
    assert [(one.party, one.phase, one.kind) for one in record.absent] == [(n, "enrol", "raised") for n in NAMES]
    assert len(federation.history) == 1
    for one in members.values():
        one.away = False
    assert federation.ask(queries()).present == NAMES, "and is asked for again"


def test_a_party_that_hangs_in_the_enrolment_does_not_make_the_round_longer_than_its_deadline(make, go_on, monkeypatch):
    def hangs(asked):
        go_on.wait(HANG)
        return np.zeros((len(asked), 3))

    thinking = linear_party("Ada", class_counts=COUNTS["Ada"])
    quick = thinking.function
    object.__setattr__(thinking, "function", lambda asked: time.sleep(0.1) or quick(asked))
    slow = Enrolling("Bo")
    slow.counts = lambda: go_on.wait(HANG)
    late = fi.Party.from_callable(
        hangs, name="Cy", classes=slow.party.classes, input_shape=(4,), class_counts=COUNTS["Cy"], probe=False
    )
    federation = make(
        parties=[thinking, slow.party, late],
        rule="class_competence", deadline_seconds=3.0,
    )  # fmt: skip
    allowed = []

    def noted(link, header, *arguments, **options):
        allowed.append(header.deadline_seconds)
        return run_round(link, header, *arguments, **options)

    run_round = asking.run_round
    for room in (enrolling, asking):
        monkeypatch.setattr(room, "run_round", noted)
    started = time.monotonic()
    record = federation.ask(queries())
    assert time.monotonic() - started < SOON
    enrolment, answer = allowed
    assert enrolment == 1.5
    assert answer < 1.6, "only what the enrolment left of the deadline"
    assert record.present == ("Ada",)
    assert [(one.party, one.phase, one.kind) for one in record.absent] == [
        ("Bo", "enrol", "excluded"), ("Cy", "answer", "late"),
    ]  # fmt: skip
    assert "late" in record.absent[0].reason


def test_an_enrolment_is_given_up_with_its_round(federation, members, go_on):
    cancelled = threading.Event()
    members["Bo"].counts = lambda: cancelled.set() or go_on.wait(HANG)
    started = time.monotonic()
    with pytest.raises(fi.NoAnswer) as silence:
        federation.ask(queries(), cancelled=cancelled)
    assert time.monotonic() - started < SOON
    assert {one.kind for one in silence.value.record.absent} == {"cancelled"}


def test_a_complete_enrolment_is_not_replaced_by_one_that_lacks_members():
    from fi_workbench.session.history import History
    from fi_workbench.session.runtime import Enrolled, Runtime

    runtime = Runtime(History(None))
    whole, part = Enrolled({}, ("Ada", "Bo"), {}), Enrolled({}, ("Ada",), {"Bo": "late"})
    assert runtime.enrol("cohort", part) is part
    assert runtime.enrol("cohort", whole) is whole
    assert runtime.enrol("cohort", part) is whole
    runtime.close()
