"""What a dishonest party has before it when it answers."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import TINY, Labels, Outputs, Queries, softmax, to_logits, to_simplex
from fi_workbench.core.errors import NotDisclosed, Refused

Seen = Literal["own", "peers", "labels", "facts"]
"""What a behaviour may look at: its model's answer, the peers' answers, the true labels, its own private facts."""

Facts: TypeAlias = Mapping[str, Any]
"""Private facts by name: ``"class_counts"`` (class,), ``"data_size"`` (), ..."""

GUARDED: frozenset[str] = frozenset(get_args(Seen))
"""What is refused to those who have not declared it."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Sight:
    """What a dishonest party has before it when it answers.

    Parameters
    ----------
    own : array (query, class)
        Its model's checked answer, as declared in ``outputs``.
    outputs : {"logits", "probabilities"}
    n_classes : int
    party : str
        Its own name.
    rng : numpy Generator
    queries : array (query, *input_shape), optional
    facts : mapping
        What it truly knows of its training data.
    peers : callable, optional
        ``() -> {party: probabilities (query, class)}``: what a leak has shown by now. It may wait for a moment.
    labels : callable, optional
        ``() -> labels (query,) or None``: the truth, for an adversary who knows it.
    standing : mapping of str to float
        What is openly known of how good each peer is, e.g. what it was paid so far; larger is better.
    stopped : Event
        Set when the party stops or is to behave otherwise: who waits, waits no longer.
    seconds_left : float
        To the round's deadline: who waits longer answers nobody.
    sees : frozenset of {"own", "peers", "labels", "facts"}
        What may be read from it; reading anything else of these raises ``NotDisclosed``.
    """

    own: NDArray[Any]
    outputs: Outputs
    n_classes: int
    party: str
    rng: np.random.Generator
    queries: Queries | None = None
    facts: Facts = field(default_factory=dict)
    peers: Callable[[], Mapping[str, NDArray[Any]]] | None = None
    labels: Callable[[], Labels | None] | None = None
    standing: Mapping[str, float] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)
    seconds_left: float = math.inf
    sees: frozenset[str] = GUARDED

    def __getattribute__(self, name: str) -> Any:
        if name in GUARDED and name not in object.__getattribute__(self, "sees"):
            raise NotDisclosed(f"This behaviour has not declared that it sees {name!r}; name it in sees=.")
        return object.__getattribute__(self, name)

    def narrowed(self, sees: frozenset[str]) -> Sight:
        """The same for a behaviour that sees no more than ``sees``: the rest is refused, and is not even in it."""
        held = {name: object.__getattribute__(self, name) for name in self.__dataclass_fields__}
        kept = self.sees & sees
        own = held["own"]
        nothing = np.broadcast_to(own.dtype.type(0), own.shape)
        blank: dict[str, Any] = {"own": nothing, "peers": None, "labels": None, "facts": {}}
        return Sight(**(held | {name: blank[name] for name in GUARDED - kept} | {"sees": kept}))

    @property
    def n_queries(self) -> int:
        """How many queries are to be answered."""
        return len(object.__getattribute__(self, "own"))

    def heard(self) -> dict[str, NDArray[np.floating[Any]]]:
        """Answers of peers that a leak has shown, as probabilities; empty when there are none.

        Answers of another shape are passed over: a peer may be sending garbage.
        """
        known = self.peers() if self.peers is not None else {}
        shape = (self.n_queries, self.n_classes)
        return {
            peer: np.asarray(values)
            for peer, values in known.items()
            if peer != self.party and np.shape(values) == shape and np.isfinite(values).all()
        }

    def truth(self) -> Labels | None:
        """True labels (query,), or None where nobody tells."""
        return self.labels() if self.labels is not None else None

    def as_declared(self, probabilities: NDArray[Any]) -> NDArray[Any]:
        """Probabilities (query, class) as this party declares its outputs; log p where these are logits."""
        dtype: np.dtype[Any] = object.__getattribute__(self, "own").dtype
        if self.outputs == "probabilities":
            return probabilities.astype(dtype)
        return np.asarray(np.log(np.clip(probabilities, TINY, None)), dtype=dtype)

    def confident(self, classes: NDArray[np.integer[Any]], confidence: float) -> NDArray[Any]:
        """An answer with probability ``confidence`` on one class per query, (query,) -> (query, class)."""
        certain = np.full((self.n_queries, self.n_classes), (1.0 - confidence) / max(1, self.n_classes - 1))
        certain[np.arange(self.n_queries), classes] = confidence
        return self.as_declared(certain)

    def scaled(self, factor: float) -> NDArray[Any]:
        """The party's own logits times ``factor``, of the kind that it declares, (query, class).

        Centred first: the softmax is the same, and no shift is multiplied into rules that use raw logits.
        """
        logits = to_logits(self.own, self.outputs).astype(np.float64)
        logits = (logits - logits.mean(axis=-1, keepdims=True)) * factor
        return np.asarray(logits if self.outputs == "logits" else softmax(logits), dtype=self.own.dtype)

    def probabilities(self) -> NDArray[np.floating[Any]]:
        """The party's own answer as probabilities, (query, class)."""
        return to_simplex(self.own, self.outputs)

    def wait(self, seconds: float) -> None:
        """Nothing, after so many seconds.

        Raises
        ------
        Refused
            The party was stopped or told otherwise, or the round's deadline came, meanwhile.
        """
        if self.stopped.wait(min(seconds, self.seconds_left)) or seconds >= self.seconds_left:
            raise Refused("the round was over while this party was waiting.")
