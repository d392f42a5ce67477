"""Sessions that open the label with the most votes, and nothing else."""

import numpy as np
import pytest

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.core.peers import PeerFault
from fi_workbench.mpc.argmax import votes_fit
from fi_workbench.mpc.compiled import Compiled, LayerBound, LayerWeights
from fi_workbench.mpc.keys import label_keys
from fi_workbench.mpc.output import ZeroShares
from fi_workbench.mpc.plan import Dense, Lift, Plan, Step
from fi_workbench.mpc.session import BadSession, Session
from fi_workbench.mpc.streams import Lot, query_mask, query_source
from tests.mpc.session.rig import LINEAR, N_IN, N_OUT, Board, Rig, at_once, first_error, queries_of, soon, wait_for

SELECT = Plan((N_IN,), (Step(Dense(N_IN, N_OUT), (0,), (N_OUT,), "shared", "only"),), 8.0)


def votes_of(rig, asked):
    """(query, class): how many models vote for it; of equal outputs, as they are rounded, the lowest class."""
    return sum(np.eye(N_OUT)[np.argmax(model(asked), axis=1)] for model in rig.models.values())


def label_of(votes):
    return np.eye(votes.shape[1])[np.argmax(votes, axis=1)]


def constant_voters(*classes):
    """A session of models that each vote for one class, whatever is asked."""
    rig = Rig(len(classes), plan=SELECT, opens="label", pool_size=0)
    for name, voted in zip(list(rig.models), classes, strict=True):
        layer = rig.models[name].compiled.weights[0]
        bias = np.where(np.arange(N_OUT) == voted, 3 << 32, 0).astype(np.uint64)
        set_weights(rig, name, LayerWeights(0, np.zeros_like(layer.weight), bias))
    return rig


def set_weights(rig, name, layer):
    rig.parties[name]._compiled = Compiled(rig.models[name].compiled.plan, (layer,), ())


@pytest.mark.parametrize(("n_owners", "n_helpers"), [(3, 0), (5, 0), (7, 0), (1, 2), (2, 1), (3, 2)])
def test_the_label_is_the_one_with_the_most_votes(n_owners, n_helpers):
    with Rig(n_owners, n_helpers, opens="label") as rig:
        for seed in (1, 2):
            asked = queries_of(7, seed)
            np.testing.assert_array_equal(rig.ask(asked), label_of(votes_of(rig, asked)))


@pytest.mark.parametrize(
    ("voted", "label"), [((2, 1, 0), 0), ((2, 1, 2), 2), ((1, 2, 2, 1), 1), ((2, 2, 2), 2), ((0, 1, 2, 2, 1), 1)]
)
def test_of_equal_counts_the_lowest_class_wins(voted, label):
    with constant_voters(*voted) as rig:
        assert rig.ask(queries_of(2)).tolist() == [np.eye(N_OUT)[label].tolist()] * 2


def collected(rig, asked, monkeypatch=None):
    """What each sender sends towards the count, and what the owner of the label's triple comes to, for one lot."""
    parts, totals = {}, {}
    for name, party in rig.parties.items():
        if party._votes is not None:
            whole = party._votes.collected

            def spied(lot, part, end, name=name, whole=whole):
                parts[name] = part.copy()
                total = whole(lot, part, end)
                if total is not None:
                    totals[name] = total.copy()
                return total

            party._votes.collected = spied
    label = rig.ask(asked)
    [total] = totals.values()
    return label, parts, total


def mask_of(rig, lot):
    triple = rig.session.label_triple
    root = label_keys(rig.session, triple.dealer, rig.keys[triple.dealer]).query
    return query_mask(query_source(root), lot, (N_OUT,))


def test_counts_are_masked_where_they_meet_and_exact_beneath():
    with constant_voters(2, 2, 1) as rig:
        _, parts, total = collected(rig, queries_of(4))
        counts = (total + mask_of(rig, Lot(4, 0))) >> np.uint64(32)
        assert counts.tolist() == [[0, 0 + 1, 2]] * 4
        assert ((total + mask_of(rig, Lot(4, 0))) & np.uint64(2**32 - 1) == 0).all(), "no noise on votes"
        assert set(parts) == set(rig.session.senders)


def looks_uniform(words):
    """Mean of the top byte of each word, within five standard errors of uniform's."""
    top = (words.reshape(-1) >> np.uint64(56)).astype(float)
    return abs(top.mean() - 127.5) < 5 * 73.9 / np.sqrt(top.size)


def test_what_anybody_holds_of_the_count_is_uniform():
    with constant_voters(2, 2, 2) as rig:
        _, parts, total = collected(rig, queries_of(300))
        assert looks_uniform(total)
        assert all(looks_uniform(part) for part in parts.values())
        assert not looks_uniform(total + mask_of(rig, Lot(300, 0))), "counts themselves are not: the check can fail"


@pytest.mark.parametrize("blinded", [True, False])
def test_no_senders_part_tells_its_votes_even_with_the_shares_of_the_others(blinded, monkeypatch):
    """Two owners, one helper: without shares of zero, a part and the other share of each model give a vote away."""
    if not blinded:
        monkeypatch.setattr(ZeroShares, "share", lambda self, lot: np.zeros((lot.n_queries, N_OUT), np.uint64))
    rig = Rig(1, 2, plan=SELECT, opens="label", pool_size=0)
    layer = rig.models["owner0"].compiled.weights[0]
    set_weights(rig, "owner0", LayerWeights(0, np.zeros_like(layer.weight), np.array([0, 3 << 32, 0], np.uint64)))
    shares = {}
    for name, party in rig.parties.items():
        if party._votes is not None:
            whole = party._votes.blinded

            def spied(lot, mine, name=name, whole=whole):
                shares[name] = sum(mine)
                return whole(lot, mine)

            party._votes.blinded = spied
    with rig:
        _, parts, _ = collected(rig, queries_of(3))
    vote = parts["owner0"] + shares["helper0"]
    assert (vote.tolist() == [[0, 1 << 32, 0]] * 3) is not blinded


def vectors_of(voted, n):
    """What the client opens, and what one sender sends it, for two splits of the votes."""
    with constant_voters(*voted) as rig:
        lot, sealed = rig.client.ask(queries_of(n))
        results = rig.answers(lot, sealed)
        error = first_error(results)
        assert error is None, error
        vectors = {name: rig.client._seals[name].open_answer(lot, results[name]) for name in rig.session.senders}
        return vectors, sum(vectors.values())


def test_the_client_sees_the_same_whatever_the_split_of_the_votes():
    unanimous, total = vectors_of((2, 2, 2), 300)
    narrow, other = vectors_of((2, 2, 0), 300)
    np.testing.assert_array_equal(total, other)
    assert total.tolist() == [[0, 0, 1 << 32]] * 300, "to the last bit"
    for vectors in (unanimous, narrow):
        assert all(looks_uniform(vector) for vector in vectors.values())


def test_counts_would_tell_the_split():
    """The control of the test above: opened sums of votes do differ."""
    counted = []
    for voted in ((2, 2, 2), (2, 2, 0)):
        with constant_voters(*voted) as rig:
            _, _, total = collected(rig, queries_of(1))
            counted.append((total + mask_of(rig, Lot(1, 0))).tolist())
    assert counted[0] != counted[1]


def test_lots_of_the_label_are_made_ahead_too():
    with Rig(3, opens="label", pool_size=1, first_size=2) as rig:
        wait_for(lambda: all(party.ready for party in rig.parties.values()), "lots made ahead")
        asked = queries_of(2)
        before = len(rig.board.log)
        np.testing.assert_array_equal(rig.ask(asked), label_of(votes_of(rig, asked)))
        label = f"{rig.session.label_number}/offline/2.0/"
        assert not any(tag.startswith(label) for _, _, tag, _ in rig.board.log[before:])
        assert any(tag.startswith(label) for _, _, tag, _ in rig.board.log[:before])


@pytest.mark.parametrize("about", ["/0/votes", "/online/"])
def test_a_message_of_the_label_that_does_not_come_ends_the_session_with_a_name(about):
    board = Board()
    with Rig(3, opens="label", board=board) as rig:
        prefix = f"{rig.session.label_number}/online/"
        board.tamper = lambda sender, to, tag, message: (
            None if sender == "owner1" and tag.startswith(prefix) and about in tag else message
        )
        lot, sealed = rig.client.ask(queries_of(2))
        end = soon(1.0)
        results = at_once({name: lambda n=name: rig.parties[n].answer(lot, sealed[n], end) for name in rig.parties})
        assert any(isinstance(error, PeerFault) and error.peer == "owner1" for error in results.values())
        assert all(party.ended for party in rig.parties.values())


def told_of(session, **other):
    names = ("binding", "client_public", "triples", "plans", "versions", "publics", "pool_size", "first_size", "opens")
    return Session(**{**{name: getattr(session, name) for name in names}, **other})


def test_what_is_opened_is_part_of_the_sessions_id():
    rig = Rig(3)
    assert told_of(rig.session).id == rig.session.id
    assert told_of(rig.session, opens="label").id != rig.session.id
    with pytest.raises(BadSession, match="opens the sum, or a label"):
        told_of(rig.session, opens="votes")
    rig.close()


@pytest.mark.parametrize("n_classes", [1, 65])
def test_too_few_or_too_many_classes_are_refused_by_name(n_classes):
    plan = Plan((n_classes,), (Step(Lift(1 << 16), (0,), (n_classes,), "shared"),), 1.0)
    rig = Rig(3, plan=LINEAR)
    with pytest.raises(DoesNotFit, match=f"among 2 to 64 classes, not {n_classes}"):
        told_of(rig.session, plans=dict.fromkeys(rig.models, plan), opens="label")
    rig.close()


def test_outputs_too_large_to_be_compared_are_refused():
    compiled = lambda bound: Compiled(LINEAR, (), (LayerBound(0, "only", bound, 2.0**30, "proved"),))  # noqa: E731
    assert votes_fit(compiled(8190.0))
    assert not votes_fit(compiled(8191.0))
