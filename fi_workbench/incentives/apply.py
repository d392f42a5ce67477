"""Running a contribution method, with what comes out checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import DoesNotFit, InvalidData
from fi_workbench.core.options import check_options
from fi_workbench.incentives.contribution import ContributionMethod, ContributionView, contribution_methods
from fi_workbench.incentives.estimate import Estimate


def estimate(method: ContributionMethod, view: ContributionView, options: Mapping[str, Any] | None = None) -> Estimate:
    """Raw contributions of the parties in ``view``, with their standard errors where they were sampled.

    Raises
    ------
    InvalidOption
        An unknown option or one out of range.
    DoesNotFit
        The method needs labels, which were not given.
    NotDisclosed
        The method needs more than ``view`` holds.
    InvalidData
        Nobody answered, or there was no query; or the method returned something else than one finite number per party.
    """
    settings = settled(method, options)
    check_somebody_answered(view)
    check_labels_fit(method, view.labels is not None, settings)
    return checked(method, method.function(view, **settings), view.n_parties)


def contribute(
    method: ContributionMethod, view: ContributionView, options: Mapping[str, Any] | None = None
) -> NDArray[np.float64]:
    """Raw contributions of the parties in ``view``, (party,): the values of :func:`estimate`, and its errors."""
    return np.asarray(estimate(method, view, options).values, dtype=np.float64)


def settled(method: ContributionMethod, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """All options of a method, with defaults filled in; unknown ones and those out of range are refused."""
    return check_options(f"Contribution {method.name!r}", method.options, options or {})


def check_labels_fit(method: ContributionMethod, labelled: bool, options: Mapping[str, Any] | None = None) -> None:
    """Nothing, if the labels are there that a method requires under these options.

    Raises
    ------
    DoesNotFit
        They are not; says which methods do without.
    """
    if labelled:
        return
    if method.labels == "required":
        fits = [name for name, other in contribution_methods.items() if other.labels != "required"]
        raise DoesNotFit(f"Contribution {method.name!r} needs true labels; give labels=..., or choose another.", fits)
    if (options or {}).get("value") == "accuracy":
        raise DoesNotFit(
            f"Contribution {method.name!r} with value='accuracy' needs true labels; value='auto' does not.",
            ("auto", "agreement", "log_score"),
        )


def check_somebody_answered(view: ContributionView) -> None:
    """Nothing, if there is a party in the view, and a query.

    Raises
    ------
    InvalidData
        There is not.
    """
    if view.n_parties < 1 or view.n_queries < 1:
        raise InvalidData(
            f"{view.n_parties} parties answered {view.n_queries} queries: nobody contributed; leave such a round out."
        )


def checked(method: ContributionMethod, returned: NDArray[np.floating[Any]] | Estimate, n_parties: int) -> Estimate:
    """What a method returned, as an estimate.

    Raises
    ------
    InvalidData
        It is something else than one finite number per party, or a standard error is negative or NaN.
    """
    result = returned if isinstance(returned, Estimate) else Estimate(np.asarray(returned))
    values = np.asarray(result.values)
    if values.shape != (n_parties,) or values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise InvalidData(
            f"Contribution {method.name!r} returned shape {values.shape}, dtype {values.dtype}; "
            f"({n_parties},) finite numbers, one per party, are needed."
        )
    errors = result.standard_errors
    if errors is not None and (errors.shape != values.shape or not (errors >= 0).all()):
        raise InvalidData(
            f"Contribution {method.name!r} returned standard errors that are not {n_parties} of 0 or more."
        )
    return replace(result, values=values.astype(np.float64))
