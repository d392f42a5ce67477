"""The other end of the owner's desk: one HTTP client, errors by name."""

from __future__ import annotations

import json
from types import TracebackType
from typing import Any, Self

import httpx

from fi_workbench.core.errors import DoesNotFit, FederationError
from fi_workbench.transport.flower_internals.link import (
    Message,
    NotAMessage,
    PullAppMessagesResponse,
    parse,
    push_app_request,
    read_message,
)

_HOLD_SLACK_SECONDS = 10.0
_SECONDS = 10.0
_LARGEST_PULL_BYTES = 2**30
SESSION_HEADER = "x-fi-session"


class DeskGone(FederationError, ConnectionError):
    """A desk that does not answer.

    Parameters
    ----------
    text : str
    nobody_there : bool
        Whether nothing listens there at all.
    """

    def __init__(self, text: str, nobody_there: bool = False) -> None:
        self.nobody_there = nobody_there
        super().__init__(text)


class Desk:
    """Speaks to the desk of one link; safe to use from several threads.

    Parameters
    ----------
    url, token : str
        As announced.
    session : str
        Names this process to the desk's grid.
    """

    def __init__(self, url: str, token: str, session: str = "") -> None:
        # no proxies and no .netrc from the environment: this is loopback
        self._http = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {token}", SESSION_HEADER: session, "accept-encoding": "identity"},
            trust_env=False,
            follow_redirects=False,
            timeout=_SECONDS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def status(self, after: int | None = None, wait: float = 0.0, seconds: float = _SECONDS) -> dict[str, Any]:
        """What the link says of itself; with ``after``, once that is no longer its version, or ``wait`` is over."""
        query = {} if after is None else {"after": str(after), "wait": f"{wait:.1f}"}
        return _json_of(self._send("GET", "/status", params=query, timeout=seconds + wait))

    def post(self, path: str, **plain: Any) -> dict[str, Any]:
        """Ask for something to be done.

        Raises
        ------
        DoesNotFit
            If the link will not do it; the message says why.
        DeskGone
        """
        return _json_of(self._send("POST", path, json=plain))

    def push(self, messages: list[Message]) -> None:
        """Have messages sent to parties."""
        self._protobuf("/grid/push", push_app_request(messages), _SECONDS)

    def pull(self, wait: float) -> list[Message]:
        """Replies to what this session pushed, as they come."""
        content = self._protobuf(f"/grid/pull?wait={wait:.1f}", b"", wait + _HOLD_SLACK_SECONDS)
        try:
            return [read_message(proto) for proto in parse(PullAppMessagesResponse, content).messages_list]
        except NotAMessage as error:
            raise DeskGone("What answers there is no desk of the workbench.") from error

    def discard(self, ids: bytes) -> None:
        """Give messages up; ``ids`` is a PullAppMessagesRequest."""
        self._protobuf("/grid/discard", ids, _SECONDS)

    def _protobuf(self, path: str, content: bytes, seconds: float) -> bytes:
        headers = {"content-type": "application/protobuf"}
        return self._send("POST", path, content=content, headers=headers, timeout=seconds)

    def _send(self, method: str, path: str, **options: Any) -> bytes:
        try:
            with self._http.stream(method, path, **options) as answer:
                content = _read(answer)
        except httpx.ConnectError as error:
            raise DeskGone("Nobody hosts this federation any more.", nobody_there=True) from error
        except (httpx.HTTPError, RuntimeError) as error:  # a closed client raises RuntimeError
            raise DeskGone("The federation's host does not answer.") from error
        if answer.status_code in (401, 403):
            raise DeskGone("Another process answers in the place of this federation's host.")
        if answer.status_code >= 400:
            raise DoesNotFit(str(_json_of(content).get("error", f"HTTP {answer.status_code}")))
        return content


def _read(answer: httpx.Response) -> bytes:
    """The body as it was sent, never unpacked: another process may answer in the place of a desk that is gone."""
    content = bytearray()
    for part in answer.iter_raw():
        content += part
        if len(content) > _LARGEST_PULL_BYTES:
            raise DeskGone(f"What answers there sends more than {_LARGEST_PULL_BYTES} bytes; no desk does.")
    return bytes(content)


def _json_of(content: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(content)
    except (ValueError, RecursionError):
        plain = None
    return plain if isinstance(plain, dict) else {}
