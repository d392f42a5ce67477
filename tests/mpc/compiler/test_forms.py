"""Every supported layer, as a module and in its functional forms, against torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from fi_workbench.core.affine import Affine
from fi_workbench.mpc.compiler import compile_module
from fi_workbench.mpc.evaluating import reference
from fi_workbench.mpc.plan import Add, Conv, Dense, Lift, Maximum, Relu, Reshape, SumPool, Truncate
from tests.mpc.compiler.nets import agreeing, logits_of, queries, seeded

IMAGE = (4, 8, 8)


class Between(nn.Module):
    """A convolution, something on (6, 8, 8), and a linear layer on whatever is left."""

    def __init__(self, something):
        super().__init__()
        self.conv = nn.Conv2d(4, 6, 3, padding=1)
        self.something = something
        self.head = nn.Linear(something(torch.zeros(2, 6, 8, 8)).numel() // 2, 5)

    def forward(self, x):
        return self.head(self.something(self.conv(x)).flatten(1))


class Call(nn.Module):
    """A function as a module that is traced into."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


LAYERS = {
    "relu": nn.ReLU(),
    "relu in place": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(),
    "hardtanh": nn.Hardtanh(0.0, 0.5),
    "leaky relu": nn.LeakyReLU(0.2),
    "leaky relu that does not leak": nn.LeakyReLU(0.0),
    "leaky relu with batch norm": nn.Sequential(nn.BatchNorm2d(6), nn.LeakyReLU(0.1, inplace=True), nn.AvgPool2d(2)),
    "leaky relu, flattened": nn.Sequential(nn.Flatten(), nn.Linear(384, 20), nn.LeakyReLU(), nn.Linear(20, 5)),
    "leaky relu before max pool": nn.Sequential(nn.LeakyReLU(0.3), nn.MaxPool2d(2)),
    "prelu": nn.PReLU(),
    "prelu by channel": nn.Sequential(nn.PReLU(6, init=0.4), nn.Conv2d(6, 4, 3)),
    "rrelu": nn.RReLU(),
    "conv stride": nn.Conv2d(6, 4, 3, stride=(2, 1), padding=(0, 2)),
    "conv groups": nn.Conv2d(6, 9, 3, groups=3),
    "conv dilation": nn.Conv2d(6, 4, 3, dilation=(2, 1)),
    "conv same": nn.Conv2d(6, 4, (3, 5), padding="same", dilation=2),
    "conv valid": nn.Conv2d(6, 4, 3, padding="valid"),
    "two convs": nn.Sequential(nn.Conv2d(6, 4, 3), nn.Conv2d(4, 4, 3, padding=1)),
    "batch norm": nn.BatchNorm2d(6),
    "batch norm without weights": nn.BatchNorm2d(6, affine=False),
    "batch norm after relu": nn.Sequential(nn.ReLU(), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3, padding=1)),
    "batch norm before conv": nn.Sequential(nn.ReLU(), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, groups=2)),
    "batch norm 1d": nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(384, 20), nn.BatchNorm1d(20), nn.ReLU()),
    "batch norm 1d after flatten": nn.Sequential(nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(384), nn.ReLU()),
    "batch norm flattened": nn.Sequential(nn.ReLU(), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(384, 8), nn.ReLU()),
    "max pool": nn.MaxPool2d(2),
    "max pool of relu": nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
    "max pool dilated": nn.MaxPool2d((2, 3), stride=1, dilation=(2, 1)),
    "max pool twice": nn.Sequential(nn.MaxPool2d(2), nn.ReLU(), nn.MaxPool2d(2)),
    "max pool ceiling that is exact": nn.MaxPool2d(2, ceil_mode=True),
    "avg pool": nn.AvgPool2d(2),
    "avg pool padded": nn.Sequential(nn.ReLU(), nn.AvgPool2d(3, 2, 1)),
    "avg pool divisor": nn.Sequential(nn.ReLU(), nn.AvgPool2d(3, 3, divisor_override=4)),
    "avg pool then relu": nn.Sequential(nn.AvgPool2d(2), nn.ReLU(), nn.AvgPool2d(2)),
    "avg pool then max pool": nn.Sequential(nn.ReLU(), nn.AvgPool2d(2), nn.MaxPool2d(2)),
    "adaptive": nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d((4, 2))),
    "adaptive to one": nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "adaptive that keeps": nn.AdaptiveAvgPool2d((8, None)),
    "dropout": nn.Sequential(nn.Dropout(0.5), nn.Identity(), nn.Dropout2d(0.3), nn.ReLU()),
    "unflatten": nn.Sequential(nn.Flatten(), nn.Unflatten(1, (6, 4, 16)), nn.ReLU()),
    "spectral norm": torch.nn.utils.parametrizations.spectral_norm(nn.Conv2d(6, 4, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_what_torch_gives(name):
    agreeing(seeded(lambda: Between(LAYERS[name])), IMAGE)


WEIGHT = torch.from_numpy(np.random.default_rng(5).normal(size=(6, 6, 3, 3)).astype(np.float32)) / 8
GAINS = torch.linspace(0.5, 2.0, 6)

FUNCTIONS = {
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "x.relu()": lambda x: x.relu(),
    "x.relu_()": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "torch.clamp": lambda x: torch.clamp(x, 0, 1.5),
    "F.relu6": F.relu6,
    "F.leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "F.leaky_relu_": lambda x: F.leaky_relu_(x, negative_slope=0.2),
    "F.prelu": lambda x: F.prelu(x, GAINS / 4),
    "F.hardtanh": lambda x: F.hardtanh(x, 0.0, 0.25),
    "F.max_pool2d": lambda x: F.max_pool2d(F.relu(x), 2),
    "torch.max_pool2d": lambda x: torch.max_pool2d(x, (2, 2), stride=2),
    "F.avg_pool2d": lambda x: F.avg_pool2d(F.relu(x), kernel_size=2),
    "F.adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(F.relu(x), (2, 2)),
    "x.mean((2, 3))": lambda x: x.relu().mean((2, 3)),
    "x.mean([-2, -1], keepdim)": lambda x: x.relu().mean([-2, -1], keepdim=True),
    "x.mean(3).mean(2)": lambda x: x.relu().mean(3).unsqueeze(-1).mean(2),
    "torch.mean": lambda x: torch.mean(F.relu(x), dim=(2, 3)),
    "x.sum": lambda x: x.relu().sum(dim=(2, 3)),
    "torch.flatten": lambda x: torch.flatten(x, 1).relu(),
    "view": lambda x: x.view(x.shape[0], -1).relu(),
    "reshape": lambda x: x.reshape(-1, 384).relu(),
    "size arithmetic": lambda x: x.reshape(x.size(0), x.size(1) * x.size(2) * x.size(3)).relu(),
    "squeeze": lambda x: F.adaptive_avg_pool2d(x.relu(), 1).squeeze(-1).squeeze(-1),
    "residual": lambda x: F.relu(x) + x,
    "two residuals": lambda x: torch.add(F.relu(x) + F.relu(x - 0.5), x),
    "twice the same": lambda x: F.relu(x) + F.relu(x),
    "in place": lambda x: x.relu().add_(x),
    "unequal factors": lambda x: F.avg_pool2d(F.relu(x), 3, 1, 1) + F.relu(x),
    "unequal shared factors": lambda x: (F.avg_pool2d(x, 3, 1, 1) + x).relu(),
    "max of unequal factors": lambda x: F.max_pool2d(F.avg_pool2d(x.relu(), 2) + F.max_pool2d(x, 2), 2),
    "difference": lambda x: (F.relu(x) - F.relu(x - 0.5)) - x,
    "minus": lambda x: (1.0 - x).relu() - 0.25,
    "scaled": lambda x: x.mul(2.0).relu() / 3,
    "gains by channel": lambda x: (x * GAINS.view(1, 6, 1, 1) - GAINS.view(6, 1, 1)).relu(),
    "neg": lambda x: (-x).relu(),
    "F.conv2d": lambda x: F.conv2d(x.relu(), WEIGHT, None, 1, 1).relu(),
    "F.linear": lambda x: F.linear(F.adaptive_avg_pool2d(x, 1).flatten(1), WEIGHT[:, :, 0, 0]).relu(),
    "F.batch_norm": lambda x: F.batch_norm(x, GAINS, GAINS, GAINS, -GAINS).relu(),
    "F.dropout": lambda x: F.dropout(x, 0.5, training=False).relu(),
    "contiguous": lambda x: x.contiguous().clone().detach().float().relu(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gives_what_torch_gives(name):
    agreeing(seeded(lambda: Between(Call(FUNCTIONS[name]))), IMAGE)


WHOLE = {
    "a layer alone": nn.Linear(12, 3),
    "no activation": nn.Sequential(nn.Linear(12, 8), nn.Linear(8, 3)),
    "ends in a relu": nn.Sequential(nn.Linear(12, 3), nn.ReLU()),
    "ends in a sum": Call(lambda x: F.relu(x) + x),
    "nothing at all": nn.Identity(),
    "the query rectified": nn.ReLU(),
    "normalised inside": nn.Sequential(nn.BatchNorm1d(12), nn.Linear(12, 3)),
    "only a batch norm": nn.BatchNorm1d(12),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_plan_ends_in_a_shared_vector_whatever_the_model_ends_in(name):
    compiled = agreeing(seeded(lambda: WHOLE[name]), (12,))
    assert compiled.plan.steps[-1].held == "shared"


@pytest.mark.parametrize("pool", [nn.AvgPool2d(8), nn.Sequential(nn.ReLU(), nn.AvgPool2d(8)), nn.MaxPool2d(8)])
def test_a_network_without_a_head_ends_in_its_pooling(pool):
    agreeing(seeded(lambda: nn.Sequential(nn.Conv2d(4, 5, 3, padding=1), pool, nn.Flatten())), IMAGE)


def kinds(module, shape, **options):
    compiled = compile_module(seeded(lambda: module), shape, input_bound=4.0, name="net", **options)
    return [type(step.operation) for step in compiled.plan.steps]


def test_two_dense_layers_are_one_and_two_convolutions_are_truncated_between():
    assert kinds(nn.Sequential(nn.Linear(12, 8), nn.Linear(8, 3)), (12,)) == [Dense]
    convs = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3), nn.MaxPool2d(4), nn.Flatten())
    assert kinds(convs, IMAGE)[:4] == [Conv, Truncate, Conv, Maximum]


def test_batch_norm_and_dropout_cost_no_step():
    body = nn.Sequential(
        nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.Dropout2d(), nn.ReLU(), nn.MaxPool2d(6), nn.Flatten()
    )
    assert [kind for kind in kinds(nn.Sequential(body, nn.Linear(5, 3)), IMAGE) if kind in (Conv, Relu, Dense)] == [
        Conv,
        Relu,
        Dense,
    ]


def test_what_is_rectified_twice_is_rectified_once():
    net = nn.Sequential(
        nn.Conv2d(4, 5, 3), nn.ReLU(), nn.AvgPool2d(2), nn.ReLU(), nn.Flatten(), nn.ReLU(), nn.Linear(45, 3)
    )
    assert kinds(net, IMAGE).count(Relu) == 1


def test_a_clipped_relu_costs_two_and_no_truncation():
    net = nn.Sequential(
        nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU6(), nn.Conv2d(5, 3, 3, padding=1), nn.ReLU(), nn.Flatten()
    )
    made = kinds(net, IMAGE)
    assert made == [Conv, Relu, Conv, Conv, Relu, Conv, Add, Relu, Reshape, Lift]
    agreeing(seeded(lambda: net), IMAGE)


def test_a_maximum_stands_before_its_relu():
    made = kinds(nn.Sequential(nn.Conv2d(4, 5, 3), nn.ReLU(), nn.MaxPool2d(6), nn.Flatten(), nn.Linear(5, 3)), IMAGE)
    assert made[:3] == [Conv, Maximum, Relu]


def test_a_maximum_of_what_is_used_twice_stays_behind_its_relu():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(4, 5, 3), nn.Linear(5, 3)

        def forward(self, x):
            x = self.conv(x).relu()
            return self.head((F.max_pool2d(x, 6) + F.avg_pool2d(x, 6)).flatten(1))

    made = kinds(Net(), IMAGE)
    assert made.index(Relu) < made.index(Maximum)
    agreeing(seeded(Net), IMAGE)


def test_an_average_is_a_sum_whose_divisor_is_in_the_next_weights():
    module = seeded(lambda: nn.Sequential(nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 3)))
    compiled = compile_module(module, IMAGE, input_bound=4.0, name="net")
    assert [type(step.operation) for step in compiled.plan.steps if step.shape != (16,)][:3] == [
        Lift,
        Relu,
        SumPool,
    ]
    weight = compiled.weights[0].weight.view(np.int64) / 2**16
    np.testing.assert_allclose(weight, module[3].weight.detach().numpy() / 16, atol=2**-17)


def test_a_residual_that_is_masked_is_lifted_once():
    module = Between(Call(lambda x: F.relu(F.relu(x) + (h := F.relu(x + 1))) + h))
    made = kinds(module, IMAGE)
    assert made.count(Add) == 2
    assert made.count(Lift) == 3  # of three activations, one of them added twice
    agreeing(seeded(lambda: module), IMAGE)


def test_an_affine_map_of_the_logits_is_folded_into_the_last_layer():
    rng = np.random.default_rng(8)
    output = Affine(rng.normal(size=(7, 5)), rng.normal(size=7))
    module = seeded(lambda: Between(nn.ReLU()))
    compiled = compile_module(module, IMAGE, input_bound=4.0, output=output, name="net")
    assert [type(step.operation) for step in compiled.plan.steps].count(Dense) == 1
    assert compiled.plan.n_outputs == 7
    asked = queries(IMAGE)
    expected = logits_of(module, asked) @ output.matrix.T + output.offset
    np.testing.assert_allclose(reference(compiled, asked), expected, atol=1e-3)


def test_an_affine_map_is_appended_where_no_layer_can_take_it():
    output = Affine(np.array([[1.0, -2.0, 0.5]]), np.array([0.25]))
    module = seeded(lambda: nn.Sequential(nn.Linear(12, 3), nn.ReLU()))
    compiled = compile_module(module, (12,), input_bound=4.0, output=output, name="net")
    assert [type(step.operation) for step in compiled.plan.steps] == [Dense, Relu, Dense]
    asked = queries((12,))
    expected = logits_of(module, asked) @ output.matrix.T + output.offset
    np.testing.assert_allclose(reference(compiled, asked), expected, atol=1e-3)
