"""A little HTTP for small ASGI apps: heads as dicts, bodies read within limits, errors as one line of JSON."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fi_workbench.core.errors import FederationError
from fi_workbench.transport.hosted.door import HttpConnection
from fi_workbench.transport.hosted.quiet_log import FewRecords

_log = logging.getLogger(__name__)
_log.addFilter(FewRecords())

PROTOBUF, JSON = "application/protobuf", "application/json"

_DRAINED = 4
"""Of a body that is too large, up to this many times the limit is read and dropped, so that the answer is heard."""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class HttpError(FederationError):
    """A request that is answered with an error.

    Parameters
    ----------
    status : int
    text : str
    close : bool
        Close the connection: the body was not read.
    """

    def __init__(self, status: int, text: str, *, close: bool = False) -> None:
        self.status, self.text, self.close = status, text, close
        super().__init__(f"HTTP {status}: {text}")


class Disconnected(Exception):
    """Nobody is there to be answered."""


@dataclass(frozen=True)
class Answer:
    """What a request is answered with."""

    content: bytes
    media_type: str = PROTOBUF
    status: int = 200


def json_answer(plain: object, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(json.dumps(plain, allow_nan=False).encode(), JSON, status)


class Request:
    """One request, its body not read as yet."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope, self._receive = scope, receive
        self.method: str = scope["method"]
        self.path: str = scope["raw_path"].decode("latin-1")  # as sent: no %2e becomes a dot
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.connection: HttpConnection | None = scope.get("state", {}).get("connection")
        self.peer = str((scope.get("client") or ("",))[0])

    @property
    def query(self) -> dict[str, str]:
        """The parameters in its URL."""
        return dict(parse_qsl(self._scope["query_string"].decode("latin-1")[:2000], max_num_fields=20))

    def expect(self, media_type: str) -> None:
        """Nothing, if the body says to be of this type and not packed.

        Raises
        ------
        HttpError
        """
        if self.headers.get("content-encoding", "identity") != "identity":
            raise HttpError(415, "bodies are sent as they are, without content-encoding", close=True)
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
            raise HttpError(415, f"a body here is {media_type}", close=True)

    async def body(self, max_bytes: int, seconds: float, *, known: bool = False) -> bytes:
        """The body, read up to ``max_bytes`` and ``seconds``; for who is ``known``, the rest is dropped.

        Raises
        ------
        HttpError
            413 or 408.
        Disconnected
        """
        try:
            announced = int(self.headers.get("content-length", "0"))
        except ValueError as error:
            raise HttpError(400, "a content-length that is no number", close=True) from error
        drain = _DRAINED * max_bytes if known else 0
        too_large = HttpError(413, f"a body of more than {max_bytes} bytes is not taken", close=not known)
        if announced > max(max_bytes, drain):
            raise HttpError(413, too_large.text, close=True)
        try:
            async with asyncio.timeout(seconds):
                parts, n_bytes = [], 0
                while True:
                    event = await self._receive()
                    if event["type"] == "http.disconnect":
                        raise Disconnected
                    n_bytes += len(event.get("body", b""))
                    if n_bytes > max(max_bytes, drain):
                        raise HttpError(413, too_large.text, close=True)
                    if n_bytes <= max_bytes:
                        parts.append(event.get("body", b""))
                    else:
                        parts.clear()
                    if not event.get("more_body"):
                        break
        except TimeoutError as error:
            raise HttpError(408, f"the body did not come within {seconds:.0f} s", close=True) from error
        if n_bytes > max_bytes:
            raise too_large
        return b"".join(parts)


Handler = Callable[[Request], Awaitable[Answer]]


def asgi(handle: Handler) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI app of one handler; whatever it raises becomes an answer without a word on the inside."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer, close = await handle(Request(scope, receive)), False
        except HttpError as error:
            answer, close = json_answer({"error": error.text}, error.status), error.close
        except Disconnected:
            return
        except Exception:  # noqa: BLE001 - the service goes on; its host has the whole of it in the log
            _log.warning("a request failed", exc_info=True)
            answer, close = json_answer({"error": "the link failed to answer; its host has more"}, 500), True
        headers = [
            (b"content-type", answer.media_type.encode()),
            (b"content-length", str(len(answer.content)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
        ]
        if close:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.content})

    return app


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises
    ------
    HttpError
    """
    try:
        plain = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise HttpError(400, "the body is no JSON") from error
    if not isinstance(plain, dict):
        raise HttpError(400, "the body is no JSON object")
    return plain


def route(table: Mapping[str, tuple[str, Handler]], request: Request) -> Handler:
    """The handler of a path; nothing is decoded, joined or normalised on the way.

    Raises
    ------
    HttpError
        404 or 405.
    """
    found = table.get(request.path)
    if found is None:
        raise HttpError(404, "there is nothing here", close=True)
    method, handler = found
    if request.method != method:
        raise HttpError(405, f"this is for {method} only", close=True)
    return handler
