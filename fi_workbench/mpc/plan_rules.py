"""What each operation of a plan takes and makes: shapes, and how a value is held.

The compiler builds plans by these rules, and a plan that comes from another is held against them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fi_workbench.core.errors import FederationError
from fi_workbench.mpc.plan import (
    Add,
    Conv,
    Dense,
    Held,
    Lift,
    Maximum,
    Operation,
    Pairs,
    Plan,
    Relu,
    Reshape,
    Sign,
    Step,
    SumPool,
    Truncate,
    Wins,
)

Shape = tuple[int, ...]


class InvalidPlan(FederationError, ValueError):
    """A plan that breaks the rules of plans, or is larger than anybody evaluates."""


def step_of(
    operation: Operation, inputs: Sequence[int], plan_so_far: Plan, path: str, shape: Shape | None = None
) -> Step:
    """The step that an operation makes of values of a plan.

    Parameters
    ----------
    operation : Operation
    inputs : sequence of int
        Values of ``plan_so_far``.
    plan_so_far : Plan
    path : str
    shape : tuple of int, optional
        Of the value that it makes: needed for :class:`Reshape`, held against the rule otherwise.

    Raises
    ------
    InvalidPlan
        The operation does not take these values, or does not make that shape.
    """
    shapes = [plan_so_far.shape_of(value) for value in inputs]
    held = [plan_so_far.held(value) for value in inputs]
    _check_inputs(operation, shapes, held)
    made = _made(operation, shapes, shape)
    if shape is not None and made != shape:
        raise _broken(operation, f"makes {made}, not {shape}")
    return Step(operation, tuple(inputs), made, _held(operation, held), path)


def check_output(plan: Plan) -> None:
    """Refuse a plan whose last value is no output.

    Raises
    ------
    InvalidPlan
    """
    if not plan.steps:
        raise InvalidPlan("A plan needs at least one step.")
    last = plan.steps[-1]
    if last.held != "shared" or len(last.shape) != 1:
        raise InvalidPlan(
            f"A plan ends in a shared value (n_outputs,), not in a {last.held} one of shape {last.shape}."
        )


def windows_along(n: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """How many windows fit along an axis of ``n`` entries; none if not positive."""
    return (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _check_inputs(operation: Operation, shapes: Sequence[Shape], held: Sequence[Held]) -> None:
    n_inputs = 2 if isinstance(operation, Add) else 1
    if len(shapes) != n_inputs:
        raise _broken(operation, f"takes {n_inputs} value{'s' * (n_inputs > 1)}, not {len(shapes)}")
    if isinstance(operation, Dense | Conv | Lift) and held[0] != "masked":
        raise _broken(operation, "takes a masked value")
    if isinstance(operation, Relu | Truncate | Maximum | Add | Pairs | Sign | Wins) and "masked" in held:
        raise _broken(operation, "takes shared values")
    if isinstance(operation, Conv | Maximum | SumPool) and len(shapes[0]) != 3:
        raise _broken(operation, f"takes (channel, height, width), not {shapes[0]}")


def _held(operation: Operation, held: Sequence[Held]) -> Held:
    if isinstance(operation, Dense | Conv | Lift | Add | Maximum):
        return "shared"
    return "masked" if isinstance(operation, Relu | Truncate) else held[0]


def _made(operation: Operation, shapes: Sequence[Shape], shape: Shape | None) -> Shape:
    taken = shapes[0]
    match operation:
        case Dense(n_in, n_out):
            if taken != (n_in,):
                raise _broken(operation, f"takes ({n_in},), not {taken}")
            return (n_out,)
        case Conv():
            return _convolved(operation, taken)
        case Maximum() | SumPool():
            return _pooled(operation, taken)
        case Reshape():
            if shape is None or math.prod(shape) != math.prod(taken):
                raise _broken(operation, f"cannot make {shape} of {taken}")
            return shape
        case Pairs() | Wins():
            return (_paired(operation, taken),)
        case Add():
            if taken != shapes[1]:
                raise _broken(operation, f"takes two values of one shape, not {taken} and {shapes[1]}")
    return taken


def _paired(operation: Pairs | Wins, taken: Shape) -> int:
    """How many pairs there are of so many classes, or of how many classes so many pairs are."""
    n = taken[0] if len(taken) == 1 else 0
    n_classes = n if isinstance(operation, Pairs) else (1 + math.isqrt(1 + 8 * n)) // 2
    n_pairs = n_classes * (n_classes - 1) // 2
    if n_classes < 2 or (isinstance(operation, Wins) and n_pairs != n):
        raise _broken(operation, f"does not take {taken}")
    return n_pairs if isinstance(operation, Pairs) else n_classes


def _convolved(conv: Conv, taken: Shape) -> Shape:
    n_out, n_in, *kernel = conv.weight_shape
    if n_out % conv.groups or taken[0] != n_in * conv.groups:
        raise _broken(conv, f"with {conv.groups} groups of {n_in} channels does not take {taken[0]} to {n_out}")
    sides = zip(taken[1:], kernel, conv.stride, conv.padding, conv.dilation, strict=True)
    return _positive(conv, (n_out, *(windows_along(*side) for side in sides)))


def _pooled(pool: Maximum | SumPool, taken: Shape) -> Shape:
    dilation = pool.dilation if isinstance(pool, Maximum) else (1, 1)
    sides = tuple(zip(taken[1:], pool.kernel, pool.stride, pool.padding, dilation, strict=True))
    made = _positive(pool, (taken[0], *(windows_along(*side) for side in sides)))
    if isinstance(pool, Maximum) and any(map(_has_empty_window, sides, made[1:])):
        raise _broken(pool, "has a window of nothing but padding")
    return made


def _has_empty_window(side: tuple[int, int, int, int, int], n_windows: int) -> bool:
    n, kernel, stride, padding, dilation = side
    if 2 * padding <= kernel and dilation == 1:
        return False
    starts = (window * stride - padding for window in range(n_windows))
    return any(all(not 0 <= start + dilation * k < n for k in range(kernel)) for start in starts)


def _positive(operation: Operation, shape: Shape) -> Shape:
    if min(shape) < 1:
        raise _broken(operation, "has a window larger than what it takes")
    return shape


def _broken(operation: Operation, what: str) -> InvalidPlan:
    return InvalidPlan(f"{type(operation).__name__} {what}.")
