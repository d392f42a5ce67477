"""What a role sees, beside what it knows already: a mask left out on one side does not show in the view alone."""

import numpy as np
import pytest
from scipy import stats

from fi_workbench.mpc.compare import lanes, selecting
from fi_workbench.mpc.roles.dealing import deal_mask
from fi_workbench.mpc.roles.role import RoleRunner
from fi_workbench.mpc.streams import MaskSource
from tests.mpc.roles.test_views import CAUGHT, FAIR, N_QUERIES, Nothing, queries, trio

DENSE, RELU = 6, 7
N = 30 * N_QUERIES


class Run:
    """One lot, with what was seen at the last ReLU, behind a layer whose weights are all equal."""

    def __init__(self):
        self.trio = trio()
        self.lot, materials = self.trio.offline(N_QUERIES)
        self.trio.online(queries(1.0), self.lot, materials)

    def seen(self, role, act, name):
        (found,) = [
            seen
            for seen in self.trio.seen
            if (seen.role, seen.act, seen.name, seen.step, seen.lot) == (role, act, name, RELU, self.lot)
        ]
        return found.array.astype(np.uint64)

    def drawn(self, pair, purpose, step):
        return MaskSource.of(getattr(self.trio, pair), purpose).at(self.lot, step).words(N)


def without(monkeypatch, pair, purpose):
    """One pair's masks of one purpose are left out, at both of them."""
    right = RoleRunner._source
    monkeypatch.setattr(
        RoleRunner,
        "_source",
        lambda self, *wanted: Nothing() if wanted == (pair, purpose) else right(self, *wanted),
    )


def fairness(words):
    return stats.chisquare(np.bincount((words.ravel() & np.uint64(255)).astype(int), minlength=256)).pvalue


def what_the_evaluator_has_of_y(run, mine):
    """c without its own part of r: the owner's part is what hides y."""
    return run.seen("evaluator", "receives", "opened") - (mine >> np.uint64(16))


def what_the_owner_has_of_the_evaluators_share(run, addend):
    """Its share of A B added to the offset makes W B plus the evaluator's part of r."""
    return (run.seen("owner", "receives", "offset") + addend) & selecting.SHORT_MASK


class TestEvaluator:
    def test_its_own_part_of_the_mask_does_not_open_c(self):
        run = Run()
        assert fairness(what_the_evaluator_has_of_y(run, run.drawn("evaluator_dealer", "masks", RELU))) > FAIR

    def test_the_owners_part_left_out_is_caught(self, monkeypatch):
        without(monkeypatch, "owner_dealer", "masks")
        run = Run()
        assert fairness(run.seen("evaluator", "receives", "opened")) > FAIR  # the view alone does not show it
        assert fairness(what_the_evaluator_has_of_y(run, run.drawn("evaluator_dealer", "masks", RELU))) < CAUGHT


class TestOwner:
    def test_its_share_of_the_product_does_not_open_the_offset(self):
        run = Run()
        opened = what_the_owner_has_of_the_evaluators_share(run, run.drawn("owner_dealer", "products", DENSE))
        assert len(np.unique(opened)) == N
        assert fairness(opened) > FAIR

    def test_the_evaluators_part_left_out_is_caught(self, monkeypatch):
        class NoMask:
            """The evaluator's part of r is left out; all else is drawn."""

            def __init__(self, draws):
                self.draws, self.n_drawn = draws, 0

            def words(self, n):
                self.n_drawn += 1
                return np.zeros(n, np.uint64) if self.n_drawn == 1 else self.draws.words(n)

        for role in ("evaluator", "dealer"):
            name = f"fi_workbench.mpc.roles.{role}.deal_mask"
            monkeypatch.setattr(name, lambda draws, n: deal_mask(NoMask(draws), n))
        run = Run()
        opened = what_the_owner_has_of_the_evaluators_share(run, run.drawn("owner_dealer", "products", DENSE))
        assert fairness(run.seen("owner", "receives", "offset")) > FAIR
        assert len(np.unique(opened)) == N_QUERIES  # W B: alike for all outputs of a query


class TestDealer:
    @pytest.mark.parametrize("left_out", [False, True])
    def test_it_has_no_share_of_what_is_opened(self, monkeypatch, left_out):
        """The dealer knows r whole; what it gets are lanes only, blinded by what the two others draw."""
        if left_out:
            blinding = "fi_workbench.mpc.compare.lanes.draw_blinding"
            right = lanes.draw_blinding

            def plain(draws, n):
                made = right(draws, n)
                return lanes.Blinding(np.ones_like(made.multipliers), made.zeros, made.places * 0, made.coins * 0)

            monkeypatch.setattr(blinding, plain)
        run = Run()
        arrays = [
            seen.array.reshape(16, -1).astype(int)
            for seen in run.trio.seen
            if (seen.role, seen.act, seen.name, seen.step) == ("dealer", "receives", "lanes", RELU)
        ]
        values = sum(arrays) % 127
        p_value = stats.chisquare(np.bincount(values[values > 0], minlength=127)[1:]).pvalue
        assert (p_value < CAUGHT) if left_out else (p_value > FAIR)
