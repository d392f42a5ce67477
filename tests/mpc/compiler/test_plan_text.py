"""Plans as text: the same plan comes back, and what another sends is a plan or a named error, never anything else."""

import copy
import dataclasses
import json
import math
import random

import numpy as np
import pytest
import torch

from fi_workbench.mpc.compiled import Compiled, LayerWeights
from fi_workbench.mpc.compiler import compile_module
from fi_workbench.mpc.evaluating import reference
from fi_workbench.mpc.plan import Conv, Dense, Pairs, Plan, Relu, Sign, Step, Wins
from fi_workbench.mpc.plan_rules import InvalidPlan, step_of
from fi_workbench.mpc.plan_text import (
    MAX_PATH,
    MAX_STEPS,
    MAX_TEXT,
    plan_digest,
    plan_from_dict,
    plan_from_text,
    plan_to_dict,
    plan_to_text,
)
from fi_workbench.parties.models import architectures
from tests.mpc.compiler.nets import MaxPooled, ResNet18, queries, seeded


@pytest.fixture(scope="module")
def plans():
    made = {
        "lenet": (seeded(lambda: architectures["lenet"]((1, 8, 8), 10)), (1, 8, 8)),
        "max": (seeded(MaxPooled), (3, 8, 8)),
        "resnet18": (seeded(ResNet18), (3, 16, 16)),
    }
    return {
        name: compile_module(module, shape, input_bound=4.0, sample=queries(shape), name=name).plan
        for name, (module, shape) in made.items()
    }


@pytest.mark.parametrize("name", ["lenet", "max", "resnet18"])
def test_a_plan_comes_back_as_it_was(plans, name):
    text = plan_to_text(plans[name])
    assert plan_from_text(text) == plans[name]
    assert plan_to_text(plan_from_text(text)) == text
    assert len(text) < MAX_TEXT / 10
    assert all(type(step.inputs) is tuple and type(step.shape) is tuple for step in plan_from_text(text).steps)


def test_digests_tell_plans_apart(plans):
    digests = {plan_digest(plan) for plan in plans.values()}
    changed = dataclasses.replace(plans["lenet"], input_bound=5.0)
    assert len(digests | {plan_digest(changed)}) == 4
    assert plan_digest(plan_from_text(plan_to_text(plans["max"]))) == plan_digest(plans["max"])
    assert all(len(digest) == 64 for digest in digests)


def changed(plan, path, value):
    data = plan_to_dict(plan)
    at = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("version",), 2, "version"),
        (("version",), True, "version"),
        (("extra",), 1, "exactly these fields"),
        (("input_bound",), 4, "input_bound"),
        (("input_bound",), -1.0, "input_bound"),
        (("input_bound",), math.nan, "input_bound"),
        (("input_bound",), math.inf, "input_bound"),
        (("input_shape",), [1, 8], "Step 0"),
        (("input_shape",), [], "input_shape"),
        (("input_shape",), [1, 8, 8.0], "input_shape"),
        (("input_shape",), [1 << 20, 1 << 20, 1], "entries"),
        (("steps",), [], "1 to"),
        (("steps",), {}, "1 to"),
        (("steps", 0), "Conv", "Step 0"),
        (("steps", 0, "kind"), "Query", "known are Dense"),
        (("steps", 0, "kind"), ["Conv"], "known are Dense"),
        (("steps", 0, "kind"), "Relu", "options"),
        (("steps", 0, "inputs"), [1], "values made so far"),
        (("steps", 0, "inputs"), [-1], "values made so far"),
        (("steps", 0, "inputs"), [False], "values made so far"),
        (("steps", 0, "inputs"), [0, 0], "takes 1 value"),
        (("steps", 1, "inputs"), [0], "takes shared values"),
        (("steps", 3, "inputs"), [1], "takes a masked value"),
        (("steps", 0, "shape"), [6, 8, 9], r"makes \(6, 8, 8\)"),
        (("steps", 0, "path"), "a\nb", "printable"),
        (("steps", 0, "path"), "a" * (MAX_PATH + 1), "printable"),
        (("steps", 0, "options", "stride"), [0, 1], "stride"),
        (("steps", 0, "options", "padding"), [-1, 0], "padding"),
        (("steps", 0, "options", "groups"), 4, "groups"),
        (("steps", 0, "options", "groups"), 0, "groups"),
        (("steps", 0, "options", "weight_shape"), [6, 1, 99, 5], "larger than what it takes"),
        (("steps", 2, "options", "kernel"), [9, 9], "larger than what it takes"),
        (("steps", 2, "options", "kernel"), [2], "kernel"),
        (("steps", 6, "shape"), [63], "cannot make"),
        (("steps", -1, "options", "n_in"), 3, r"takes \(3,\)"),
    ],
)
def test_a_field_that_is_wrong_is_named(plans, path, value, says):
    with pytest.raises(InvalidPlan, match=says):
        plan_from_dict(changed(plans["lenet"], path, value))


def test_a_plan_ends_in_an_output(plans):
    data = plan_to_dict(plans["lenet"])
    data["steps"].pop()
    with pytest.raises(InvalidPlan, match="ends in a shared value"):
        plan_from_dict(data)


def test_a_window_of_padding_alone_is_refused():
    data = {
        "version": 1,
        "input_shape": [1, 4, 4],
        "input_bound": 1.0,
        "steps": [
            {"kind": "Lift", "inputs": [0], "shape": [1, 4, 4], "path": "", "options": {"factor": 65536}},
            {
                "kind": "Maximum",
                "inputs": [1],
                "shape": [1, 4, 4],
                "path": "",
                "options": {"kernel": [1, 1], "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1]},
            },
            {"kind": "Reshape", "inputs": [2], "shape": [16], "path": "", "options": {}},
        ],
    }
    assert plan_from_dict(data).n_outputs == 16
    data["steps"][1]["options"] |= {"padding": [1, 1]}
    data["steps"][1]["shape"] = [1, 6, 6]
    data["steps"][2]["shape"] = [36]
    with pytest.raises(InvalidPlan, match="nothing but padding"):
        plan_from_dict(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '{"version": NaN}',
        "[" * 100_000,
        "9" * 5000,
        '{"version":1,"version":1}',
        " " * (MAX_TEXT + 1),
    ],
)
def test_what_is_no_plan_is_refused(text):
    with pytest.raises(InvalidPlan):
        plan_from_text(text)
    with pytest.raises(InvalidPlan):
        plan_from_text(text.encode())


def test_plans_that_nobody_evaluates_are_refused():
    steps = (Step(Dense(2, 2), (0,), (2,), "shared"), Step(Relu(), (1,), (2,), "masked"))
    many = Plan((2,), steps[:1] * (MAX_STEPS + 1), 1.0)
    with pytest.raises(InvalidPlan, match="too long"):
        plan_to_text(many)
    with pytest.raises(InvalidPlan, match="1 to"):
        plan_from_dict(plan_to_dict(many))
    wide = Plan((1 << 14,), (Step(Dense(1 << 14, 1 << 14), (0,), (1 << 14,), "shared"),), 1.0)
    with pytest.raises(InvalidPlan, match="weights"):
        plan_from_dict(plan_to_dict(wide))


def test_how_a_value_is_held_follows_from_the_rules():
    plan = Plan((1, 4, 4), (), 1.0)
    conv = step_of(Conv((2, 1, 3, 3)), (0,), plan, "conv")
    assert (conv.shape, conv.held, conv.path) == ((2, 2, 2), "shared", "conv")
    assert step_of(Relu(), (1,), dataclasses.replace(plan, steps=(conv,)), "").held == "masked"


def test_pairs_of_classes_are_counted_both_ways():
    outputs = Plan((4,), (Step(Dense(4, 5), (0,), (5,), "shared"),), 1.0)
    pairs = step_of(Pairs(), (1,), outputs, "")
    assert pairs.shape == (10,)
    compared = dataclasses.replace(outputs, steps=(*outputs.steps, pairs))
    assert step_of(Sign(), (2,), compared, "").shape == (10,)
    assert step_of(Wins(), (2,), compared, "").shape == (5,)
    with pytest.raises(InvalidPlan, match="does not take"):
        step_of(Wins(), (1,), outputs, "")
    with pytest.raises(InvalidPlan, match="shared"):
        step_of(Pairs(), (0,), outputs, "")


def test_a_models_plan_compares_no_outputs(plans):
    data = plan_to_dict(plans["lenet"])
    n_values = len(data["steps"])
    data["steps"].append({"kind": "Sign", "inputs": [n_values], "shape": [10], "path": "", "options": {}})
    with pytest.raises(InvalidPlan, match="No operation is called so"):
        plan_from_dict(data)


VALUES = [0, 1, -1, 2, 1 << 40, 0.5, "", "Relu", "Lift", None, True, [], {}, [1], [0, 0], [1, 1], [10], {"factor": 1}]


def mutated(data, rng):
    """One to three changes somewhere in a plan's data: other values, fields gone, entries doubled or swapped."""
    data = copy.deepcopy(data)
    for _ in range(rng.randint(1, 3)):
        at = data
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = rng.choice(keys)
            inner = at[key]
            if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
                at = inner
                continue
            choice = rng.random()
            if choice < 0.5:
                at[key] = rng.choice(VALUES)
            elif choice < 0.7 and isinstance(inner, int):
                at[key] = inner + rng.choice([-1, 1])
            elif choice < 0.85:
                del at[key]
            elif isinstance(at, list):
                at.insert(key, inner)
            break
    return data


def test_mutated_plans_are_refused_by_name_or_can_be_evaluated(plans):
    rng = random.Random(6)
    n_valid = n_refused = 0
    for name in ("lenet", "max", "resnet18"):
        data = plan_to_dict(plans[name])
        for _ in range(200):
            text = json.dumps(mutated(data, rng))
            try:
                plan = plan_from_text(text)
            except InvalidPlan:  # and nothing else, whatever was sent
                n_refused += 1
                continue
            n_valid += 1
            assert plan_from_text(plan_to_text(plan)) == plan
            assert evaluated(plan).shape == (1, plan.n_outputs)
    assert n_refused > 400
    assert n_valid > 10


def evaluated(plan):
    weights = []
    for number, step in enumerate(plan.steps):
        match step.operation:
            case Dense(n_in, n_out):
                shape = (n_out, n_in)
            case Conv(shape):
                pass
            case _:
                continue
        weights.append(LayerWeights(number, np.zeros(shape, np.uint64), np.zeros(shape[0], np.uint64)))
    with torch.inference_mode():
        return reference(Compiled(plan, tuple(weights), ()), np.zeros((1, *plan.input_shape)))


@pytest.mark.parametrize("position", [0, 100, 400])
def test_cut_text_is_refused(plans, position):
    with pytest.raises(InvalidPlan):
        plan_from_text(plan_to_text(plans["lenet"])[:position])
