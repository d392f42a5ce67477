"""Commit-reveal: nothing can be read before all are bound, and nobody opens what another has committed to."""

import hashlib

import numpy as np
import pytest

from fi_workbench.aggregation import aggregate
from fi_workbench.core.digest import canonical
from fi_workbench.privacy.commit_reveal import CommitReveal, commitment
from fi_workbench.protocol.ports import ABSENT_KIND, ABSENT_REASON
from tests.harness import Table, linear_party, queries, shows, until

NAMES = ("Ada", "Bo", "Cy")


@pytest.fixture
def table():
    tables = []

    def make(**options):
        tables.append(Table([linear_party(name) for name in NAMES], **options))
        return tables[-1]

    yield make
    for made in tables:
        made.close()


def in_phase(phase, change):
    """A party that changes its reply in one phase: `change(reply)`."""
    return lambda handle: lambda asked, body: change(handle(asked, body)) if asked == phase else handle(asked, body)


def run(made, rule="soft_vote"):
    asked = queries()
    outcome, release, scores = made.run(asked, made.settings("commit_reveal", rule))
    return outcome, release, scores, asked


def said(made, party, phase):
    """What a party sent in a phase, when it has."""
    assert until(lambda: any((who, when) == (party, phase) for who, when, _ in made.from_parties))
    return next(body for who, when, body in made.from_parties if (who, when) == (party, phase))


# ---- the commitment


def test_it_is_blake2b_of_all_that_it_binds():
    body = {"answer": np.ones((1, 2), np.float32)}
    plain = canonical(["fi-workbench commitment", "ab", b"k", b"s", body])
    assert commitment("ab", b"k", b"s", body) == hashlib.blake2b(plain, digest_size=32).digest()


@pytest.mark.parametrize(
    "other",
    [
        ("ac", b"k", b"s", {"answer": np.ones(2)}),
        ("ab", b"l", b"s", {"answer": np.ones(2)}),
        ("ab", b"k", b"t", {"answer": np.ones(2)}),
        ("ab", b"k", b"s", {"answer": np.nextafter(np.ones(2), 2)}),
        ("ab", b"k", b"s", {"answer": np.ones(2, np.float32)}),
        ("ab", b"k", b"s", {"answer": np.ones((1, 2))}),
        ("ab", b"k", b"s", {"answer": np.ones(2), "sum.x": np.ones(2)}),
        ("ab", b"ks", b"", {"answer": np.ones(2)}),
    ],
)
def test_it_changes_with_everything(other):
    assert commitment("ab", b"k", b"s", {"answer": np.ones(2)}) != commitment(*other)


# ---- a round


def test_a_round_gives_what_a_plain_round_gives(table):
    for rule in ("soft_vote", "hard_vote"):
        made = table()
        _, release, scores, asked = run(made, rule)
        _, plain_release, plain_scores = table().run(asked, made.settings("plain", rule))
        assert release.present == plain_release.present == NAMES
        np.testing.assert_array_equal(scores, plain_scores)
        for mine, theirs in zip(release.answers, plain_release.answers, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_until_all_have_committed_nothing_can_be_read(table):
    made = table()
    _, _, _, asked = run(made)
    answers = [side.party.predict(asked) for side in made.sides.values()]
    first = [body for _, phase, body in made.from_parties if phase == "commit"]
    assert len(first) == 3
    assert not any(shows(first, answer) for answer in answers)
    assert {name for body in first for name in body} == {"commitment", "signature"}
    order = [phase for _, phase, _ in made.from_parties]
    assert order == ["commit"] * 3 + ["reveal"] * 3


def test_every_party_gets_the_same_whole_list(table):
    made = table()
    run(made)
    lists = [body for _, phase, body in made.to_parties if phase == "reveal"]
    assert len(lists) == 3
    assert all(body["parties"] == list(NAMES) for body in lists)
    assert len({tuple(body["commitments"]) for body in lists}) == 1


def test_equal_answers_have_unlike_commitments(table):
    made = table()
    run(made)
    first = said(made, "Ada", "commit")["commitment"]
    made = table()
    run(made)
    assert said(made, "Ada", "commit")["commitment"] != first


def test_the_model_is_asked_once(table):
    made, asked = table(), []
    party = made.sides["Ada"].party
    model = party.function
    object.__setattr__(party, "function", lambda batch: asked.append(len(batch)) or model(batch))
    run(made)
    assert asked == [6]


def test_enrolment_is_committed_to_as_well(table):
    made = table()
    outcome, release, _ = made.run(None, made.settings("commit_reveal", "class_competence"))
    assert outcome.log.absent == ()
    counts = [side.party.facts.class_counts for side in made.sides.values()]
    np.testing.assert_allclose(release.sums["class_totals"], np.sum(counts, axis=0))
    assert "class_totals" not in str(said(made, "Ada", "commit").keys())


def test_over_claims_after_the_commitments_are_refused(table):
    def more(reply):
        return reply | {"sum.class_totals": reply["sum.class_totals"] * 100}

    made = table(wrap={"Bo": in_phase("reveal", more)})
    outcome, release, _ = made.run(None, made.settings("commit_reveal", "class_competence"))
    assert release.present == ("Ada", "Cy")
    assert outcome.log.absent[0].kind == "invalid"


# ---- dishonest parties


def test_a_copied_commitment_cannot_be_opened_after_its_author(table):
    """The attack on a bare salted hash: repeat a peer's commitment, wait for its opening, open it as your own."""
    made = None

    def copier(handle):
        def copies(phase, body):
            if phase == "commit":
                mine = handle(phase, body)
                theirs = said(made, "Ada", "commit")["commitment"]
                bo = made.sides["Bo"]
                opened = next(iter(bo.runtime._rounds.values()))
                bound = canonical(["fi-workbench commitment", opened.facts.context.round_digest, theirs])
                return mine | {"commitment": theirs, "signature": opened.facts.context.sign(bound)}
            return said(made, "Ada", "reveal")

        return copies

    made = table(wrap={"Bo": copier})
    outcome, release, scores, asked = run(made)
    listed = next(body for to, phase, body in made.to_parties if (to, phase) == ("Ada", "reveal"))
    assert listed["commitments"][0] == listed["commitments"][1], "it was in the list, rightly signed"
    (absence,) = outcome.log.absent
    assert (absence.party, absence.phase, absence.kind) == ("Bo", "reveal", "invalid")
    assert "something else" in absence.reason
    assert release.present == ("Ada", "Cy")
    left = np.stack([made.sides[name].party.predict(asked) for name in ("Ada", "Cy")])
    np.testing.assert_allclose(scores, aggregate(left, "soft_vote"), atol=1e-5)


def without(reply, field):
    return {name: value for name, value in reply.items() if name != field}


@pytest.mark.parametrize(
    "change",
    [
        lambda reply: reply | {"answer": reply["answer"][::-1].copy()},
        lambda reply: reply | {"answer": reply["answer"].astype(np.float64)},
        lambda reply: reply | {"salt": bytes(32)},
        lambda reply: reply | {"sum.probabilities": reply["sum.probabilities"] * 0.5},
        lambda reply: reply | {"committed": ["answer"]},
        lambda reply: reply | {"committed": [*reply["committed"], "salt"]},
        lambda reply: reply | {"committed": []},
        lambda reply: reply | {"committed": [3]},
        lambda reply: reply | {"committed": ["gone"]},
        lambda reply: without(reply, "answer"),
        lambda reply: without(reply, "salt"),
        lambda reply: without(reply, "committed"),
    ],
)
def test_whoever_opens_something_else_is_absent(change, table):
    made = table(wrap={"Bo": in_phase("reveal", change)})
    outcome, release, _, _ = run(made)
    (absence,) = outcome.log.absent
    assert (absence.party, absence.phase, absence.kind) == ("Bo", "reveal", "invalid")
    assert release.present == ("Ada", "Cy")


def test_what_was_not_committed_to_is_not_read(table):
    made = table(wrap={"Bo": in_phase("reveal", lambda reply: reply | {"more": np.ones(3)})})
    outcome, release, _, _ = run(made)
    assert outcome.log.absent == ()
    assert release.present == NAMES


@pytest.mark.parametrize(
    "change",
    [
        lambda reply: reply | {"commitment": reply["commitment"][:16]},
        lambda reply: reply | {"commitment": bytes(32)},
        lambda reply: reply | {"signature": bytes(64)},
        lambda reply: reply | {"signature": b""},
        lambda reply: reply | {"commitment": "a text"},
        lambda reply: without(reply, "signature"),
    ],
)
def test_a_commitment_that_is_not_signed_stops_nobody_else(change, table):
    made = table(wrap={"Bo": in_phase("commit", change)})
    outcome, release, _, _ = run(made)
    (absence,) = outcome.log.absent
    assert (absence.party, absence.phase, absence.kind) == ("Bo", "commit", "invalid")
    assert release.present == ("Ada", "Cy")


def test_who_commits_and_does_not_reveal_is_absent_with_its_reason(table):
    def refuses(handle):
        gone = {ABSENT_KIND: "refused", ABSENT_REASON: "it regrets."}
        return lambda phase, body: gone if phase == "reveal" else handle(phase, body)

    outcome, release, _, _ = run(table(wrap={"Bo": refuses}))
    (absence,) = outcome.log.absent
    assert (absence.party, absence.phase, absence.kind, absence.reason) == ("Bo", "reveal", "refused", "it regrets.")
    assert release.present == ("Ada", "Cy")


def test_when_nobody_commits_rightly_there_is_no_round(table):
    spoil = in_phase("commit", lambda reply: reply | {"signature": bytes(64)})
    outcome, release, scores, _ = run(table(wrap=dict.fromkeys(NAMES, spoil)))
    assert release.present == ()
    assert scores is None
    assert [absence.kind for absence in outcome.log.absent] == ["invalid"] * 3


# ---- a dishonest coordinator: Ada is shown a list that was tampered with


def swapped(body):
    names = [body["parties"][1], body["parties"][0], *body["parties"][2:]]
    return body | {"parties": names}


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (lambda body: body | {"commitments": [bytes(32), *body["commitments"][1:]]}, "own"),
        (lambda body: {name: value[1:] if isinstance(value, list) else value for name, value in body.items()}, "own"),
        (lambda body: body | {"commitments": [*body["commitments"][:-1], bytes(32)]}, "not signed by Cy"),
        (lambda body: body | {"signatures": [*body["signatures"][:-1], bytes(64)]}, "not signed by Cy"),
        (lambda body: body | {"signatures": [body["signatures"][0]] * 3}, "not signed by Bo"),
        (swapped, "own"),
        (lambda body: body | {"parties": ["Ada", "Bo", "Bo"]}, "twice"),
        (lambda body: body | {"parties": ["Ada", "Bo", "Eve"]}, "'Eve'"),
        (lambda body: body | {"signatures": body["signatures"][:2]}, "not one commitment and signature"),
        (lambda body: body | {"commitments": [*body["commitments"][:-1], "text"]}, "no byte string"),
        (lambda body: without(body, "signatures"), "did not come"),
        (lambda body: body | {"parties": "Ada"}, "did not come"),
    ],
)
def test_a_party_reveals_nothing_against_a_tampered_list(tamper, reason, table):
    def shown(handle):
        return lambda phase, body: handle(phase, tamper(body) if phase == "reveal" else body)

    made = table(wrap={"Ada": shown})
    outcome, release, _, asked = run(made)
    (absence,) = outcome.log.absent
    assert (absence.party, absence.phase, absence.kind) == ("Ada", "reveal", "refused")
    assert reason in absence.reason
    assert release.present == ("Bo", "Cy")
    sent = [body for who, _, body in made.from_parties if who == "Ada"]
    assert not shows(sent, made.sides["Ada"].party.predict(asked))


def test_it_says_what_it_does_and_does_not_do():
    stated = CommitReveal().disclosure
    assert stated.allows("wire", "answers")
    assert not stated.allows("other_parties", "answers")
    assert any("coordinator does not help a copier" in text for text in stated.assumptions)
