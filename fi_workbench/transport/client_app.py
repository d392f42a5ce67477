"""One party as a Flower ``ClientApp``: every transport, and a stock SuperNode, calls the same app."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fi_workbench.core.messages import Body
from fi_workbench.transport.wire import decode, encode

Handle = Callable[[str, Body], Body]


class PartyApp(ClientApp):
    """A ClientApp that answers ``query.<phase>`` for each phase that it was taught.

    Parameters
    ----------
    handle : callable
        ``(phase, body) -> body``: the party side; the model lives in its closure.
    """

    def __init__(self, handle: Handle) -> None:
        super().__init__()
        self._handle = handle
        self._phases: set[str] = set()

    def learn(self, phases: Iterable[str]) -> None:
        """Answer these phases too: a mechanism may be registered after the party was taken in."""
        for phase in sorted(set(phases) - self._phases):
            self._phases.add(phase)

            @self.query(phase)
            def answer(message: Message, _context: Context, phase: str = phase) -> Message:
                return Message(encode(self._handle(phase, decode(message.content))), reply_to=message)


def client_app(handle: Handle, phases: Iterable[str]) -> PartyApp:
    """A ClientApp that answers ``query.<phase>`` for each phase of the mechanisms that the party can take part in."""
    app = PartyApp(handle)
    app.learn(phases)
    return app
