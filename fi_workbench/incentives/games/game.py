"""Cooperative games: what a coalition is worth, whichever way that is measured."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.incentives.contribution import ContributionView
from fi_workbench.incentives.games.ensemble import EnsembleGame
from fi_workbench.incentives.games.log_score import LogScoreGame

Value = Literal["auto", "accuracy", "agreement", "log_score"]
"""What a coalition's worth is measured by."""


class Game(Protocol):
    """A cooperative game whose empty coalition is worth 0."""

    @property
    def n_parties(self) -> int:
        """Players of the game."""

    def all_values(self) -> NDArray[np.float64]:
        """Values of all 2^K coalitions, (2^K,); bit k of the index says whether party k is in it."""

    def prefix_values(self, orders: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Values of ``orders[i, : j + 1]``, (order, party)."""

    def values_of(self, members: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Values of the coalitions of which ``members`` (coalition, party) says who is in, (coalition,)."""


def game_of(view: ContributionView, value: str) -> EnsembleGame | LogScoreGame:
    """The game that a round is.

    Parameters
    ----------
    view : ContributionView
    value : {"auto", "accuracy", "agreement", "log_score"}
        ``accuracy`` of the coalition's soft vote; ``agreement`` with the label of the soft vote of all; ``log_score``
        on the true label, or on the label of the soft vote of all where labels are not known. ``auto`` is accuracy
        where labels are known, and agreement where not.

    Raises
    ------
    DoesNotFit
        Accuracy without labels.
    NotDisclosed
        The parties' answers are not disclosed.
    """
    if value == "accuracy" and view.labels is None:
        raise DoesNotFit("The accuracy of a coalition needs true labels.", ("auto", "agreement", "log_score"))
    if value == "log_score":
        return LogScoreGame(view.probabilities, view.labels)
    return EnsembleGame(view.probabilities, None if value == "agreement" else view.labels)


def all_values(view: ContributionView, value: str) -> NDArray[np.float64]:
    """Values of all coalitions of a round, (2^K,): worked out once a view, whichever methods ask."""
    key = ("coalitions", value)
    if key not in view.memo:
        view.memo[key] = game_of(view, value).all_values()
    known: NDArray[np.float64] = view.memo[key]
    return known
