"""What is measured: cases side by side, queries a minute, more owners, and hosts far apart."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.secure.environments import CRYPTEN, SPU, CannotInstall, Recipe, python_of
from benchmarks.secure.measuring import Case, Measured, System, measure
from benchmarks.secure.one_process import per_owner
from benchmarks.secure.ours import Members, OurSystem, OurThreads
from benchmarks.secure.places import Place, loopback
from benchmarks.secure.references import CrypTen, Plain
from benchmarks.secure.spu_system import Spu
from benchmarks.secure.wan import Wan
from benchmarks.secure.workers import Worker, WorkerFailed

Said = Callable[[str], None]
OWNERS = (3, 5, 9)
SUSTAINED_POOL = 32
_N_HOSTS = 4  # three members and a client; three parties and a third for the masks


def loopback_cases(*, long: bool, n_turns: int) -> tuple[Case, ...]:
    """Of one computer; ``long`` adds those that take minutes a batch."""
    few = max(1, min(n_turns, 5))
    cases = [
        Case("mlp", 1, 1, n_turns), Case("lenet", 1, 1, n_turns), Case("cnn", 1, 1, few), Case("lenet", 1, 3, n_turns),
        Case("mlp", 32, 1, few), Case("lenet", 32, 1, few), Case("resnet18", 1, 1, max(1, min(n_turns, 3))),
    ]  # fmt: skip
    if long:
        cases += [Case("cnn", 32, 1, 1), Case("resnet18", 32, 1, 1)]
    return tuple(cases)


def wan_cases(*, long: bool, n_turns: int) -> tuple[Case, ...]:
    """Of hosts far apart."""
    cases = [Case("lenet", 1, 1, max(1, min(n_turns, 3)), "wan")]
    if long:
        cases += [Case("lenet", 1, 3, 1, "wan"), Case("resnet18", 1, 1, 1, "wan")]
    return tuple(cases)


class Recipes:
    """The references that can be had here."""

    def __init__(self, said: Said, *, wanted: bool = True) -> None:
        self._said = said
        self.refused: dict[str, str] = {}
        self.crypten = self._python(CRYPTEN) if wanted else None
        self.spu = self._python(SPU) if wanted else None

    def _python(self, recipe: Recipe) -> str | None:
        try:
            self._said(f"environment of {recipe.name} ...")
            return python_of(recipe)
        except CannotInstall as error:
            self.refuse(recipe.name, error)
            return None

    def refuse(self, name: str, error: Exception) -> None:
        """Go on without it, and say why."""
        self.refused[name] = str(error)[:400]
        self._said(f"{name}: {error}")


@contextmanager
def systems_at(places: Sequence[Place], folder: Path, recipes: Recipes, *, far: bool) -> Iterator[list[System]]:
    """All systems, started once for all cases; far apart, only those that the figures are about."""
    with ExitStack() as stack:
        systems: list[System] = []

        def add(make: Callable[[], System], name: str) -> None:
            try:
                one = make()
            except WorkerFailed as error:
                recipes.refuse(name, error)
                return
            stack.callback(one.stop)
            systems.append(one)

        here = list(places)
        if not far:
            add(lambda: Plain(folder), "plain torch")
        members = Members(here, folder)
        stack.callback(members.stop)
        systems += [OurSystem(members, "full"), OurSystem(members, "off")]
        if not far:
            add(lambda: OurThreads(folder), "ours, threads")
        if recipes.crypten:
            python = recipes.crypten
            for provider, world_size in (("TFP", 3),) if far else (("TFP", 2), ("TFP", 3), ("TTP", 2), ("TTP", 3)):
                add(
                    lambda p=provider, n=world_size: CrypTen(n, p, python, here, folder),
                    f"CrypTen {provider} {world_size}",
                )
        if recipes.spu:
            spu = recipes.spu
            add(lambda: Spu(spu, here, folder), "SPU")
        yield systems


def side_by_side(cases: Sequence[Case], folder: Path, recipes: Recipes, said: Said) -> Iterator[dict[str, Any]]:
    """Each case, all systems in turns, on this computer."""
    with systems_at(loopback(_N_HOSTS), folder, recipes, far=False) as systems:
        for case in cases:
            said(f"{case.title} ...")
            heavy = case.model == "resnet18" or (case.model == "cnn" and case.n_queries > 1)
            chosen = [
                one
                for one in systems
                if not (heavy and "a third for masks" in one.name)
                and not (isinstance(one, Spu) and case.model not in one.models)
            ]
            yield _told(case, measure(case, chosen, said))


def far_apart(cases: Sequence[Case], folder: Path, recipes: Recipes, said: Said) -> Iterator[dict[str, Any]]:
    """The same in namespaces; raises :class:`~benchmarks.secure.wan.NoWan` where there can be none."""
    with Wan(_N_HOSTS) as wan, systems_at(wan.places, folder, recipes, far=True) as systems:
        for case in cases:
            said(f"far apart: {case.title} ...")
            yield _told(case, measure(case, systems, said, lambda: wan.n_bytes))


def sustained(folder: Path, seconds: float) -> dict[str, Any]:
    """LeNet, one query after another, while the pool is filled again behind them."""
    members = Members(loopback(_N_HOSTS), folder)
    try:
        members.load("lenet", 1, 1, {"full": SUSTAINED_POOL})
        members.fill("full")
        members.sustain("full", 1, min(2.0, seconds))
        members.fill("full")
        found = members.sustain("full", 1, seconds)
    finally:
        members.stop()
    each = found["each"]
    return {
        "seconds": found["seconds"], "n_queries": len(each), "queries_per_minute": 60 * len(each) / found["seconds"],
        "median_seconds": statistics.median(each), "pool_size": SUSTAINED_POOL, "each": each,
    }  # fmt: skip


def more_owners(folder: Path, n_turns: int) -> list[dict[str, Any]]:
    """LeNets of 3, 5 and 9 owners in one process, every message's depth counted."""
    worker, rows = Worker("benchmarks.secure.one_process", folder / "owners.log"), []
    try:
        for n_models in OWNERS:
            worker.do("load", model="lenet", n_queries=1, n_models=n_models, pool_size=0)
            first = worker.do("counted")
            asked = [worker.do("ask", n_queries=1) for _ in range(n_turns)]
            after = worker.do("counted")
            grown = {
                name: {
                    phase: {"n_bytes": (traffic["n_bytes"] - first[name][phase]["n_bytes"]) / n_turns}
                    for phase, traffic in phases.items()
                }
                for name, phases in after.items()
            }
            rows.append({
                "n_models": n_models, "critical_messages": max(one["critical_messages"] for one in asked),
                "bytes_per_owner": per_owner(grown, n_models),
                "total_seconds": [one["seconds"] for one in asked],
            })  # fmt: skip
    finally:
        worker.stop()
    return rows


def _told(case: Case, results: dict[str, Measured]) -> dict[str, Any]:
    return {
        "title": case.title, "model": case.model, "n_queries": case.n_queries, "n_models": case.n_models,
        "where": case.where, "systems": {name: one.to_dict() for name, one in results.items()},
    }  # fmt: skip
