"""What one query through one model tells each role under secure inference, as data; made by :mod:`.secure_view`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chisquare

from fi_workbench.mpc.streams import MODULUS
from fi_workbench.parties.party import Party

Player: TypeAlias = Literal["client", "owner", "evaluator", "dealer"]
Phase: TypeAlias = Literal["set_up", "offline", "online"]

N_BINS = 16
MIN_PER_BIN = 5
"""Fewer entries than this a bin are too few for a chi-square test."""

FAIR = 1e-4
"""A uniform array falls below this p value once in ten thousand times."""

N_FIRST = 6
"""Words and values that are shown of each array."""

_RESIDUES = ("lanes", "thermometer")
"""Arrays of residues modulo 127; all others are words of so many bits."""


@dataclass(frozen=True)
class Sample:
    """What an array looks like to whoever has it, and no more.

    Parameters
    ----------
    name : str
    n : int
        Entries.
    bits : int
        Of each.
    first : tuple of str
        The first entries, in hexadecimal.
    counts : tuple of int
        How many entries fall into each of 16 equal parts of what they can be (2 for single bits).
    p_value : float or None
        Of a chi-square test of these counts against the uniform distribution; None where there are too few.
    """

    name: str
    n: int
    bits: int
    first: tuple[str, ...]
    counts: tuple[int, ...]
    p_value: float | None

    @property
    def uniform(self) -> bool | None:
        """Whether it looks like fair coins; None where there are too few entries to tell."""
        return None if self.p_value is None else self.p_value > FAIR

    @classmethod
    def of(cls, name: str, array: NDArray[Any], bits: int) -> Sample:
        """Look at an array.

        Parameters
        ----------
        name : str
        array : array of unsigned integers
        bits : int
            Those of each entry that count, from the lowest.
        """
        words = array.reshape(-1)
        n_digits = -(-bits // 4)
        low = (1 << bits) - 1
        first = tuple(f"{int(word) & low:0{n_digits}x}" for word in words[:N_FIRST])
        if name in _RESIDUES:
            places, shares = words.astype(np.int64) * N_BINS // MODULUS, np.arange(MODULUS) * N_BINS // MODULUS
            expected = np.bincount(shares, minlength=N_BINS) / MODULUS
        else:
            n_top = min(bits, 4)
            places = (words.astype(np.uint64) >> np.uint64(bits - n_top)).astype(np.int64) & ((1 << n_top) - 1)
            expected = np.full(1 << n_top, 2.0**-n_top)
        counts = np.bincount(places, minlength=len(expected))
        enough = words.size >= MIN_PER_BIN * len(expected)
        p_value = float(chisquare(counts, expected * words.size).pvalue) if enough else None
        return cls(name, words.size, bits, first, tuple(counts.tolist()), p_value)


@dataclass(frozen=True)
class Message:
    """One message.

    Parameters
    ----------
    phase : {"set_up", "offline", "online"}
    step : int
        Of the plan.
    sender, receiver : {"client", "owner", "evaluator", "dealer"}
    name : str
    n_bytes : int
        As sent, without framing.
    arrays : tuple of Sample
        What it consists of.
    """

    phase: Phase
    step: int
    sender: Player
    receiver: Player
    name: str
    n_bytes: int
    arrays: tuple[Sample, ...]

    @property
    def uniform(self) -> bool | None:
        """Whether all of it looks like fair coins; None where there is too little to tell."""
        told = [one.uniform for one in self.arrays]
        return None if None in told else all(told)


@dataclass(frozen=True)
class Holding:
    """What a role holds after a step.

    Parameters
    ----------
    role : {"owner", "evaluator", "dealer"}
    phase : {"set_up", "offline", "online"}
    array : Sample
    """

    role: Player
    phase: Phase
    array: Sample


@dataclass(frozen=True)
class StepSeen:
    """One step of the plan.

    Parameters
    ----------
    step : int
    path, kind : str
        Where it is in the model, and what it does: ``"layer1.0.conv2"``, ``"Conv"``.
    shape : tuple of int
        Of what it makes, without the query axis.
    held : {"masked", "shared"}
    messages : tuple of Message
        In the order in which they were sent.
    holdings : tuple of Holding
    hops : int
        Messages online of which each waits for the one before.
    plain_seconds, secure_seconds : float
        In the clear, and online.
    plain, secure : tuple of float
        The first values in the clear, and as put together from what owner and evaluator hold: simulation only.
    difference : float
        The largest between all of them.
    """

    step: int
    path: str
    kind: str
    shape: tuple[int, ...]
    held: str
    messages: tuple[Message, ...]
    holdings: tuple[Holding, ...]
    hops: int
    plain_seconds: float
    secure_seconds: float
    plain: tuple[float, ...]
    secure: tuple[float, ...]
    difference: float

    def n_bytes(self, phase: Phase) -> int:
        """What the three roles send each other in a phase; the client's question and answer are not in it."""
        return sum(
            one.n_bytes for one in self.messages if one.phase == phase and "client" not in (one.sender, one.receiver)
        )


@dataclass(frozen=True)
class SecureView:
    """One query through one model, as each role sees it: a simulation, for only here are all three in one place.

    Parameters
    ----------
    party : str
        Whose model it is.
    players : tuple of (str, str)
        Who plays which role: ``(("owner", "A"), ("evaluator", "B"), ("dealer", "C"))``.
    steps : tuple of StepSeen
    plain_seconds : float
        The model itself, in the clear, for this query.
    set_up_seconds, offline_seconds, online_seconds : float
        Once a session; ahead of the question; from the question to the answer, sealing included.
    difference : float
        The largest between what the client opened and what the model says in the clear.
    """

    party: str
    players: tuple[tuple[str, str], ...]
    steps: tuple[StepSeen, ...]
    plain_seconds: float
    set_up_seconds: float
    offline_seconds: float
    online_seconds: float
    difference: float

    @property
    def player(self) -> dict[str, str]:
        """Who plays a role, by role."""
        return dict(self.players)

    def n_bytes(self, phase: Phase) -> int:
        """What the three roles send each other in a phase."""
        return sum(step.n_bytes(phase) for step in self.steps)

    def to_frame(self) -> pd.DataFrame:
        """One row for each step: what it makes, bytes, hops, seconds, and how far it is from the clear."""
        return pd.DataFrame([_row(step) for step in self.steps], columns=_COLUMNS).set_index("step")

    def messages_frame(self) -> pd.DataFrame:
        """One row for each array of each message."""
        rows = [
            (step.step, step.path, one.phase, one.sender, one.receiver, one.name, one.n_bytes, array.name, array.n,
             array.bits, array.p_value, " ".join(array.first))
            for step in self.steps for one in step.messages for array in one.arrays
        ]  # fmt: skip
        columns = ("step", "path", "phase", "sender", "receiver", "message", "n_bytes", "array", "n", "bits", "p_value",
                   "first_words")  # fmt: skip
        return pd.DataFrame(rows, columns=list(columns))

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"simulation": True, **plain, "players": self.player}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it as JSON, or with the ending ``.csv`` the table of its steps; where it went."""
        where = Path(path)
        text = self.to_frame().to_csv() if where.suffix == ".csv" else json.dumps(self.to_dict(), indent=1)
        where.write_text(text, encoding="utf-8")
        return where


def can_be_viewed(party: Party) -> bool:
    """Whether this kernel made a party and has its model, so that all roles may be played here."""
    return party.made_here and party.outputs == "logits" and party.module is not None


_COLUMNS = [
    "step", "path", "kind", "shape", "held", "online_bytes", "offline_bytes", "set_up_bytes", "hops", "secure_seconds",
    "plain_seconds", "difference",
]  # fmt: skip


def _row(step: StepSeen) -> Sequence[Any]:
    phases: tuple[Phase, ...] = ("online", "offline", "set_up")
    return [
        step.step, step.path, step.kind, "x".join(map(str, step.shape)), step.held, *map(step.n_bytes, phases),
        step.hops, step.secure_seconds, step.plain_seconds, step.difference,
    ]  # fmt: skip
