"""A torch module as a function of arrays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fi_workbench.core.arrays import Queries
from fi_workbench.core.errors import InvalidAnswer, InvalidParty
from fi_workbench.parties.threads import one_torch_thread

# per module, not per party: two parties may share one module (a party that copies its peer)
_locks: WeakKeyDictionary[nn.Module, threading.Lock] = WeakKeyDictionary()
_locks_guard = threading.Lock()


class TorchModel:
    """Array (query, *input_shape) -> array (query, class), through a torch module; may be called from any thread.

    Parameters
    ----------
    module : torch.nn.Module
        Not copied; moved to ``device`` here. Its parameters may change after, its submodules may not.
    device : str
        See :func:`choose_device`.
    batch_size : int
        At most so many queries go through the module at once.
    one_thread : bool
        Compute with one torch thread, so that equal queries give equal bits whatever the machine is set to.

    Raises
    ------
    InvalidParty
        Not a module, an unknown device, or a batch size below 1.
    """

    def __init__(
        self, module: nn.Module, *, device: str = "auto", batch_size: int = 1024, one_thread: bool = False
    ) -> None:
        if not isinstance(module, nn.Module):
            raise InvalidParty(
                f"A torch.nn.Module is needed, not {type(module).__name__}; Party.from_callable takes any function."
            )
        if batch_size < 1 or batch_size != int(batch_size):
            raise InvalidParty(f"batch_size must be a whole number from 1, not {batch_size!r}.")
        self.device = choose_device(device)
        self.module = module.to(self.device)
        self._parts = tuple(module.modules())  # once: to walk a small model takes as long as to ask it
        self.batch_size = batch_size
        self.one_thread = one_thread
        floating = (parameter.dtype for parameter in module.parameters() if parameter.is_floating_point())
        self.dtype = next(floating, torch.float32)
        with _locks_guard:
            self._lock = _locks.setdefault(module, threading.Lock())

    def __call__(self, queries: Queries) -> NDArray[np.floating[Any]]:
        """Answer a batch.

        Raises
        ------
        InvalidAnswer
            The module does not return one tensor.
        """
        slices = range(0, len(queries), self.batch_size)
        with self._lock, _evaluating(self._parts), torch.inference_mode():
            return np.concatenate([self._answer(queries[start : start + self.batch_size]) for start in slices])

    def _answer(self, queries: Queries) -> NDArray[np.floating[Any]]:
        with one_torch_thread() if self.one_thread else nullcontext():
            values = self.module(torch.from_numpy(queries).to(self.device, self.dtype))
            if not isinstance(values, torch.Tensor):
                raise InvalidAnswer(
                    f"The module returned {type(values).__name__}; one tensor (query, class) is needed. Wrap it in a "
                    "module, or use Party.from_callable, to pick the tensor out."
                )
            exact = torch.float64 if values.dtype == torch.float64 else torch.float32
            return np.asarray(values.to("cpu", exact).numpy())


def choose_device(device: str = "auto") -> torch.device:
    """The torch device that is meant: ``"auto"`` is CUDA where there is one, else MPS, else the CPU.

    Raises
    ------
    InvalidParty
        A device that torch does not know or this machine lacks.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:  # torch built without CUDA asserts
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidParty(f'Device {device!r} cannot be used here ({reason}); device="auto" picks one.') from error
    return chosen


@contextmanager
def _evaluating(parts: tuple[nn.Module, ...]) -> Iterator[None]:
    """Evaluation mode inside; after, each submodule is in the mode it was in (its owner may be training it)."""
    training = [part for part in parts if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True
