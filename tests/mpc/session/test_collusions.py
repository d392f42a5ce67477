"""What the client learns together with one party: attacks that broke an output step without zero-shares.

Each attack runs twice on the real protocol: with zero-shares left out it must succeed, so that it is known to be an
attack; against the protocol as it is, it must learn nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from sympy import ZZ
from sympy.polys.matrices import DM

from fi_workbench.mpc.output import OutputStep, ZeroShares
from fi_workbench.mpc.roles import Seen
from fi_workbench.mpc.streams import Lot
from tests.mpc.session.rig import N_HIDDEN, N_OUT, Rig, queries_of, ring

N_QUERIES = 8


@pytest.fixture(params=[False, True], ids=["as it is", "without zero-shares"])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    if request.param:

        def nothing(self: ZeroShares, lot: Lot) -> np.ndarray:
            return np.zeros((lot.n_queries, N_OUT), np.uint64)

        monkeypatch.setattr(ZeroShares, "share", nothing)
    return request.param


class Views:
    """One question, and what each party saw of it."""

    def __init__(self, n_owners: int, n_helpers: int) -> None:
        self.seen: list[Seen] = []
        self.rig = Rig(n_owners, n_helpers, pool_size=0, observer=self.seen.append)
        self.queries = queries_of(N_QUERIES)
        with self.rig as rig:
            lot, sealed = rig.client.ask(self.queries)
            answers = rig.answers(lot, sealed)
            # what the client opens of each sender, before it adds them up
            self.vectors = {
                name: rig.client._seals[name].open_answer(lot, answers[name]) for name in rig.session.senders
            }
            self.opened = rig.client.open(lot, answers)
        np.testing.assert_allclose(self.opened, rig.plain(self.queries), atol=1e-3)

    def view(self, number: int, role: str, phase: str, step: int, act: str) -> np.ndarray:
        """The one array that a role of a triple holds, or sends, at that step; (query, ...)."""
        (found,) = (
            seen.array
            for seen in self.seen
            if (seen.number, seen.role, seen.phase, seen.step, seen.act) == (number, role, phase, step, act)
        )
        return found.reshape(N_QUERIES, -1) if phase != "set_up" else found

    def dealers(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """What a dealer knows of the last layer: B of its input, and s, the owner's share of A B."""
        mask = self.view(number, "dealer", "offline", 1, "holds")
        a = self.view(number, "dealer", "set_up", 2, "holds").reshape(N_OUT, N_HIDDEN)
        sent = self.view(number, "dealer", "offline", 2, "sends")
        return mask, mask @ a.T - sent

    def last_layer(self, owner: str) -> np.ndarray:
        return ring(self.rig.models[owner].layers[-1][0])


def solved(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """x of left x = right modulo 2^64, by Gauss's elimination with odd pivots; (query, n), (query, m) -> (n, m)."""
    rows = [[int(x) for x in (*a, *b)] for a, b in zip(left, right, strict=True)]
    n, q = left.shape[1], 1 << 64
    for column in range(n):
        pivot = next(i for i in range(column, len(rows)) if rows[i][column] % 2)
        rows[column], rows[pivot] = rows[pivot], rows[column]
        inverse = pow(rows[column][column], -1, q)
        rows[column] = [x * inverse % q for x in rows[column]]
        for i, row in enumerate(rows):
            if i != column:
                rows[i] = [(x - row[column] * y) % q for x, y in zip(row, rows[column], strict=True)]
    return np.array([row[n:] for row in rows[:n]], dtype=np.uint64)


def test_client_and_dealer_solve_for_the_last_layer(broken: bool) -> None:
    views = Views(1, 2)
    mask, share = views.dealers(0)
    w = solved(mask, views.vectors["helper0"] + share).T  # the evaluator's share is W B - s
    found = w == views.last_layer("owner0")
    assert found.all() if broken else not found.any()


def shortest(masks: np.ndarray, sums: np.ndarray, error_bits: int, weight_bits: int) -> list[int]:
    """w with small <w, B> - sum modulo 2^64, by lattice reduction; either sign."""
    m, n = masks.shape
    rows = [[(1 << 64) if i == j else 0 for j in range(m)] + [0] * (n + 1) for i in range(m)]
    scale = 1 << (error_bits - weight_bits)
    rows += [[int(x) for x in masks[:, k]] + [scale if k == j else 0 for j in range(n)] + [0] for k in range(n)]
    rows.append([int(x) for x in sums] + [0] * n + [1 << error_bits])
    reduced = DM(rows, ZZ).lll().to_Matrix().tolist()
    last = next(row for row in reduced if row[-1])
    return [-int(x) // scale * (1 if last[-1] > 0 else -1) for x in last[m : m + n]]


def test_client_and_an_owner_find_anothers_last_layer_by_lattice_reduction(broken: bool) -> None:
    """owner0 is dealer of owner1's model and evaluator of owner2's; owner2 sends two shares in one."""
    views = Views(3, 0)
    triples = views.rig.session.triples
    assert (triples[1].owner, triples[1].evaluator, triples[1].dealer) == ("owner1", "owner2", "owner0")
    assert triples[2].evaluator == "owner0"
    mask, share = views.dealers(1)
    own = views.view(2, "evaluator", "offline", 2, "holds")
    sums = views.vectors["owner2"] + share + own  # W1 B1, and the small answer of owner2's model
    rows = [shortest(mask, sums[:, output], 37, 18) for output in range(N_OUT)]
    truth = views.last_layer("owner1").view(np.int64).tolist()
    found = [row == wanted for row, wanted in zip(rows, truth, strict=True)]
    assert all(found) if broken else not any(found)


def test_client_and_an_evaluator_of_all_models_read_every_single_answer(broken: bool) -> None:
    views = Views(3, 2)
    for number, owner in enumerate(("owner0", "owner1", "owner2")):
        share = views.view(number, "evaluator", "offline", 2, "holds")
        answers = (views.vectors[owner] + share).view(np.int64) / 2.0**32
        off = np.abs(answers - views.rig.models[owner](views.queries))
        assert off.max() < 1e-3 if broken else off.min() > 1.0


# ------------------------------------------------------------------------------------ uniform, given the sum

N_LOTS, N_BINS = 300, 64
LIMIT = 130.0
"""Of chi-square with 63 degrees of freedom: exceeded once in a million."""


def chi_square(words: np.ndarray) -> float:
    """Of the top bits of words: how far they are from uniform."""
    counts = np.bincount((words >> np.uint64(58)).astype(int).reshape(-1), minlength=N_BINS)
    expected = words.size / N_BINS
    return float(((counts - expected) ** 2 / expected).sum())


def vectors_of_lots(rig: Rig) -> Iterator[dict[str, np.ndarray]]:
    """All senders' vectors for one fixed output, in many lots."""
    steps = {name: OutputStep(rig.session, name, rig.keys[name]) for name in rig.session.senders}
    fixed = np.full((4, N_OUT), 5, np.uint64)
    for index in range(N_LOTS):
        yield {name: fixed + step.hiding(Lot(4, index)) for name, step in steps.items()}


def test_what_honest_senders_send_is_uniform_given_its_sum(broken: bool) -> None:
    rig = Rig(3)
    lots = list(vectors_of_lots(rig))
    for name in rig.session.senders[:-1]:
        spread = chi_square(np.stack([vectors[name] for vectors in lots]))
        assert spread > LIMIT if broken else spread < LIMIT
    for vectors in lots:
        total = sum(vectors.values()).view(np.int64)
        assert np.abs(total - 15).max() <= 1 << 19  # the shares, and the low noise
    rig.close()


def known_to(rig: Rig, corrupt: str, vectors: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """What the client and one sender know of the others' vectors: less the zero-shares that the one has with each."""
    mine = ZeroShares(rig.session, corrupt, rig.keys[corrupt], "output")
    place = rig.session.senders.index(corrupt)
    sources = [*zip(rig.session.senders[place + 1 :], mine._plus, strict=True)]
    known = {}
    for name, source in sources:
        drawn = np.stack([source.at(Lot(4, index), 0).words(4 * N_OUT).reshape(4, N_OUT) for index in range(N_LOTS)])
        known[name] = np.stack([lot[name] for lot in vectors]) + drawn
    return known


@pytest.mark.parametrize("star", [False, True], ids=["as it is", "only pairs with the first sender"])
def test_a_sender_and_the_client_see_two_honest_ones_uniform(star: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if star:
        whole = ZeroShares.share

        def with_first_only(self: ZeroShares, lot: Lot) -> np.ndarray:
            first = not self._minus
            kept = (self._plus, []) if first else ([], self._minus[:1])
            self._plus, self._minus = kept
            return whole(self, lot)

        monkeypatch.setattr(ZeroShares, "share", with_first_only)
    rig = Rig(3)
    known = known_to(rig, "owner0", list(vectors_of_lots(rig)))
    for name in ("owner1", "owner2"):
        spread = chi_square(known[name])
        assert spread > LIMIT if star else spread < LIMIT
    rig.close()


def test_the_low_digits_of_the_sum_are_hidden_and_the_others_are_right() -> None:
    rig = Rig(3)
    sums = np.stack([sum(vectors.values()).view(np.int64) for vectors in vectors_of_lots(rig)]) - 15
    rig.close()
    assert np.abs(sums).max() <= 1 << 19
    assert 0.45 < sums.std() / (2.0**19 / 3) < 0.55  # three of them, each the sum of four within a twelfth of 2^19
    assert abs(sums.mean()) < 0.1 * 2**19
