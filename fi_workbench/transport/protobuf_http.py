"""One kept-alive HTTP connection that posts protobuf: what a party's node and a SuperLink's coordinator speak through.

The standard library's client: it never follows a redirect, costs a fifth of httpx per request, and its socket can be
shut from another thread, which is how a request that the other end holds for 20 s is ended.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from fi_workbench.core.errors import FederationError, InvalidOption
from fi_workbench.core.plain_text import clean
from fi_workbench.transport.tls import Tls

MAX_ANSWER_BYTES = 2**28
"""A longer answer is not read."""

_MEDIA_TYPE = "application/protobuf"
_CONNECT_SECONDS = 10.0
_LONGEST_TEXT = 300


class Unreachable(FederationError, ConnectionError):
    """Nobody answered, or what answered was no link; worth another try later."""


class Rejected(FederationError):
    """The other end answered with an HTTP error.

    Parameters
    ----------
    status : int
        HTTP status.
    text : str
        What it said, shortened.
    date : float or None
        Its clock, in seconds since the epoch.
    """

    def __init__(self, status: int, text: str, date: float | None = None) -> None:
        self.status, self.text, self.date = status, text, date
        super().__init__(f"HTTP {status}: {text}" if text else f"HTTP {status}")


@dataclass(frozen=True)
class Address:
    """Where a link listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """``HOST:PORT``, ``[IPv6]:PORT``.

        Raises
        ------
        InvalidOption
        """
        try:
            parts = urlsplit(f"//{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or not port or parts.path or parts.query or parts.username is not None:
            raise InvalidOption(f"{text!r:.80} is no address: write HOST:PORT, without http:// and without a path.")
        return cls(host, port)


class _Opened(http.client.HTTPConnection):
    """An HTTP connection over the socket that ``open_socket`` gives."""

    def __init__(self, address: Address, tls: Tls, context: ssl.SSLContext | None) -> None:
        super().__init__(address.host, address.port)
        self._tls, self._context = tls, context

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), _CONNECT_SECONDS)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = plain if self._context is None else self._tls.wrap(plain, self._context, self.host)
        except BaseException:
            plain.close()
            raise


class Connection:
    """Posts protobuf to one address; one request at a time.

    Parameters
    ----------
    address : Address
    tls : Tls
    context : ssl.SSLContext or None
        What ``tls.context()`` made; shared by the connections of one node.
    """

    def __init__(self, address: Address, tls: Tls, context: ssl.SSLContext | None) -> None:
        self._http = _Opened(address, tls, context)
        self._where = f"{address.host}:{address.port}"
        self._aborted = threading.Event()

    def post(self, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> bytes:
        """The body of the answer to one request; ``seconds`` of silence end it.

        Raises
        ------
        Unreachable
            No answer, or one that is too long or no HTTP.
        Rejected
            An HTTP status other than 200.
        WrongCertificate
        """
        headers = {"content-type": _MEDIA_TYPE, "accept": _MEDIA_TYPE, **headers}
        try:
            # closed at once: one that the server closes after it has no other owner
            with contextlib.closing(self._send(path, body, headers, seconds)) as answer:
                return self._read(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            if isinstance(error, Unreachable):
                raise
            raise Unreachable(f"{self._where}: {_why(error)}") from error
        except BaseException:
            self.close()
            raise

    def abort(self) -> None:
        """From another thread: end the request under way, and take no more."""
        self._aborted.set()
        sock = self._http.sock
        if sock is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's: it drops what its reader still uses

    def close(self) -> None:
        """Close; the next request opens anew."""
        self._http.close()

    def _send(self, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> http.client.HTTPResponse:
        reused = self._http.sock is not None
        try:
            return self._try(path, body, headers, seconds)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # a server may shut a kept-alive connection while it is idle, and all requests here may be sent twice
            if not reused or self._aborted.is_set():
                raise
            self.close()
            return self._try(path, body, headers, seconds)

    def _try(self, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> http.client.HTTPResponse:
        if self._aborted.is_set():
            raise ConnectionAbortedError("stopped")
        if self._http.sock is None:
            self._http.connect()
        self._http.sock.settimeout(seconds)
        self._http.request("POST", path, body, dict(headers))
        return self._http.getresponse()

    def _read(self, answer: http.client.HTTPResponse) -> bytes:
        if (answer.length or 0) > MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of {answer.length} bytes is not read; at most {MAX_ANSWER_BYTES}")
        ok = answer.status == http.client.OK
        content = answer.read(MAX_ANSWER_BYTES + 1 if ok else 2**16)
        if len(content) > MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of more than {MAX_ANSWER_BYTES} bytes is not read")
        if ok:
            return content
        if not answer.isclosed():
            self.close()
        if 300 <= answer.status < 400:
            to = clean(answer.headers.get("location", "elsewhere"), 100)
            raise Rejected(answer.status, f"it redirects to {to}, which is not followed; give that address itself")
        raise Rejected(answer.status, _said(content), _date(answer.headers.get("date")))


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLError):
        return "no TLS is spoken there, and plain HTTP is not fallen back to" if _is_plain(error) else clean(error)
    said = error.strerror if isinstance(error, OSError) and error.strerror else error
    return clean(said) or type(error).__name__


def _is_plain(error: ssl.SSLError) -> bool:
    return error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNEXPECTED_MESSAGE")


def _said(content: bytes) -> str:
    """What an error answer says: Flower's, ours and FastAPI's JSON, or the text itself."""
    text = content.decode("utf-8", "replace")
    try:
        said = json.loads(text)
        text = next(str(said[name]) for name in ("error", "public_message", "message", "detail") if name in said)
    except (ValueError, TypeError, StopIteration, RecursionError):
        pass
    return "".join(letter for letter in text if letter.isprintable())[:_LONGEST_TEXT]


def _date(written: str | None) -> float | None:
    try:
        return parsedate_to_datetime(written).timestamp() if written else None
    except (ValueError, TypeError):
        return None
