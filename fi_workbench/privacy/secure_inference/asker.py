"""The client's end of a session: what it holds between the rounds that the session serves."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidAnswer
from fi_workbench.core.identity import PublicIdentity
from fi_workbench.core.messages import Body, Release
from fi_workbench.core.summand import Component
from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.streams import Lot

SESSION, LOT, SEALED = "session", "lot", "sealed"
NAMES, VECTORS, READY, CAPACITY = "names", "vectors", "ready", "capacity"
"""Fields of the messages of an answer round, and of what is released to the client."""


@dataclass(frozen=True, eq=False)
class Asker:
    """See :class:`~fi_workbench.privacy.mechanism.Prepared`.

    Parameters
    ----------
    client : SecureClient
    components : mapping of str to Component
        Of the rule's summand.
    n_classes : int
    turn : Lock
        Held from asking to opening: the questions of one session reach its members in their order.
    """

    client: SecureClient
    components: Mapping[str, Component]
    n_classes: int
    turn: threading.Lock = field(default_factory=threading.Lock)

    def protect(self, payload: Body, cohort: Mapping[str, PublicIdentity]) -> tuple[Lot, Mapping[str, Body]]:
        """The queries, masked for each model and sealed for each member.

        Raises
        ------
        InvalidQuery
            A query that the models were not compiled for; nothing is sent.
        """
        lot, sealed = self.client.ask(payload["queries"])
        common: Body = {SESSION: self.client.session.id, LOT: lot.index}
        return lot, {name: {**common, SEALED: sealed[name]} for name in cohort}

    def open(self, state: Lot, release: Release) -> Release:
        """The sums that the rule finishes.

        Raises
        ------
        InvalidReply
            What a member sent cannot be opened.
        """
        names, vectors = release.sealed[NAMES], release.sealed[VECTORS]
        if not isinstance(names, list) or not isinstance(vectors, list):
            raise InvalidAnswer("Nothing was released that could be opened.")
        sealed: dict[Any, Any] = dict(zip(names, vectors, strict=True))
        outputs = self.client.open(state, {name: one for name, one in sealed.items() if one})
        return Release(present=release.present, sums=self.sums(outputs))

    def sums(self, outputs: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """The components of the summand from the models' summed outputs, (query, output)."""
        n_models, at, sums = len(self.client.session.triples), 0, {}
        if self.client.session.opens == "label":
            outputs = outputs * n_models  # of the votes nothing is known but who has the most: it stands for all
        for name, component in self.components.items():
            if component.axes == "scalar" and component.lower == component.upper:
                sums[name] = np.asarray(n_models * component.lower)
                continue
            width = self.n_classes if component.axes == "query_class" else 1
            values = outputs[:, at : at + width]
            at += width
            # a scalar comes with every query alike
            sums[name] = (
                values if width > 1 else np.asarray(values[0, 0]) if component.axes == "scalar" else values[:, 0]
            )
        return sums


def giving_up(state: Lot, asker: Asker) -> None:
    """Forget a question that will not be answered."""
    asker.client.give_up(state)
