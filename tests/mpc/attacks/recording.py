"""What each role of one triple comes to hold while it answers many queries, and what it must not come to know."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import torch

from fi_workbench.mpc import ring
from fi_workbench.mpc.compare.lanes import N_LANES, N_THERMOMETER
from fi_workbench.mpc.evaluating import Ring
from fi_workbench.mpc.plan import Conv, Dense, Maximum, Plan, Relu, Reshape, Step, Truncate
from fi_workbench.mpc.roles import Seen
from fi_workbench.mpc.streams import MODULUS, Lot, MaskSource
from tests.mpc.roles.trio import ROLES, Trio, encoded

SHAPE = (1, 4, 4)
PLAN = Plan(
    SHAPE,
    (
        Step(Conv((2, 1, 1, 1)), (0,), (2, 4, 4), "shared"),
        Step(Maximum((2, 2), (2, 2)), (1,), (2, 2, 2), "shared"),
        Step(Relu(), (2,), (2, 2, 2), "masked"),
        Step(Reshape(), (3,), (8,), "masked"),
        Step(Dense(8, 6), (4,), (6,), "shared"),
        Step(Truncate(), (5,), (6,), "masked"),
        Step(Dense(6, 6), (6,), (6,), "shared"),
        Step(Relu(), (7,), (6,), "masked"),
        Step(Dense(6, 3), (8,), (3,), "shared"),
    ),
    input_bound=8.0,
)
SIGNS = (0, 1, 4, 6, 8)
"""Steps of which the signs are secrets: what meets a maximum, a ReLU or a truncation, and the output."""


def weights_of(seed: int, scale: float = 1.0) -> list:
    """Weights of a small model, the same for a seed."""
    rng = np.random.default_rng(seed)
    layers = [(place, step.operation) for place, step in enumerate(PLAN.steps)]
    shapes = {place: (op.weight_shape if isinstance(op, Conv) else (op.n_out, op.n_in)) for place, op in layers
              if isinstance(op, Conv | Dense)}  # fmt: skip
    return [
        encoded(place, scale * rng.normal(size=shape), 0.3 * rng.normal(size=shape[0]))
        for place, shape in shapes.items()
    ]


def random_queries(n: int, seed: int = 1) -> np.ndarray:
    """(query, ...), standard normal."""
    return np.random.default_rng(seed).normal(size=(n, *SHAPE)).clip(-8, 8)


def chosen_queries(n: int, seed: int = 1) -> np.ndarray:
    """(query, ...): zeros, one-hot ones of all sizes and either sign, and the largest that there are, mixed."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, n)
    queries = np.zeros((n, *SHAPE))
    flat = queries.reshape(n, -1)
    one_hot = np.flatnonzero(kinds == 1)
    sizes = 2.0 ** rng.integers(-16, 4, len(one_hot))
    flat[one_hot, rng.integers(0, flat.shape[1], len(one_hot))] = sizes * rng.choice([-1, 1], len(one_hot))
    extreme = kinds == 2
    flat[extreme] = 8.0 * rng.choice([-1, 1], (extreme.sum(), flat.shape[1]))
    return queries


ROWS = {"lanes": N_LANES, "thermometer": N_THERMOMETER}
"""Arrays that have several rows, of all comparisons each."""


@dataclass(frozen=True, eq=False)
class Recording:
    """Many queries, each with a fresh mask, and what every role held of each.

    Parameters
    ----------
    queries : ndarray of float64
        (query, ...).
    held : mapping of str to mapping of str to ndarray
        By role and by what it is: (query, entry), all that was received, and what the role knows beside it.
    """

    queries: np.ndarray
    held: dict[str, dict[str, np.ndarray]]

    def numbers(self, role: str) -> np.ndarray:
        """(query, feature): bits as -1 or 1, and of lanes the residue, and whether it is zero, scaled alike."""
        parts = []
        for name, array in self.held[role].items():
            if array.dtype == np.uint64:
                bits = np.unpackbits(array.view(np.uint8), axis=1)
                parts.append(bits.astype(np.float32) * 2 - 1)
            else:
                parts.append((array.astype(np.float32) - 63) / 37)
                if "lanes" in name or "outcome" in name:
                    parts.append((array % MODULUS == 0).astype(np.float32))
        return np.concatenate(parts, axis=1)

    def sums(self, role: str, n: int, seed: int = 1) -> np.ndarray:
        """(query, feature): signs, as -1 or 1, of random sums and differences of three words that stand together."""
        rng = np.random.default_rng(seed)
        words = [array for array in self.held[role].values() if array.dtype == np.uint64]
        widths = [array.shape[1] for array in words]
        found = []
        for _ in range(n):
            width = rng.choice(widths)
            alike = [array for array in words if array.shape[1] == width]
            chosen = rng.permutation(len(alike))[:3]
            total = np.zeros_like(alike[0])
            for k in chosen:
                total += alike[k] if rng.random() < 0.5 else np.negative(alike[k])
            for top in (47, 46, 15):
                signs = (total >> np.uint64(top) & np.uint64(1)).astype(np.float32) * 2 - 1
                found.append(signs)
        return np.concatenate(found, axis=1)


def trio_of(weights: list, seed: int = 1) -> Trio:
    """With keys of its own for each seed, the same at each run."""
    return Trio(PLAN, weights, [bytes([seed, key]) * 16 for key in range(4)])


def record(trio: Trio, queries: np.ndarray, lot_size: int = 256) -> Recording:
    """Ask all of them, lot after lot, with all that each role holds written down."""
    held: dict[str, dict[str, list]] = {role: defaultdict(list) for role in ROLES}
    for start in range(0, len(queries), lot_size):
        batch = queries[start : start + lot_size]
        trio.seen.clear()
        lot, materials = trio.offline(len(batch))
        trio.online(ring.encode(batch), lot, materials)
        for role in ROLES:
            for name, array in _views(trio, lot, [seen for seen in trio.seen if seen.role == role]):
                held[role][name].append(array)
    return Recording(queries, {role: {name: np.concatenate(parts) for name, parts in by_name.items()}
                               for role, by_name in held.items()})  # fmt: skip


def _views(trio: Trio, lot: Lot, seen: list[Seen]):
    lanes = {}
    for one in seen:
        if one.act == "sends":
            continue
        place = one.place
        by_query = _by_query(one.array, lot, place.step, ROWS.get(one.name, 1))
        name = f"{place.phase} {place.step}.{place.call} {one.name} {one.act} {one.peer}"
        yield name, by_query
        if one.name == "opened":
            mine = MaskSource.of(trio.evaluator_dealer, "masks").at(lot, place.step, place.call).words(one.array.size)
            opened = by_query.astype(np.uint64) << np.uint64(16 if one.array.dtype == np.uint32 else 0)
            yield f"{place.step}.{place.call} opened, less its own part of r", opened - _by_query(mine, lot, place.step)
        if one.name == "lanes":
            lanes[place.step, place.call, one.peer] = by_query.astype(np.int64)
    places = sorted({(step, call) for step, call, _ in lanes})
    for step, call in places:
        total = sum(array for (s, c, _), array in lanes.items() if (s, c) == (step, call)) % MODULUS
        yield f"{step}.{call} lanes added up", total.astype(np.uint8)
        zeros = (total.reshape(lot.n_queries, -1, N_LANES) == 0).any(axis=2)
        yield f"{step}.{call} outcome", zeros.astype(np.uint8)
        masks = trio.dealt(lot, step, zeros.size, call)
        masks = _by_query(masks, lot, step)
        yield f"{step}.{call} r", masks
        sign = (masks >> np.uint64(46)).astype(np.uint8) & 1
        yield f"{step}.{call} outcome, turned by the sign of r", zeros.astype(np.uint8) ^ sign


def _by_query(array: np.ndarray, lot: Lot, step: int, n_rows: int = 1) -> np.ndarray:
    """(query, entry), whatever axis the queries are on; the rows of one comparison stand together."""
    n, operation = lot.n_queries, PLAN.steps[step].operation
    entries = np.ascontiguousarray(array).reshape(n_rows, -1)
    if isinstance(operation, Maximum):
        n_windows = n * int(np.prod(PLAN.steps[step].shape))
        if entries.shape[1] % n_windows == 0:
            entries = entries.reshape(n_rows, -1, n, n_windows // n).transpose(2, 1, 3, 0)
            return np.ascontiguousarray(entries.reshape(n, -1))
    return np.ascontiguousarray(entries.reshape(n_rows, n, -1).transpose(1, 2, 0).reshape(n, -1))


def secrets_of(queries: np.ndarray, weights: list) -> dict[str, np.ndarray]:
    """(query, secret), -1 or 1: signs of what is hidden, and one of each class that has the largest output."""
    words = torch.from_numpy(ring.encode(queries).view(np.int64))
    found = {"query": np.where(queries.reshape(len(queries), -1) > 0, 1.0, -1.0)}
    for number, value in Ring(PLAN, tuple(weights)).values(words):
        flat = value.reshape(len(queries), -1).numpy()
        if number in SIGNS:
            found[f"sign of {number}"] = np.where(flat >= 0, 1.0, -1.0)
    label = flat.argmax(axis=1)
    found["label"] = np.where(label[:, None] == np.arange(3), 1.0, -1.0)
    return {name: array.astype(np.float32) for name, array in found.items()}
