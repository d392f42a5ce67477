"""What each role receives says nothing but the sum: equality of transcripts, byte by byte, and controls that fail."""

import itertools

import numpy as np
import pytest
from scipy.stats import chi2

import fi_workbench as fi
from fi_workbench.privacy.secure_sum import SecureSum, masking, party
from tests.harness import linear_party, queries, shows
from tests.privacy.secure_sum.rounds import NAMES, Cohort, falls_out, fixed_randomness, simplex
from tests.privacy.secure_sum.views import Watched, found
from tests.transcript import flat, recording

N_QUERIES = 4


def answers(*seeds):
    return [simplex(N_QUERIES, seed) for seed in seeds]


def view(link):
    """All that the coordinator received, and all that it sent, in bytes."""
    return [(phase, who, flat(body)) for phase, who, body in (*link.replies, *link.sent)]


def shifted(watched, differences):
    """``masking.stream`` with the masks between these parties moved, along a path, so that each one's total moves.

    Differences must sum to zero; the masks that parties share with others, and their own, stay as they are.
    """
    names, stream, moved = sorted(differences), masking.stream, {}
    running = np.zeros_like(differences[names[0]])
    for one, other in itertools.pairwise(names):
        running = running + differences[one]
        moved[watched.pair_keys[frozenset((one, other))]] = running
    assert not (running + differences[names[-1]]).any()
    return lambda key, n_words: stream(key, n_words) + moved[key] if key in moved else stream(key, n_words)


def test_equal_sums_under_masks_shifted_by_the_difference_give_equal_bytes(monkeypatch):
    """Answers x and x' of equal sum: with masks moved by x - x', every byte that anybody receives is the same."""
    restart, watched = fixed_randomness(monkeypatch), Watched(monkeypatch)
    first = Cohort(answers(0, 1, 2, 3, 4))
    settings = first.settings()
    asked = first.ask(N_QUERIES, settings)
    outcome, link = first.run(asked=asked, settings=settings)
    real = dict(watched.vectors)
    permuted = Cohort(answers(3, 0, 4, 2, 1), like=first)
    restart()
    _, bare = permuted.run(asked=asked, settings=settings)
    others = dict(watched.vectors)
    assert all((real[name] != others[name]).any() for name in NAMES), "every answer is another"
    assert view(bare) != view(link), "the control: under the same masks they show"
    permuted.renew()
    restart()
    monkeypatch.setattr(masking, "stream", shifted(watched, {name: real[name] - others[name] for name in NAMES}))
    again, other_link = permuted.run(asked=asked, settings=settings)
    assert view(other_link) == view(link)
    np.testing.assert_array_equal(again.scores, outcome.scores)


@pytest.mark.parametrize(
    "gone",
    [
        {},
        {"Bo": "keys"},
        {"Bo": "shares"},
        {"Bo": "masked"},
        {"Bo": "agree"},
        {"Bo": "unmask"},
        {"Ada": "keys", "Ed": "masked"},
        {"Ada": "shares", "Cy": "unmask"},
        {"Ada": "masked", "Bo": "masked"},
    ],
)
def test_who_knows_the_sum_and_who_dropped_out_can_make_up_the_whole_view(gone, monkeypatch):
    """The coordinator's view, byte by byte, from the sum of those present and the dropouts alone."""
    restart, watched = fixed_randomness(monkeypatch), Watched(monkeypatch)
    cohort = Cohort(answers(0, 1, 2, 3, 4))
    settings = cohort.settings(options={"tolerated_dropouts": 0.4})
    asked = cohort.ask(N_QUERIES, settings)
    outcome, link = cohort.run(asked=asked, settings=settings, after=falls_out(gone))
    present, real = outcome.release.present, dict(watched.vectors)
    assert len(present) >= 3
    # all that the simulator is told of the answers: their sum
    total = np.sum([real[name] for name in present], axis=0, dtype=np.uint64)
    made_up = {name: np.zeros_like(total) for name in NAMES} | {present[0]: total}
    monkeypatch.setattr(SecureSum, "_vector", lambda _self, _question, _layout, context: made_up[context.name].copy())
    monkeypatch.setattr(masking, "stream", shifted(watched, {name: real[name] - made_up[name] for name in present}))
    cohort.renew()
    restart()
    simulated, other_link = cohort.run(asked=asked, settings=settings, after=falls_out(gone))
    assert view(other_link) == view(link)
    for name, component in outcome.release.sums.items():
        np.testing.assert_array_equal(simulated.release.sums[name], component)
    # and it may move these masks: what was opened gives none of them away
    opened = watched.opened(link.asked("shares"), link)
    assert all(not opened[name][1] for name in present), "no share of the mask key of any that is in the sum"


def test_each_masked_word_is_uniform_for_fixed_answers():
    """Chi-square on the bytes of each place in a word; true randomness fails it once in a hundred million runs."""
    cohort = Cohort([np.full((64, 3), 1 / 3)] * 3)
    seen = {name: [] for name in NAMES[:3]}
    for _ in range(20):
        cohort.renew()
        _, link = cohort.run(64)
        for name, vectors in seen.items():
            vectors.append(link.said("masked", name)["masked"])
    for vectors in seen.values():
        by_place = np.concatenate(vectors).view(np.uint8).reshape(-1, 8)
        for place in range(8):
            assert chi_square(by_place[:, place]) < chi2.isf(1e-9 / 24, 255)
    bare = np.tile(np.arange(193, dtype=np.uint64) % 5, 20).view(np.uint8).reshape(-1, 8)
    assert chi_square(bare[:, 0]) > chi2.isf(1e-9 / 24, 255), "the control: vectors without masks"


def chi_square(values):
    expected = len(values) / 256
    return ((np.bincount(values, minlength=256) - expected) ** 2 / expected).sum()


def test_no_mask_is_used_twice(monkeypatch):
    watched = Watched(monkeypatch)
    cohort = Cohort(answers(0, 1, 2, 3, 4))
    settings = cohort.settings()
    keys, masks = set(), []
    for _ in range(3):  # the same question, answered anew
        cohort.renew()
        _, link = cohort.run(settings=settings, asked=cohort.ask(N_QUERIES, settings))
        keys |= set(watched.pair_keys.values())
        masks += [link.said("masked", name)["masked"] - watched.vectors[name] for name in NAMES]
    assert len(keys) == 3 * 10
    assert len({mask.tobytes() for mask in masks}) == 15


# ---- what nobody was granted, and that its leak would be seen


@pytest.mark.parametrize("gone", [{}, {"Bo": "shares"}, {"Bo": "masked"}, {"Bo": "agree"}, {"Bo": "unmask"}])
def test_a_curious_coordinator_finds_nothing(gone, monkeypatch):
    watched = Watched(monkeypatch)
    assert findings(watched, gone) == set()


def findings(watched, gone=None):
    cohort = Cohort(answers(0, 1, 2, 3, 4))
    settings = cohort.settings()
    asked = cohort.ask(N_QUERIES, settings)
    _, link = cohort.run(asked=asked, settings=settings, after=falls_out(gone or {}))
    return found(watched, link, asked.header.digest, threshold=4)


def test_a_missing_pairwise_mask_would_be_seen(monkeypatch):
    watched = Watched(monkeypatch)
    monkeypatch.setattr(party, "add_pairwise", lambda *_: None)
    assert findings(watched) == {("its answer", name) for name in NAMES}


def test_a_party_that_opens_seed_and_mask_key_would_be_seen(monkeypatch):
    watched = Watched(monkeypatch)
    unmask = party.unmask

    def both(state, message, context, plan):
        reply = unmask(state, message, context, plan)
        return reply | {"more": b"".join(pair.masking for pair in state.held.values())}

    monkeypatch.setattr(party, "unmask", both)
    what = {what for what, _ in findings(watched)}
    assert what == {"a holder opened both", "its mask was opened both ways"}


def test_no_role_receives_what_the_statement_does_not_grant():
    """A federation as it is used: each role's messages held against its disclosure, enrolment included."""
    with recording() as transcript:
        parties = [linear_party(name, class_counts=[50 + 3 * len(name), 11, 29]) for name in NAMES]
        with fi.Federation(
            parties, rule="class_competence", mechanism="secure_sum", history=None, deadline_seconds=60
        ) as federation:
            asked = queries(5)
            record = federation.ask(asked)
            stated = federation.disclosure
    assert record.present == NAMES
    given = {one.name: one.predict(asked) for one in parties}
    powers = {name: np.exp(one - one.max(axis=1, keepdims=True)) for name, one in given.items()}
    simplices = {name: one / one.sum(axis=1, keepdims=True) for name, one in powers.items()}
    counts = {one.name: np.asarray(one.facts.class_counts, float) for one in parties}
    to_coordinator = [entry.body for entry in transcript.of_coordinator()]
    assert len(to_coordinator) == 2 * 5 * 5, "enrolment and answer, five phases, five parties"
    hidden = [
        *given.values(),
        *simplices.values(),
        *counts.values(),
        *(one.function.__defaults__[0] for one in parties),
    ]
    for item in ("answers", "votes", "class_counts", "model"):
        assert not stated.allows("coordinator", item)
    for role in (to_coordinator, [entry.body for entry in transcript.on_the_wire()]):
        assert not any(shows(role, secret) for secret in hidden)
        assert not any(shows(role, secret * unit) for secret in hidden for unit in (2.0**40, 2.0**30))
    for name in NAMES:
        received = [entry.body for entry in transcript.of_party(name)]
        assert not any(shows(received, secret) for secret in hidden)
        assert shows(received, asked), "the query, which it may see"
        assert shows(received, np.sum(list(counts.values()), axis=0)), "the total of the counts, which it may see"
    assert stated.allows("other_parties", "query")


def test_the_same_search_sees_the_answers_of_a_plain_round():
    with recording() as transcript:
        parties = [linear_party(name) for name in NAMES]
        with fi.Federation(parties, history=None, deadline_seconds=60) as federation:
            asked = queries(5)
            federation.ask(asked)
    assert shows([entry.body for entry in transcript.of_coordinator()], parties[0].predict(asked))
