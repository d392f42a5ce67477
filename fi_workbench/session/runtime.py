"""What all copies of a federation share: the parties, the client, enrolments, history, the round counter."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from fi_workbench.core.errors import Closed
from fi_workbench.core.identity import Identity
from fi_workbench.core.records import RoundRecord
from fi_workbench.incentives import ContributionMethod
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.running import Running
from fi_workbench.protocol.client_side import ClientSide
from fi_workbench.session.embedded import Embedded
from fi_workbench.session.history import History
from fi_workbench.session.venue import Venue

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
    venue : Venue, optional
        Where the parties are; this process when None.
    ledger : path or Ledger, optional
        Where rounds are paid for; without one, payments are only promised. One given as a path is closed with this.
    """

    def __init__(
        self,
        history: History,
        client: Identity | None = None,
        venue: Venue | None = None,
        ledger: str | os.PathLike[str] | Ledger | None = None,
    ) -> None:
        self.client = ClientSide(client)
        self.history = history
        self.ledger = Ledger(ledger) if isinstance(ledger, str | os.PathLike) else ledger
        self._owns_ledger = self.ledger is not ledger
        self.venue: Venue = venue or Embedded()
        self._running: dict[Any, Running] = {}
        self._enrolments: dict[Any, Enrolled] = {}
        self._lock = threading.RLock()
        self.set_ups: dict[Any, Any] = {}  # of cohorts, see session/preparing.py
        self.preparing = threading.Lock()  # guards them; held while one is made
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

    def contributed(self, key: Any, method: ContributionMethod, options: Mapping[str, Any], n_parties: int) -> Running:
        """Contributions of a cohort by one method over all rounds so far; nothing before the first."""
        with self._lock:
            return self._running.get(key) or Running.begin(method, options, n_parties)

    def contribute(self, key: Any, running: Running, credited: Mapping[str, float]) -> None:
        """Keep what a cohort contributed, one more round included, and credit each party openly."""
        with self._lock:
            self._running[key] = running
            for name, value in credited.items():
                self.venue.standing[name] = self.venue.standing.get(name, 0.0) + value

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
        """Append a record to the history, and tell of it whoever watches the link."""
        self.history.append(record)
        about = {name: record.settings[name] for name in ("rule", "contribution", "budget_micro")}
        mechanism = "+".join(str(member["name"]) for member in record.settings["mechanism"])
        self.venue.told(record, about | {"mechanism": mechanism, "round": record.round})

    def close(self) -> None:
        """Stop all parties and the transport; rounds under way end with absences. The history stays readable."""
        with self._lock:
            self._closed = True
            self.venue.close()
            self.history.close()
            self._let_go()

    def _let_go(self) -> None:
        """Close the ledger that this runtime opened, once nothing can be paid any more."""
        if self._closed and not self._under_way and self._owns_ledger and self.ledger is not None:
            self.ledger.close()
