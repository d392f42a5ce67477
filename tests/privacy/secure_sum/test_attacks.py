"""A coordinator that replays, alters the graph, or tells parties of different cohorts: named refusals, no leak."""

from dataclasses import replace

import numpy as np
import pytest

from fi_workbench.privacy.secure_sum.keys import ANNOUNCED_BYTES
from fi_workbench.privacy.secure_sum.party import SEALED_BYTES
from fi_workbench.protocol.header import HEADER, SIGNATURE
from fi_workbench.protocol.ports import ABSENT_KIND, ABSENT_REASON, ROUND_ID
from tests.privacy.secure_sum.rounds import (
    MANY,
    N_QUERIES,
    NAMES,
    Cohort,
    Steps,
    answers,
    bitmap,
    changed,
    mean_of,
    refused,
)


@pytest.fixture
def cohort():
    return Cohort(answers())


# ---- a coordinator that replays


def test_keys_of_another_round_are_refused(cohort):
    _, before = cohort.run()
    cohort.renew()
    old = before.said("keys", "Cy")["announced"]

    def replay(body):
        place = body["parties"].index("Cy") * ANNOUNCED_BYTES
        data = body["announced"]
        return {**body, "announced": data[:place] + old + data[place + ANNOUNCED_BYTES :]}

    outcome, link = cohort.run(before=changed("shares", "Ada", replay))
    assert "keys of Cy are not signed" in refused(outcome, "Ada")
    assert set(link.said("shares", "Ada")) == {ABSENT_KIND, ABSENT_REASON}, "it shared nothing"
    np.testing.assert_allclose(outcome.scores, mean_of(("Bo", "Cy", "Di", "Ed")), atol=1e-6)


def test_sealed_shares_of_another_round_open_nothing(cohort):
    sealed = {}
    cohort.run(before=lambda phase, party, body: sealed.setdefault((phase, party), body))
    cohort.renew()
    old = sealed["masked", "Ada"]["sealed"]
    outcome, link = cohort.run(before=changed("masked", "Ada", lambda body: {**body, "sealed": old}))
    # Ada masks as before and holds no share but its own; of each other four holders are left
    assert link.said("unmask", "Ada")["owners"] == ["Ada"]
    np.testing.assert_allclose(outcome.scores, mean_of(NAMES), atol=1e-6)


def test_a_masked_vector_of_another_round_is_noise_to_this_one(cohort):
    _, before = cohort.run()
    cohort.renew()
    old = before.said("masked", "Cy")
    outcome, _ = cohort.run(after=changed("masked", "Cy", lambda _: old))
    assert np.abs(outcome.release.sums["count"] - 5) > 1e-6, "what the sum of five would say"


def test_no_phase_is_answered_twice(cohort):
    again = []

    def twice(phase, party, reply):
        if phase != "unmask":
            told = next(body for when, who, body in link.sent[::-1] if (when, who) == (phase, party))
            again.append(cohort.sides[party].handle(phase, told)[ABSENT_REASON])
        return reply

    settings = cohort.settings()
    asked = cohort.ask(N_QUERIES, settings)
    link = Steps(cohort.sides, after=twice)
    outcome = cohort.over(link, asked, settings)
    assert outcome.release.present == NAMES
    assert len(again) == 20
    assert all("out of turn" in reason or "was asked before" in reason for reason in again)


def test_shares_are_opened_once_for_one_list_of_those_included(cohort):
    more = []

    def once_more(phase, party, reply):
        if phase == "unmask":
            round_id = link.sent[-1][2][ROUND_ID]
            other = {ROUND_ID: round_id, "included": bitmap(NAMES, set(NAMES) - {"Bo"})}
            more.append(cohort.sides[party].handle("unmask", other))
        return reply

    settings = cohort.settings()
    link = Steps(cohort.sides, after=once_more)
    cohort.over(link, cohort.ask(N_QUERIES, settings), settings)
    assert [reply[ABSENT_KIND] for reply in more] == ["refused"] * 5
    assert all("shares" not in reply for reply in more)


# ---- a coordinator that alters the graph


def listing(change):
    """``change([(party, data)])`` on a list of neighbours."""

    def changing(body):
        name, n_bytes = ("announced", ANNOUNCED_BYTES) if "announced" in body else ("sealed", SEALED_BYTES)
        data = body[name]
        pairs = [(who, data[at * n_bytes :][:n_bytes]) for at, who in enumerate(body["parties"])]
        changed_pairs = change(pairs)
        return {
            **body,
            "parties": [who for who, _ in changed_pairs],
            name: b"".join(one for _, one in changed_pairs),
        }

    return changing


@pytest.mark.parametrize("phase", ["shares", "masked"])
def test_who_is_no_neighbour_is_refused(phase):
    cohort, keys = Cohort(answers(16), MANY), {}

    def strangers(pairs):
        told = {who for who, _ in pairs}
        stranger = next(name for name in MANY if name not in told | {MANY[0]})
        data = keys[stranger] if phase == "shares" else pairs[0][1]
        return [(stranger, data), *pairs[1:]]

    def after(when, who, reply):
        if when == "keys":
            keys[who] = reply["announced"]
        return reply

    outcome, _ = cohort.run(before=changed(phase, MANY[0], listing(strangers)), after=after)
    assert "another graph" in refused(outcome, MANY[0])
    assert set(outcome.release.present) == set(MANY[1:])


@pytest.mark.parametrize("phase", ["shares", "masked"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda pairs: pairs[:2], "2 of its neighbours are left; 3 are needed"),
        (lambda pairs: [pairs[0], *pairs], "names one twice"),
        (lambda pairs: [("Ada", pairs[0][1]), *pairs[1:]], "another graph"),
        (lambda pairs: [("Nobody", pairs[0][1]), *pairs[1:]], "another graph"),
        (lambda pairs: [(who, one[:-1]) for who, one in pairs], "did not come as it should"),
        (lambda _: [], "are needed"),
    ],
)
def test_lists_of_neighbours_that_cannot_be_are_refused(phase, change, reason, cohort):
    outcome, link = cohort.run(before=changed(phase, "Ada", listing(change)))
    assert reason in refused(outcome, "Ada")
    assert set(link.said(phase, "Ada")) == {ABSENT_KIND, ABSENT_REASON}
    assert set(outcome.release.present) == set(NAMES) - {"Ada"}


# ---- different cohorts to different parties


def test_parties_that_were_told_of_different_cohorts_refuse_each_others_keys(cohort):
    """A client and a coordinator that collude: Ada is asked among three, the others among five, in one round."""
    settings = cohort.settings()
    asked = cohort.ask(N_QUERIES, settings)
    few = replace(asked.header, cohort=[member for member in asked.header.cohort if member[0] in ("Ada", "Bo", "Cy")])
    other = {**asked.messages["Ada"], **few.signed(cohort.client.identity)}
    assert few.digest != asked.header.digest
    assert few.round_id == asked.header.round_id
    first = changed("keys", "Ada", lambda _: {key: other[key] for key in other})
    outcome, _ = cohort.run(asked=asked, settings=settings, before=first)
    # an honest coordinator sees that Ada signed for another question
    told = {absence.party: absence for absence in outcome.log.absent}
    assert told["Ada"].kind == "invalid"
    assert "not signed" in told["Ada"].reason
    # one that carries on all the same gets nothing out of any of them: each refuses the other's keys
    cohort.renew()
    keys = {name: cohort.sides[name].handle("keys", other if name == "Ada" else asked.messages[name]) for name in NAMES}
    for name in NAMES:
        others = [one for one in (("Bo", "Cy") if name == "Ada" else NAMES) if one != name]
        message = {
            ROUND_ID: few.round_id, "parties": others, "announced": b"".join(keys[one]["announced"] for one in others),
        }  # fmt: skip
        reply = cohort.sides[name].handle("shares", message)
        assert reply[ABSENT_KIND] == "refused"
        assert "another cohort" in reply[ABSENT_REASON]
    assert HEADER in other
    assert SIGNATURE in other
