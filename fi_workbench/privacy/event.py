"""What a release costs in privacy, as data: an accountant reads it later, and no mechanism knows of one.

Each event is one release of one query's answer by one party; a question books as many as it has queries. These are
not dp-accounting's events: those take a second to import, which only a party that keeps a budget need spend.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Literal, get_args

Noise = Literal["gaussian", "laplace", "randomised_response", "none"]
"""How a release was blurred; ``none`` has no guarantee."""

Relation = Literal["replace", "participate"]
"""Which two worlds cannot be told apart: ``replace``, where the party's answer to a query is any other;
``participate``, where the party does not take part in that query."""


@dataclass(frozen=True)
class Event:
    """One noisy release of one query by one party.

    Parameters
    ----------
    noise : {"gaussian", "laplace", "randomised_response", "none"}
    multiplier : float
        Standard deviation over L2 sensitivity (gaussian), scale over L1 sensitivity (laplace), or the probability of
        a label drawn uniformly from all classes (randomised response).
    n_classes : int
        Labels of a randomised response; 0 for the others.
    sampling : float
        Probability with which the party takes part, by a coin of its own that nobody sees (Poisson sampling).
    relation : {"replace", "participate"}

    Raises
    ------
    ValueError
        A value that cannot be; subsampling under any relation but ``participate``.
    """

    noise: Noise
    multiplier: float = 0.0
    n_classes: int = 0
    sampling: float = 1.0
    relation: Relation = "replace"

    def __post_init__(self) -> None:
        if self.noise not in get_args(Noise) or self.relation not in get_args(Relation):
            raise ValueError(f"An event of noise {self.noise!r} under relation {self.relation!r} is not known.")
        if not (math.isfinite(self.multiplier) and self.multiplier >= 0) or not 0 < self.sampling <= 1:
            raise ValueError(f"multiplier {self.multiplier!r} or sampling {self.sampling!r} cannot be.")
        if self.sampling < 1 and self.relation != "participate":
            raise ValueError("Subsampling amplifies privacy where taking part is what is hidden: relation participate.")

    def text(self) -> str:
        """As it is kept: the same text for equal events, and for no others."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of_text(cls, text: str) -> Event:
        """The event that was kept so.

        Raises
        ------
        ValueError
            It is none.
        """
        try:
            return cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(f"{text[:200]!r} is no event.") from error


UNPROTECTED = Event("none")
"""A release without any guarantee."""
