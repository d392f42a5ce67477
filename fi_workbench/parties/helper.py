"""Helpers: members of a cohort without a model, who take part in computing with the models of others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import Refused
from fi_workbench.parties.facts import PrivateFacts
from fi_workbench.parties.party import Party


class NoModel:
    """What a helper has in place of a model."""

    def __call__(self, queries: NDArray[Any]) -> NDArray[Any]:
        """Nothing.

        Raises
        ------
        Refused
        """
        raise Refused("a helper has no model; it takes part under secure inference only.")


def helper(
    like: Party | None = None,
    name: str = "Helper",
    *,
    classes: Sequence[str] = (),
    input_shape: Sequence[int] = (),
) -> Party:
    """A helper for a cohort: a party without a model, who plays a role for the models of others.

    Secure inference of fewer than three parties needs one or two of them; two beside three parties or more take the
    roles of evaluator and dealer from all of these.

    Parameters
    ----------
    like : Party, optional
        One of the cohort, whose classes and input shape it takes over.
    name : str
    classes, input_shape
        Where no party of the cohort is at hand.
    """
    names, shape = (like.classes, like.input_shape) if like is not None else (tuple(classes), tuple(input_shape))
    # none of its own: its part of any sum over private facts is zero
    facts = PrivateFacts(class_counts=np.zeros(len(names), dtype=np.int64))
    return Party(name, names, shape, "logits", NoModel(), facts, model="helper", made_here=like is not None)


def owners_of(parties: Iterable[Party]) -> tuple[Party, ...]:
    """Those with a model."""
    return tuple(party for party in parties if not party.is_helper)
