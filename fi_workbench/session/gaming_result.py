"""What dishonesty pays and costs, as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Protection: TypeAlias = Literal["plain", "commit_reveal"]
"""Whether a dishonest party hears its peers before it answers, or has committed to its answer before."""


@dataclass(frozen=True, eq=False)
class GamingMatrix:
    """What each behaviour brings one party under each reward, and what it costs the federation under each rule.

    Axis order is (protection, behaviour, reward) and (protection, behaviour, rule). NaN stands where a cell was not
    computed because the work was stopped, or cannot be: the method does not take the parties that are left.

    Parameters
    ----------
    cheater : str
        The one dishonest party.
    protections, behaviours, rewards, rules : tuple of str
        Names along the axes.
    payout : str
        By which contributions become shares.
    honest_share : array (reward,)
        The cheater's share when it is honest.
    honest_accuracy : array (rule,)
        0 to 1, with everybody honest.
    share : array (protection, behaviour, reward)
        The cheater's share; 0 where it is absent.
    accuracy : array (protection, behaviour, rule)
        0 to 1; of the others alone where it is absent.
    absent : array (protection, behaviour) of bool
        Whether nothing of it came that is an answer.
    flagged : array (protection, behaviour)
        1 where the audit of claims flags the cheater, 0 where not, NaN where there are no claims to audit.
    left_out : mapping of str to str
        Rewards and rules that were not asked for by name and do not fit, with the reason.
    complete : bool
        False where the work was stopped.
    """

    cheater: str
    protections: tuple[Protection, ...]
    behaviours: tuple[str, ...]
    rewards: tuple[str, ...]
    rules: tuple[str, ...]
    payout: str
    honest_share: NDArray[np.float64]
    honest_accuracy: NDArray[np.float64]
    share: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    absent: NDArray[np.bool_]
    flagged: NDArray[np.float64]
    left_out: Mapping[str, str]
    complete: bool

    @property
    def gain(self) -> NDArray[np.float64]:
        """By how much the cheater's share is multiplied, (protection, behaviour, reward).

        Infinite where it earned nothing honestly and something by cheating, NaN where nothing either way.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.share / self.honest_share)

    @property
    def cost(self) -> NDArray[np.float64]:
        """Points of accuracy (percent) that the federation loses, (protection, behaviour, rule)."""
        return np.asarray(100.0 * (self.honest_accuracy - self.accuracy))

    def table(self) -> pd.DataFrame:
        """One row per protection and behaviour; columns: gain by reward, cost by rule, whether absent and flagged."""
        index = pd.MultiIndex.from_product([self.protections, self.behaviours], names=["protection", "behaviour"])
        n_rows = len(index)
        columns = pd.MultiIndex.from_tuples(
            [("gain", name) for name in self.rewards]
            + [("cost", name) for name in self.rules]
            + [("cheater", "absent"), ("cheater", "flagged")]
        )
        values = np.hstack(
            [
                self.gain.reshape(n_rows, -1),
                self.cost.reshape(n_rows, -1),
                self.absent.reshape(n_rows, 1),
                self.flagged.reshape(n_rows, 1),
            ]
        )
        return pd.DataFrame(values, index=index, columns=columns)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes; None where a number is missing or infinite."""
        arrays = ("honest_share", "honest_accuracy", "share", "accuracy", "gain", "cost", "flagged")
        return {
            "cheater": self.cheater,
            "protections": list(self.protections),
            "behaviours": list(self.behaviours),
            "rewards": list(self.rewards),
            "rules": list(self.rules),
            "payout": self.payout,
            **{name: _plain(getattr(self, name).tolist()) for name in arrays},
            "absent": self.absent.tolist(),
            "left_out": dict(self.left_out),
            "complete": self.complete,
        }


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if math.isfinite(value) else None
