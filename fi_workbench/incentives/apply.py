"""Running a contribution method, with what comes out checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import DoesNotFit, InvalidData
from fi_workbench.core.options import check_options
from fi_workbench.incentives.contribution import ContributionMethod, ContributionView, contribution_methods


def contribute(
    method: ContributionMethod, view: ContributionView, options: Mapping[str, Any] | None = None
) -> NDArray[np.float64]:
    """Raw contributions of the parties in ``view``, (party,).

    Raises
    ------
    InvalidOption
        An unknown option or one out of range.
    DoesNotFit
        The method needs labels, which were not given.
    NotDisclosed
        The method needs more than ``view`` holds.
    InvalidData
        The method returned something else than one finite number per party.
    """
    settings = check_options(f"Contribution {method.name!r}", method.options, options or {})
    if method.labels == "required" and view.labels is None:
        fits = [name for name, other in contribution_methods.items() if other.labels != "required"]
        raise DoesNotFit(f"Contribution {method.name!r} needs true labels.", fits)
    values = np.asarray(method.function(view, **settings))
    if values.shape != (view.n_parties,) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise InvalidData(
            f"Contribution {method.name!r} returned shape {values.shape}, dtype {values.dtype}; "
            f"({view.n_parties},) finite numbers, one per party, are needed."
        )
    return values.astype(np.float64)
