"""Messages that nobody would send: at the party a refusal, at the coordinator an absence; no crash, no leak."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fi_workbench.protocol.ports import ABSENT_KIND, ABSENT_REASON, ROUND_ID
from tests.privacy.secure_sum.rounds import NAMES, PHASES, Cohort, simplex

N_QUERIES = 2
FIELDS = {
    "keys": ("announced",), "shares": ("parties", "announced", "sealed"), "masked": ("parties", "sealed", "masked"),
    "agree": ("included", "agreed"), "unmask": ("parties", "agreed", "owners", "shares"),
}  # fmt: skip

names = st.sampled_from([*NAMES, "", "Nobody", "A" * 300, "\x00"])
values = st.one_of(
    st.binary(max_size=700),
    st.binary(max_size=3).map(lambda data: data * 4_000),
    st.lists(names, max_size=8),
    st.lists(st.integers(-(2**62), 2**62), max_size=5),
    st.integers(-(2**62), 2**62),
    st.floats(),
    st.booleans(),
    st.text(max_size=20),
    st.builds(
        np.zeros,
        st.sampled_from([0, 1, 6, 7, (1, 7), (7, 1), 1000]),
        st.sampled_from(["<u8", "<i8", "<f4", "|b1", ">u8"]),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def cohort():
    return Cohort([simplex(N_QUERIES, seed) for seed in range(5)])


def mangled(data, phase, body):
    """``body`` with some of its fields replaced, cut, doubled or gone, and perhaps others beside them."""
    body = dict(body)
    for name in FIELDS[phase]:
        way = data.draw(st.sampled_from(["keep", "replace", "drop", "cut", "double", "flip"]), label=f"{name}")
        known = body.get(name)
        if way == "replace":
            body[name] = data.draw(values)
        elif way == "drop":
            body.pop(name, None)
        elif way in ("cut", "double") and isinstance(known, bytes | list):
            body[name] = known[: len(known) // 2] if way == "cut" else known + known
        elif way == "flip" and isinstance(known, bytes) and known:
            place = data.draw(st.integers(0, len(known) - 1))
            body[name] = known[:place] + bytes([known[place] ^ 1]) + known[place + 1 :]
    return body


@pytest.mark.parametrize("phase", PHASES)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_party_answers_a_mangled_message_or_refuses_it(phase, data, cohort):
    cohort.renew()

    def before(when, party, message):
        if (when, party) != (phase, "Bo"):
            return message
        told = mangled(data, phase, message)
        return {**told, ROUND_ID: message[ROUND_ID]} if ROUND_ID in message else told

    outcome, link = cohort.run(N_QUERIES, before=before)
    reply = link.said(phase, "Bo")
    if ABSENT_KIND in reply:
        assert reply[ABSENT_KIND] in ("refused", "invalid"), reply[ABSENT_REASON]
        assert set(reply) == {ABSENT_KIND, ABSENT_REASON}, "and says nothing else"
    rest_is_right(outcome)


@pytest.mark.parametrize("phase", PHASES)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_mangled_reply_is_its_partys_absence_or_changes_nothing(phase, data, cohort):
    cohort.renew()

    def after(when, party, reply):
        return mangled(data, phase, reply) if (when, party) == (phase, "Bo") else reply

    outcome, _ = cohort.run(N_QUERIES, after=after)
    assert all(absence.kind in ("invalid", "excluded") and absence.reason for absence in outcome.log.absent)
    if phase == "keys":
        assert {absence.party for absence in outcome.log.absent} <= {"Bo"}
    rest_is_right(outcome, but=() if phase in ("keys", "agree", "unmask") else ("shares", "masked"))


def rest_is_right(outcome, but=()):
    """The scores are those of the present, or there are none; ``but`` where one reply may spoil the sum itself."""
    present = outcome.release.present
    assert len(present) in (0, 4, 5)
    if not present:
        assert outcome.scores is None
        assert "are needed" in outcome.log.absent[0].reason or "shares open what" in outcome.log.absent[0].reason
    elif not but:
        answers = [simplex(N_QUERIES, NAMES.index(name)) for name in present]
        np.testing.assert_allclose(outcome.scores, np.mean(answers, axis=0), atol=1e-6)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(first=st.permutations(PHASES), n=st.integers(1, 4))
def test_phases_out_of_turn_or_of_no_round_are_refused(first, n, cohort):
    cohort.renew()
    side = cohort.sides["Bo"]
    for phase in first[:n]:
        reply = side.handle(phase, {ROUND_ID: "ab" * 16})
        assert reply[ABSENT_KIND] == "refused"
    asked = cohort.ask(N_QUERIES, cohort.settings())
    if first[0] != "keys":
        assert side.handle(first[0], asked.messages["Bo"])[ABSENT_KIND] == "refused"
    assert side.runtime.open_rounds in ((), (asked.header.round_id,))


def test_a_list_of_a_hundred_thousand_neighbours_is_refused_before_it_is_looked_at(cohort):
    cohort.renew()
    many = {"parties": ["Ada"] * 100_000, "announced": bytes(160 * 100_000)}
    outcome, link = cohort.run(
        N_QUERIES, before=lambda when, who, body: {**body, **many} if (when, who) == ("shares", "Bo") else body
    )
    assert "names one twice" in link.said("shares", "Bo")[ABSENT_REASON]
    assert outcome.release.present == ("Ada", "Cy", "Di", "Ed")
