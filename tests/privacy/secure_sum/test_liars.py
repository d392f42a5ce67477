"""Parties that send what is out of bounds, wrong, another's or garbled: an absence or no sum, and no hang."""

from dataclasses import replace

import numpy as np
import pytest

from fi_workbench.core.digest import canonical
from fi_workbench.core.identity import BadSignature
from fi_workbench.privacy.secure_sum import shamir
from fi_workbench.privacy.secure_sum.keys import Announced, commitment
from fi_workbench.privacy.secure_sum.party import SEALED_BYTES
from fi_workbench.privacy.secure_sum.shamir import SHARE_BYTES
from fi_workbench.protocol import party_context
from tests.privacy.secure_sum.rounds import MANY, N_QUERIES, NAMES, PHASES, Cohort, answers, changed, mean_of


@pytest.fixture
def cohort():
    return Cohort(answers())


def test_what_is_out_of_bounds_never_leaves_its_party(cohort, monkeypatch):
    local_part = party_context.local_part

    def too_much(rule, view, options):
        part = local_part(rule, view, options)
        return {**part, "probabilities": part["probabilities"] * 3} if view.values[0, 0] == answers()[1][0, 0] else part

    monkeypatch.setattr(party_context, "local_part", too_much)
    outcome, link = cohort.run()
    (absence,) = outcome.log.absent
    assert (absence.party, absence.phase, absence.kind) == ("Bo", "masked", "invalid")
    assert "'probabilities' is outside its declared bounds" in absence.reason
    assert "masked" not in link.said("masked", "Bo")
    np.testing.assert_allclose(outcome.scores, mean_of(("Ada", "Cy", "Di", "Ed")), atol=1e-6)


@pytest.mark.parametrize("owner", NAMES)
def test_a_wrong_share_is_found_and_who_sent_it_named(owner, cohort):
    def wrong(body):
        place = body["owners"].index(owner) * SHARE_BYTES
        data = bytearray(body["shares"])
        data[place] ^= 1
        return {**body, "shares": bytes(data)}

    outcome, _ = cohort.run(after=changed("unmask", "Bo", wrong))
    (absence,) = outcome.log.absent
    assert (absence.party, absence.phase, absence.kind) == ("Bo", "unmask", "invalid")
    assert f"wrong share of a secret of {owner}" in absence.reason
    assert outcome.release.present == NAMES
    np.testing.assert_allclose(outcome.scores, mean_of(NAMES), atol=1e-6)


def test_more_wrong_shares_than_are_tolerated_give_no_sum(cohort):
    def wrong(phase, party, body):
        lies = phase == "unmask" and party in ("Bo", "Cy")
        return {**body, "shares": bytes(len(body["shares"]))} if lies else body

    outcome, _ = cohort.run(after=wrong)
    assert outcome.release.present == ()
    assert outcome.release.sums is None
    assert "no 4 shares open what Ada announced" in outcome.log.absent[0].reason


def test_shares_of_another_secret_than_was_announced_give_no_sum(cohort, monkeypatch):
    """Bo commits to one seed and shares another: its mask cannot be taken off, and it is named."""

    def another(body):
        announced = Announced.of_bytes(body["announced"])
        made = replace(announced, commitment=commitment(digest, "Bo", b"another seed"))
        stated = canonical(["fi-workbench statement", asked.header.round_id, "Bo", made.signed_part(digest)])
        return {"announced": replace(made, signature=cohort.identities["Bo"].sign(stated)).to_bytes()}

    settings = cohort.settings()
    asked = cohort.ask(N_QUERIES, settings)
    digest = asked.header.digest
    outcome, _ = cohort.run(asked=asked, settings=settings, after=changed("keys", "Bo", another))
    assert outcome.release.present == ()
    assert "what Bo announced" in outcome.log.absent[0].reason


@pytest.mark.parametrize("n_garbled", [1, 4])
def test_shares_that_were_sealed_wrongly_cost_at_most_the_sum(n_garbled, cohort):
    n_bytes = SEALED_BYTES * n_garbled
    outcome, _ = cohort.run(
        after=changed("shares", "Bo", lambda body: {"sealed": bytes(n_bytes) + body["sealed"][n_bytes:]})
    )
    if n_garbled == 1:
        np.testing.assert_allclose(outcome.scores, mean_of(NAMES), atol=1e-6)
    else:
        assert outcome.release.present == ()
        assert "1 that hold shares of Bo's secrets answered, 4 are needed" in outcome.log.absent[0].reason


def test_keys_of_low_order_are_refused_at_the_door(cohort):
    def zero(body):
        announced = replace(Announced.of_bytes(body["announced"]), masking=bytes(32))
        stated = canonical(
            ["fi-workbench statement", asked.header.round_id, "Bo", announced.signed_part(asked.header.digest)]
        )
        signed = replace(announced, signature=cohort.identities["Bo"].sign(stated))
        with pytest.raises(BadSignature, match="every secret is zero"):
            signed.check(asked.header.round_id, asked.header.digest, cohort.sides["Bo"].card.identity)
        return {"announced": signed.to_bytes()}

    settings = cohort.settings()
    asked = cohort.ask(N_QUERIES, settings)
    outcome, _ = cohort.run(asked=asked, settings=settings, after=changed("keys", "Bo", zero))
    (absence,) = outcome.log.absent
    assert (absence.party, absence.kind) == ("Bo", "invalid")
    np.testing.assert_allclose(outcome.scores, mean_of(("Ada", "Cy", "Di", "Ed")), atol=1e-6)


@pytest.mark.parametrize("phase", PHASES)
def test_another_partys_message_as_ones_own_is_an_absence(phase, cohort):
    first = {}

    def copied(when, who, reply):
        if when == phase and who == "Ada":
            first["reply"] = reply
        return first["reply"] if (when, who) == (phase, "Bo") else reply

    outcome, _ = cohort.run(after=copied)
    if phase == "keys":
        assert [absence.party for absence in outcome.log.absent] == ["Bo"]
    elif phase in ("agree", "unmask"):
        assert [(absence.party, absence.kind) for absence in outcome.log.absent] == [("Bo", "invalid")]
        np.testing.assert_allclose(outcome.scores, mean_of(NAMES), atol=1e-6)
    elif phase == "shares":  # none of them opens: Bo's secrets are lost, and the sum with them
        assert outcome.release.present == ()
    else:  # a vector of the right size says nothing of whose it is; the sum is wrong, and nothing else is shown
        assert outcome.release.present == NAMES
        assert not np.allclose(outcome.release.sums["probabilities"] / 5, mean_of(NAMES), atol=1e-3)


def test_the_search_for_a_liar_ends(cohort, monkeypatch):
    monkeypatch.setattr(shamir, "MAX_TRIES", 3)
    many = Cohort(answers(16), MANY)
    outcome, _ = many.run(
        after=lambda phase, party, body: (
            {**body, "shares": bytes(len(body["shares"]))} if phase == "unmask" and party in MANY[:4] else body
        )
    )
    assert outcome.release.present in ((), MANY)
