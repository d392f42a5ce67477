"""Asking a federation's desk: loopback HTTP with its owner's token, which never goes any further."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from fi_workbench.core.errors import Closed, DoesNotFit, InvalidAnswer, InvalidOption
from fi_workbench.lab.records import DeskStatus

MAX_ANSWER_BYTES = 16 * 2**20
"""A thousand parties with their cards fit in a tenth of it."""


class DeskClient:
    """One federation's desk.

    Parameters
    ----------
    name : str
        The federation's, for what errors say.
    address : str
        ``http://127.0.0.1:PORT``.
    token : str
    seconds : float
        How long an answer may take beyond what was asked to be waited.
    """

    def __init__(self, name: str, address: str, token: str, seconds: float = 5.0) -> None:
        self._name, self._seconds = name, seconds
        # trust_env: a proxy that the environment names must never be given the token.
        self._http = httpx.AsyncClient(
            base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=seconds, trust_env=False,
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=2),
        )  # fmt: skip

    async def status(self, after: int | None = None, wait_seconds: float = 0.0) -> DeskStatus:
        """How the federation is: at once, or when it is no longer at version `after`, or after `wait_seconds`.

        Raises
        ------
        Closed
            When nobody answers at the desk.
        InvalidAnswer
            When what answers is no desk.
        """
        query: dict[str, str] = {} if after is None else {"after": str(after), "wait": f"{wait_seconds:.1f}"}
        return DeskStatus.from_json(await self._ask("GET", "/status", query, None, self._seconds + wait_seconds))

    async def do(self, action: str, **arguments: Any) -> Mapping[str, Any]:
        """``POST /<action>`` with these arguments; what came back.

        Raises
        ------
        Closed, InvalidAnswer
        DoesNotFit
            When the federation cannot do it as it is.
        InvalidOption
            When it does not take the arguments.
        """
        try:
            done = await self._ask("POST", f"/{action}", {}, arguments, self._seconds)
        except Closed as error:
            if action != "stop" or not isinstance(error.__cause__, httpx.RemoteProtocolError | httpx.ReadError):
                raise
            return {}  # it was gone before its answer was out
        return done if isinstance(done, Mapping) else {}

    async def close(self) -> None:
        """Leave the desk."""
        await self._http.aclose()

    async def _ask(self, method: str, path: str, query: Mapping[str, Any], body: Any, seconds: float) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = self._http.build_request(
            method, path, params=query, content=content, headers=headers, timeout=httpx.Timeout(seconds, connect=2.0)
        )
        try:
            answer = await self._http.send(request, stream=True)
            try:
                data = await self._read(answer)
            finally:
                await answer.aclose()
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            raise Closed(
                f"Federation {self._name!r} does not answer ({type(error).__name__}); is it still running?"
            ) from error
        if answer.is_success:
            return data
        said = str(data.get("error", ""))[:500] if isinstance(data, Mapping) else ""
        said = said or f"Federation {self._name!r} refused ({answer.status_code} at {path})."
        if answer.status_code in (400, 404, 413, 422):
            raise InvalidOption(said)
        if answer.status_code == 409:
            raise DoesNotFit(said)
        raise Closed(said)

    async def _read(self, answer: httpx.Response) -> Any:
        content = bytearray()
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise InvalidAnswer(f"The desk of {self._name!r} answers with more than {MAX_ANSWER_BYTES} bytes.")
        try:
            return json.loads(content) if content else {}
        except (ValueError, RecursionError) as error:
            raise InvalidAnswer(f"What answers in the name of {self._name!r} is no desk of a federation.") from error
