"""Parties that do not answer, not in time, or nothing that is an answer: a round must go on without them."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import Refused
from fi_workbench.core.options import Between, OneOf
from fi_workbench.parties.behaviours.contract import behaviour
from fi_workbench.parties.behaviours.sight import Sight


@behaviour()
def abstain(sight: Sight) -> NDArray[Any]:
    """Refuses every question.

    Raises
    ------
    Refused
        Always.
    """
    raise Refused(f"{sight.party} abstains.")


@behaviour(sees=("own",))
def slow(
    sight: Sight, *, seconds: Annotated[float, Between(0.0, 3600.0), "How long it keeps the others waiting."] = 60.0
) -> NDArray[Any]:
    """Answers truly, but late: past the deadline it is left out.

    Raises
    ------
    Refused
        The deadline came, or the party was stopped or told otherwise, while it waited.
    """
    sight.wait(seconds)
    return sight.own


@behaviour()
def garbage(
    sight: Sight,
    *,
    kind: Annotated[str, OneOf("not_a_number", "infinite", "wrong_shape"), "What is wrong with the answer."] = (
        "not_a_number"
    ),
) -> NDArray[Any]:
    """Sends something that is no answer: not a number, infinite, or one class short."""
    n_queries, n_classes = sight.n_queries, sight.n_classes
    if kind == "wrong_shape":
        return np.full((n_queries, n_classes - 1), 1.0 / max(1, n_classes - 1), dtype=np.float32)
    return np.full((n_queries, n_classes), np.nan if kind == "not_a_number" else np.inf, dtype=np.float32)
