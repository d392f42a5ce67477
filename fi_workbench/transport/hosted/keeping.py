"""What a hosted link keeps over restarts: who was enrolled with which keys, and which tokens are still good."""

from __future__ import annotations

import errno
import json
import os
import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock, Timeout

from fi_workbench.core.errors import Closed, CorruptFile, FederationError, InvalidOption
from fi_workbench.core.folders import state_folder
from fi_workbench.core.identity import PublicIdentity
from fi_workbench.core.messages import PartyCard
from fi_workbench.protocol.announcement import card_bytes, read_card

_VERSION = 1
_LARGEST_BYTES = 2**28


@dataclass(frozen=True)
class Enrolled:
    """A party whose keys opened the door once.

    Parameters
    ----------
    identity : PublicIdentity
    node_key : bytes
        Its P-384 public key in Flower's form.
    approved : bool
    expelled : bool
    card : PartyCard or None
        What it announced last.
    """

    identity: PublicIdentity
    node_key: bytes
    approved: bool = True
    expelled: bool = False
    card: PartyCard | None = None

    @property
    def key(self) -> str:
        """Its Ed25519 key in hexadecimal."""
        return self.identity.verify_key.hex()

    @property
    def name(self) -> str:
        """What it calls itself."""
        return self.identity.name


@dataclass(frozen=True)
class Kept:
    """All that is kept of one link."""

    enrolled: tuple[Enrolled, ...] = ()
    tokens: dict[str, tuple[float, bool]] | None = None


class Keeping:
    """A folder of one link, held by one process at a time.

    Parameters
    ----------
    folder : Path
        Made, and open to its owner only.

    Raises
    ------
    InvalidOption
        If others can look into it.
    Closed
        If another process hosts the link of this folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = private_folder(folder)
        self._file = folder / "link.json"
        self._lock = FileLock(folder / "in-use.lock", mode=0o600)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise Closed(
                f"Another process hosts the link in {folder}. Attach to it, stop it, or host under another name."
            ) from error

    def read(self) -> Kept:
        """What was kept.

        Raises
        ------
        CorruptFile
            If it cannot be read; it stays where it is.
        """
        try:
            if self._file.stat().st_size > _LARGEST_BYTES:
                raise ValueError("too large")
            plain = json.loads(self._file.read_bytes())
            if plain["version"] != _VERSION:
                raise ValueError(f"version {plain['version']!r}")
            tokens = {str(key): (float(end), bool(used)) for key, (end, used) in plain["tokens"].items()}
            return Kept(tuple(_enrolled(one) for one in plain["enrolled"]), tokens)
        except FileNotFoundError:
            return Kept()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, FederationError) as error:
            raise CorruptFile(
                f"{self._file} cannot be read ({error}). Move it away to begin anew: all parties then need new tokens."
            ) from error

    def write(self, kept: Kept) -> None:
        """Keep this; on return it is on the disk, whole.

        Raises
        ------
        OSError
            If it cannot be written; what was kept before still is.
        """
        plain = {
            "version": _VERSION,
            "tokens": kept.tokens or {},
            "enrolled": [_plain(one) for one in kept.enrolled],
        }
        written = json.dumps(plain).encode()
        if len(written) > _LARGEST_BYTES:  # it could not be read again
            raise OSError(errno.EFBIG, "what its parties announced takes too much room", str(self._file))
        write_private(self._file, written)

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.release()


def link_folder(name: str) -> Path:
    """Where a link of this name keeps what it keeps."""
    written = quote(name, safe=" ")
    if written in (".", ".."):
        written = written.replace(".", "%2E")
    return state_folder("links") / written


def private_folder(folder: Path) -> Path:
    """The folder, made if need be, after it was checked that only its owner can look into it.

    Raises
    ------
    InvalidOption
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if os.name == "posix" and (found.st_mode & 0o077 or found.st_uid != os.getuid()):
        raise InvalidOption(
            f"{folder} holds keys, and others can look into it. Make it yours alone: chmod 700 {folder}"
        )
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read; the old one is replaced whole, or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _plain(one: Enrolled) -> dict[str, Any]:
    who = one.identity
    return {
        "identity": [who.name, who.verify_key.hex(), who.seal_key.hex(), who.binding.hex()],
        "node_key": b64encode(one.node_key).decode(),
        "approved": one.approved,
        "expelled": one.expelled,
        "card": None if one.card is None else b64encode(card_bytes(one.card)).decode(),
    }


def _enrolled(plain: dict[str, Any]) -> Enrolled:
    name, *keys = plain["identity"]
    identity = PublicIdentity(name, *map(bytes.fromhex, keys)).check()
    card = None if plain["card"] is None else read_card(b64decode(plain["card"], validate=True))
    return Enrolled(identity, b64decode(plain["node_key"], validate=True), plain["approved"] is True,
                    plain["expelled"] is True, card)  # fmt: skip
