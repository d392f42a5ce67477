"""What stays after many rounds: the history, and nothing else."""

import gc
import threading
import weakref

import pytest

import fi_workbench as fi
from tests.harness import linear_party, queries, registered, until
from tests.privacy.two_phase import CommitThenReveal


def held(federation):
    """How much every part of a runtime holds."""
    runtime, grid = federation.runtime, federation.runtime.venue.grid
    sides = [side for side, _ in runtime.venue._members.values()]
    return {
        "mail": sum(map(len, grid._mail.values())),
        "open": len(grid._box._open),
        "replies": len(grid._box._replies),
        "waiters": len(grid._box._waiters),
        "busy": len(grid._busy),
        "rounds": sum(len(side.runtime._rounds) for side in sides),
        "jobs": sum(len(side.runtime._jobs) for side in sides),
        "janitors": sum(side.runtime._janitor is not None for side in sides),
        "enrolments": len(runtime._enrolments),
        "members": len(runtime.venue._members),
        "apps": len(grid._apps),
    }


def test_hundreds_of_rounds_leave_nothing_but_their_history(make):
    def mean_each(answers):
        """The mean."""
        return answers.mean(axis=0)

    with registered(CommitThenReveal):
        fi.aggregation_rule(needs="each")(mean_each)
        try:
            federation = make(deadline_seconds=30.0)
            two = federation.with_(mechanism="commit_then_reveal", rule="mean_each", contribution="equal")
            enrolled = federation.with_(rule="class_competence", contribution="equal")
            plain = federation.with_(contribution="equal")
            for one in (plain, two, enrolled):
                one.ask(queries())
            assert until(lambda: not held(federation)["busy"])
            before, n_objects = held(federation), len(gc.get_objects())
            for k in range(100):
                for one in (plain, two, enrolled):
                    one.ask(queries(4, seed=k))
            assert until(lambda: not held(federation)["busy"])
            after = held(federation)
        finally:
            fi.rules.remove("mean_each")
    janitors = before.pop("janitors"), after.pop("janitors")
    assert max(janitors) <= 3
    assert after == before
    assert len(federation.history) == 303
    gc.collect()
    entries = len(gc.get_objects()) - n_objects
    assert entries < 300 * 40, "a history entry is some dozen objects; queries and answers are not among them"


def test_failures_leave_nothing_either(make, troubled):
    troubled.mood = lambda n: ("raises", "garbage", "nan", "well")[n % 4]
    federation = make(parties=[linear_party("Ada"), troubled.party], contribution="equal")
    cancelled = threading.Event()
    cancelled.set()
    federation.ask(queries())
    before = held(federation)
    for k in range(60):
        federation.ask(queries(4, seed=k))
        if k % 3 == 0:
            with pytest.raises(fi.NoAnswer):
                federation.ask(queries(4, seed=k), cancelled=cancelled)
    assert until(lambda: not held(federation)["busy"])
    assert held(federation) == before


def test_a_party_that_retired_is_let_go(make):
    leaving = linear_party("Bo")
    federation = make(parties=[linear_party("Ada"), leaving])
    federation.ask(queries())
    federation = federation.with_(parties=["Ada"])
    federation.runtime.venue.retire(leaving)
    federation.runtime.venue.retire(leaving)
    assert held(federation)["members"] == held(federation)["apps"] == 1
    assert federation.ask(queries()).present == ("Ada",)


def test_a_closed_federation_and_its_parties_can_be_collected():
    federation = fi.Federation([linear_party("Ada"), linear_party("Bo")], history=None)
    federation.ask(queries())
    parties = [weakref.ref(party) for party in federation.parties]
    federation.close()
    del federation
    # idle workers end within five seconds
    assert until(lambda: gc.collect() >= 0 and [ref() for ref in parties] == [None, None], seconds=30.0)
