"""What each role sees is uniform for fixed queries and weights, alike for any, and never under a mask used before."""

from collections import defaultdict

import numpy as np
import pytest
from scipy import stats

from fi_workbench.mpc import ring
from fi_workbench.mpc.argmax import with_votes
from fi_workbench.mpc.compare.selecting import MaskShares
from fi_workbench.mpc.plan import Conv, Dense, Maximum, Plan, Relu, Reshape, Step, Truncate
from fi_workbench.mpc.roles.dealing import DealtDifference, DealtMask
from fi_workbench.mpc.roles.role import RoleRunner
from fi_workbench.mpc.streams import MODULUS, Lot, MaskSource
from tests.mpc.roles.trio import Trio, encoded

FAIR, CAUGHT = 1e-4, 1e-12
N_QUERIES = 24
RESHAPE = 3

MODEL = Plan(
    (3, 6, 6),
    (
        Step(Conv((4, 3, 3, 3), padding=(1, 1)), (0,), (4, 6, 6), "shared"),
        Step(Maximum((2, 2), (2, 2)), (1,), (4, 3, 3), "shared"),
        Step(Relu(), (2,), (4, 3, 3), "masked"),
        Step(Reshape(), (3,), (36,), "masked"),
        Step(Dense(36, 40), (4,), (40,), "shared"),
        Step(Truncate(), (5,), (40,), "masked"),
        Step(Dense(40, 30), (6,), (30,), "shared"),
        Step(Relu(), (7,), (30,), "masked"),
        Step(Dense(30, 3), (8,), (3,), "shared"),
    ),
    4.0,
)
PLAN = with_votes(MODEL)


def weights(value):
    layers = ((0, (4, 3, 3, 3)), (4, (40, 36)), (6, (30, 40)), (8, (3, 30)))
    return [encoded(step, np.full(shape, value), np.full(shape[0], value)) for step, shape in layers]


def queries(value):
    return ring.encode(np.full((N_QUERIES, *PLAN.input_shape), value))


def trio(seed=1, weight=0.01):
    """With keys of its own for each seed, the same at each run."""
    made = Trio(PLAN, weights(weight), [bytes([seed, key]) * 16 for key in range(4)])
    made.evaluator._private = MaskSource(bytes([seed, 9]) * 16)
    return made


SEEN_BY = {
    "owner": {
        "masked query",
        "masked value",
        "offset",
        "high mask",
        "top mask",
        "remask",
        "chosen",
        "chosen mask",
        "chosen top",
    },
    "evaluator": {"masked weight", "masked product", "thermometer", "opened", "top bits"},
    "dealer": {"lanes"},
}


def views(run, lot=None):
    """(role, name) -> all that the role received under that name, or holds masked, as residues with their modulus."""
    found = defaultdict(list)
    for seen in run.seen:
        # what a reshape makes was seen before
        is_masked = seen.act == "holds" and seen.name.startswith("masked ") and seen.step != RESHAPE
        if (seen.act == "receives" or is_masked) and (lot is None or seen.place.lot == lot):
            found[seen.role, seen.name].append(seen)
    return found


def residues(name, array):
    if name in ("lanes", "thermometer"):
        return array.ravel(), MODULUS
    if name == "top bits":
        return array.ravel(), 2
    octets = np.ascontiguousarray(array).view(np.uint8).reshape(-1, array.dtype.itemsize)
    return octets[:, octets.any(axis=0)].ravel(), 256


def counts(name, seen):
    parts = [residues(name, one.array) for one in seen]
    return np.bincount(np.concatenate([values for values, _ in parts]), minlength=parts[0][1])


def run_of(query, seed=1, weight=0.01):
    run = trio(seed, weight)
    lot, materials = run.offline(N_QUERIES)
    run.online(queries(query), lot, materials)
    return run


def test_nothing_else_is_seen():
    names = defaultdict(set)
    for role, name in views(run_of(1.0)):
        names[role].add(name)
    assert names == SEEN_BY


@pytest.mark.parametrize("query", [0.0, 1.0, -3.0])
def test_a_view_is_uniform(query):
    for (_, name), seen in views(run_of(query)).items():
        assert stats.chisquare(counts(name, seen)).pvalue > FAIR, name


def test_two_queries_and_two_models_look_the_same():
    runs = [views(run_of(0.0, 1)), views(run_of(3.0, 2)), views(run_of(3.0, 3, weight=-0.02))]
    for role, name in runs[0]:
        table = [counts(name, run[role, name]) for run in runs]
        assert stats.chi2_contingency(table).pvalue > FAIR, name


def differences(run, lots):
    """(role, name) -> p-value of what is received in one lot, minus what is in the other."""
    one, other = (views(run, lot) for lot in lots)
    found = {}
    for role, name in one:
        if name in ("lanes", "thermometer"):
            apart = [
                (a.array + MODULUS - b.array) % MODULUS for a, b in zip(one[role, name], other[role, name], strict=True)
            ]
            table = np.bincount(np.concatenate([part.ravel() for part in apart]), minlength=MODULUS)
        else:
            apart = [a.array - b.array for a, b in zip(one[role, name], other[role, name], strict=True)]
            low = np.concatenate([part.ravel() for part in apart]).astype(np.uint8)
            table = np.bincount(low if name != "top bits" else low & 1, minlength=2 if name == "top bits" else 256)
        found[role, name] = stats.chisquare(table).pvalue
    return found


class TestReuse:
    def both(self):
        run = trio()
        lots = []
        for query in (1.0, 1.0):
            lot, materials = run.offline(N_QUERIES)
            run.online(queries(query), lot, materials)
            lots.append(lot)
        return differences(run, lots)

    def test_the_same_query_is_under_fresh_masks(self):
        for name, p_value in self.both().items():
            assert p_value > FAIR, name

    def test_masks_used_again_are_caught(self, monkeypatch):
        right = MaskSource.at

        def again(source, lot, *place):
            source._drawn.clear()
            return right(source, Lot(lot.n_queries, 0), *place)

        monkeypatch.setattr(MaskSource, "at", again)
        monkeypatch.setattr(MaskSource, "close_lot", lambda self, lot: None)
        found = self.both()
        for name in ("masked query", "offset", "remask", "chosen"):
            assert found["owner", name] < CAUGHT
        for name in ("masked product", "opened", "thermometer"):
            assert found["evaluator", name] < CAUGHT
        assert found["dealer", "lanes"] < CAUGHT


class Nothing:
    """A mask that is left out."""

    def at(self, *place):
        return self

    def words(self, n):
        return np.zeros(n, np.uint64)

    def close_lot(self, lot):
        pass


class TestMasksLeftOut:
    @pytest.mark.parametrize(
        ("purpose", "seen_in"),
        [
            ("masks", ("evaluator", "opened")),
            ("masks", ("evaluator", "top bits")),
            ("weights", ("evaluator", "masked weight")),
            ("values", ("owner", "masked value")),
        ],
    )
    def test_it_is_caught(self, monkeypatch, purpose, seen_in):
        right = RoleRunner._source
        monkeypatch.setattr(
            RoleRunner,
            "_source",
            lambda self, pair, wanted: Nothing() if wanted == purpose else right(self, pair, wanted),
        )
        if purpose == "masks":
            for role in ("evaluator", "dealer"):
                monkeypatch.setattr(f"fi_workbench.mpc.roles.{role}.deal_mask", self.no_mask)
                monkeypatch.setattr(f"fi_workbench.mpc.roles.{role}.deal_difference", self.no_difference)
        run = run_of(1.0)
        assert stats.chisquare(counts(seen_in[1], views(run)[seen_in])).pvalue < CAUGHT

    @staticmethod
    def no_mask(draws, n):
        none = np.zeros(n, np.uint64)
        return DealtMask(none, MaskShares(none, none))

    @staticmethod
    def no_difference(draws, n):
        none = np.zeros(n, np.uint64)
        return DealtDifference(none, none, none)

    def test_a_query_without_its_mask_is_caught(self):
        run = trio()
        run.client = run.evaluator._queries = run.dealer._queries = Nothing()
        lot, materials = run.offline(N_QUERIES)
        run.online(queries(1.0), lot, materials)
        assert stats.chisquare(counts("masked query", views(run)["owner", "masked query"])).pvalue < CAUGHT
