"""A client that asks one query many times, and a dealer, who knows the low bits of every r: what the carries tell.

The dealer knows rho = low16(r). Where the owner does not round at random itself, an output steps where rho reaches
2^16 - low16(y), for each hidden neuron: the client gets low16(y), and by queries of one unit the weights modulo 1.
"""

from __future__ import annotations

import numpy as np
import pytest

from fi_workbench.mpc import ring
from fi_workbench.mpc.output import NOISE_BOUND
from fi_workbench.mpc.plan import Dense, Plan, Relu, Step
from fi_workbench.mpc.roles.owner import OwnerRole
from tests.mpc.roles.trio import Trio, encoded

UNIT = 1 << 16
N_IN, N_HIDDEN = 3, 5
RELU = 1


def rounding(monkeypatch, n_parts: int) -> None:
    """The owner adds so many uniform 16-bit numbers to what is truncated, or nothing."""
    rng = np.random.default_rng(8)

    def drawn(self, here, n):
        return (rng.integers(0, UNIT, (n, n_parts)).sum(axis=1) - n_parts * (UNIT // 2)).view(np.uint64)

    monkeypatch.setattr(OwnerRole, "_rounding", drawn)


def model(n_in: int, n_hidden: int, n_out: int) -> Plan:
    return Plan(
        (n_in,),
        (
            Step(Dense(n_in, n_hidden), (0,), (n_hidden,), "shared"),
            Step(Relu(), (1,), (n_hidden,), "masked"),
            Step(Dense(n_hidden, n_out), (2,), (n_out,), "shared"),
        ),
        input_bound=8.0,
    )


def asked(trio: Trio, query: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """One query ``n`` times: the outputs that the client opens, in units of 2^-32, and rho in units of 2^16.

    Of three models: the other two answer the same each time, and one owner, the dealer, knows its own noise.
    """
    lot, materials = trio.offline(n)
    owner, evaluator = trio.online(np.tile(query, (n, 1)), lot, materials)
    outputs = (owner + evaluator).view(np.int64).astype(float)
    rng = np.random.default_rng(n)
    for _ in range(2):
        outputs += rng.integers(-(NOISE_BOUND // 3), NOISE_BOUND // 3 + 1, outputs.shape)
    n_hidden = trio.plan.steps[RELU].shape[0]
    rho = trio.dealt(lot, RELU, n * n_hidden).reshape(n, n_hidden) & np.uint64(UNIT - 1)
    return outputs, rho / UNIT


def where_it_steps(outputs: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """For each hidden neuron low16(y) in units of 2^16, if the mean of the outputs steps there and nowhere else."""
    n, off, found = len(outputs), outputs - outputs.mean(axis=0), []
    weight = np.arange(1, n) * np.arange(n - 1, 0, -1)
    for known in rho.T:
        order = np.argsort(known)
        evidence = (np.cumsum(off[order], axis=0)[:-1] ** 2).sum(axis=1) / weight
        found.append(1 - known[order[np.argmax(evidence)]])
    return np.array(found)


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Differences on a circle of length 1."""
    return (one - other + 0.5) % 1 - 0.5


@pytest.mark.parametrize("delta", [True, False], ids=["as it is", "without the owner's rounding"])
def test_a_client_and_a_dealer_read_no_weight_off_the_carries(monkeypatch, delta):
    if not delta:
        rounding(monkeypatch, 0)
    rng = np.random.default_rng(3)
    first, bias = rng.uniform(-0.45, 0.45, (N_HIDDEN, N_IN)), rng.uniform(0.5, 1.5, N_HIDDEN)
    last = rng.choice([-1, 1], (2, N_HIDDEN)) * rng.uniform(0.5, 1.0, (2, N_HIDDEN))
    trio = Trio(
        model(N_IN, N_HIDDEN, 2),
        [encoded(0, first, bias), encoded(2, last, np.zeros(2))],
        [bytes([1, key]) * 16 for key in range(4)],
    )
    at_zero = where_it_steps(*asked(trio, np.zeros(N_IN, np.uint64), 12_000))
    units = np.eye(N_IN, dtype=np.uint64)  # one ring unit in one entry
    found = [apart(where_it_steps(*asked(trio, unit, 12_000)), at_zero) for unit in units]
    close = np.abs(apart(np.array(found).T, first)) < 0.01
    assert close.mean() < 0.2 if delta else close.mean() > 0.9


def harmonics(outputs: np.ndarray, rho: np.ndarray) -> list[float]:
    """How strongly the mean, and the spread, of outputs go round with rho: |z|, Rayleigh where they do not."""
    off = outputs - np.polyval(np.polyfit(rho, outputs, 1), rho)
    found = []
    for moment in (off, off**2):
        centred = moment - moment.mean()
        found.append(abs((centred * np.exp(2j * np.pi * rho)).mean()) * np.sqrt(len(rho)) / moment.std())
    return found


BOUND = np.sqrt(-np.log(1e-7))


@pytest.mark.parametrize("n_parts", [None, 0, 1], ids=["as it is", "no rounding", "one uniform number"])
def test_no_moment_of_the_output_depends_on_what_is_rounded(monkeypatch, n_parts):
    if n_parts is not None:
        rounding(monkeypatch, n_parts)
    trio = Trio(
        model(1, 1, 1),
        [encoded(0, np.array([[0.3]]), np.array([0.7001])), encoded(2, np.array([[2.0]]), np.zeros(1))],
        [bytes([2, key]) * 16 for key in range(4)],
    )
    outputs, rho = asked(trio, ring.encode(np.zeros(1)), 100_000)
    mean, spread = harmonics(outputs[:, 0], rho[:, 0])
    assert mean > BOUND if n_parts == 0 else mean < BOUND
    assert spread > BOUND if n_parts == 1 else n_parts == 0 or spread < BOUND
