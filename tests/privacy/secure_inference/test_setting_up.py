"""What members announce, and what becomes of a session when somebody says something else."""

import dataclasses
import json

import numpy as np
import pytest

from fi_workbench.core.errors import InvalidAnswer
from fi_workbench.core.identity import BadSignature
from fi_workbench.mpc.keys import SessionKey
from fi_workbench.privacy.secure_inference.announcement import Announcement, listed, session_of
from fi_workbench.privacy.secure_inference.coordinator import ANNOUNCED, ANNOUNCEMENT, SIGNATURES
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.engine import run_round
from tests.harness import CLASSES, Table, queries, torch_party

NAMES = ("Ada", "Bo", "Cy")


@pytest.fixture
def tables():
    made = []

    def make(**how):
        made.append(Table([torch_party(name) for name in NAMES], **how))
        return made[-1]

    yield make
    for table in made:
        table.close()


def settings(table, **how):
    return table.settings("secure_inference", "mean_logit", **{"deadline_seconds": 10.0, **how})


def set_up(table, client=None, **how):
    """The outcome of a set-up, as the coordinator has it, and what the client began it with."""
    identities = {name: side.card.identity for name, side in table.sides.items()}
    within = settings(table, **how)
    asked = (client or table.client).prepare(within, identities, {}, 7, len(CLASSES))
    return asked, run_round(table.link, asked.header, asked.messages, within), identities


def changing(phase, change):
    """A party to which the coordinator says something else in `phase`."""

    def wrap(handle):
        return lambda asked, body: handle(asked, change(dict(body)) if asked == phase else body)

    return wrap


def test_a_set_up_has_three_phases_and_opens_a_session_at_each(tables):
    table = tables()
    _, outcome, _ = set_up(table)
    assert outcome.release.present == NAMES
    assert {phase for _, phase, _ in table.to_parties} == {"plans", "agree", "connect"}
    sessions = {seat.party.session.id for side in table.sides.values() for seat in side.runtime.kept.all()}
    assert len(sessions) == 1


def altered(body):
    first, *rest = body[ANNOUNCED]
    plain = json.loads(first) | {"key": SessionKey().public.hex()}
    return body | {ANNOUNCED: [json.dumps(plain).encode(), *rest]}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (altered, "what Ada is said to have announced is not signed by it"),
        (lambda body: body | {ANNOUNCED: body[ANNOUNCED][::-1]}, "is not signed by it"),
        (lambda body: body | {SIGNATURES: body[SIGNATURES][:-1]}, "announcements did not come"),
        (lambda body: {name: value for name, value in body.items() if name != ANNOUNCED}, "announcements did not come"),
        (lambda body: body | {ANNOUNCED: "nothing"}, "announcements did not come"),
    ],
)
def test_what_members_did_not_sign_is_refused_before_anybody_is_met(change, why, tables):
    _, outcome, _ = set_up(tables(wrap={"Bo": changing("agree", change)}))
    assert outcome.release.present == ()
    [refusal] = [one for one in outcome.log.absent if one.kind != "excluded"]
    assert (refusal.party, refusal.phase, refusal.kind) == ("Bo", "agree", "refused")
    assert why in refusal.reason


def test_announcements_of_another_round_are_refused(tables):
    """They are signed, by the right party, for another round."""
    kept = []

    def earlier(body):
        kept.append(body)
        return body | {name: kept[0][name] for name in (ANNOUNCED, SIGNATURES)}

    table = tables(wrap={"Bo": changing("agree", earlier)})
    assert set_up(table)[1].release.present == NAMES
    [refusal] = [one for one in set_up(table)[1].log.absent if one.kind != "excluded"]
    assert (refusal.party, refusal.kind) == ("Bo", "refused")


def test_a_client_takes_only_what_the_members_signed(tables):
    table = tables()
    asked, outcome, identities = set_up(table)
    carrier = settings(table).mechanism.carrier
    sealed = dict(outcome.release.sealed)
    sealed[ANNOUNCED] = altered({ANNOUNCED: sealed[ANNOUNCED]})[ANNOUNCED]
    with pytest.raises(BadSignature):
        carrier.set_up(
            asked.state, dataclasses.replace(outcome.release, sealed=sealed), identities, asked.header.round_id
        )
    carrier.set_up(asked.state, outcome.release, identities, asked.header.round_id)


def test_a_session_serves_the_client_and_the_settings_that_it_was_made_for(tables):
    table = tables()
    table.run(queries(2), settings(table))
    prepared = table.prepared
    for client, how in ((ClientSide(), {}), (table.client, {"bound": 60.0})):
        identities = {name: side.card.identity for name, side in table.sides.items()}
        within = settings(table, **how)
        from fi_workbench.core.messages import Question

        asked = client.protect(Question(queries(2)), within, identities, {}, 7, prepared)
        outcome = run_round(table.link, asked.header, asked.messages, within)
        assert outcome.release.present == ()
        assert any("set up for another" in one.reason for one in outcome.log.absent)


def test_a_question_that_is_asked_again_in_another_round_is_refused(tables):
    """A lot is used once; who knows two answers to it could subtract their masks."""
    table = tables()
    table.run(queries(2), settings(table))
    prepared, within = table.prepared, settings(table, deadline_seconds=2.0)
    again = prepared.protect({"queries": queries(2)}, dict.fromkeys(NAMES))

    class Repeated:
        def protect(self, payload, cohort):
            return again

        open = prepared.open

    table.prepared = Repeated()
    outcome, _, scores = table.run(queries(2), within)
    assert outcome.release.present == NAMES
    assert scores is not None
    outcome, _, _ = table.run(queries(2), within)
    assert outcome.release.present == ()


def announced(name="Ada", **changes):
    plain = {"house": 1, "key": SessionKey().public.hex(), "channel": "", "plan": None, "version": ""}
    return json.dumps(plain | changes).encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (announced(house=2), "Ada speaks version 2 of secure inference, this side 1; install the same"),
        (announced(key="xy"), "cannot be read"),
        (announced(plan="{}"), "cannot be read|plan"),
        (announced(extra=1), "something else than its part"),
        (announced(version=3), "something else than its part"),
        (announced(channel="00" * 9000), "9000 bytes of addresses; at most"),
        (b"[]", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"{" * 100_000, "cannot be read"),
        (b" " * 10**6, "announced 1000000 bytes; at most"),
    ],
)
def test_announcements_that_cannot_be_used_are_refused_by_name(data, why):
    with pytest.raises(Exception, match=why) as caught:
        Announcement.read(data, "Ada")
    assert type(caught.value).__module__.startswith("fi_workbench")


def test_announcements_come_out_as_they_went_in(tables):
    table = tables()
    set_up(table)
    for _, phase, body in table.from_parties:
        if phase == "plans":
            read = Announcement.read(body[ANNOUNCEMENT], "it")
            assert read.encoded() == body[ANNOUNCEMENT]
            assert read.plan.input_shape == (4,)
    with pytest.raises(InvalidAnswer, match="2 announcements came for 3 members"):
        listed(NAMES, [b"", b""])


def test_other_announcements_make_another_session(tables):
    table = tables()
    set_up(table)
    of = {name: body[ANNOUNCEMENT] for name, phase, body in table.from_parties if phase == "plans"}
    members = listed(NAMES, [of[name] for name in NAMES])
    client = SessionKey().public
    session = session_of(bytes(32), client, members, 4)
    assert session_of(bytes(32), client, members, 4).id == session.id
    other = members | {"Cy": dataclasses.replace(members["Cy"], key=SessionKey().public)}
    ids = {
        session_of(bytes(32), client, other, 4).id,
        session_of(bytes(31) + b"\1", client, members, 4).id,
        session_of(bytes(32), SessionKey().public, members, 4).id,
        session_of(bytes(32), client, members, 5).id,
        session_of(bytes(32), client, members, 4, 2).id,
        session_of(bytes(32), client, members, 4, rule="hard_vote").id,
    }
    assert len(ids | {session.id}) == 7


def test_scores_are_those_of_the_models(tables):
    table = tables(through_wire=True)
    _, release, scores = table.run(queries(3), settings(table))
    logits = np.stack([side.party.predict(queries(3)) for side in table.sides.values()]).mean(axis=0)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(scores, powers / powers.sum(axis=1, keepdims=True), atol=1e-4)
    assert release.sums["count"] == 3
