"""What the parties of this kernel write into their own logs, for the log of the workbench.

Others hear only the class of an error, for its text may quote private data. Who runs this kernel owns these parties and
may read on.
"""

from __future__ import annotations

import logging
import weakref

from fi_workbench.widgets.running.state import WorkbenchState

_SOURCE = "fi_workbench.protocol.party_side"


class PartyLog(logging.Handler):
    """Tells a workbench what its own parties log, each thing once in a row.

    Parameters
    ----------
    state : WorkbenchState
    """

    def __init__(self, state: WorkbenchState) -> None:
        super().__init__(logging.WARNING)
        self._state = weakref.ref(state)
        self._last: dict[str, str] = {}

    def listen(self) -> None:
        """Begin."""
        logging.getLogger(_SOURCE).addHandler(self)

    def close(self) -> None:
        """End."""
        logging.getLogger(_SOURCE).removeHandler(self)
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of one thing that a party logged."""
        state = self._state()
        if state is None:
            self.close()
            return
        party = str(record.args[0]) if isinstance(record.args, tuple) and record.args else ""
        if not state.simulation or all(member.party.name != party for member in state.members):
            return
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text = f"{type(error).__name__}: {error}"
        text = text.removeprefix(f"{party}: ")
        if self._last.get(party) != text:
            self._last[party] = text
            state.tell(f"From the log of {party}: {text}", "warning")
