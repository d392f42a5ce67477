"""The engine and the coordinator: deadlines, cancellation, costs, and parties that send whatever they like."""

import logging
import re
import threading
import time
from dataclasses import dataclass

import numpy as np
import pytest

from fi_workbench.aggregation import aggregate
from fi_workbench.core.errors import FederationError, InvalidData, InvalidParty, NoAnswer
from fi_workbench.core.messages import Release
from fi_workbench.privacy.plain import Plain
from fi_workbench.transport.wire import encode, size
from tests.harness import HANG, SOON, Table, linear_party, queries, registered
from tests.privacy.two_phase import CommitThenReveal

NAMES = ("Ada", "Bo", "Cy", "Di")


@pytest.fixture
def tables():
    made = []

    def make(**options):
        made.append(Table([linear_party(name) for name in NAMES], **options))
        return made[-1]

    yield make
    for table in made:
        table.close()


@pytest.fixture
def two_phase():
    with registered(CommitThenReveal):
        yield "commit_then_reveal"


def replying(make, phase=None):
    """A party that replies with `make(its honest reply)`, in one phase or in all."""

    def wrap(handle):
        def replies(asked_phase, body):
            reply = dict(handle(asked_phase, body))
            return make(reply) if phase in (None, asked_phase) else reply

        return replies

    return wrap


def raising(error):
    def wrap(_handle):
        def raises(_phase, _body):
            raise error

        return raises

    return wrap


def hanging(release, phase=None, begins=None, seconds=HANG):
    """A party that waits for `release`; it sets `begins` first."""

    def wrap(handle):
        def hangs(asked_phase, body):
            if phase in (None, asked_phase):
                if begins is not None:
                    begins.set()
                release.wait(seconds)
            return handle(asked_phase, body)

        return hangs

    return wrap


@pytest.fixture
def done():
    """Lets those go who hang, at the end."""
    event = threading.Event()
    yield event
    event.set()


HUGE = np.zeros((2000, 1000), np.float32)

GARBAGE = {
    "nothing": (lambda reply: {}, "needed"),
    "no answer": (lambda reply: {k: v for k, v in reply.items() if k != "answer"}, "dtype object"),
    "no summand": (lambda reply: {"answer": reply["answer"]}, "'probabilities'"),
    "wrong shape": (lambda reply: reply | {"answer": np.zeros((6, 4), np.float32)}, r"shape (6, 4)"),
    "transposed": (lambda reply: reply | {"answer": reply["answer"].T}, "shape (3, 6)"),
    "one row": (lambda reply: reply | {"answer": reply["answer"][:1]}, "shape (1, 3)"),
    "scalar": (lambda reply: reply | {"answer": np.ones((), np.float32)}, "shape ()"),
    "empty": (lambda reply: reply | {"answer": np.zeros((0, 3), np.float32)}, "shape (0, 3)"),
    "NaN": (lambda reply: reply | {"answer": reply["answer"] * np.nan}, "NaN or infinite"),
    "infinite": (lambda reply: reply | {"answer": reply["answer"] + np.inf}, "NaN or infinite"),
    "booleans": (lambda reply: reply | {"answer": reply["answer"] > 0}, "dtype bool"),
    "bytes": (lambda reply: reply | {"answer": reply["answer"].tobytes()}, "answered with"),
    "text": (lambda reply: reply | {"answer": "yes"}, "answered with"),
    "list": (lambda reply: reply | {"answer": [1.0, 2.0]}, "shape (2,)"),
    "huge": (lambda reply: reply | {"answer": HUGE}, "shape (2000, 1000)"),
    "NaN summand": (lambda reply: reply | {"sum.probabilities": reply["sum.probabilities"] * np.nan}, "bounds"),
    "summand too large": (lambda reply: reply | {"sum.probabilities": reply["sum.probabilities"] + 1}, "0 to 1"),
    "summand negative": (lambda reply: reply | {"sum.probabilities": -reply["sum.probabilities"]}, "0 to 1"),
    "counts twice": (lambda reply: reply | {"sum.count": np.full((), 2, np.float32)}, "'count'"),
    "summand of bytes": (lambda reply: reply | {"sum.count": b"1"}, "'count'"),
    "summand of another shape": (lambda reply: reply | {"sum.count": np.ones(3, np.float32)}, "'count'"),
}  # fmt: skip


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("through_wire", [False, True], ids=["local", "wire"])
def test_garbage_is_an_absence_that_says_what_was_wrong(tables, garbage, through_wire):
    make, says = GARBAGE[garbage]
    table, asked = tables(wrap={"Bo": replying(make)}, through_wire=through_wire), queries(6)
    outcome, release, scores = table.run(asked, table.settings())
    (absence,) = outcome.log.absent
    assert (absence.party, absence.kind, absence.phase) == ("Bo", "invalid", "answer")
    assert says in absence.reason
    assert "Bo" in absence.reason
    assert release.present == ("Ada", "Cy", "Di")
    left = np.stack([side.party.predict(asked) for name, side in table.sides.items() if name != "Bo"])
    np.testing.assert_allclose(scores, aggregate(left, "soft_vote"), atol=1e-5)


@pytest.mark.parametrize(
    "make",
    [
        lambda reply: reply | {"answer": np.array([object()])},
        lambda reply: reply | {"answer": np.array(["a"])},
        lambda reply: reply | {"answer": None},
        lambda reply: reply | {"answer": {"deep": 1}},
        lambda reply: None,
        lambda reply: [1, 2],
    ],
    ids=["objects", "texts", "none", "mapping", "no body", "list"],
)
def test_what_cannot_travel_is_an_absence(tables, make):
    table = tables(wrap={"Bo": replying(make)})
    outcome, release, _ = table.run(queries(), table.settings())
    (absence,) = outcome.log.absent
    assert (absence.party, absence.kind) == ("Bo", "unreachable")
    assert release.present == ("Ada", "Cy", "Di")


@pytest.mark.parametrize(
    ("said", "kind"),
    [("refused", "refused"), ("raised", "raised"), ("invalid", "invalid"), ("late", "invalid"), ("<b>", "invalid"),
     (b"refused", "invalid"), (7, "invalid"), (np.zeros(3), "invalid")],
)  # fmt: skip
def test_a_party_says_why_it_is_absent_but_not_in_words_of_its_own(tables, said, kind):
    events = []
    table = tables(wrap={"Bo": replying(lambda _: {"absent.kind": said, "absent.reason": "x" * 10_000})})
    outcome, *_ = table.run(queries(), table.settings(), on_event=events.append)
    (absence,) = outcome.log.absent
    assert absence.kind == kind
    assert absence.reason == "x" * 500
    assert {event.kind for event in events} == {"replied", kind}


def test_an_absence_without_a_reason_is_still_one(tables):
    for reason in ({}, {"absent.reason": b"x"}, {"absent.reason": 3}):
        table = tables(wrap={"Bo": replying(lambda _, reason=reason: {"absent.kind": "refused", **reason})})
        outcome, *_ = table.run(queries(), table.settings())
        assert outcome.log.absent[0].reason == "it gave no reason."


def test_an_enrolment_of_another_shape_is_an_absence(tables):
    wrap = {
        "Bo": replying(lambda reply: {"sum.class_totals": np.ones(4)}),
        "Cy": replying(lambda reply: {"sum.class_totals": -np.ones(3)}),
        "Di": replying(lambda reply: {}),
    }
    table = tables(wrap=wrap)
    outcome, release, _ = table.run(None, table.settings(rule="class_competence"))
    assert release.present == ("Ada",)
    assert {absence.party: absence.kind for absence in outcome.log.absent} == dict.fromkeys(
        ("Bo", "Cy", "Di"), "invalid"
    )
    assert all("class_totals" in absence.reason for absence in outcome.log.absent)
    np.testing.assert_array_equal(release.sums["class_totals"], table.sides["Ada"].party.facts.class_counts)


SECRET = "patient 4711 has it"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError(SECRET), "raised"),
        (KeyError(SECRET), "raised"),
        (InvalidParty(f"data_size 5000 {SECRET}"), "invalid"),
        (InvalidData(SECRET), "invalid"),
        (NoAnswer(SECRET), "invalid"),
        (FederationError(SECRET), "invalid"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_went_wrong_inside_is_told_by_its_class_only(tables, error, kind, caplog):
    table = tables()

    def fails(asked):
        raise error

    object.__setattr__(table.sides["Bo"].party, "function", fails)
    with caplog.at_level(logging.WARNING):
        outcome, *_ = table.run(queries(), table.settings())
    (absence,) = outcome.log.absent
    assert absence.kind == kind
    assert type(error).__name__ in absence.reason
    assert "own log" in absence.reason
    assert SECRET not in repr(vars(outcome.log))
    assert SECRET not in repr(table.from_parties)
    assert SECRET in caplog.text, "its owner reads it all"


def test_private_facts_that_a_rule_cannot_use_are_not_told(tables):
    table = tables()
    settings = table.settings(rule="size_weighted", max_size=10)  # the parties hold more
    outcome, *_ = table.run(queries(), settings)
    assert {absence.kind for absence in outcome.log.absent} == {"invalid"}
    for absence in outcome.log.absent:
        assert str(table.sides[absence.party].party.facts.data_size) not in absence.reason
        assert "InvalidParty" in absence.reason


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=lambda error: type(error).__name__)
def test_a_party_that_ends_the_interpreter_ends_only_its_own_answer(tables, error):
    table = tables(wrap={"Bo": raising(error)})
    for _ in range(4):  # more often than there are workers
        started = time.monotonic()
        outcome, release, _ = table.run(queries(), table.settings(deadline_seconds=HANG))
        assert [(one.party, one.kind) for one in outcome.log.absent] == [("Bo", "unreachable")]
        assert release.present == ("Ada", "Cy", "Di")
        assert time.monotonic() - started < SOON, "nobody waited for it"


# time


def test_a_round_ends_by_its_deadline_whoever_hangs(tables, done):
    table = tables(wrap={name: hanging(done) for name in ("Ada", "Cy")})
    started = time.monotonic()
    outcome, release, _ = table.run(queries(), table.settings(deadline_seconds=2.0))
    assert 1.8 < time.monotonic() - started < SOON
    assert release.present == ("Bo", "Di")
    assert [(one.party, one.kind) for one in outcome.log.absent] == [("Ada", "late"), ("Cy", "late")]
    assert all(re.search(r"within \d+(\.\d*)? s", one.reason) for one in outcome.log.absent)
    assert all(1.5 < one.seconds < SOON for one in outcome.log.absent)


def test_all_parties_hanging_is_a_round_without_scores(tables, done):
    table = tables(wrap={name: hanging(done) for name in NAMES})
    outcome, release, scores = table.run(queries(), table.settings(deadline_seconds=0.2))
    assert (release.present, scores) == ((), None)
    assert len(outcome.log.absent) == 4


def test_who_hangs_in_one_phase_leaves_the_next_its_time(tables, two_phase, done):
    wrap = {"Ada": hanging(done, "commit"), "Bo": hanging(done, "reveal", seconds=0.25)}
    table = tables(wrap=wrap)
    started = time.monotonic()
    outcome, release, _ = table.run(queries(), table.settings(two_phase, "soft_vote_of_each", deadline_seconds=3.0))
    assert time.monotonic() - started < SOON
    (absence,) = outcome.log.absent
    assert (absence.party, absence.phase, absence.kind) == ("Ada", "commit", "late")
    assert absence.seconds > 1.2, "it had half of the time"
    assert release.present == ("Bo", "Cy", "Di"), "and they the other half"


@pytest.fixture(autouse=True)
def rule_of_each():
    from fi_workbench.aggregation import rules
    from fi_workbench.aggregation.rule import Rule
    from fi_workbench.core.options import options_of

    def mean(answers):
        return answers.mean(axis=0)

    name = "soft_vote_of_each"
    rules.add(name, Rule(name, "", "", "", "", "each", "probabilities", frozenset(), options_of(mean), combine=mean))
    yield
    rules.remove(name)


def test_a_round_is_given_up_at_once_from_another_thread(tables, done):
    cancelled = threading.Event()
    table = tables(wrap={"Cy": hanging(done, begins=cancelled)})
    started = time.monotonic()
    outcome, release, _ = table.run(queries(), table.settings(deadline_seconds=HANG), cancelled=cancelled)
    assert time.monotonic() - started < SOON
    assert release.present == ()
    assert {one.kind for one in outcome.log.absent} == {"cancelled"}
    assert [one.party for one in outcome.log.absent] == list(NAMES)


def test_a_round_that_was_given_up_before_it_began_asks_nobody_for_long(tables):
    cancelled = threading.Event()
    cancelled.set()
    table = tables()
    outcome, release, _ = table.run(queries(), table.settings(), cancelled=cancelled)
    assert release.present == ()
    assert {one.kind for one in outcome.log.absent} == {"cancelled"}


# what is told of a round


def test_events_come_as_things_happen(tables, done):
    events, two_told = [], threading.Event()

    def told(event):
        events.append(event)
        if len(events) == 2:
            two_told.set()

    # Bo answers only after two others were told of, so being told at the end would be too late for it
    table = tables(wrap={"Bo": hanging(two_told), "Cy": raising(RuntimeError()), "Di": hanging(done)})
    outcome, *_ = table.run(queries(), table.settings(deadline_seconds=2.0), on_event=told)
    kinds = {event.party: event.kind for event in events}
    assert kinds == {"Ada": "replied", "Bo": "replied", "Cy": "unreachable", "Di": "late"}
    order = [event.party for event in events]
    assert set(order[:2]) == {"Ada", "Cy"}
    assert order[2:] == ["Bo", "Di"]
    assert {event.round_id for event in events} == {outcome.log.round_id}
    seconds = {event.party: event.seconds for event in events}
    assert seconds["Ada"] < seconds["Bo"] < seconds["Di"]
    assert seconds["Di"] > 1.5


def test_a_callback_that_raises_does_not_leave_anything_behind(tables):
    table = tables()

    def breaks(event):
        raise LookupError("in a widget")

    with pytest.raises(LookupError):
        table.run(queries(), table.settings(), on_event=breaks)
    assert not table.grid._box._open
    assert not table.grid._box._waiters
    outcome, *_ = table.run(queries(), table.settings())
    assert not outcome.log.absent


@pytest.mark.parametrize("mechanism", ["plain", "commit_then_reveal"])
def test_costs_are_what_was_sent(tables, two_phase, mechanism):
    table = tables(wrap={"Bo": raising(RuntimeError("gone"))})
    outcome, *_ = table.run(queries(), table.settings(mechanism, "soft_vote_of_each"))
    cost = outcome.log.cost
    sent, came = table.to_parties, table.from_parties
    assert (cost.messages_out, cost.messages_in) == (len(sent), len(came))
    assert (len(sent), len(came)) == ((4, 3) if mechanism == "plain" else (7, 6))
    assert cost.bytes_out == sum(size(encode(body)) for *_, body in sent) > 0
    assert cost.bytes_in == sum(size(encode(body)) for *_, body in came) > 0
    phases = ("answer",) if mechanism == "plain" else ("commit", "reveal")
    assert set(cost.stage_seconds) == {*phases, *(f"{phase}: combine" for phase in phases), "finish"}
    assert cost.seconds == pytest.approx(sum(cost.stage_seconds.values()))
    assert set(outcome.log.latency_seconds) == {"Ada", "Cy", "Di"}


def test_bytes_of_the_wire_are_counted_alike_on_every_transport(tables):
    costs = []
    for through_wire in (False, True):
        table = tables(through_wire=through_wire)
        outcome, *_ = table.run(queries(), table.settings())
        costs.append((outcome.log.cost.messages_out, outcome.log.cost.bytes_in))
    assert costs[0] == costs[1]


# mechanisms that fail


@dataclass(frozen=True)
class Broken(Plain):
    name = "broken_at_the_coordinator"

    def coordinator_step(self, phase, state, replies, context):
        raise ArithmeticError("a bug of the mechanism")


@dataclass(frozen=True)
class Picky(Plain):
    name = "picky"

    def coordinator_step(self, phase, state, replies, context):
        first = list(replies.values())[:2]
        answers = tuple(reply.body["answer"] for reply in first)
        return None, Release(tuple(list(replies)[:2]), answers=answers, outputs=("logits", "logits"))


@dataclass(frozen=True)
class Endless(Plain):
    name = "endless"

    def coordinator_step(self, phase, state, replies, context):
        return None, {party: {} for party in replies}


def test_a_mechanism_that_fails_at_the_coordinator_is_an_error_at_once(tables):
    with registered(Broken):
        table = tables()
        started = time.monotonic()
        with pytest.raises(ArithmeticError):
            table.run(queries(), table.settings("broken_at_the_coordinator", deadline_seconds=HANG))
        assert time.monotonic() - started < SOON
        outcome, *_ = table.run(queries(), table.settings())
        assert not outcome.log.absent, "the parties and the transport go on"


def test_who_is_left_out_without_a_word_is_an_absence(tables):
    with registered(Picky):
        table = tables()
        outcome, release, _ = table.run(queries(), table.settings("picky", "soft_vote_of_each"))
        assert release.present == ("Ada", "Bo")
        assert [(one.party, one.kind) for one in outcome.log.absent] == [("Cy", "excluded"), ("Di", "excluded")]


def test_a_mechanism_that_never_releases_is_a_round_without_scores(tables):
    with registered(Endless):
        table = tables()
        outcome, release, scores = table.run(queries(), table.settings("endless"))
        assert (release.present, scores) == ((), None)
        assert {one.kind for one in outcome.log.absent} == {"excluded"}


def test_a_party_cannot_read_what_is_sealed_to_another(tables, two_phase):
    table = tables()
    table.run(queries(), table.settings(two_phase, "soft_vote_of_each"))
    sealed = [(to, name, body[name]) for to, _, body in table.to_parties for name in body if name.startswith("sealed.")]
    assert len(sealed) == 12
    from fi_workbench.core.identity import BadSignature

    to, name, payload = sealed[0]
    sender = table.sides[name.removeprefix("sealed.")].card.identity
    others = [side for party, side in table.sides.items() if party != to]
    for side in others:
        with pytest.raises(BadSignature):
            side.identity.open(sender, payload, b"")
