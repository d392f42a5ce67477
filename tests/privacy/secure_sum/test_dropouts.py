"""Dropouts that did not happen: whatever a coordinator tells whom, no mask is opened both ways."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from fi_workbench.privacy.secure_sum import SecureSum
from fi_workbench.privacy.secure_sum.graph import graph_of
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
    led_on,
    mean_of,
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
    """All 16 stories that a coordinator can tell Bo's four neighbours: shares come of that alone which t were told."""
    watched, opened, threshold = Watched(monkeypatch), [], 4
    cohort = Cohort(answers())
    others = [name for name in NAMES if name != "Bo"]
    for story in stories(4):
        cohort.renew()
        watched.splits.clear()
        told = dict(zip(others, story, strict=True)) | {"Bo": True}
        link = led_on(cohort, {name: NAMES if is_in else others for name, is_in in told.items()})
        seeds, maskings = watched.opened(NAMES, link)["Bo"]
        n_in = sum(told.values())
        assert len(seeds) == (n_in if n_in >= threshold else 0), "Bo's own share of its seed among them"
        assert len(maskings) == (5 - n_in if 5 - n_in >= threshold else 0)
        opened.append((len(seeds), len(maskings)))
    assert max(min(both) for both in opened) == 0
    assert {max(both) for both in opened} == {0, 4, 5}, "one way it is opened, and not always"


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
            told = dict(zip(others[n_colluding:], story, strict=True)) | {"Bo": True}
            plan = plan_of(cohort)
            lists = {name: NAMES if is_in else others for name, is_in in told.items()}
            link = led_on(cohort, lists, asked=cohort.last, in_league=in_league)
            seeds, maskings = watched.opened(NAMES, link)["Bo"]
            numbers = {plan.share_number("Bo", name) for name in in_league}
            best[n_colluding] = max(best[n_colluding], min(len(seeds | numbers), len(maskings | numbers)))
    assert best[2] < 4 <= best[3]


@pytest.mark.parametrize(("n_left_out", "n_gone"), [(6, 8), (3, 4)])
def test_lists_that_each_leave_others_out_come_to_no_smaller_sum(n_left_out, n_gone, monkeypatch):
    """Nine holders that each leave out six, or three, could open eight mask keys, or four: a sum of one, or of five.

    The first lists are refused, for too few of them hold shares together; the second are no two the same.
    """
    watched = Watched(monkeypatch)
    names = MANY[:9]
    cohort = Cohort(answers(9), names)
    left_out = {name: set() for name in names}
    n_told = dict.fromkeys(names[-n_gone:], 0)
    for name in names:
        for other in sorted(n_told.keys() - {name}, key=n_told.__getitem__)[:n_left_out]:
            left_out[name].add(other)
            n_told[other] += 1
    assert min(n_told.values()) >= 6, "as many as open a mask key"
    link = led_on(cohort, {name: set(names) - left_out[name] for name in names})
    assert all(seeds == maskings == set() for seeds, maskings in watched.opened(names, link).values())
    # the control: told one list, they open the one sum
    cohort.renew()
    watched.splits.clear()
    link = led_on(cohort, dict.fromkeys(names, names))
    assert all(len(seeds) == 9 for seeds, _ in watched.opened(names, link).values())


def test_a_signature_of_another_list_opens_nothing(cohort):
    def flipped(body):
        return {**body, "agreed": bytes([body["agreed"][0] ^ 1]) + body["agreed"][1:]}

    outcome, link = cohort.run(before=changed("unmask", "Ada", flipped))
    assert "has not signed the list" in refused(outcome, "Ada")
    assert "shares" not in link.said("unmask", "Ada")
    assert outcome.release.present == NAMES, "the others' shares are enough"


def test_too_few_signatures_open_nothing(cohort):
    def fewer(body):
        return {**body, "parties": body["parties"][:2], "agreed": body["agreed"][:128]}

    outcome, link = cohort.run(before=changed("unmask", "Ada", fewer))
    assert "3 are needed" in refused(outcome, "Ada")
    assert "shares" not in link.said("unmask", "Ada")


def test_a_party_that_signs_another_list_is_left_out_of_the_opening(cohort):
    lie = changed("agree", "Ada", lambda body: {**body, "included": bitmap(NAMES, ("Ada", "Bo", "Cy", "Di"))})
    outcome, link = cohort.run(before=lie)
    (absence,) = outcome.log.absent
    assert (absence.party, absence.phase, absence.kind) == ("Ada", "agree", "invalid")
    assert link.asked("unmask") == list(NAMES[1:])
    np.testing.assert_allclose(outcome.scores, mean_of(NAMES), atol=1e-6)


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
        (("Ada", "Bo", "Cy"), "3 that hold its shares are in the sum; 4 are needed"),
    ],
)
def test_a_list_of_those_in_the_sum_that_cannot_be_opens_nothing(included, reason, cohort):
    lie = changed("agree", "Ada", lambda body: {**body, "included": bitmap(NAMES, included)})
    outcome, link = cohort.run(before=lie)
    assert reason in refused(outcome, "Ada")
    assert "Ada" not in link.asked("unmask")
    assert outcome.release.present == NAMES, "the others' shares are enough"


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xf9", b"\xf8\x00", "text", 3])
def test_a_list_that_is_none_opens_nothing(data, cohort):
    outcome, link = cohort.run(before=changed("agree", "Ada", lambda body: {**body, "included": data}))
    assert refused(outcome, "Ada")
    assert "Ada" not in link.asked("unmask")


def test_a_neighbour_that_is_said_to_be_in_without_having_sent_shares_is_refused(cohort):
    everybody = bitmap(NAMES, NAMES)
    outcome, _ = cohort.run(
        before=changed("agree", "Ada", lambda body: {**body, "included": everybody}), after=falls_out({"Bo": "shares"})
    )
    assert "Bo is said to be in the sum" in refused(outcome, "Ada")


def test_a_sum_that_would_fall_apart_is_not_opened():
    """Six neighbours on either side: without two runs of six, 26 are cut into two sums of seven."""
    names = tuple(f"party {number:02}" for number in range(26))
    cohort = Cohort(answers(26), names)
    settings = cohort.settings(options={"tolerated_dropouts": 0.49})
    asked = cohort.ask(N_QUERIES, settings)
    circle = [names[party] for party in graph_of(asked.header.digest, 26, 12).order]
    left = {*circle[0:7], *circle[13:20]}
    outcome = cohort.over(Steps(cohort.sides, only_in("agree", left, bitmap(names, left))), asked, settings)
    for name in left:
        assert "fall apart" in refused(outcome, name)


def only_in(phase, parties, included):
    """``before``: these are told of these in the sum."""
    return lambda when, who, body: {**body, "included": included} if when == phase and who in parties else body
