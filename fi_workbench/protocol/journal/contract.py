"""What a party remembers: what it granted to each client, rounds and queries asked before, the links it relies on."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

from fi_workbench.privacy.event import Event
from fi_workbench.protocol.account import NOTHING, Account
from fi_workbench.protocol.batch import Batch
from fi_workbench.protocol.header import MAX_AGE_SECONDS, RoundHeader
from fi_workbench.protocol.policy import Policy

_log = logging.getLogger(__name__)

REMEMBERED_SECONDS = 2 * MAX_AGE_SECONDS
"""A replay is refused for as long as its signature would still be accepted, both clocks' skew included."""

REMEMBERED_QUERIES = 200_000
"""Of so many queries it is remembered in which cohort they were asked; of all clients together, the last."""

_WARNED = 1000


class Journal(ABC):
    """What a party remembers of its clients; safe to use from several threads."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    @abstractmethod
    def book(
        self, header: RoundHeader, policy: Policy, events: Mapping[Event, int] = NOTHING, batch: Batch | None = None
    ) -> None:
        """Grant a question whose header was checked, all or none of it.

        Parameters
        ----------
        header : RoundHeader
        policy : Policy
        events : mapping of Event to int
            What its answer costs in privacy.
        batch : Batch, optional
            What to remember, so that the same query is noticed in another cohort.

        Raises
        ------
        Refused
            The round was asked before, the policy's amounts or its privacy budget do not allow it, the policy wants
            each query in one cohort, or it cannot be booked.
        """

    @abstractmethod
    def account(self, client: str) -> Account:
        """All that was granted so far to the client with this Ed25519 key, in hexadecimal."""

    @abstractmethod
    def clients(self) -> tuple[str, ...]:
        """Keys of all clients that were ever granted something, in hexadecimal, sorted."""

    @abstractmethod
    def close(self) -> None:
        """Book nothing more."""

    def spent(self, client: str) -> int:
        """Queries granted so far to the client with this Ed25519 key, in hexadecimal."""
        return self.account(client).n_queries

    def _check_again(self, header: RoundHeader, policy: Policy, n_again: int) -> None:
        """Refuse or warn of queries that were asked in another cohort, as the policy has it."""
        policy.check_again(n_again, header.n_queries)
        if n_again and header.client not in self._warned and len(self._warned) < _WARNED:
            self._warned.add(header.client)
            _log.warning(
                "client %s asks what it asked in another cohort; the difference shows single answers "
                "(same_cohort refuses that; said once for each client)",
                header.client[:16],
            )


def second(now: float) -> int:
    """Grants are counted by the second, so that a busy client costs no more than sixty numbers; none is freed early."""
    return math.ceil(now)
