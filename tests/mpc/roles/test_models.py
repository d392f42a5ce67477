"""Whole models: the secure output is that of torch, and its cost is what was said."""

import numpy as np
import pytest
import torch
from torch import nn

from fi_workbench.core.peers import Traffic
from fi_workbench.mpc import ring
from fi_workbench.mpc.costs import cost
from fi_workbench.mpc.plan import Add, Conv, Dense, Lift, Maximum, Plan, Relu, Reshape, Step, SumPool, Truncate
from fi_workbench.mpc.streams import MaskReused
from tests.mpc.roles.trio import ROLES, Trio, encoded


def of_layer(step, layer, divisor=1.0):
    return encoded(step, layer.weight.detach().numpy() / divisor, layer.bias.detach().numpy())


def mlp():
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))
    plan = Plan(
        (12,),
        (
            Step(Dense(12, 9), (0,), (9,), "shared", "0"),
            Step(Relu(), (1,), (9,), "masked", "1"),
            Step(Dense(9, 4), (2,), (4,), "shared", "2"),
        ),
        4.0,
    )
    return model, plan, [of_layer(0, model[0]), of_layer(2, model[2])]


def lenet():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)
    )
    model.append(nn.Flatten()).append(nn.Linear(54, 10)).append(nn.ReLU()).append(nn.Linear(10, 5))
    steps = (
        Step(Conv((4, 3, 3, 3)), (0,), (4, 12, 12), "shared", "0"),
        Step(Relu(), (1,), (4, 12, 12), "masked", "1"),
        Step(SumPool((2, 2), (2, 2)), (2,), (4, 6, 6), "masked", "2"),
        Step(Conv((6, 4, 3, 3), padding=(1, 1)), (3,), (6, 6, 6), "shared", "3"),
        Step(Relu(), (4,), (6, 6, 6), "masked", "4"),
        Step(SumPool((2, 2), (2, 2)), (5,), (6, 3, 3), "masked", "5"),
        Step(Reshape(), (6,), (54,), "masked", "6"),
        Step(Dense(54, 10), (7,), (10,), "shared", "7"),
        Step(Relu(), (8,), (10,), "masked", "8"),
        Step(Dense(10, 5), (9,), (5,), "shared", "9"),
    )
    weights = [of_layer(0, model[0]), of_layer(3, model[3], 4), of_layer(7, model[7], 4), of_layer(9, model[9])]
    return model, Plan((3, 14, 14), steps, 4.0), weights


class Residual(nn.Module):
    """A pool of maxima before a ReLU, a residual addition, a grouped and dilated convolution, a truncation."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.last = nn.Linear(64, 3)

    def forward(self, x):
        x = torch.relu(nn.functional.max_pool2d(self.first(x), 3, 2, 1))
        return self.last((self.second(x) + x).flatten(1))


def residual():
    model = Residual()
    steps = (
        Step(Conv((4, 2, 3, 3), padding=(1, 1)), (0,), (4, 8, 8), "shared", "first"),
        Step(Maximum((3, 3), (2, 2), (1, 1)), (1,), (4, 4, 4), "shared", "max_pool2d"),
        Step(Relu(), (2,), (4, 4, 4), "masked", "relu"),
        Step(Conv((4, 2, 3, 3), (1, 1), (2, 2), (2, 2), 2), (3,), (4, 4, 4), "shared", "second"),
        Step(Lift(), (3,), (4, 4, 4), "shared", "lift"),
        Step(Add(), (4, 5), (4, 4, 4), "shared", "add"),
        Step(Truncate(), (6,), (4, 4, 4), "masked", "truncate"),
        Step(Reshape(), (7,), (64,), "masked", "flatten"),
        Step(Dense(64, 3), (8,), (3,), "shared", "last"),
    )
    return (
        model,
        Plan((2, 8, 8), steps, 4.0),
        [of_layer(0, model.first), of_layer(3, model.second), of_layer(8, model.last)],
    )


MODELS = [mlp, lenet, residual]


@pytest.fixture(params=MODELS)
def case(request):
    torch.manual_seed(3)
    return request.param()


class TestAnswers:
    def test_they_are_those_of_the_model(self, case):
        model, plan, weights = case
        trio = Trio(plan, weights)
        rng = np.random.default_rng(0)
        for n_queries in (1, 2, 1, 6):
            queries = rng.normal(size=(n_queries, *plan.input_shape)).clip(-4, 4)
            with torch.no_grad():
                expected = model(torch.from_numpy(queries).float()).numpy()
            assert np.abs(trio.answers(queries) - expected).max() < 1e-3

    def test_outputs_may_be_large(self):
        plan = Plan((1,), (Step(Dense(1, 1), (0,), (1,), "shared"),), 2.0**12)
        trio = Trio(plan, [encoded(0, np.array([[2.0**18]]), np.array([-1.5]))])
        assert trio.answers(np.array([[2.0**12]])) == pytest.approx(2.0**30 - 1.5)

    def test_a_large_value_beside_a_relu_reaches_the_output(self):
        steps = (
            Step(Dense(1, 1), (0,), (1,), "shared"),
            Step(Relu(), (1,), (1,), "masked"),
            Step(Dense(1, 1), (2,), (1,), "shared"),
        )
        weights = [encoded(0, np.array([[1.0]]), np.array([0.0])), encoded(2, np.array([[2.0**17]]), np.array([0.0]))]
        trio = Trio(Plan((1,), steps, 2.0**13), weights)
        made = trio.answers(np.array([[2.0**13], [-(2.0**13)]]))
        assert made.ravel() == pytest.approx([2.0**30, 0.0], rel=1e-6)


class TestCost:
    @pytest.mark.parametrize("n_queries", [1, 3])
    def test_it_is_what_is_sent(self, case, n_queries):
        _, plan, weights = case
        said = cost(plan, n_queries)
        trio = Trio(plan, weights)
        measured = [trio.traffic()]
        lot, materials = trio.offline(n_queries)
        measured.append(trio.traffic())
        trio.online(np.zeros((n_queries, *plan.input_shape), np.uint64), lot, materials)
        measured.append(trio.traffic())
        before = {}
        for phase, after in zip(("set_up", "offline", "online"), measured, strict=True):
            for pair in [(sender, to) for sender in ROLES for to in ROLES if sender != to]:
                now, then = after.get(pair, Traffic()), before.get(pair, Traffic())
                sent = Traffic(now.n_messages - then.n_messages, now.n_bytes - then.n_bytes)
                assert said.traffic(phase, *pair) == sent, (phase, pair)
            before = after

    def test_it_is_told_for_each_step(self):
        _, plan, _ = residual()
        said = cost(plan, 2)
        assert [step.path for step in said.steps] == [step.path for step in plan.steps]
        assert [step.hops for step in said.steps] == [0, 12, 3, 0, 0, 0, 2, 0, 0]
        assert said.hops == 17
        for phase in ("set_up", "offline", "online"):
            assert said.traffic(phase).n_bytes == sum(step.traffic(phase).n_bytes for step in said.steps) > 0

    def test_a_relu_costs_56_bytes_online(self):
        _, plan, _ = lenet()
        assert cost(plan, 1).steps[1].traffic("online").n_bytes == 56 * 4 * 12 * 12


class TestLots:
    def test_a_lot_is_prepared_once(self):
        _, plan, weights = mlp()
        trio = Trio(plan, weights)
        lot, _ = trio.offline(1)
        for role in trio.roles:
            with pytest.raises(MaskReused, match="next lot"):
                role.offline(lot, 0.0)

    def test_a_lot_is_answered_once(self):
        _, plan, weights = mlp()
        trio = Trio(plan, weights)
        lot, materials = trio.offline(1)
        trio.online(np.zeros((1, 12), np.uint64), lot, materials)
        for role, material in zip(trio.roles, materials, strict=True):
            n_before = sum(sent.n_messages for sent in trio.traffic().values())
            with pytest.raises(MaskReused, match="Lot 0 of 1 queries was used before"):
                role.online(lot, material, 0.0, np.zeros((1, 12), np.uint64))
            assert sum(sent.n_messages for sent in trio.traffic().values()) == n_before

    def test_material_is_of_its_lot_only(self):
        _, plan, weights = mlp()
        trio = Trio(plan, weights)
        (_, first), (second, _) = trio.offline(1), trio.offline(1)
        for role, material in zip(trio.roles, first, strict=True):
            with pytest.raises(MaskReused):
                role.online(second, material, 0.0, np.zeros((1, 12), np.uint64))

    def test_lots_may_be_prepared_ahead_and_used_in_any_order(self):
        torch.manual_seed(0)
        model, plan, weights = mlp()
        trio = Trio(plan, weights)
        lots = [trio.offline(n) for n in (2, 1, 2)]
        queries = np.random.default_rng(0).normal(size=(2, 12))
        with torch.no_grad():
            expected = model(torch.from_numpy(queries).float()).numpy()
        for lot, materials in reversed(lots):
            owner, evaluator = trio.online(ring.encode(queries[: lot.n_queries]), lot, materials)
            assert np.abs(ring.decode(owner + evaluator, 32) - expected[: lot.n_queries]).max() < 1e-3

    def test_a_query_of_another_shape_is_not_answered(self):
        _, plan, weights = mlp()
        trio = Trio(plan, weights)
        lot, materials = trio.offline(2)
        for query in (None, np.zeros((1, 12), np.uint64)):
            with pytest.raises(ValueError, match=r"\(2, 12\)"):
                trio.owner.online(lot, materials[0], 0.0, query)

    def test_material_says_how_large_it_is(self):
        _, plan, weights = lenet()
        trio = Trio(plan, weights)
        one, many = trio.offline(1)[1], trio.offline(8)[1]
        for small, large in zip(one, many, strict=True):
            assert 7.9 < large.n_bytes / small.n_bytes < 8.1
