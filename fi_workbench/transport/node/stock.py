"""A party behind a stock SuperNode: the same ClientApp, made where Flower starts an interpreter for each message."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fi_workbench.transport.client_app import Handle
from fi_workbench.transport.wire import decode, encode


def stock_app(handle_for: Callable[[Context], Handle], phases: Iterable[str]) -> ClientApp:
    """A ClientApp that loads its party at the first message, and once per interpreter.

    Parameters
    ----------
    handle_for : callable
        ``(context) -> handle``: loads the party that ``context.node_config`` names (``party="file.py:party"``,
        ``key="file"``, as the SuperNode was started with) and gives its side's ``handle``.
    phases : iterable of str
        Message types are ``query.<phase>``.
    """
    app = ClientApp()
    loaded: list[Handle] = []
    lock = threading.Lock()

    def handle(context: Context) -> Handle:
        with lock:
            if not loaded:
                loaded.append(handle_for(context))
            return loaded[0]

    for phase in sorted(set(phases)):

        @app.query(phase)
        def answer(message: Message, context: Context, phase: str = phase) -> Message:
            return Message(encode(handle(context)(phase, decode(message.content))), reply_to=message)

    return app
