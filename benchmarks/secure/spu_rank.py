"""One party of SPU 0.9.5; runs in the environment that the benchmark makes, without fi_workbench and without torch."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from spu import Io, Runtime, libspu
from spu.utils import frontend

from benchmarks.secure.serving import serve

Arrays = dict[str, Any]
_LINK_MS = 120_000


def _conv(x: Any, weights: Arrays, name: str, padding: int = 0) -> Any:
    """NHWC, which SPU computes best."""
    kernel = jnp.transpose(weights[f"{name}.weight"], (2, 3, 1, 0))
    sides = ((padding, padding), (padding, padding))
    made = lax.conv_general_dilated(x, kernel, (1, 1), sides, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return made + weights[f"{name}.bias"]


def _dense(x: Any, weights: Arrays, name: str) -> Any:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _windows(x: Any) -> Any:
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels)


def _flat(x: Any) -> Any:
    """In torch's order."""
    return jnp.transpose(x, (0, 3, 1, 2)).reshape(x.shape[0], -1)


def _relu(x: Any) -> Any:
    return jnp.maximum(x, 0)


def _mlp(x: Any, weights: Arrays) -> Any:
    return _dense(_relu(_dense(_flat(x), weights, "first")), weights, "last")


def _lenet(x: Any, weights: Arrays) -> Any:
    x = _windows(_relu(_conv(x, weights, "conv1"))).mean((2, 4))
    x = _flat(_windows(_relu(_conv(x, weights, "conv2"))).mean((2, 4)))
    return _dense(_relu(_dense(_relu(_dense(x, weights, "fc1")), weights, "fc2")), weights, "fc3")


def _cnn(x: Any, weights: Arrays) -> Any:
    x = _relu(_windows(_conv(x, weights, "conv1", 1)).max((2, 4)))
    x = _flat(_relu(_windows(_conv(x, weights, "conv2", 1)).max((2, 4))))
    return _dense(_relu(_dense(x, weights, "fc1")), weights, "fc2")


MODELS = {"mlp": _mlp, "lenet": _lenet, "cnn": _cnn}


class Rank:
    """What a party does.

    Parameters
    ----------
    number : int
    addresses : sequence of str
        Of all, in their order.
    """

    def __init__(self, number: int, addresses: Sequence[str]) -> None:
        self._number, self._n = number, len(addresses)
        self._config = libspu.RuntimeConfig(protocol=libspu.ProtocolKind.ABY3, field=libspu.FieldType.FM64)
        self._desc = libspu.link.Desc()
        self._desc.recv_timeout_ms = _LINK_MS
        for rank, address in enumerate(addresses):
            self._desc.add_party(f"party{rank}", address)
        self._io = Io(self._n, self._config)

    def join(self) -> None:
        """Meet the others."""
        self._runtime = Runtime(libspu.link.create_brpc(self._desc, self._number), self._config)

    def share(self, model: str, weights: str, queries: str) -> None:
        """Make the shares of queries and weights, and leave each party's in a file of its own."""
        if model not in MODELS:
            raise ValueError(f"{model} is not written for SPU here")
        flat = jax.tree_util.tree_leaves(_read(weights, queries))
        shares = [self._io.make_shares(np.asarray(array), libspu.Visibility.VIS_SECRET) for array in flat]
        for rank in range(self._n):
            _keep(Path(weights).with_name(f"spu-shares-{rank}.npz"), [each[rank] for each in shares])

    def load(self, model: str, weights: str, queries: str) -> float:
        """Compile, and take in this party's shares; seconds."""
        began = time.perf_counter()
        given = _read(weights, queries)
        flat = jax.tree_util.tree_leaves(given)
        names = [f"in{k}" for k in range(len(flat))]
        self._executable, _ = frontend.compile(
            frontend.Kind.JAX, partial(_total, model), given, {}, names,
            [libspu.Visibility.VIS_SECRET] * len(names), lambda outputs: [f"out{k}" for k in range(len(outputs))],
        )  # fmt: skip
        for name, share in zip(names, _kept(Path(weights).with_name(f"spu-shares-{self._number}.npz")), strict=True):
            self._runtime.set_var(name, share)
        return time.perf_counter() - began

    def ask(self, out: str) -> float:
        """One batch, seconds; this party's share of the logits is left in a file."""
        began = time.perf_counter()
        self._runtime.run(self._executable)
        seconds = time.perf_counter() - began
        _keep(Path(out) / f"spu-out-{self._number}.npz", [self._runtime.get_var("out0")])
        return seconds

    def open(self, out: str) -> list[list[float]]:
        """The logits."""
        shares = [_kept(Path(out) / f"spu-out-{rank}.npz")[0] for rank in range(self._n)]
        return np.asarray(self._io.reconstruct(shares), dtype=float).tolist()


def _total(model: str, x: Any, ensemble: Sequence[Arrays]) -> Any:
    return sum(MODELS[model](x, weights) for weights in ensemble)


def _read(weights: str, queries: str) -> list[Any]:
    with np.load(weights) as file:
        n_models = 1 + max(int(name.partition("/")[0]) for name in file.files)
        ensemble = [
            {name.partition("/")[2]: file[name] for name in file.files if name.startswith(f"{k}/")}
            for k in range(n_models)
        ]  # fmt: skip
    return [np.ascontiguousarray(np.load(queries).transpose(0, 2, 3, 1)), ensemble]


def _keep(path: Path, shares: Sequence[Any]) -> None:
    parts = {}
    for k, share in enumerate(shares):
        parts[f"{k}/meta"] = np.frombuffer(bytes(share.meta), np.uint8)
        parts |= {f"{k}/{c:04d}": np.frombuffer(bytes(chunk), np.uint8) for c, chunk in enumerate(share.share_chunks)}
    with path.open("wb") as file:
        np.savez(file, **parts)


def _kept(path: Path) -> list[Any]:
    with np.load(path) as file:
        parts = {name: file[name].tobytes() for name in file.files}
    shares = []
    for k in range(1 + max(int(name.partition("/")[0]) for name in parts)):
        share = libspu.Share()
        share.meta = parts[f"{k}/meta"]
        named = sorted(name for name in parts if name.startswith(f"{k}/") and not name.endswith("meta"))
        share.share_chunks = [parts[name] for name in named]
        shares.append(share)
    return shares


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--addresses", required=True)
    told = parser.parse_args()
    rank = Rank(told.rank, told.addresses.split(","))
    return serve({name: getattr(rank, name) for name in ("join", "share", "load", "ask", "open")})


if __name__ == "__main__":
    sys.exit(main())
