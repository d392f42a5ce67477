"""How far ahead the parties have worked: as each answer tells it, and of parties in this kernel as it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from fi_workbench.core.records import RoundRecord
from fi_workbench.widgets.panels.parts import hint, shown
from fi_workbench.widgets.running.state import WorkbenchState
from fi_workbench.widgets.wording import escaped, pooled, seconds

_FIRST = "The next question sets up a session with {n_parties} parties first, once for as long as they stay the same."

_SETTING_UP = "Setting up a session with {n_parties} parties ..."

_SET_UP_SECONDS = 0.02
"""Looking up a session that is there takes less."""

_LOOK_SECONDS, _FOLLOW_SECONDS = 0.25, 60.0
"""How often, and how long after an answer, the pool is looked at until it is full."""


class PoolGauge:
    """A meter with its words, under a mechanism whose parties work ahead.

    Parameters
    ----------
    state : WorkbenchState
    """

    def __init__(self, state: WorkbenchState) -> None:
        self.box = hint(css="fi-pool")
        self._state = state
        self._lock = threading.Lock()  # one draws at a time, so that what is newer stays
        self._until = 0.0
        self._follower: threading.Thread | None = None
        state.observe(lambda _change: self._changed(), ["record", "federation", "status"])
        self._changed()

    def _changed(self) -> None:
        if self._show():
            return
        with self._lock:
            self._until = time.monotonic() + _FOLLOW_SECONDS
            if self._follower is None:
                self._follower = threading.Thread(target=self._follow, name="fi-pool-gauge", daemon=True)
                self._follower.start()

    def _follow(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            done = self._show()
            with self._lock:
                if done or time.monotonic() >= self._until:
                    self._follower = None
                    return

    def _show(self) -> bool:
        """Whether it stays so until the next answer."""
        with self._lock:
            record, federation = self._state.record, self._state.federation
            said, settled = "", True
            if federation is not None and federation.settings.mechanism.carrier.prepares:
                names = {party.name for party in federation.parties}
                said = (_SETTING_UP if self._state.status == "running" else _FIRST).format(n_parties=len(names))
                if record is not None and set(record.ready or ()) == names:
                    now = federation.masks_ready
                    here = set(now) == names
                    ready = now if here else dict(record.ready or {})
                    said = gauge(record, ready)
                    settled = not here or min(ready.values()) >= most(record)
            if self.box.value != said:
                self.box.value = said
            shown(self.box, bool(said))
            return settled


def most(record: RoundRecord) -> int:
    """Questions that all parties work ahead at most."""
    return min((record.capacity or {"": 0}).values())


def gauge(record: RoundRecord, ready: Mapping[str, int]) -> str:
    """The pool as markup: a meter with its words, and what the set-up took where it was made anew.

    Parameters
    ----------
    record : RoundRecord
        The last round.
    ready : mapping of str to int
        By party, for how many questions it has masks.
    """
    said = pooled(ready, record.capacity)
    prepared = record.cost.stage_seconds.get("prepare", 0.0)
    parts = []
    if said:
        parts.append(
            f'<meter class="fi-pool-meter" min="0" max="{most(record)}" value="{min(ready.values())}" '
            f'aria-label="{escaped(said)}"></meter> {escaped(said)}.'
        )
    else:
        parts.append("Masks are made with each question: the pool is off.")
    if prepared >= _SET_UP_SECONDS:
        parts.append(f"The session of {len(record.parties)} parties was set up in {seconds(prepared)}.")
    return " ".join(parts)
