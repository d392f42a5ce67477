"""The routes of the side panel: JSON in and out, each for a signed-in user of this server only."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from fi_workbench.core.errors import Closed, DoesNotFit, DuplicateName, FederationError, UnknownName
from fi_workbench.lab.asked import StartRequest
from fi_workbench.lab.federations import FederationsManager

MAX_BODY_BYTES = 64 * 2**10
DRAINED_BYTES = 2**20
MAX_WAIT_SECONDS = 25.0
TOO_LONG = f"A request has at most {MAX_BODY_BYTES} bytes."
_ID = r"([A-Za-z0-9][A-Za-z0-9_-]{0,79})"

# From the most special to the most general: the first that fits is the answer.
_STATUSES = ((UnknownName, 404), (DuplicateName, 409), (DoesNotFit, 409), (Closed, 409), (ValueError, 400))


def handlers(manager: FederationsManager) -> list[tuple[str, type[APIHandler], dict[str, Any]]]:
    """Every route of the extension, without the server's own prefix."""
    wiring = {"manager": manager}
    root = url_path_join("fi-workbench", "api", "federations")
    return [
        (rf"/{root}", FederationsHandler, wiring),
        (rf"/{root}/{_ID}", FederationHandler, wiring),
        (rf"/{root}/{_ID}/log", LogHandler, wiring),
        (rf"/{root}/{_ID}/(invite|approve|expel|scale)", ActionHandler, wiring),
    ]


def _named_errors(method: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """What the domain refuses becomes a status and its words; never a traceback."""

    @wraps(method)
    async def answered(self: FIHandler, *arguments: str) -> None:
        try:
            await method(self, *arguments)
        except FederationError as error:
            status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 502)
            self.set_status(status)
            self.finish(json.dumps({"message": str(error), "kind": type(error).__name__}))

    return answered


def _raising(refusal: web.HTTPError) -> Callable[..., Awaitable[None]]:
    async def refuse(*_arguments: str) -> None:
        raise refusal

    return refuse


@web.stream_request_body
class FIHandler(APIHandler):
    """What all routes share: the manager, and bodies that are limited before they are read."""

    auth_resource = "federations"

    def initialize(self, manager: FederationsManager) -> None:
        """Take what the routes act on."""
        self.manager = manager
        self._body, self._too_long = bytearray(), False

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler itself has it
        """Refuse strangers, and bodies that are too long; of these at most a little is read, and nothing kept.

        Short of that the answer waits until the body is in: a connection that is closed over unread bytes may lose it.
        """
        announced = int(self.request.headers.get("Content-Length") or 0)
        if announced > DRAINED_BYTES:
            raise web.HTTPError(413, TOO_LONG)
        try:
            await super().prepare()
            if announced > MAX_BODY_BYTES:
                raise web.HTTPError(413, TOO_LONG)
        except web.HTTPError as refusal:
            self._too_long = True
            setattr(self, (self.request.method or "get").lower(), _raising(refusal))

    def data_received(self, chunk: bytes) -> None:
        """Collect the body, as long as it stays short."""
        self._too_long = self._too_long or len(self._body) + len(chunk) > MAX_BODY_BYTES
        if not self._too_long:
            self._body += chunk

    def fields(self) -> Mapping[str, Any]:
        """The request's body: one JSON object."""
        if self._too_long:  # sent in chunks, without saying before how long it is
            raise web.HTTPError(413, TOO_LONG)
        kind = self.request.headers.get("Content-Type", "")
        if kind.split(";")[0].strip().lower() != "application/json":
            raise web.HTTPError(415, "Send JSON (Content-Type: application/json).")
        try:
            fields = json.loads(self._body)
        except (ValueError, RecursionError) as error:
            raise web.HTTPError(400, "The body is no JSON.") from error
        if not isinstance(fields, dict):
            raise web.HTTPError(400, "The body is not a JSON object.")
        return fields

    def only(self, *names: str) -> dict[str, Any]:
        """The body's fields, which may be these and no others."""
        fields = self.fields()
        for name in fields:
            if name not in names:
                raise UnknownName("field of this request", name, names)
        return dict(fields)

    def reply(self, data: Any, status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        self.finish(json.dumps(data))


class FederationsHandler(FIHandler):
    """The list, and new ones."""

    # Watching is not working: a server that culls itself when idle may do so with the panel open.
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """The list, once it is at another version than ``after``."""
        after = self.get_query_argument("after", "")
        self.reply(await self.manager.wait(after[:80], MAX_WAIT_SECONDS))

    @web.authenticated
    @authorized
    @_named_errors
    async def post(self) -> None:
        """Start one."""
        self.reply(await self.manager.start(StartRequest.from_json(self.fields())), 201)


class FederationHandler(FIHandler):
    """One of them."""

    @web.authenticated
    @authorized
    @_named_errors
    async def delete(self, id: str) -> None:  # noqa: A002
        """Stop it, or take one that has failed off the list."""
        await self.manager.stop(id)
        self.set_status(204)
        self.finish()


class LogHandler(FIHandler):
    """What its process wrote."""

    @web.authenticated
    @authorized
    @_named_errors
    async def get(self, id: str) -> None:  # noqa: A002
        """The last lines."""
        self.reply({"lines": self.manager.log(id)})


class ActionHandler(FIHandler):
    """What can be done with one."""

    @web.authenticated
    @authorized
    @_named_errors
    async def post(self, id: str, action: str) -> None:  # noqa: A002
        """Do it."""
        if action == "invite":
            self.reply({"commands": await self.manager.invite(id, **self.only("n", "minutes"))}, 201)
        elif action == "scale":
            await self.manager.scale(id, self.only("parties").get("parties"))
            self.reply({})
        elif action == "approve":
            await self.manager.approve(id, self.only("name").get("name"))
            self.reply({})
        else:
            await self.manager.expel(id, self.only("name").get("name"))
            self.reply({})
