"""Frozen messages: what parties announce, what is asked, what travels and what is released."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels, Outputs
from fi_workbench.core.errors import InvalidReply
from fi_workbench.core.identity import PublicIdentity

T = TypeVar("T")

BodyValue: TypeAlias = (
    NDArray[Any] | bytes | str | int | float | bool | list[str] | list[int] | list[float] | list[bytes]
)
Body: TypeAlias = Mapping[str, BodyValue]
"""The content of one message: flat, by name; arrays travel as their raw bytes."""


AGAIN = "again"
"""Field of a reply by which a party says that it has more to say in the same phase."""


@dataclass(frozen=True)
class PartyCard:
    """What a party announces of itself; nothing private.

    Parameters
    ----------
    name : str
    classes : tuple of str
    input_shape : tuple of int
        Of one query, without the batch axis.
    outputs : {"logits", "probabilities"}
    model : str
        The kind of model in a word, as its owner calls it.
    facts : frozenset of str
        Names of private facts it holds and can use locally (not their values).
    capabilities : frozenset of str
        What its runtime can do, e.g. ``"sealed_payloads"``.
    identity : PublicIdentity
    """

    name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    outputs: Outputs
    model: str
    facts: frozenset[str]
    capabilities: frozenset[str]
    identity: PublicIdentity


@dataclass(frozen=True, eq=False)
class Question:
    """What the client asks; stays on the client's side.

    Parameters
    ----------
    queries : array (query, *input_shape)
    labels : array (query,), optional
        True labels, where the client knows them; they never leave the client.
    """

    queries: NDArray[Any]
    labels: Labels | None = None


@dataclass(frozen=True, eq=False)
class Release:
    """What the coordinator knows after the last phase, as far as the mechanism shows it.

    Parameters
    ----------
    present : tuple of str
        The parties whose contribution is in it, in cohort order.
    sums : mapping of str to array, optional
        The summed components of the rule's summand (possibly still masked for the client).
    answers : array (party, query, class), optional
        Each present party's answer as declared in its card, where the mechanism shows them.
    parts : mapping of str to array (party, ...), optional
        What the rule's local part made of each present party's answer, where the rule needs each of these and no sum.
    outputs : tuple of str
        For ``answers``: what each is, logits or probabilities.
    sealed : mapping
        What only the client can open.
    answered : array of bool (query,), optional
        Where the mechanism itself tells when it does not know: the queries that it does answer.
    """

    present: tuple[str, ...]
    sums: Mapping[str, NDArray[Any]] | None = None
    answers: tuple[NDArray[Any], ...] | None = None
    outputs: tuple[Outputs, ...] = ()
    parts: Mapping[str, NDArray[Any]] | None = None
    sealed: Body = field(default_factory=dict)
    answered: NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class Reply:
    """One party's reply to one message, as the coordinator got it.

    Parameters
    ----------
    party : str
    body : mapping
    seconds : float
        From sending to arrival.
    n_bytes : int
        Encoded size.
    """

    party: str
    body: Body
    seconds: float
    n_bytes: int

    def field(self, name: str, kind: type[T]) -> T:
        """One value of the body, of the type that a mechanism's next step needs.

        Raises
        ------
        InvalidReply
            If it is missing or of another type: the coordinator makes it this party's absence and takes the step again
            without it.
        """
        value = self.body.get(name)
        if not isinstance(value, kind):
            raise InvalidReply(self.party, f"{self.party} sent no {name!r} of type {kind.__name__}.")
        return value
