"""What a round costs beside a bare loop that calls the same models and averages."""

from __future__ import annotations

import numpy as np
import torch

import fi_workbench as fi
from benchmarks.figures import Figure, interleaved, median
from fi_workbench.parties.models import architectures

CLASSES = [str(digit) for digit in range(10)]
SHAPE = (1, 28, 28)


def lenets(n: int) -> tuple[list[torch.nn.Module], list[fi.Party]]:
    """`n` LeNets and the parties that own them."""
    torch.manual_seed(0)
    modules = [architectures["lenet"](SHAPE, 10).eval() for _ in range(n)]
    parties = [
        fi.Party.from_torch(module, name=f"P{index}", classes=CLASSES, input_shape=SHAPE)
        for index, module in enumerate(modules)
    ]
    return modules, parties


def bare_loop(modules: list[torch.nn.Module], queries: np.ndarray) -> np.ndarray:
    """The soft vote without a federation."""
    with torch.inference_mode():
        batch = torch.from_numpy(queries)
        return torch.stack([torch.softmax(module(batch), dim=1) for module in modules]).mean(dim=0).numpy()


def side_by_side(n_parties: int, n_queries: int, n: int) -> tuple[float, float]:
    """Median seconds of the bare loop and of `ask`."""
    modules, parties = lenets(n_parties)
    queries = np.random.default_rng(0).random((n_queries, *SHAPE), dtype=np.float32)
    with fi.Federation(parties, history=None) as federation:
        np.testing.assert_allclose(federation.ask(queries).scores, bare_loop(modules, queries), atol=1e-5)
        bare, asked = interleaved(lambda: bare_loop(modules, queries), lambda: federation.ask(queries), n)
    return median(bare), median(asked)


def run() -> list[Figure]:
    """The three sizes of interest."""
    bare, asked = side_by_side(5, 256, 40)
    figures = [
        Figure("ask, 5 LeNets x 256 images", asked / bare, "x bare loop", 1.25,
               f"ask {asked * 1e3:.1f} ms, bare loop {bare * 1e3:.1f} ms"),
    ]  # fmt: skip
    bare, asked = side_by_side(5, 1, 200)
    figures.append(
        Figure("ask, 5 LeNets x 1 image", (asked - bare) * 1e3, "ms over bare loop", 3.0,
               f"ask {asked * 1e3:.2f} ms, bare loop {bare * 1e3:.2f} ms")
    )  # fmt: skip
    bare, asked = side_by_side(50, 64, 20)
    figures.append(
        Figure("ask, 50 LeNets x 64 images", (asked - bare) * 1e3, "ms over bare loop", 20.0,
               f"ask {asked * 1e3:.1f} ms, bare loop {bare * 1e3:.1f} ms")
    )  # fmt: skip
    return figures
