"""A torch module in, a plan and its private weights out; or an error that names the layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fi_workbench.core.affine import Affine
from fi_workbench.core.arrays import check_queries
from fi_workbench.core.errors import InvalidData, InvalidOption
from fi_workbench.mpc.compiled import Compiled, LayerBound
from fi_workbench.mpc.compiler.bounds import judged, over
from fi_workbench.mpc.compiler.folding import append, fold
from fi_workbench.mpc.compiler.graph import Graph, Shape
from fi_workbench.mpc.compiler.lowering import lower
from fi_workbench.mpc.compiler.refusing import Inexact, OutOfBounds
from fi_workbench.mpc.compiler.scaling import Scales
from fi_workbench.mpc.compiler.tracing import copy_of, dtype_of, trace
from fi_workbench.mpc.evaluating import reference
from fi_workbench.mpc.plan import RELU_BOUND
from fi_workbench.mpc.plan_text import plan_from_text, plan_to_text

TOLERANCE = 1e-3
"""How far logits may be from the model's own; of the largest one, where that is above 1."""

_N_CHECKED = 4
_SEED = 20_061


def compile_module(
    module: nn.Module,
    input_shape: Shape,
    *,
    input_bound: float,
    sample: NDArray[Any] | None = None,
    output: Affine | None = None,
    name: str,
) -> Compiled:
    """Compile a model for secure evaluation.

    Parameters
    ----------
    module : torch.nn.Module
        (query, *input_shape) -> logits (query, class), as in evaluation mode; it is not changed.
    input_shape : tuple of int
    input_bound : float
        No entry of a query is larger, either side of zero; the client sees to it.
    sample : array (query, *input_shape), optional
        Queries of the owner's own, for the values whose bounds cannot be proved.
    output : Affine, optional
        What the rule makes of the logits; folded into the last layer.
    name : str
        Of the model, for messages.

    Returns
    -------
    Compiled

    Raises
    ------
    NotSupported
        A layer that secure inference has no form for.
    OutOfBounds
        A value that may be too large for the ring.
    Inexact
        The compiled form gives other logits than the module.
    InvalidData, InvalidOption, InvalidQuery
        A sample that does not fit the model, a bound that is none.
    InvalidPlan
        A model that is larger than others evaluate.
    """
    if not 0 < input_bound <= RELU_BOUND:
        raise InvalidOption(f"input_bound of {name!r} must be above 0 and at most {RELU_BOUND:g}, not {input_bound!r}.")
    own = None if sample is None else _checked(sample, tuple(input_shape), input_bound, name)
    copied = copy_of(module)
    graph = trace(copied, tuple(input_shape))
    append(graph, output)
    fold(graph)
    tried = _Tried(graph, float(input_bound), copied, output)
    # what holds for every query comes first; a sample is asked only where that fails
    for queries in (None,) if own is None else (None, own):
        compiled = tried.compiled(queries)
        if compiled is not None:
            return compiled
    raise tried.error(name, sampled=own is not None)


class _Tried:
    """One model under scalings, until its values are in bounds and its logits right."""

    def __init__(self, graph: Graph, input_bound: float, module: nn.Module, output: Affine | None) -> None:
        self._graph, self._input_bound, self._module, self._output = graph, input_bound, module, output
        self._scales = Scales(graph)
        self._worst: LayerBound | None = None
        self._off = 0.0

    def compiled(self, sample: NDArray[np.floating[Any]] | None) -> Compiled | None:
        """The model in bounds, proved or by a sample; None where no scaling does it."""
        self._worst, self._off = None, 0.0
        initial = self._scales.initial()
        shifts: dict[int, int] | None = initial
        while shifts is not None:
            lowered = lower(self._graph, self._input_bound, shifts)
            bounds = judged(lowered, sample)
            bad = over(bounds)
            if not bad:
                # as others will read it: a plan that is too large for them is refused here
                plan = plan_from_text(plan_to_text(lowered.plan))
                compiled = Compiled(plan, lowered.weights, bounds)
                self._off = self._difference(compiled, sample)
                # scaling down costs precision: what does it leaves a margin for queries that are not tried here
                return compiled if self._off <= (TOLERANCE if shifts == initial else TOLERANCE / 2) else None
            self._worst = bad[0]
            shifts = self._scales.raised(shifts, lowered, bad)
        return None

    def error(self, name: str, *, sampled: bool) -> Inexact | OutOfBounds:
        """Why no scaling did it."""
        if self._worst is None:
            return Inexact(
                f"The compiled form of {name!r} gives logits that are off by {self._off:.2g} of the largest one; "
                f"{TOLERANCE} is promised. Weights have 16 fractional bits: give the model inputs of about 1; avoid "
                "layers that shrink values for later ones to blow them up, forward hooks, and in-place changes of what "
                "is used again."
            )
        worst = self._worst
        how = f"{worst.bound:.3g} on the sample, times the margin," if sampled else f"{worst.bound:.3g} by its weights"
        way_out = (
            "Give a smaller input_bound, or train with weight decay"
            if sampled
            else "Give a sample of your own queries (bounds are then calibrated on it), or a smaller input_bound"
        )
        return OutOfBounds(
            worst.path,
            worst.bound,
            worst.limit,
            f"Layer {worst.path!r} of {name!r} may reach {how} and must stay below {worst.limit:g}. {way_out}.",
        )

    def _difference(self, compiled: Compiled, sample: NDArray[np.floating[Any]] | None) -> float:
        """From the module's own logits, the largest, relative where those are large."""
        rng = np.random.default_rng(_SEED)
        shape = (_N_CHECKED, *compiled.plan.input_shape)
        drawn = rng.uniform(-self._input_bound, self._input_bound, shape).astype(np.float32)
        queries = drawn if sample is None else sample[:_N_CHECKED]
        with torch.inference_mode():
            logits = self._module(torch.from_numpy(queries).to(dtype_of(self._module))).double().numpy()
        if self._output is not None:
            logits = logits @ self._output.matrix.T + self._output.offset
        return float(np.abs(reference(compiled, queries) - logits).max() / max(1.0, np.abs(logits).max()))


def _checked(sample: NDArray[Any], input_shape: Shape, input_bound: float, name: str) -> NDArray[np.floating[Any]]:
    queries = np.asarray(check_queries(sample, input_shape), np.float32)
    largest = float(np.abs(queries).max())
    if largest > input_bound:
        raise InvalidData(
            f"The sample of {name!r} reaches {largest:.4g}, beyond input_bound {input_bound:g}; raise that or scale it."
        )
    return queries
