"""What a contribution method returns where bare values do not say it all: how exact they are, and what to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Estimate:
    """Contributions with what is known of their error.

    Parameters
    ----------
    values : array (party,)
    standard_errors : array (party,), optional
        Of sampled values; None where they are exact or too few samples were drawn to tell.
    n_evaluations : int, optional
        Coalitions that were valued; None for methods that value none.
    exact : bool
        Whether nothing was sampled: the values are the method's own on these queries.
    note : str
        What a reader should know of these values, in a sentence; empty where there is nothing.
    """

    values: NDArray[np.floating[Any]]
    standard_errors: NDArray[np.float64] | None = None
    n_evaluations: int | None = None
    exact: bool = True
    note: str = ""
