"""One member of a session: plays all its roles at once, makes lots ahead, and ends the session at the first fault.

After a fault nobody knows which messages arrived, so that going on could use a mask twice: the session is dead, says so
at once to whoever asks, and the next question needs a new one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.peers import PeerFault, Peers
from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.crew import Crew, Unfinished
from fi_workbench.mpc.keys import SessionKey
from fi_workbench.mpc.leaving import close_at_exit
from fi_workbench.mpc.lots import LotBook
from fi_workbench.mpc.output import OutputStep
from fi_workbench.mpc.playing import LotMaterial, PlayedRole, check_place, roles_of
from fi_workbench.mpc.pool import Made, Pool
from fi_workbench.mpc.roles import Seen
from fi_workbench.mpc.sealing import Seals
from fi_workbench.mpc.session import BadSession, Session, SessionEnded
from fi_workbench.mpc.streams import Lot
from fi_workbench.mpc.voting import VoteStep
from fi_workbench.mpc.watched import WatchedPeers

_T = TypeVar("_T")

DEFAULT_POOL_BYTES = 1 << 29

_AHEAD_SECONDS = 30 * 86_400.0
"""What is made ahead waits for its peers for as long as the session lives: they may be busy, or have no room yet."""


class SecureParty:
    """One member's end of one session; may be used from several threads. A context manager, which closes it.

    Parameters
    ----------
    session : Session
    me : str
    key : SessionKey
        Whose public part the session has for ``me``; it serves this party alone.
    peers : Peers
        Channels to all of the session's ``peers_of(me)``; closed with this party, or at the first fault.
    compiled : Compiled or None
        This party's model; None for a helper.
    pool_bytes : int
        No more than this is made ahead, but for one lot of each size of batch.
    observer : callable, optional
        Told of each message of the roles, and what they hold: for tests and teaching.

    Raises
    ------
    BadSession
        The session does not have this party, with this key and this model's plan.
    KeyUsed
        The key serves already.
    """

    def __init__(
        self,
        session: Session,
        me: str,
        key: SessionKey,
        peers: Peers,
        compiled: Compiled | None = None,
        pool_bytes: int = DEFAULT_POOL_BYTES,
        observer: Callable[[Seen], None] | None = None,
    ) -> None:
        check_place(session, me, key, compiled)
        key.claim()
        self.session, self.me, self._key, self._compiled, self._observer = session, me, key, compiled, observer
        self._peers = WatchedPeers(peers)
        self._seals = Seals(session, me, key, session.client_public)
        self._output = OutputStep(session, me, key) if me in session.senders else None
        self._votes = VoteStep(session, me, key, self._peers) if session.opens == "label" and self._output else None
        self._roles: dict[int, PlayedRole] = {}
        # nothing is made ahead that the rounds would have to carry
        self._ahead = (0, 0) if peers.relayed else (session.pool_size, session.first_size)
        self._book = LotBook(*self._ahead)
        self._crew = Crew(f"secure {me}")
        self._pool = Pool(self._make, pool_bytes, self._fail, f"secure pool {me}")
        self._lock = threading.Lock()  # guards the book, the output and vote steps, and the following
        self._state: Literal["new", "setting up", "set up"] = "new"
        self._ended: BaseException | None = None
        close_at_exit(self)

    @property
    def ready(self) -> int:
        """Lots in the pool, of the size asked last."""
        return self._pool.ready

    @property
    def capacity(self) -> int:
        """Lots that the pool makes ahead of one size."""
        return self._ahead[0]

    @property
    def producing(self) -> bool:
        """Whether a lot is being made."""
        return self._pool.producing

    @property
    def ended(self) -> str:
        """Why the session ended; empty while it lives."""
        with self._lock:
            return self._reason()

    def set_up(self, end: float) -> None:
        """Exchange with the other members what is needed once; then, lots for the session's first size are made.

        Parameters
        ----------
        end : float
            Monotonic seconds.

        Raises
        ------
        PeerFault
            A peer was late, is gone, or sent what cannot be used; the session has ended.
        SessionEnded
            It had ended before.
        BadSession
            It was set up before.
        """
        with self._lock:
            self._check_alive()
            if self._state != "new":
                raise BadSession(f"{self.me} has been set up for this session; it is done once.")
            self._state = "setting up"
        with self._ending():
            self._roles = roles_of(self.session, self.me, self._key, self._peers, self._compiled, end)
            for role in self._roles.values():
                role.observer = self._observer
            self._run([partial(role.set_up, end) for role in self._roles.values()], end, "set_up")
        with self._lock:
            self._state = "set up"
        if self._ahead[1]:
            self._pool.owe(self._ahead[1], range(self._ahead[0]), 0)

    def answer(self, lot: Lot, sealed: bytes, end: float) -> bytes:
        """Play all roles for one lot, and seal this party's vector for the client.

        Parameters
        ----------
        lot : Lot
        sealed : bytes
            What the client sealed for this party.
        end : float
            Monotonic seconds.

        Returns
        -------
        bytes
            For the client.

        Raises
        ------
        SealBroken, LotUsed
            The question is refused; nothing was sent, and the session lives on.
        PeerFault
            A peer was late, is gone, or sent what cannot be used; the session has ended.
        SessionEnded
            It had ended before.
        BadSession
            It was not set up.
        """
        with self._lock:
            self._check_alive()
            if self._state != "set up":
                raise BadSession(f"{self.me} is not set up for this session: set_up first.")
        asked = self._seals.open_question(lot, sealed)
        with self._pool.answering():
            with self._lock:
                # burned before anything is sent for it, and so whatever happens from here on
                owed = self._book.burn(lot)
                self._book.retire(asked.retired)
                self._pool.owe(lot.n_queries, owed, lot.index)
                self._pool.retire(asked.retired, self._book.floor(asked.retired))
            with self._ending():
                vector = self._vector(lot, asked.masked, end)
        return self._seals.answer(lot, vector)

    def close(self) -> None:
        """End this party's session: channels are closed, whoever waits gets a fault, threads stop."""
        self._end(PeerFault(self.me, f"{self.me} closed its end of the session."))
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------ roles

    def _make(self, lot: Lot, pause: Callable[[], None]) -> LotMaterial:
        made: dict[int, Made] = {}
        for number, role in self._roles.items():
            pause()
            made[number] = role.offline(lot, time.monotonic() + _AHEAD_SECONDS)
        if self._output is None:
            return LotMaterial(made, None)
        with self._lock:  # streams are for one thread at a time
            return LotMaterial(made, self._output.hiding(lot))

    def _vector(self, lot: Lot, masked: NDArray[np.uint64] | None, end: float) -> NDArray[np.uint64] | None:
        try:
            material = self._pool.take(lot, end)
        except TimeoutError as error:
            raise self._peers.late(f"/offline/{lot.n_queries}.") from error
        owned = self.session.number_owned(self.me)
        calls: list[Callable[[], NDArray[np.uint64] | None]] = [
            partial(role.online, lot, material.by_number[number], end, masked if number == owned else None)
            for number, role in self._roles.items()
            if number != self.session.label_number
        ]
        about = f"online/{lot.n_queries}.{lot.index}"
        shares = [share for share in self._run(calls, end, about) if share is not None]
        if self.session.opens == "label":
            shares = self._label(lot, shares, material, end, about)
        return None if material.hiding is None else sum(shares, material.hiding)

    def _label(
        self, lot: Lot, votes: list[NDArray[np.uint64]], material: LotMaterial, end: float, about: str
    ) -> list[NDArray[np.uint64]]:
        """This party's share of the label, if it has one, from its shares of all votes."""
        step = self._votes
        counts = None if step is None else step.collected(lot, step.blinded(lot, votes), end)
        number = self.session.label_number
        if number not in self._roles:
            return []
        call = partial(self._roles[number].online, lot, material.by_number[number], end, counts)
        return [share for share in self._run([call], end, about) if share is not None]

    def _run(self, calls: list[Callable[[], _T]], end: float, about: str) -> list[_T]:
        def guarded(call: Callable[[], _T]) -> _T:
            try:
                return call()
            except BaseException as error:
                self._fail(error)  # at once, so that the roles that wait beside this one stop too
                raise

        try:
            return self._crew.run([partial(guarded, call) for call in calls], end)
        except Unfinished as error:
            raise self._peers.late(f"/{about}/") from error

    # ------------------------------------------------------------------------------------------------ ending

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """What fails within ends the session; its first reason is raised, whatever followed from it."""
        try:
            yield
        except BaseException as error:
            reason = self._fail(error)
            if reason is error:
                raise
            raise reason from error

    def _fail(self, error: BaseException) -> BaseException:
        """End the session for this reason, or for the one that it has ended for; that one is returned."""
        if isinstance(error, PeerFault):
            return self._end(error)
        if self._ended is None:
            self._end(PeerFault(self.me, f"{self.me} could not go on: {type(error).__name__}."), error)
        return self._ended or error

    def _end(self, fault: PeerFault, cause: BaseException | None = None) -> BaseException:
        with self._lock:
            if self._ended is not None:
                return self._ended
            self._ended = cause or fault
        self._peers.abort(fault)
        self._peers.close()  # peers that wait for this party need not wait until their deadlines
        self._crew.close()
        self._pool.stop()
        return self._ended

    def _reason(self) -> str:
        return "" if self._ended is None else f"{type(self._ended).__name__}: {self._ended}"

    def _check_alive(self) -> None:
        if self._ended is not None:
            raise SessionEnded(
                f"This session has ended ({self._reason()}). Its masks cannot be used any more; start a new session."
            )
