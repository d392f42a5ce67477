"""What a party remembers that lives as long as its kernel."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping

from fi_workbench.privacy.event import Event
from fi_workbench.protocol.account import NOTHING, Account
from fi_workbench.protocol.batch import Batch
from fi_workbench.protocol.header import RoundHeader
from fi_workbench.protocol.journal.contract import REMEMBERED_QUERIES, Journal, second
from fi_workbench.protocol.policy import WINDOW_SECONDS, Policy


class MemoryJournal(Journal):
    """Remembers for as long as this process lives. That a round was asked before is the runtime's to know.

    Parameters
    ----------
    clock : callable
        Seconds, by any clock that is not set back.
    wall_clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall_clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__()
        self._clock, self._wall_clock = clock, wall_clock
        self._accounts: dict[str, Account] = {}
        self._lately: dict[str, deque[tuple[float, int]]] = {}
        self._asked: OrderedDict[tuple[str, bytes], bytes] = OrderedDict()  # cohorts by client and query
        self._lock = threading.Lock()

    def book(
        self, header: RoundHeader, policy: Policy, events: Mapping[Event, int] = NOTHING, batch: Batch | None = None
    ) -> None:
        """See :meth:`Journal.book`."""
        with self._lock:
            now, client = self._clock(), header.client
            account = self._accounts.get(client, Account())
            grants = self._of_the_last_minute(client, now) if policy.queries_per_minute is not None else deque()
            policy.check_amounts(header.n_queries, account.n_queries, grants, now)
            policy.check_budget(account, events)
            if batch is not None:
                again = sum(self._asked.get((client, query), batch.cohort) != batch.cohort for query in batch.queries)
                self._check_again(header, policy, again)
                self._remember(client, batch)
            self._accounts[client] = Account(
                account.n_queries + header.n_queries, account.after(events), self._wall_clock()
            )
            if policy.queries_per_minute is None:
                return
            if grants and grants[-1][0] == second(now):
                grants[-1] = (second(now), grants[-1][1] + header.n_queries)
            else:
                grants.append((second(now), header.n_queries))

    def account(self, client: str) -> Account:
        """See :meth:`Journal.account`."""
        with self._lock:
            return self._accounts.get(client, Account())

    def clients(self) -> tuple[str, ...]:
        """See :meth:`Journal.clients`."""
        with self._lock:
            return tuple(sorted(self._accounts))

    def close(self) -> None:
        """See :meth:`Journal.close`; there is nothing to put away."""

    def _remember(self, client: str, batch: Batch) -> None:
        for query in batch.queries:
            self._asked.setdefault((client, query), batch.cohort)
        while len(self._asked) > REMEMBERED_QUERIES:
            self._asked.popitem(last=False)

    def _of_the_last_minute(self, client: str, now: float) -> deque[tuple[float, int]]:
        grants = self._lately.setdefault(client, deque())
        while grants and grants[0][0] <= now - WINDOW_SECONDS:
            grants.popleft()
        return grants
