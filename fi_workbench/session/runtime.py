"""What all copies of a federation share: transport, parties, the client, enrolments, history, the round counter."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from fi_workbench.core.errors import Closed
from fi_workbench.core.identity import Identity
from fi_workbench.core.messages import PartyCard
from fi_workbench.core.records import RoundRecord
from fi_workbench.incentives import ContributionMethod
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.running import Running
from fi_workbench.parties.behaviours import Dishonest
from fi_workbench.parties.leak import Leak
from fi_workbench.parties.party import Party
from fi_workbench.privacy.mechanism import Mechanism, mechanisms
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.policy import Policy
from fi_workbench.protocol.ports import ANNOUNCE
from fi_workbench.session.history import History
from fi_workbench.transport.client_app import PartyApp, client_app
from fi_workbench.transport.link import FlowerLink
from fi_workbench.transport.local import LocalGrid

_ENROL_AGAIN_SECONDS = 30.0
"""A cohort with members that missed the enrolment is enrolled again after this long."""


@dataclass(frozen=True, eq=False)
class Enrolled:
    """The sum over private facts that a rule asked a cohort for.

    Parameters
    ----------
    totals : mapping of str to array
    members : tuple of str
        Whose facts are in it.
    missed : mapping of str to str
        Why the others' are not.
    when : float
        Monotonic seconds.
    """

    totals: Mapping[str, NDArray[Any]]
    members: tuple[str, ...]
    missed: Mapping[str, str]
    when: float = field(default_factory=time.monotonic)


class Runtime:
    """The living part of a federation; settings live in :class:`~fi_workbench.session.federation.Federation`.

    Parameters
    ----------
    history : History
    client : Identity, optional
        The asker's keys; fresh ones when None.
    grid : LocalGrid, optional
        The embedded transport; a fresh one when None.
    ledger : path or Ledger, optional
        Where rounds are paid for; without one, payments are only promised. One given as a path is closed with this.
    """

    def __init__(
        self,
        history: History,
        client: Identity | None = None,
        grid: LocalGrid | None = None,
        ledger: str | os.PathLike[str] | Ledger | None = None,
    ) -> None:
        self.client = ClientSide(client)
        self.history = history
        self.ledger = Ledger(ledger) if isinstance(ledger, str | os.PathLike) else ledger
        self._owns_ledger = self.ledger is not ledger
        self.leak: Leak | None = None
        self.standing: dict[str, float] = {}
        self._running: dict[Any, Running] = {}
        self._grid = grid or LocalGrid()
        self._members: dict[int, tuple[PartySide, int]] = {}  # by id of the party, which the side keeps alive
        self._apps: dict[int, PartyApp] = {}  # by node
        self._phases = {ANNOUNCE, *(phase for kind in _carriers() for phase in kind.phases)}
        self._enrolments: dict[Any, Enrolled] = {}
        self._lock = threading.RLock()
        self._n_rounds, self._under_way = 0, 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    @property
    def n_rounds(self) -> int:
        """Rounds begun so far, over all copies of the federation."""
        return self._n_rounds

    def side(self, party: Party, policy: Policy | None = None) -> PartySide:
        """The party's side, taken in at its first use. A party keeps its keys, policy and budget until it retires."""
        with self._lock:
            if self._closed:
                raise Closed("This federation was closed; make a new one.")
            if id(party) not in self._members:
                side = PartySide(party, policy=policy)
                side.leak, side.standing = self.leak, self.standing
                app = client_app(side.handle, self._phases)
                node = self._grid.add(app)
                self._members[id(party)], self._apps[node] = (side, node), app
            return self._members[id(party)][0]

    def behave(self, party: Party, behaviour: Dishonest | None) -> None:
        """Have a party behave so from its next question on; None is honest. What leaks is heard from now on."""
        with self._lock:
            side = self.side(party)
            if behaviour is not None and self.leak is None:
                self.leak = Leak()
                for other, _ in self._members.values():
                    other.leak = self.leak
            side.behave(behaviour)

    def behaviour(self, party: Party) -> Dishonest | None:
        """How a party is set to behave; None is honest."""
        return self.side(party).behaviour

    def contributed(self, key: Any, method: ContributionMethod, options: Mapping[str, Any], n_parties: int) -> Running:
        """Contributions of a cohort by one method over all rounds so far; nothing before the first."""
        with self._lock:
            return self._running.get(key) or Running.begin(method, options, n_parties)

    def contribute(self, key: Any, running: Running, credited: Mapping[str, float]) -> None:
        """Keep what a cohort contributed, one more round included, and credit each party openly."""
        with self._lock:
            self._running[key] = running
            for name, value in credited.items():
                self.standing[name] = self.standing.get(name, 0.0) + value

    def knows(self, party: Party) -> bool:
        """Whether the party was taken in."""
        with self._lock:
            return id(party) in self._members

    def teach(self, phases: Iterable[str]) -> None:
        """Have every party answer these phases: those of a mechanism that was registered after it was taken in."""
        with self._lock:
            if new := set(phases) - self._phases:
                self._phases |= new
                for app in self._apps.values():
                    app.learn(new)

    def retire(self, party: Party) -> None:
        """Let a party go: its keys, its budget and its model are dropped."""
        with self._lock:
            side, node = self._members.pop(id(party), (None, None))
            if side is not None and node is not None:
                self._grid.remove(node)
                self._apps.pop(node)
                side.stop()

    def link(self, parties: tuple[Party, ...]) -> FlowerLink:
        """The way to a cohort."""
        with self._lock:
            members: dict[str, tuple[int, PartyCard]] = {}
            for party in parties:
                side = self.side(party)
                members[party.name] = (self._members[id(party)][1], side.card)
        return FlowerLink(self._grid, members, self._grid.is_busy)

    @contextmanager
    def round(self) -> Iterator[int]:
        """A new round's number, from 1; what :meth:`close` ends is let go when the last round under way has ended."""
        with self._lock:
            if self._closed:
                raise Closed("This federation was closed; make a new one.")
            self._n_rounds += 1
            self._under_way += 1
            number = self._n_rounds
        try:
            yield number
        finally:
            with self._lock:
                self._under_way -= 1
                self._let_go()

    def enrolled(self, key: Any) -> Enrolled | None:
        """The enrolment of a cohort; None where it must be asked for (again)."""
        with self._lock:
            known = self._enrolments.get(key)
            if known is not None and known.missed and time.monotonic() - known.when > _ENROL_AGAIN_SECONDS:
                return None
            return known

    def enrol(self, key: Any, enrolled: Enrolled) -> Enrolled:
        """Keep an enrolment, and return the one to go by: a complete one is not replaced by one that lacks members."""
        with self._lock:
            known = self._enrolments.get(key)
            if known is None or known.missed:
                self._enrolments[key] = enrolled
            return self._enrolments[key]

    def add(self, record: RoundRecord) -> None:
        """Append a record to the history."""
        self.history.append(record)

    def close(self) -> None:
        """Stop all parties and the transport; rounds under way end with absences. The history stays readable."""
        with self._lock:
            self._closed = True
            for side, _ in self._members.values():
                side.stop()
            self._members.clear()
            if self.leak is not None:
                self.leak.close()
            self._grid.close()
            self.history.close()
            self._let_go()

    def _let_go(self) -> None:
        """Close the ledger that this runtime opened, once nothing can be paid any more."""
        if self._closed and not self._under_way and self._owns_ledger and self.ledger is not None:
            self.ledger.close()


def _carriers() -> list[type[Mechanism]]:
    return [kind for _, kind in mechanisms.items() if issubclass(kind, Mechanism)]
