"""Values stay within the ring's bounds: proved, scaled, calibrated, or refused by name. Never a wrap."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.compiler import Inexact, OutOfBounds, compile_module
from fi_workbench.mpc.compiler.bounds import MARGIN, OUTPUT_BOUND, proved
from fi_workbench.mpc.compiler.folding import append, fold
from fi_workbench.mpc.compiler.lowering import lower
from fi_workbench.mpc.compiler.scaling import Scales
from fi_workbench.mpc.compiler.tracing import copy_of, trace
from fi_workbench.mpc.evaluating import Ring, reference
from fi_workbench.mpc.plan import MAX_BOUND, RELU_BOUND, Lift, Truncate
from fi_workbench.parties.models import architectures
from tests.mpc.compiler.nets import MaxPooled, ResNet18, agreeing, logits_of, queries, seeded


def folded(module, shape):
    graph = trace(copy_of(module), shape)
    append(graph, None)
    fold(graph)
    return graph


def lowered(module, shape, input_bound=4.0):
    graph = folded(module, shape)
    return lower(graph, input_bound, Scales(graph).initial())


def steep(size, last=2.0**-12):
    """Two layers on four numbers; all weights of the first are ``size``, so that |y| <= 16 size for |x| <= 4."""
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    with torch.no_grad():
        for layer, weight in ((module[0], size), (module[2], last)):
            layer.weight.fill_(weight)
            layer.bias.zero_()
        module[2].weight[1] *= -1
    return module


def by_path(compiled):
    return {bound.path: bound for bound in compiled.bounds}


def test_the_bound_of_one_layer_is_its_row_sum():
    module = seeded(lambda: nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3)))
    compiled = compile_module(module, (7,), input_bound=2.0, name="net")
    rows = module[0].weight.detach().abs().sum(1) * 2 + module[0].bias.detach()
    low_rows = module[0].weight.detach().abs().sum(1) * 2 - module[0].bias.detach()
    assert by_path(compiled)["0"].bound == pytest.approx(float(torch.maximum(rows, low_rows).max()), abs=1e-3)
    assert by_path(compiled)["0"].limit == RELU_BOUND
    assert by_path(compiled)["2"].limit == OUTPUT_BOUND


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (MaxPooled, (3, 8, 8)),
        (lambda: architectures["lenet"]((1, 8, 8), 10), (1, 8, 8)),
        (lambda: architectures["resnet"]((1, 8, 8), 10), (1, 8, 8)),
        (lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.AvgPool2d(2), nn.Conv2d(3, 3, 3), nn.Flatten()), (1, 8, 8)),
    ],
)
def test_no_query_in_range_exceeds_what_is_proved(make, shape):
    plan = lowered(seeded(make), shape)
    bounds = proved(plan)
    corners = 4.0 * np.sign(np.random.default_rng(2).normal(size=(40, *shape)))
    corners[0], corners[1] = 4.0, -4.0
    words = torch.from_numpy((corners * 2**16).astype(np.int64))
    for number, value in Ring(plan.plan, plan.weights).values(words):
        if number in bounds:
            assert value.abs().max() / 2**32 <= bounds[number]


def test_a_query_can_reach_what_is_proved_of_the_first_layer():
    """The control of the test above: the bounds are not merely huge."""
    module = seeded(lambda: nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3)))
    plan = lowered(module, (7,))
    worst = int((module[0].weight.detach().abs().sum(1) * 4 + module[0].bias.detach().abs()).argmax())
    side = np.sign(module[0].weight.detach().numpy()[worst]) * np.sign(module[0].bias.detach().numpy()[worst])
    words = torch.from_numpy((4.0 * side[None] * 2**16).astype(np.int64))
    _, value = next(iter(Ring(plan.plan, plan.weights).values(words)))
    assert float(value.abs().max()) / 2**32 == pytest.approx(proved(plan)[0], rel=1e-4)


def test_a_layer_beyond_the_limit_is_refused_by_name():
    with pytest.raises(OutOfBounds) as caught:
        compile_module(steep(2.0**17), (4,), input_bound=4.0, name="steep")
    error = caught.value
    assert (error.path, error.limit) == ("0", RELU_BOUND)
    assert error.bound == pytest.approx(2.0**21, rel=1e-3)
    for part in ("'0'", "'steep'", "2.1e+06", "16384", "sample", "input_bound"):
        assert part in str(error)


def test_without_the_check_it_would_be_wrong_in_silence():
    module = steep(2.0**17)
    unchecked = lowered(module, (4,))
    asked = np.array([[4.0, 4.0, 4.0, 3.5]], np.float32)
    got = reference(Compiled(unchecked.plan, unchecked.weights, ()), asked)
    assert np.abs(got - logits_of(module, asked)).max() > 100
    small = asked / 2**8  # the same layer is right on what is in range
    got = reference(Compiled(unchecked.plan, unchecked.weights, ()), small)
    np.testing.assert_allclose(got, logits_of(module, small), rtol=1e-3)


def test_the_sign_is_lost_just_beyond_the_limit():
    plan = lowered(steep(2.0**10, last=1.0), (4,))
    compiled = Compiled(plan.plan, plan.weights, ())
    below, beyond = np.full((1, 4), 3.99, np.float32), np.full((1, 4), 4.01, np.float32)
    assert reference(compiled, below)[0, 0] == pytest.approx(4 * 3.99 * 2**12, rel=1e-4)
    assert reference(compiled, beyond)[0, 0] == 0


@pytest.mark.parametrize("size", [2.0**11, 2.0**13, 2.0**15])
def test_a_layer_that_is_too_steep_is_scaled_down_and_the_next_one_up(size):
    module = steep(size)
    compiled = agreeing(module, (4,), tolerance=1e-3 * size * 2**-8)
    bound = by_path(compiled)["0"]
    assert bound.how == "proved"
    assert RELU_BOUND / 4 <= bound.bound < RELU_BOUND
    weight = compiled.weights[0].weight.view(np.int64)[0, 0] / 2**16
    next_weight = compiled.weights[1].weight.view(np.int64)[0, 0] / 2**16
    assert weight < size
    assert weight * next_weight == pytest.approx(size * 2.0**-12)


def test_scaling_that_costs_too_much_precision_is_not_done():
    """After the first layer only the last bits of a difference matter: scaled down, they would be lost."""
    module = steep(2.0**15, last=1.0)
    with torch.no_grad():
        module[0].weight[1] += 0.25
        module[2].weight[0] = torch.tensor([-1.0, 1.0, 0, 0])
        module[2].weight[1] = torch.tensor([1.0, -1.0, 0, 0])
        module[0].weight[2:] = 0
    rng = np.random.default_rng(0)
    with pytest.raises(OutOfBounds):
        compile_module(module, (4,), input_bound=4.0, sample=rng.uniform(3, 4, (9, 4)), name="net")


class TwoBranches(nn.Module):
    """Two convolutions that are added without an activation between, behind a residual that is."""

    def __init__(self, size):
        super().__init__()
        self.left, self.right = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False)
        self.head = nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            self.left.weight.fill_(size)
            self.right.weight.fill_(-size / 2)
            self.head.weight.fill_(2.0**-12)

    def forward(self, x):
        x = F.relu(x)
        return self.head(F.relu(self.left(x) + self.right(x) + x).flatten(1))


def test_branches_that_are_added_are_scaled_together():
    compiled = agreeing(TwoBranches(2.0**13), (1, 2, 2), tolerance=1e-2)
    left, right = (layer.weight.view(np.int64).item() / 2**16 for layer in compiled.weights[:2])
    assert left == -2 * right
    assert left < 2.0**13
    factors = [step.operation.factor for step in compiled.plan.steps if isinstance(step.operation, Lift)]
    assert factors[-1] == 2**16 * left / 2**13


def test_the_divisor_of_a_mean_is_shared_between_the_layers_around_it():
    body = (nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    module, shape = seeded(lambda: nn.Sequential(*body)), (3, 16, 16)
    graph, asked = folded(module, shape), queries(shape)
    shifts = Scales(graph).initial()
    assert list(shifts.values()) == [4]  # of the eight bits of 256
    off = [
        np.abs(reference(Compiled(plan.plan, plan.weights, ()), asked) - logits_of(module, asked)).max()
        for plan in (lower(graph, 4.0, shifts), lower(graph, 4.0, {}))
    ]
    assert off[0] < off[1] / 2


def test_branches_of_two_sums_have_one_scale_and_need_no_truncation():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))
            self.head = nn.Linear(4, 2)
            with torch.no_grad():
                self.b.weight.fill_(2.0**11)  # one sum is too large, the other is not
                self.head.weight.fill_(2.0**-12)

        def forward(self, x):
            a = self.a(x)
            return self.head(F.relu(a + self.b(x)) + F.relu(a + self.c(x)))

    compiled = agreeing(seeded(Net), (4,), tolerance=1e-2)
    assert [step.path for step in compiled.plan.steps if isinstance(step.operation, Truncate)] == []
    assert all(bound.bound < bound.limit for bound in compiled.bounds)


def test_the_output_is_never_scaled():
    module = nn.Sequential(nn.Linear(4, 2)).eval()
    with torch.no_grad():
        module[0].weight.fill_(2.0**15)
    agreeing(module, (4,), tolerance=2.0)


def test_a_sample_calibrates_what_cannot_be_proved():
    module = seeded(ResNet18)
    with pytest.raises(OutOfBounds, match="Give a sample"):
        compile_module(module, (3, 16, 16), input_bound=4.0, name="net")
    compiled = compile_module(module, (3, 16, 16), input_bound=4.0, sample=queries((3, 16, 16)), name="net")
    hows = [bound.how for bound in compiled.bounds]
    n_proved = hows.index("calibrated")
    assert n_proved > 0
    assert set(hows[n_proved:]) == {"calibrated"}  # all that is behind


def test_calibration_keeps_its_margin():
    module = steep(2.0**17)
    largest = RELU_BOUND / 2.0**17 / 4  # of four equal entries, where y meets the limit
    accepted = np.full((3, 4), largest / MARGIN * 127 / 128, np.float32)
    compiled = compile_module(module, (4,), input_bound=4.0, sample=accepted, name="net")
    assert by_path(compiled)["0"].how == "calibrated"
    assert by_path(compiled)["0"].bound == pytest.approx(RELU_BOUND * 127 / 128, rel=1e-5)
    refused = np.full((3, 4), largest * 2**6, np.float32)
    with pytest.raises(OutOfBounds, match="on the sample"):
        compile_module(module, (4,), input_bound=4.0, sample=refused, name="net")


def test_logits_that_are_off_are_refused_even_where_a_sample_is_in_bounds():
    """What is left of such small queries in 16 fractional bits is not enough."""
    sample = np.full((3, 4), RELU_BOUND / 2.0**19 / MARGIN * 0.99, np.float32)
    with pytest.raises(Inexact, match=r"0\.001 is promised"):
        compile_module(steep(2.0**17), (4,), input_bound=4.0, sample=sample, name="net")


def test_a_maximum_has_half_the_room():
    def pooled(size):
        conv = nn.Conv2d(1, 1, 1, bias=False)
        with torch.no_grad():
            conv.weight.fill_(size)
        return nn.Sequential(conv, nn.MaxPool2d(2), nn.Flatten())

    shape, options = (1, 2, 2), {"input_bound": 4.0, "name": "net"}
    compiled = compile_module(pooled(MAX_BOUND / 4.01), shape, **options)
    assert by_path(compiled)["0"].limit == MAX_BOUND
    with pytest.raises(OutOfBounds) as caught:
        compile_module(pooled(MAX_BOUND / 3.99), shape, **options)
    assert caught.value.limit == MAX_BOUND
    unchecked = lowered(pooled(MAX_BOUND / 3.2), shape)
    asked = np.array([[[[4.0, -4.0], [-4.0, -4.0]]]], np.float32)
    assert reference(Compiled(unchecked.plan, unchecked.weights, ()), asked)[0, 0] < 0
