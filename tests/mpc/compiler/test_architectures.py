"""Whole models against themselves in floating point."""

import numpy as np
import pytest
import torch

from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.compiler import compile_module
from fi_workbench.mpc.evaluating import reference
from fi_workbench.mpc.plan import Conv, Dense, Maximum, Relu, Truncate
from fi_workbench.parties.models import architectures
from tests.mpc.compiler.nets import MaxPooled, Mlp, ResNet18, agreeing, logits_of, queries, seeded


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("logistic_regression", (64,)),
        ("logistic_regression", (1, 8, 8)),
        ("mlp", (1, 8, 8)),
        ("mlp", (20,)),
        ("lenet", (1, 28, 28)),
        ("lenet", (1, 8, 8)),
        ("resnet", (1, 8, 8)),
        ("resnet", (3, 16, 16)),
    ],
)
def test_demo_parties_models_compile(name, shape):
    module = seeded(lambda: architectures[name](shape, 10))
    compiled = agreeing(module, shape)
    assert {bound.how for bound in compiled.bounds} == {"proved"}


def test_a_mean_of_many_positions_loses_no_precision():
    module = seeded(lambda: architectures["resnet"]((3, 32, 32), 10))
    agreeing(module, (3, 32, 32), tolerance=4e-4, sample=queries((3, 32, 32)))


@pytest.mark.parametrize(("make", "shape"), [(Mlp, (3, 8, 8)), (MaxPooled, (3, 8, 8)), (ResNet18, (3, 16, 16))])
def test_models_as_people_write_them_compile(make, shape):
    agreeing(seeded(make), shape, sample=queries(shape, n=8, seed=7))


def test_resnet18_has_a_step_for_each_of_its_layers_and_no_truncation_of_its_own():
    compiled = compile_module(seeded(ResNet18), (3, 16, 16), input_bound=4.0, sample=queries((3, 16, 16)), name="net")
    kinds = [type(step.operation) for step in compiled.plan.steps]
    assert kinds.count(Conv) == 20  # 17 and three that halve
    assert kinds.count(Dense) == 1
    assert kinds.count(Relu) == 17
    assert kinds.count(Maximum) == 1
    assert Truncate not in kinds
    assert any(step.path == "layer2.0.downsample.0" for step in compiled.plan.steps)


def test_a_trained_model_keeps_its_labels():
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(10, 64))
    labels = rng.integers(10, size=400)
    points = (centres[labels] + 0.7 * rng.normal(size=(400, 64))).clip(-4, 4).astype(np.float32)
    module = seeded(lambda: architectures["mlp"]((64,), 10)).train()
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(module(torch.from_numpy(points)), torch.from_numpy(labels))
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                parameter.sub_(0.3 * gradient)
    module.eval()
    compiled = compile_module(module, (64,), input_bound=4.0, name="trained")
    got, expected = reference(compiled, points), logits_of(module, points)
    np.testing.assert_allclose(got, expected, atol=1e-3)
    ordered = np.sort(expected, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 2e-3
    assert clear.sum() > 390
    np.testing.assert_array_equal(got.argmax(1)[clear], expected.argmax(1)[clear])


def test_the_module_is_left_as_it_was():
    module = seeded(lambda: architectures["resnet"]((1, 8, 8), 10)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    compile_module(module, (1, 8, 8), input_bound=1.0, name="net")
    assert module.training
    assert next(module.parameters()).dtype == torch.float32
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_equal_models_give_equal_plans_and_weights():
    first, second = (
        compile_module(seeded(lambda: architectures["lenet"]((1, 8, 8), 10)), (1, 8, 8), input_bound=1.0, name="net")
        for _ in range(2)
    )
    assert first.plan == second.plan
    assert all(np.array_equal(a.weight, b.weight) for a, b in zip(first.weights, second.weights, strict=True))


def test_a_plan_holds_nothing_of_the_weights():
    plans = {
        compile_module(
            seeded(lambda: architectures["resnet"]((1, 8, 8), 10), seed), (1, 8, 8), input_bound=1.0, name="n"
        ).plan
        for seed in range(3)
    }
    assert len(plans) == 1


def test_one_wrong_weight_shows():
    """The negative control of this file: its comparison can fail."""
    module = seeded(Mlp)
    compiled = compile_module(module, (3, 8, 8), input_bound=4.0, name="net")
    layer = compiled.weights[-1]
    bias = layer.bias.copy()
    bias[3] += np.uint64(1 << 24)  # 2^-8
    broken = Compiled(compiled.plan, (*compiled.weights[:-1], type(layer)(layer.step, layer.weight, bias)), ())
    asked = queries((3, 8, 8))
    difference = np.abs(reference(broken, asked) - logits_of(module, asked)).max(axis=0)
    assert difference[3] > 1e-3
    assert difference[[0, 1, 2, 4]].max() < 1e-3
