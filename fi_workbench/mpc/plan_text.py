"""Plans as plain data and as text, for those who evaluate another's model.

What comes in is checked field by field; shapes and how values are held are derived anew, never believed.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, cast

from fi_workbench.core.digest import sha256
from fi_workbench.mpc.plan import (
    RELU_BOUND,
    Add,
    Conv,
    Dense,
    Lift,
    Maximum,
    Operation,
    Plan,
    Relu,
    Reshape,
    Step,
    SumPool,
    Truncate,
)
from fi_workbench.mpc.plan_rules import InvalidPlan, check_output, step_of

VERSION = 1
MAX_TEXT = 1 << 18
"""Characters of a plan's text."""

MAX_STEPS = 1024
MAX_PATH = 200
MAX_SIDE = 1 << 24
"""Of any axis, kernel, stride or padding."""

MAX_ENTRIES = 1 << 24
"""Of one value, for one query."""

MAX_WEIGHTS = 1 << 27
"""Of all layers together: 1 GiB in the ring."""

MAX_FACTOR = 1 << 32

_OPERATIONS: dict[str, Callable[..., Operation]] = {
    kind.__name__: kind for kind in (Dense, Conv, Relu, Truncate, Maximum, SumPool, Reshape, Lift, Add)
}
_LENGTHS = {"weight_shape": 4, "kernel": 2, "stride": 2, "padding": 2, "dilation": 2}
_MAY_BE_ZERO = "padding"
_STEP_FIELDS = ("kind", "inputs", "shape", "path", "options")


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as strings, numbers, lists and dicts."""
    steps = [
        {
            "kind": type(step.operation).__name__,
            "inputs": list(step.inputs),
            "shape": list(step.shape),
            "path": step.path,
            "options": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in dataclasses.asdict(step.operation).items()
            },
        }
        for step in plan.steps
    ]
    return {
        "version": VERSION,
        "input_shape": list(plan.input_shape),
        "input_bound": float(plan.input_bound),
        "steps": steps,
    }


def plan_from_dict(data: object) -> Plan:
    """The plan that another describes.

    Raises
    ------
    InvalidPlan
        A field that is missing, unknown, of the wrong type or out of its range; a shape that does not follow; a plan
        that is too large.
    """
    fields = _fields(data, ("version", "input_shape", "input_bound", "steps"), "A plan")
    if fields["version"] != VERSION or isinstance(fields["version"], bool | float):
        raise InvalidPlan(f"A plan of another version than {VERSION}; both sides need the same release.")
    bound = fields["input_bound"]
    if type(bound) is not float or not 0 < bound <= RELU_BOUND:
        raise InvalidPlan(f"input_bound is not a number above 0 and up to {RELU_BOUND:g}.")
    described = fields["steps"]
    if not isinstance(described, list) or not 1 <= len(described) <= MAX_STEPS:
        raise InvalidPlan(f"A plan has 1 to {MAX_STEPS} steps.")
    plan = Plan(_shape(fields["input_shape"], "input_shape"), (), bound)
    steps: list[Step] = []
    n_weights = 0
    for number, one in enumerate(described):
        try:
            steps.append(_step(one, plan))
        except InvalidPlan as error:
            raise InvalidPlan(f"Step {number} of a plan: {error}") from None
        n_weights += _n_weights(steps[-1].operation)
        if n_weights > MAX_WEIGHTS:
            raise InvalidPlan(f"A plan with more than {MAX_WEIGHTS} weights.")
        plan = dataclasses.replace(plan, steps=tuple(steps))
    check_output(plan)
    return plan


def plan_to_text(plan: Plan) -> str:
    """The plan as JSON, the same text for equal plans.

    Raises
    ------
    InvalidPlan
        A plan that no other would accept.
    """
    text = json.dumps(plan_to_dict(plan), separators=(",", ":"), sort_keys=True, allow_nan=False)
    if len(text) > MAX_TEXT or len(plan.steps) > MAX_STEPS:
        raise InvalidPlan(
            f"A plan of {len(plan.steps)} steps is too long; {MAX_STEPS} steps, {MAX_TEXT} characters at most."
        )
    return text


def plan_from_text(text: str) -> Plan:
    """The plan that another's text describes.

    Raises
    ------
    InvalidPlan
        As :func:`plan_from_dict`; or not JSON, or too long.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise InvalidPlan(f"A plan's text has at most {MAX_TEXT} characters.")
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise InvalidPlan("A plan's text is not the JSON of a plan.") from error
    return plan_from_dict(data)


def plan_digest(plan: Plan) -> str:
    """SHA-256 of the plan, 64 hexadecimal digits: two parties with equal digests evaluate the same."""
    return sha256(plan_to_dict(plan))


def _step(data: object, plan: Plan) -> Step:
    fields = _fields(data, _STEP_FIELDS, "It")
    kind, path, inputs = fields["kind"], fields["path"], fields["inputs"]
    if not isinstance(kind, str) or kind not in _OPERATIONS:
        raise InvalidPlan(f"No operation is called so; known are {', '.join(_OPERATIONS)}.")
    if not isinstance(path, str) or len(path) > MAX_PATH or not (path.isprintable() and path.isascii()):
        raise InvalidPlan(f"path is not a string of at most {MAX_PATH} printable characters.")
    n_values = len(plan.steps) + 1
    if (
        not isinstance(inputs, list)
        or not 1 <= len(inputs) <= 2
        or not all(_is_whole(v, 0, n_values - 1) for v in inputs)
    ):
        raise InvalidPlan(f"inputs are not one or two of the {n_values} values made so far.")
    operation = _operation(_OPERATIONS[kind], fields["options"])
    step = step_of(operation, inputs, plan, path, _shape(fields["shape"], "shape"))
    if math.prod(step.shape) > MAX_ENTRIES:
        raise InvalidPlan(f"A value of more than {MAX_ENTRIES} entries.")
    return step


def _operation(kind: Callable[..., Operation], options: object) -> Operation:
    given = _fields(options, tuple(inspect.signature(kind).parameters), "options")
    return kind(**{name: _option(name, value) for name, value in given.items()})


def _option(name: str, value: object) -> int | tuple[int, ...]:
    lowest = 0 if name == _MAY_BE_ZERO else 1
    if name not in _LENGTHS:
        if not _is_whole(value, 1, MAX_FACTOR if name == "factor" else MAX_SIDE):
            raise InvalidPlan(f"{name} is not a whole number in its range.")
        return cast(int, value)
    length = _LENGTHS[name]
    if not isinstance(value, list) or len(value) != length or not all(_is_whole(v, lowest, MAX_SIDE) for v in value):
        raise InvalidPlan(f"{name} is not {length} whole numbers from {lowest}.")
    return tuple(value)


def _shape(value: object, name: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 4 or not all(_is_whole(n, 1, MAX_SIDE) for n in value):
        raise InvalidPlan(f"{name} is not one to four whole numbers from 1 to {MAX_SIDE}.")
    if math.prod(value) > MAX_ENTRIES:
        raise InvalidPlan(f"{name} has more than {MAX_ENTRIES} entries.")
    return tuple(value)


def _n_weights(operation: Operation) -> int:
    match operation:
        case Dense(n_in, n_out):
            return n_in * n_out
        case Conv(weight_shape):
            return math.prod(weight_shape)
    return 0


def _is_whole(value: object, lowest: int, highest: int) -> bool:
    return type(value) is int and lowest <= value <= highest


def _fields(data: object, names: tuple[str, ...], what: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping) or set(data) != set(names):
        raise InvalidPlan(f"{what} does not have exactly these fields: {', '.join(names) or 'none'}.")
    return data


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of a plan")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands twice")
    return fields
