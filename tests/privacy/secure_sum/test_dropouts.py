"""Dropouts that did not happen: whatever a coordinator tells whom, no mask is opened both ways."""

import itertools
from types import SimpleNamespace

import pytest

from fi_workbench.privacy.secure_sum import SecureSum
from tests.privacy.secure_sum.rounds import (
    MANY,
    N_QUERIES,
    NAMES,
    Cohort,
    Steps,
    answers,
    bitmap,
    changed,
    falls_out,
    refused,
)
from tests.privacy.secure_sum.views import Watched


@pytest.fixture
def cohort():
    return Cohort(answers())


def stories(n_holders):
    """Every way to tell each of the holders that the victim is in, or is not."""
    return itertools.product([True, False], repeat=n_holders)


def test_no_mask_is_opened_both_ways_whatever_each_neighbour_is_told(monkeypatch):
    """All 16 stories that a coordinator can tell Bo's four neighbours: never t shares of both of Bo's secrets."""
    watched, opened = Watched(monkeypatch), []
    cohort = Cohort(answers())
    others = [name for name in NAMES if name != "Bo"]
    for story in stories(4):
        cohort.renew()
        watched.splits.clear()
        told = dict(zip(others, story, strict=True)) | {"Bo": True}

        def lie(phase, party, body, told=told):
            return body if phase != "unmask" or told[party] else {**body, "included": bitmap(NAMES, others)}

        _, link = cohort.run(before=lie)
        seeds, maskings = watched.opened(NAMES, link)["Bo"]
        assert not seeds & maskings, "no holder opens both"
        assert len(seeds) == 1 + sum(story), "Bo's own share of its seed among them"
        assert len(maskings) == 4 - sum(story)
        opened.append((len(seeds), len(maskings)))
    threshold = 4
    assert max(min(both) for both in opened) == 2 < threshold, "it would take four of each"


def test_as_many_colluders_as_stated_are_needed_to_open_both(monkeypatch):
    """h = 5 holders, t = 4: with 2 t - h - 1 = 2 of them in league nothing is opened both ways, with 3 Bo's mask is."""
    watched = Watched(monkeypatch)
    cohort = Cohort(answers())
    others = [name for name in NAMES if name != "Bo"]
    best = {}
    for n_colluding in (2, 3):
        in_league = others[:n_colluding]
        best[n_colluding] = 0
        for story in stories(4 - n_colluding):
            cohort.renew()
            watched.splits.clear()
            told = dict(zip(others[n_colluding:], story, strict=True))
            plan = plan_of(cohort)

            def lie(phase, party, body, told=told):
                in_it = phase != "unmask" or told.get(party, True)
                return body if in_it else {**body, "included": bitmap(NAMES, others)}

            _, link = cohort.run(asked=cohort.last, before=lie)
            seeds, maskings = watched.opened(NAMES, link)["Bo"]
            numbers = {plan.share_number("Bo", name) for name in in_league}
            best[n_colluding] = max(best[n_colluding], min(len(seeds | numbers), len(maskings | numbers)))
    assert best[2] < 4 <= best[3]


def plan_of(cohort):
    """The plan of a new question, which is kept as ``cohort.last``."""
    cohort.last = cohort.ask(N_QUERIES, cohort.settings())
    header = cohort.last.header
    known = SimpleNamespace(
        round_digest=header.digest, kind="answer", components={}, n_queries=N_QUERIES, n_classes=3
    )  # fmt: skip
    return SecureSum().plan(known, header.names)


@pytest.mark.parametrize(
    ("included", "reason"),
    [
        (("Bo", "Cy", "Di", "Ed"), "leaves it out"),
        (("Ada", "Bo"), "2 parties are in the sum; one of fewer than 3 is not opened"),
        ((), "leaves it out"),
    ],
)
def test_a_list_of_those_in_the_sum_that_cannot_be_opens_nothing(included, reason, cohort):
    lie = changed("unmask", "Ada", lambda body: {**body, "included": bitmap(NAMES, included)})
    outcome, link = cohort.run(before=lie)
    assert reason in refused(outcome, "Ada")
    assert "shares" not in link.said("unmask", "Ada")
    assert outcome.release.present == NAMES, "the others' shares are enough"


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xf9", b"\xf8\x00", "text", 3])
def test_a_list_that_is_none_opens_nothing(data, cohort):
    outcome, link = cohort.run(before=changed("unmask", "Ada", lambda body: {**body, "included": data}))
    assert refused(outcome, "Ada")
    assert "shares" not in link.said("unmask", "Ada")


def test_a_neighbour_that_is_said_to_be_in_without_having_sent_shares_is_refused(cohort):
    everybody = bitmap(NAMES, NAMES)
    outcome, _ = cohort.run(
        before=changed("unmask", "Ada", lambda body: {**body, "included": everybody}), after=falls_out({"Bo": "shares"})
    )
    assert "Bo is said to be in the sum" in refused(outcome, "Ada")


def test_a_sum_that_would_fall_apart_is_not_opened():
    """Six neighbours on either side: without two runs of six, four of 16 are cut into two sums of two."""
    cohort = Cohort(answers(16), MANY)
    circle = [MANY[party] for party in plan_of(cohort).graph.order]
    left = {*circle[0:2], *circle[8:10]}
    lie = {name: bitmap(MANY, left) for name in left}
    told = []

    def before(phase, party, body):
        if phase == "unmask" and party in lie:
            told.append(party)
            return {**body, "included": lie[party]}
        return body

    settings = cohort.settings()
    outcome = cohort.over(Steps(cohort.sides, before), cohort.last, settings)
    assert sorted(told) == sorted(left)
    for name in left:
        assert "fall apart" in refused(outcome, name)
