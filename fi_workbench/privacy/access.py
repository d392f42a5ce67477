"""What a party lends to a mechanism that computes with its model itself, over many rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from fi_workbench.core.affine import AffineSummand
from fi_workbench.core.arrays import Queries
from fi_workbench.core.kept import Kept
from fi_workbench.core.peers import PeerNetwork


@dataclass(frozen=True, eq=False)
class ModelAccess:
    """All of it stays with the party.

    Parameters
    ----------
    client : str
        The asker's Ed25519 key in hexadecimal.
    asked : str
        Digest of how it is asked (rule, options, mechanism, calibration) and of whom: alike in all rounds that one
        preparation serves.
    input_shape : tuple of int
        Of one query.
    module : callable
        ``() -> torch module``, or None for a helper, which has no model.
    version : callable
        ``() -> str``: changes whenever the model does.
    predict : callable
        ``(queries) -> (query, class)``: the model's own logits, in the clear.
    sample : array (query, *input_shape), optional
        Some of the owner's own queries: how large values get within the model is measured on them.
    affine : callable
        ``() -> AffineSummand``: the rule's summand as a map of the model's logits.
    temperature : float
        By which the logits are divided first.
    network : PeerNetwork, optional
        None where this party has no channels to others.
    kept : Kept
        Lives as long as the party.
    end : float
        Of this round, in monotonic seconds.
    min_models : int
        Fewest models, its own included, in a sum that this party's owner agrees to.
    knows_peers : bool
        Whether the owner has said which parties may be in a cohort beside it, or made them all itself.
    """

    client: str
    asked: str
    input_shape: tuple[int, ...]
    module: Callable[[], Any]
    version: Callable[[], str]
    predict: Callable[[Queries], NDArray[Any]]
    sample: NDArray[Any] | None
    affine: Callable[[], AffineSummand]
    temperature: float
    network: PeerNetwork | None
    kept: Kept
    end: float
    min_models: int = 1
    knows_peers: bool = True
