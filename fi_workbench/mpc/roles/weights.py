"""The shape of a linear layer's weight."""

from __future__ import annotations

from fi_workbench.mpc.plan import Conv, Dense


def weight_shape(operation: Dense | Conv) -> tuple[int, ...]:
    """(n_out, n_in), or (out, in / groups, height, width)."""
    if isinstance(operation, Dense):
        return (operation.n_out, operation.n_in)
    return operation.weight_shape
