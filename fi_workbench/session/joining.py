"""A party that answers a federation elsewhere: its model, keys, limits and memory here, its questions over a link."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fi_workbench.core.keyfile import KeyFile, Keys
from fi_workbench.core.messages import PartyCard
from fi_workbench.core.plain_text import clean
from fi_workbench.parties.behaviours import Dishonest, make_behaviour
from fi_workbench.parties.party import Party
from fi_workbench.privacy.mechanism import phases_of_all
from fi_workbench.protocol.journal import FileJournal, Journal, MemoryJournal
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.policy import Policy
from fi_workbench.protocol.ports import ANNOUNCE, RELEASED
from fi_workbench.session.asked import Asked, watched
from fi_workbench.session.owner_log import OwnerLog
from fi_workbench.session.party_event import PartyEvent, State, quiet
from fi_workbench.session.peering import HERE, peer_network
from fi_workbench.session.trust import check_plain_http, trust
from fi_workbench.transport.client_app import client_app
from fi_workbench.transport.hosted.enrolment import EnrolRefused, enrol
from fi_workbench.transport.node.backoff import Backoff
from fi_workbench.transport.node.party_node import NodeEvent, NodeRefused, PartyNode
from fi_workbench.transport.protobuf_http import Unreachable

_log = logging.getLogger(__name__)
_WORTH_ANOTHER_TRY = frozenset({408, 429, 500, 502, 503, 504})  # the link's state, not the token or the keys


class Joined:
    """One party on one link; a context manager that starts it and stops it.

    Parameters
    ----------
    party : Party
    link : str
        ``HOST:PORT``.
    key : path or Keys
        A file, made at first use; beside it, as ``<key>.journal``, is kept what must outlive a restart. Keys as such
        are for parties that live as long as this process: they remember in memory.
    token : str, optional
        What its host gave out; enrols the key. Not needed once it is enrolled.
    fingerprint : str, optional
        Of the link's certificate, which alone is trusted then; remembered beside the key.
    root_certificates : bytes or path, optional
        PEM: who may vouch for the link; the authorities of this computer where nothing is given or remembered.
    insecure, allow_plain_http : bool
        Plain HTTP; to another computer too, where whoever is on the way reads queries and answers, and can change them.
    policy : Policy, optional
        What its owner agrees to; everything when None.
    behaviour : str or Dishonest, optional
        How it is dishonest, in a teaching lab; a party elsewhere overhears nobody.
    log : path, optional
        Where each question and refusal is written down.
    on_event : callable
        Called from the party's thread, before an answer leaves.
    peers_at : str
        ``HOST[:PORT]`` at which other parties reach this one, under mechanisms that need it; else the link relays.
    heartbeat_seconds, poll_seconds : float
        See :class:`~fi_workbench.transport.node.party_node.PartyNode`.

    Raises
    ------
    InvalidOption, UnknownName
        Contradictory or unsafe ways to connect; no address, no such behaviour; a log that cannot be written.
    NotAKeyFile, ExposedKey, UnusableJournal, NotAJournal
    """

    def __init__(
        self,
        party: Party,
        link: str,
        *,
        key: str | os.PathLike[str] | Keys,
        token: str | None = None,
        fingerprint: str | None = None,
        root_certificates: bytes | str | os.PathLike[str] | None = None,
        insecure: bool = False,
        allow_plain_http: bool = False,
        policy: Policy | None = None,
        behaviour: str | Dishonest | None = None,
        log: str | os.PathLike[str] | None = None,
        on_event: Callable[[PartyEvent], None] = quiet,
        heartbeat_seconds: float = 10.0,
        poll_seconds: float = 0.03,
        peers_at: str = HERE,
    ) -> None:
        check_plain_http(link, insecure, allow_plain_http)
        dishonest = make_behaviour(behaviour) if isinstance(behaviour, str) else behaviour
        self.party, self.link = party, link
        self._token, self._on_event = token, on_event
        self._keys = key if isinstance(key, Keys) else KeyFile.load_or_create(key, party.name)
        self._journal: Journal = MemoryJournal() if isinstance(key, Keys) else FileJournal(journal_path(key))
        with ExitStack() as failed:  # lets go of what was opened before the fault
            failed.callback(self._journal.close)
            self._tls = trust(self._journal, link, fingerprint, root_certificates, insecure)
            network = failed.enter_context(closing(peer_network(peers_at)))
            self._side = PartySide(party, self._keys.identity, policy, self._journal, network=network)
            failed.callback(self._side.stop)
            self._side.behave(dishonest)
            app = client_app(watched(self._side.handle, self._asked), {ANNOUNCE, RELEASED, *phases_of_all()})
            self._node = PartyNode(
                app, link, self._keys.node, tls=self._tls, on_event=self._heard, poll_seconds=poll_seconds,
                heartbeat_seconds=heartbeat_seconds,
            )  # fmt: skip
            self._log = None if log is None else OwnerLog(Path(log), party.name)
            failed.pop_all()
        self._changed = threading.Condition()
        self._state: State = "starting"
        self._error: Exception | None = None
        self._counts, self._stopping = Counter[str](), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"fi-party-{party.name}", daemon=True)

    @property
    def state(self) -> State:
        """How it stands to its link."""
        return self._state

    @property
    def error(self) -> Exception | None:
        """Why it was refused."""
        return self._error

    @property
    def card(self) -> PartyCard:
        """What it announces of itself."""
        return self._side.card

    @property
    def log_path(self) -> Path | None:
        """Where its questions are written down."""
        return None if self._log is None else self._log.path

    @property
    def counts(self) -> Mapping[str, int]:
        """How many messages it answered, and how many were absences, by outcome."""
        with self._changed:
            return dict(self._counts)

    def start(self) -> Self:
        """Begin to answer, in a thread of its own; returns at once."""
        self._thread.start()
        return self

    def wait(self, seconds: float | None = None) -> bool:
        """Block until it is connected, whether it is; it has been refused or stopped otherwise, or time is up.

        Raises
        ------
        FederationError
            It was refused: what is wrong, and what its owner can do.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._state in ("connected", "stopped", "refused"), seconds)
            if self._error is not None:
                raise self._error
            return self._state == "connected"

    def join(self, seconds: float | None = None) -> bool:
        """Block until it has ended; whether it has."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self, seconds: float = 5.0) -> None:
        """Finish the message under way, leave the link, and end; a message that takes longer is given up."""
        self._stopping.set()
        if not self._thread.ident:  # never started: nothing else lets these go
            self._let_go()
            self._is("stopped")
            return
        until = time.monotonic() + seconds
        self._node.stop(seconds)
        if not self.join(max(until - time.monotonic(), 0.0)):
            self._side.stop()
            self.join(1.0)

    def __enter__(self) -> Self:
        return self if self._thread.ident else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Party {self.party.name!r} on {self.link}: {self._state}>"

    def _run(self) -> None:
        end: State = "stopped"
        try:
            if self._token is not None:
                self._enrol(self._token)
            self._node.run()
        except NodeRefused as error:  # and has told it
            self._error, end = error, "refused"
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told, and decides
            self._error, end = error, "refused"
            self._tell(PartyEvent("refused", f"{type(error).__name__}: {error}"))
        finally:
            self._let_go()
            self._is(end)

    def _enrol(self, token: str) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            try:
                enrolled = enrol(self.link, self._tls, token, self._keys.identity, self._keys.node)
            except (Unreachable, EnrolRefused) as error:
                if isinstance(error, EnrolRefused) and error.status not in _WORTH_ANOTHER_TRY:
                    raise
                seconds = backoff.next_seconds()
                self._tell(PartyEvent("retrying", f"Trying again in {seconds:.1f} s: {error}", seconds=seconds))
                self._stopping.wait(seconds)
            else:
                waits = " Its host has to approve this party before it is asked anything." * enrolled.waiting
                text = f"Enrolled at {clean(enrolled.link, 60)}; the token is needed no more.{waits}"
                self._tell(PartyEvent("enrolled", text))
                return

    def _heard(self, event: NodeEvent) -> None:
        if event.kind == "answered":  # told by _asked, with what was asked
            return
        if event.kind == "connected" and isinstance(self._journal, FileJournal) and self._tls.fingerprint:
            self._journal.pin(self.link, self._tls.fingerprint)
        if event.kind == "connected":
            self._is("connected")
        elif event.kind == "lost" or (event.kind == "retrying" and self._state == "connected"):
            self._is("lost")  # a link that closes may let a node in once more and drop it: that is told as a retry
        self._tell(PartyEvent(event.kind, event.text, seconds=event.seconds))

    def _asked(self, asked: Asked) -> None:
        with self._changed:
            self._counts[asked.outcome] += 1
        if self._log is not None:
            self._log.asked(asked)
        self._shown(PartyEvent("asked", str(asked), asked))

    def _tell(self, event: PartyEvent) -> None:
        if self._log is not None:
            self._log.wrote(f"{event.kind} {event.text}")
        self._shown(event)

    def _shown(self, event: PartyEvent) -> None:
        try:
            self._on_event(event)
        except Exception:  # noqa: BLE001 - a terminal that has gone must not take the party with it
            _log.exception("on_event raised")

    def _is(self, state: State) -> None:
        with self._changed:
            self._state = state
            self._changed.notify_all()

    def _let_go(self) -> None:
        self._side.stop()
        self._journal.close()
        if self._log is not None:
            self._log.close()


def join(
    party: Party, link: str, *, key: str | os.PathLike[str] | Keys, wait_seconds: float = 5.0, **how: Any
) -> Joined:
    """Have ``party`` answer the federation at ``link``, from a thread of this process, until it is stopped.

    Parameters
    ----------
    party, link, key, **how
        See :class:`Joined`.
    wait_seconds : float
        So long what is wrong with token, key or certificate is raised here; a link that is away is tried for ever.

    Raises
    ------
    FederationError
        As :class:`Joined`; or the link refused it.
    """
    joined = Joined(party, link, key=key, **how).start()
    try:
        joined.wait(wait_seconds)
    except BaseException:
        joined.stop()
        raise
    return joined


def journal_path(key: str | os.PathLike[str]) -> Path:
    """Beside this key file: where its owner remembers whom it answered."""
    return Path(f"{os.fspath(key)}.journal")
