"""Follows the link behind a federation in a thread of its own: who joins, leaves, waits, is expelled; is it up.

The thread brings what it sees into the state and touches nothing else; it ends with the workbench, with the federation,
or when the workbench works on another one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import traitlets

from fi_workbench.core.errors import FederationError
from fi_workbench.session.federation import Federation
from fi_workbench.transport.roster import RemoteLink
from fi_workbench.widgets.running.driver import Driver
from fi_workbench.widgets.running.link_view import LinkView, cohort_on, happened, left_out_now
from fi_workbench.widgets.running.members import Member
from fi_workbench.widgets.running.state import Notice, WorkbenchState

LOOK_SECONDS = 0.5
"""The link itself (not who is on it) is looked at this often."""


class Linking:
    """Who is on the link of one workbench.

    Parameters
    ----------
    state : WorkbenchState
    driver : Driver
    """

    def __init__(self, state: WorkbenchState, driver: Driver) -> None:
        self._state, self._driver = state, driver
        self._current: tuple[RemoteLink, threading.Event] | None = None
        self._threads: list[threading.Thread] = []
        state.observe(self._taken, "federation")

    # what the host of the link may do; each in a thread, as a link may be another process that is slow to answer

    def invite(self, n_parties: int, minutes: float) -> None:
        """Make so many join commands, each for one party."""

        def act(federation: Federation) -> None:
            self._state.commands = federation.invite(n_parties, minutes)
            self._state.tell(f"{n_parties} invited, for {minutes:g} minutes.")

        self._do(act, "Nobody was invited.")

    def approve(self, name: str) -> None:
        """Let a party that waits take part."""
        self._do(lambda federation: federation.approve(name), f"{name} was not approved.")

    def expel(self, name: str) -> None:
        """Have a party take part no longer, or refuse one that waits."""
        self._do(lambda federation: federation.expel(name), f"{name} was not expelled.")

    def close(self) -> None:
        """Follow no longer; returns at once."""
        with self._driver.lock:
            if self._current is not None:
                self._current[1].set()
            self._current = None

    def wait(self, seconds: float) -> bool:
        """Wait for threads of what was closed; whether all have ended."""
        end = time.monotonic() + seconds
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(end - time.monotonic(), 0.0))
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return not self._threads

    # following

    def _taken(self, change: traitlets.Bunch) -> None:
        """The workbench works on this federation now."""
        federation: Federation | None = change["new"]
        link = None if federation is None else federation.link
        with self._driver.lock:
            closed = federation is not None and federation.runtime.closed
            if closed or link is (None if self._current is None else self._current[0]):
                return
            self.close()
            self._state.link, self._state.commands = None, ()
            if link is None:
                return
            ended = threading.Event()
            self._current = link, ended
            self._state.link = LinkView(link.status, link.roster.entries)
            self._start(lambda: self._follow(link, ended), "fi-workbench-link")

    def _follow(self, link: RemoteLink, ended: threading.Event) -> None:
        version, failure = -1, ""
        while not ended.is_set():
            version = link.roster.wait(version, LOOK_SECONDS)
            try:
                self._look(link, ended)
            except Exception as error:  # noqa: BLE001 (whatever a picture or a link raises, the next look may succeed)
                if (said := f"The link cannot be followed: {type(error).__name__}: {error}") != failure:
                    failure = said
                    self._state.tell(said, "error")

    def _look(self, link: RemoteLink, ended: threading.Event) -> None:
        """Bring what is other than before into the state."""
        state = self._state
        with self._driver.lock:
            federation, before = state.federation, state.link
            if ended.is_set() or federation is None or federation.link is not link:
                return
            now = LinkView(link.status, link.roster.entries)
            if federation.runtime.closed:
                now = LinkView(replace(now.status, state="closed"), now.entries)
            if now != before:
                for text, bad in happened(before, now):
                    state.tell(text, "warning" if bad else "info")
                state.link = now
            if now.status.state == "closed":
                self._driver.stop()
                self.close()
            else:
                self._bring_in(federation)

    def _bring_in(self, federation: Federation) -> None:
        members: tuple[Member, ...] = self._state.members
        try:
            changed, found = cohort_on(federation, members)
        except FederationError as error:
            text = f"{error} The next round is asked of {', '.join(party.name for party in federation.parties)}."
            if self._state.notice is None or self._state.notice.text != text:
                self._state.notice = Notice("warning", text)
                self._state.tell(text, "warning")
            return
        if len(found) == len(members) and all(a is b for a, b in zip(found, members, strict=True)):
            return
        for member in left_out_now(members, found):
            self._state.tell(f"{member.party.name} is left out: {member.reason}", "warning")
        self._driver.bring_in(changed, found)

    # acting

    def _do(self, act: Callable[[Federation], None], kept: str) -> None:
        federation: Federation | None = self._state.federation
        if federation is None:
            return

        def run() -> None:
            try:
                act(federation)
            except FederationError as error:
                text = f"{kept} {error}"
                self._state.tell(text, "error")
                self._state.notice = Notice("error", text)

        self._start(run, "fi-workbench-link-act")

    def _start(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads = [one for one in self._threads if one.is_alive()] + [thread]
        thread.start()
