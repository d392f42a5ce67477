"""The owner's desk: what other kernels, the terminal and the Jupyter server on this computer may ask a hosted link for.

Plain HTTP on loopback, closed to whoever does not bear the link's own token, and to every browser: a request that
carries an Origin, or that was sent to another host name than loopback's, is refused.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from fi_workbench.core.errors import Closed, DoesNotFit, FederationError, InvalidOption, UnknownName
from fi_workbench.transport.flower_internals.link import (
    NotAMessage,
    PullAppMessagesRequest,
    PushAppMessagesRequest,
    PushAppMessagesResponse,
    parse,
    pull_app_answer,
    read_message,
)
from fi_workbench.transport.hosted.desk_client import SESSION_HEADER
from fi_workbench.transport.hosted.desk_port import BehindDesk
from fi_workbench.transport.hosted.hosted_grid import HostedGrid
from fi_workbench.transport.hosted.http import PROTOBUF, Answer, HttpError, Request, json_answer, read_json, route
from fi_workbench.transport.hosted.tokens import LONGEST_MINUTES
from fi_workbench.transport.hosted.watch import Watch
from fi_workbench.transport.hosted.wire_limits import TooMuch
from fi_workbench.transport.tls import is_loopback

_JSON_BYTES = 2**16
_SECONDS = 60.0
LONGEST_WAIT_SECONDS = 25.0
_SESSION_SECONDS = 90.0
"""An attached process that did not pull for this long is gone; what it waited for is given up."""
_MOST_SESSIONS = 64
_TOGETHER_SECONDS = 0.004
_STOP_AFTER_SECONDS = 0.2


class _Session:
    """One attached process: a grid of its own, so that nobody gets another's replies."""

    def __init__(self, make: Callable[[Callable[[], None]], HostedGrid], call: Callable[..., None]) -> None:
        self.mail = asyncio.Event()
        self.grid = make(lambda: call(self.mail.set))
        self.seen = time.monotonic()
        self.closed = False

    def close(self) -> None:
        """Give up what it waits for."""
        self.closed = True
        self.grid.close()
        self.mail.set()


class DeskApp:
    """Answers the owner's requests.

    Parameters
    ----------
    link : BehindDesk
    token : str
    max_request_bytes : int
        Largest batch of messages that an attached process may push.
    """

    def __init__(self, link: BehindDesk, token: str, max_request_bytes: int) -> None:
        self._link, self._token, self._max_request_bytes = link, token.encode(), max_request_bytes
        self._sessions: dict[str, _Session] = {}
        self.watch = Watch()
        self._routes = {
            "/status": ("GET", self._status),
            "/invite": ("POST", self._invite),
            "/approve": ("POST", self._approve),
            "/expel": ("POST", self._expel),
            "/scale": ("POST", self._scale),
            "/stop": ("POST", self._stop),
            "/told": ("POST", self._told),
            "/grid/push": ("POST", self._push),
            "/grid/pull": ("POST", self._pull),
            "/grid/discard": ("POST", self._discard),
        }

    @property
    def paths(self) -> tuple[tuple[str, str], ...]:
        """Everything that can be asked for: method and path."""
        return tuple((method, path) for path, (method, _) in self._routes.items())

    async def handle(self, request: Request) -> Answer:
        """Answer one request."""
        self._check(request)
        handler: Callable[[Request], Awaitable[Answer]] = route(self._routes, request)
        try:
            return await handler(request)
        except (InvalidOption, NotAMessage, TooMuch) as error:
            raise HttpError(400, str(error)) from error
        except UnknownName as error:
            raise HttpError(404, str(error)) from error
        except (DoesNotFit, Closed) as error:
            raise HttpError(409, str(error)) from error
        except FederationError as error:
            raise HttpError(error.status if isinstance(error, HttpError) else 500, _text(error)) from error

    def tick(self) -> None:
        """Give up what attached processes that are gone waited for; once a second or so."""
        now = time.monotonic()
        for name, session in list(self._sessions.items()):
            if now - session.seen > _SESSION_SECONDS:
                del self._sessions[name]
                session.close()

    def close(self) -> None:
        """Answer all that is held, and give up what attached processes wait for."""
        self.watch.close()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def _check(self, request: Request) -> None:
        if "origin" in request.headers:
            raise HttpError(403, "browsers are not answered here", close=True)
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        if not is_loopback(host):
            raise HttpError(403, "this desk is on loopback only", close=True)
        given = request.headers.get("authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            raise HttpError(401, "this desk answers its owner only", close=True)
        if request.connection is not None:
            request.connection.prove(request.connection)

    async def _plain(self, request: Request) -> dict[str, Any]:
        request.expect("application/json")
        return read_json(await request.body(_JSON_BYTES, _SECONDS))

    async def _status(self, request: Request) -> Answer:
        after = request.query.get("after")
        if after is not None:
            await self.watch.wait(_number(after, "after"), _wait(request))
        return json_answer(self._link.described(self.watch.version))

    async def _invite(self, request: Request) -> Answer:
        plain = await self._plain(request)
        n, minutes = _whole(plain.get("n", 1), "n"), plain.get("minutes", 60)
        if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not minutes <= LONGEST_MINUTES:
            raise HttpError(400, f"minutes is a number, at most {LONGEST_MINUTES:.0f}")
        return json_answer({"commands": list(await asyncio.to_thread(self._link.invite, n, float(minutes)))})

    async def _approve(self, request: Request) -> Answer:
        await asyncio.to_thread(self._link.approve, _name(await self._plain(request)))
        return json_answer({})

    async def _expel(self, request: Request) -> Answer:
        await asyncio.to_thread(self._link.expel, _name(await self._plain(request)))
        return json_answer({})

    async def _scale(self, request: Request) -> Answer:
        n = _whole((await self._plain(request)).get("parties"), "parties")
        if n < 1:
            raise HttpError(400, "there is at least one party")
        await asyncio.to_thread(self._link.shown.scale, n)
        return json_answer({}, 202)

    async def _stop(self, request: Request) -> Answer:
        await self._plain(request)
        asyncio.get_running_loop().call_later(_STOP_AFTER_SECONDS, self._link.stop)  # the answer goes out first
        return json_answer({}, 202)

    async def _told(self, request: Request) -> Answer:
        self._link.told(await self._plain(request))
        return json_answer({})

    # the grid, for attached processes

    def _session(self, request: Request) -> _Session:
        name = request.headers.get(SESSION_HEADER, "")
        if not 16 <= len(name) <= 64:
            raise HttpError(400, f"{SESSION_HEADER} names the attached process with 16 to 64 characters")
        session = self._sessions.get(name)
        if session is None:
            if len(self._sessions) >= _MOST_SESSIONS:
                raise HttpError(409, f"{_MOST_SESSIONS} processes are attached to this federation; close one")
            session = self._sessions[name] = _Session(self._link.new_grid, self._link.call)
        session.seen = time.monotonic()
        return session

    async def _push(self, request: Request) -> Answer:
        request.expect(PROTOBUF)
        session = self._session(request)
        body = await request.body(self._max_request_bytes, _SECONDS, known=True)
        ids = session.grid.push_messages(
            [read_message(one) for one in parse(PushAppMessagesRequest, body).messages_list]
        )
        return Answer(PushAppMessagesResponse(message_ids=ids).SerializeToString())

    async def _pull(self, request: Request) -> Answer:
        request.expect(PROTOBUF)
        session, end = self._session(request), time.monotonic() + _wait(request)
        await request.body(_JSON_BYTES, _SECONDS)
        while not session.grid.n_arrived and not session.closed and await _mail(session, end):
            pass
        # replies of one round come close together: one answer with all of them is cheaper than one for each
        soon = min(end, time.monotonic() + _TOGETHER_SECONDS)
        while session.grid.n_arrived and session.grid.n_waiting and await _mail(session, soon):
            pass
        replies = session.grid.pull_all()
        session.seen = time.monotonic()
        return Answer(pull_app_answer(replies))

    async def _discard(self, request: Request) -> Answer:
        request.expect(PROTOBUF)
        session = self._session(request)
        body = await request.body(self._max_request_bytes, _SECONDS)
        session.grid.discard(parse(PullAppMessagesRequest, body).message_ids)
        return Answer(b"")


async def _mail(session: _Session, end: float) -> bool:
    """Wait for the next reply; False when the time is over."""
    session.mail.clear()
    left = end - time.monotonic()
    if left <= 0:
        return False
    try:
        await asyncio.wait_for(session.mail.wait(), left)
    except TimeoutError:
        return False
    return True


def _wait(request: Request) -> float:
    try:
        seconds = float(request.query.get("wait", "0"))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise HttpError(400, "wait is a number of seconds")
    return min(seconds, LONGEST_WAIT_SECONDS)


def _number(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise HttpError(400, f"{name} is a whole number")
    return int(text)


def _whole(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise HttpError(400, f"{name} is a whole number")
    return value


def _name(plain: dict[str, Any]) -> str:
    name = plain.get("name")
    if not isinstance(name, str):
        raise HttpError(400, "name is the name of a party")
    return name


def _text(error: FederationError) -> str:
    return error.text if isinstance(error, HttpError) else str(error)
