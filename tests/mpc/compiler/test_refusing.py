"""What cannot be evaluated is refused by the name of its layer, with what is nearest to it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import nn

from fi_workbench.core.affine import Affine
from fi_workbench.core.errors import FederationError, InvalidData, InvalidOption, InvalidQuery
from fi_workbench.mpc.compiler import Inexact, NotSupported, compile_module
from tests.mpc.compiler.nets import Mlp, queries, seeded

IMAGE = (4, 8, 8)


def refusal(module, shape=IMAGE, **options):
    with pytest.raises(NotSupported) as caught:
        compile_module(module, shape, input_bound=1.0, name="net", **options)
    assert isinstance(caught.value, FederationError)
    assert caught.value.kind in str(caught.value)
    assert caught.value.nearest in str(caught.value)
    return caught.value


def holding(layer):
    return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Sequential(nn.Identity(), layer), nn.Flatten())


LAYERS = [
    (nn.GELU(), "nn.ReLU"),
    (nn.SiLU(), "nn.ReLU"),
    (nn.ELU(), "nn.ReLU"),
    (nn.Sigmoid(), "nn.ReLU"),
    (nn.Tanh(), "nn.ReLU"),
    (nn.Hardtanh(), "Hardtanh(0, c)"),
    (nn.Softmax(dim=1), "logits"),
    (nn.LogSoftmax(dim=1), "logits"),
    (nn.GroupNorm(2, 4), "BatchNorm2d"),
    (nn.InstanceNorm2d(4), "BatchNorm2d"),
    (nn.LayerNorm(8), "BatchNorm2d"),
    (nn.BatchNorm2d(4, track_running_stats=False), "track_running_stats=True"),
    (nn.ConvTranspose2d(4, 4, 3), "Conv2d"),
    (nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), 'padding_mode="zeros"'),
    (nn.Conv2d(4, 4, 2, padding="same"), "odd size"),
    (nn.Conv2d(3, 4, 3), "matching sizes"),
    (nn.Conv2d(4, 4, 11), "smaller window"),
    (nn.AdaptiveAvgPool2d(3), "divides"),
    (nn.AdaptiveMaxPool2d(2), "MaxPool2d"),
    (nn.MaxPool2d(3, ceil_mode=True), "ceil_mode=False"),
    (nn.MaxPool2d(2, return_indices=True), "return_indices=False"),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "count_include_pad=True"),
    (nn.AvgPool2d(3, ceil_mode=True), "ceil_mode=False"),
    (nn.Linear(8, 8), "Flatten"),
    (nn.Upsample(scale_factor=2), "convolution"),
    (nn.PReLU(3), "one slope"),
    (nn.Embedding(4, 4), "one of Linear"),
]


@pytest.mark.parametrize(("layer", "nearest"), LAYERS, ids=lambda value: getattr(value, "_get_name", lambda: "")())
def test_a_layer_is_named_by_its_path_and_kind(layer, nearest):
    refused = refusal(holding(layer))
    assert refused.path == "1.1"
    assert refused.kind == type(layer).__name__
    assert nearest in refused.nearest
    assert f"1.1 ({refused.kind})" in str(refused)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.function = function

    def forward(self, x):
        return self.function(self.conv(x)).flatten(1)


FUNCTIONS = {
    "gelu": (F.gelu, "nn.ReLU"),
    "sigmoid": (torch.sigmoid, "nn.ReLU"),
    "tanh": (lambda x: x.tanh(), "nn.ReLU"),
    "softmax": (lambda x: F.softmax(x, 1), "logits"),
    "log_softmax": (lambda x: x.log_softmax(1), "logits"),
    "elu": (F.elu, "nn.ReLU"),
    "cat": (lambda x: torch.cat([x, x], 1), "sum of two branches"),
    "mul": (lambda x: x * x, "a constant"),
    "matmul": (lambda x: x @ x, "nn.Linear"),
    "layer_norm": (lambda x: F.layer_norm(x, (8, 8)), "BatchNorm2d"),
    "clamp": (lambda x: x.clamp(-1, 1), "Hardtanh(0, c)"),
    "dropout": (lambda x: F.dropout(x, 0.5), "self.training"),
    "mean": (lambda x: x.mean(1), "x.mean((2, 3))"),
    "permute": (lambda x: x.permute(0, 2, 3, 1), "one of Linear"),
    "getitem": (lambda x: x[:, :2], "one of Linear"),
    "pow": (lambda x: x**2, "one of Linear"),
    "exp": (torch.exp, "one of Linear"),
    "add": (lambda x: x + torch.ones(4, 8, 8).cumsum(1), "one number"),
    "reshape": (lambda x: x.reshape(-1, 4), "number of queries"),
    "truediv": (lambda x: 1 / x, "constant"),
    "batch_norm": (lambda x: F.batch_norm(x, None, None, training=True), "running statistics"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_named_too(name):
    function, nearest = FUNCTIONS[name]
    refused = refusal(Calls(function))
    assert refused.kind == name
    assert nearest in refused.nearest


class Branches(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_control_flow_on_data_is_named_by_the_module_it_stands_in():
    refused = refusal(nn.Sequential(nn.Flatten(), nn.Sequential(nn.ReLU(), Branches())))
    assert refused.path == "1.1"
    assert refused.kind == "Branches"
    assert "depends on the data" in str(refused)


def test_a_model_that_makes_no_vector_is_refused():
    refused = refusal(nn.Conv2d(4, 4, 3))
    assert "nn.Flatten" in refused.nearest
    assert "logits" in refused.nearest


def test_a_model_that_returns_several_things_is_refused():
    assert "logits alone" in refusal(_Two()).nearest


class _Two(nn.Module):
    def forward(self, x):
        return x, x


def test_what_is_no_module_is_refused():
    assert refusal(lambda x: x).kind == "function"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_weight_that_is_no_number_is_named(value):
    module = holding(nn.Conv2d(4, 4, 3))
    with torch.no_grad():
        module[1][1].weight[0, 0, 0, 0] = value
    refused = refusal(module)
    assert refused.path == "1.1"
    assert "NaN or infinite" in refused.reason


def test_a_weight_beyond_the_ring_is_named():
    module = holding(nn.Conv2d(4, 4, 3))
    with torch.no_grad():
        module[1][1].weight[0, 0, 0, 0] = 2.0**21
    assert "weight of 2.1e+06" in refusal(module).reason


def test_a_batch_norm_without_variance_blows_its_layer_up_and_is_named():
    norm = nn.BatchNorm2d(4, eps=0.0)
    norm.running_var.fill_(1e-20)
    assert (
        "batch norm and pooling folded in"
        in refusal(nn.Sequential(nn.Conv2d(4, 4, 3), norm, nn.Flatten()).eval()).reason
    )


def test_a_rule_of_other_classes_is_refused():
    output = Affine(np.ones((1, 7)), np.zeros(1))
    assert "7 classes" in refusal(Mlp((4, 8, 8)), output=output).reason


def test_a_forward_hook_that_changes_the_answer_is_noticed():
    module = seeded(lambda: Mlp((4, 8, 8)))
    module.first.register_forward_hook(lambda layer, taken, made: made + 1)
    with pytest.raises(Inexact, match="forward hooks"):
        compile_module(module, IMAGE, input_bound=1.0, name="net")


def test_a_value_that_is_changed_in_place_and_used_again_is_noticed():
    with pytest.raises(Inexact, match="in-place"):
        compile_module(Calls(lambda x: F.relu(x, inplace=True) + x), IMAGE, input_bound=1.0, name="net")


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), float("inf"), 2.0**20])
def test_a_bound_that_is_none_is_refused(bound):
    with pytest.raises(InvalidOption, match="input_bound"):
        compile_module(Mlp((4, 8, 8)), IMAGE, input_bound=bound, name="net")


def test_a_sample_beyond_the_bound_is_refused():
    with pytest.raises(InvalidData, match="beyond input_bound 1"):
        compile_module(Mlp((4, 8, 8)), IMAGE, input_bound=1.0, sample=queries(IMAGE), name="net")


def test_a_sample_of_another_shape_is_refused():
    with pytest.raises(InvalidQuery):
        compile_module(Mlp((4, 8, 8)), IMAGE, input_bound=9.0, sample=queries((4, 8, 9)), name="net")
