"""Trained parameters kept on this computer, so that a demo party is trained once.

A file is named by the SHA-256 of everything that its content depends on and written beside, then renamed, so that a
file under its final name is whole. Its metadata repeat the key and carry a checksum of the parameters, because the
format itself notices a cut file but not a flipped bit.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from fi_workbench.core.digest import sha256
from fi_workbench.core.errors import CorruptFile
from fi_workbench.core.folders import cache_folder, set_aside
from fi_workbench.core.progress import OnProgress
from fi_workbench.parties.locking import exclusive

Parameters: TypeAlias = dict[str, torch.Tensor]
"""The parameters and buffers of a module by name, on the CPU."""


def cached_parameters(
    inputs: Mapping[str, Any], train: Callable[[], Parameters], *, task: str, on_progress: OnProgress
) -> Parameters:
    """What ``train`` returns, from the cache where it was made before.

    Two kernels that want the same at once train once: the second waits, saying so. A file that cannot be read is set
    aside under another name, with a warning, and made again. Where the cache cannot be written to, a warning says so
    and nothing is kept.

    Parameters
    ----------
    inputs : mapping
        Everything that the result depends on: plain data, see :func:`fi_workbench.core.digest.canonical`.
    train : callable
        Makes the parameters.
    task : str
        What is being made, for people.
    on_progress : callable
        Hears of waiting.
    """
    key = sha256(inputs)
    with ExitStack() as stack:
        try:
            path = cache_folder("parties") / f"{key}.safetensors"
            try:
                return _read(path, key)
            except (FileNotFoundError, CorruptFile):
                stack.enter_context(exclusive(path, task, on_progress))
            try:  # the other kernel may have made it, or made it again, meanwhile
                return _read(path, key)
            except FileNotFoundError:
                pass
            except CorruptFile as error:
                aside = set_aside(path)
                warnings.warn(f"{error} It is kept as {aside.name}; {task} starts again.", stacklevel=2)
            _clear_leftovers(path)
        except OSError as error:
            warnings.warn(f"The cache of demo parties cannot be used ({error}); {task} is not kept.", stacklevel=2)
            return train()
        parameters = train()
        try:
            _write(path, key, parameters, inputs)
        except OSError as error:
            warnings.warn(f"{path} could not be written ({error}); {task} is not kept.", stacklevel=2)
        return parameters


def _read(path: Path, key: str) -> Parameters:
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            parameters = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, ValueError, OSError) as error:
        raise CorruptFile(f"{path} cannot be read ({error}).") from error
    if metadata.get("key") != key or metadata.get("checksum") != _checksum(parameters):
        raise CorruptFile(f"{path} does not hold what its name says.")
    return parameters


def _write(path: Path, key: str, parameters: Parameters, inputs: Mapping[str, Any]) -> None:
    readable = {name: value for name, value in inputs.items() if isinstance(value, str | int | float)}
    metadata = {"key": key, "checksum": _checksum(parameters), "made_from": json.dumps(readable, sort_keys=True)}
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(save(parameters, metadata))
            file.flush()
            os.fsync(file.fileno())  # else a power cut could leave the name without the content
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _clear_leftovers(path: Path) -> None:
    """Remove what a killed kernel left half-written; the lock is held, so nobody is writing."""
    for leftover in path.parent.glob(f"{path.name}.*.part"):
        leftover.unlink(missing_ok=True)


def _checksum(parameters: Parameters) -> str:
    sha = hashlib.sha256()
    for name, tensor in sorted(parameters.items()):
        sha.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        sha.update(tensor.detach().contiguous().numpy().tobytes())
    return sha.hexdigest()
