"""One run on a SuperLink, held by its coordinator: started, claimed, kept alive by a heartbeat, and ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http import HTTPStatus

from fi_workbench.core.errors import DoesNotFit, FederationError
from fi_workbench.transport.flower_internals import Run
from fi_workbench.transport.flower_internals.runtime_api import RuntimeApi
from fi_workbench.transport.protobuf_http import Connection, Rejected, Unreachable

_log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15.0
"""A SuperLink takes a coordinator for gone 60 s after the last."""

_GOODBYE_SECONDS = 2.0


class RunLost(Unreachable):
    """The SuperLink does not know our run any more: it was restarted, or this process slept for too long."""


class HeldRun:
    """A run that was started and claimed.

    Parameters
    ----------
    api : RuntimeApi
    run : Run
    token : str
        Opens the Runtime API for this run.
    connect : callable
        Makes the heartbeat's own connection.
    ended : callable
        Called, once, when the SuperLink says that the run has ended.
    """

    def __init__(
        self, api: RuntimeApi, run: Run, token: str, connect: Callable[[], Connection], ended: Callable[[], None]
    ) -> None:
        self._api, self.run, self.token = api, run, token
        self._ended = ended
        self.is_lost = False
        self._stopped = threading.Event()
        self._connection = connect()
        threading.Thread(target=self._beat, name="fi-superlink-heartbeat", daemon=True).start()

    def leave(self, connection: Connection | None = None) -> None:
        """Beat no more; with a connection, end the run too."""
        self._stopped.set()
        self._connection.abort()
        if connection is not None:
            try:
                self._api.finish(connection.post, self.token, _GOODBYE_SECONDS)
            except FederationError as error:
                _log.info("the run ends by itself: %s", error)

    def _beat(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            try:
                alive = self._api.heartbeat(self._connection.post, self.token)
            except Rejected as error:
                alive = error.status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND)
            except FederationError:
                continue  # whoever asks for messages finds out, and does something about it
            if not alive:
                self.is_lost = True
                self._ended()
                break
        self._connection.close()


def hold_run(
    api: RuntimeApi, connection: Connection, fab: bytes, connect: Callable[[], Connection], ended: Callable[[], None]
) -> HeldRun:
    """Start a run, and claim it.

    Raises
    ------
    DoesNotFit
        The SuperLink is set up in a way that leaves no place for a coordinator of its own.
    Unreachable, Rejected, WrongCertificate
    """
    post = connection.post
    try:
        started = api.start(post, fab)
    except Rejected as error:
        raise _not_started(error) from error
    if not started:
        raise DoesNotFit("The SuperLink did not start a run; its log says why.")
    try:
        token = api.acquire(post, fab)
    except Rejected as error:
        if error.status == HTTPStatus.UNAUTHORIZED:
            raise DoesNotFit(
                "The SuperLink asks for a SuperExec secret: it was started with --superexec-auth-secret-file, which "
                "keeps coordinators like this one out. Ask its operator."
            ) from error
        raise
    if not token:
        raise DoesNotFit(
            "The SuperLink ran the coordinator's part by itself. Its operator starts it with: "
            "flower-superlink --isolation process"
        )
    return HeldRun(api, api.begin(post, token), token, connect, ended)


def _not_started(error: Rejected) -> FederationError:
    if error.status == HTTPStatus.UNAUTHORIZED:
        return DoesNotFit(f"The SuperLink starts runs for accounts only ({error.text}), which is not supported.")
    if error.status == HTTPStatus.NOT_FOUND and "federation" not in error.text.lower():
        return DoesNotFit(f"What answers at this address is no SuperLink of Flower 1.41 ({error.text or 'not found'}).")
    return error
