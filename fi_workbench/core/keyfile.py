"""The keys of one party or client in one file: made at first use, read ever after, never overwritten.

The file is PEM, three PKCS8 blocks: Ed25519 signs, X25519 opens what is sealed, EC P-384 is the key by which Flower's
links know a node. It is not encrypted: whoever can read it can speak as its owner, so nobody else may.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from fi_workbench.core.errors import CorruptFile, FederationError
from fi_workbench.core.identity import Identity

MAX_FILE_BYTES = 16 * 1024

_HEAD = "fi-workbench keys: whoever reads this file can answer in its owner's name.\n"
_BLOCK = re.compile(rb"-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]*-----END PRIVATE KEY-----")
_KINDS = (Ed25519PrivateKey, X25519PrivateKey, EllipticCurvePrivateKey)
_POSIX = os.name == "posix"


class NotAKeyFile(CorruptFile):
    """A file that holds no keys of this workbench, or only some of them. It stays where it is, as it is."""


class ExposedKey(FederationError, PermissionError):
    """A file with keys that others can read, or that cannot be read or made at all."""


@dataclass(frozen=True, eq=False)
class Keys:
    """All private keys of one party or client.

    Parameters
    ----------
    identity : Identity
        Signs answers and opens what is sealed.
    node : EllipticCurvePrivateKey
        P-384: Flower's node authentication.
    """

    identity: Identity
    node: EllipticCurvePrivateKey

    @classmethod
    def fresh(cls, name: str) -> Keys:
        """New keys, in memory only."""
        return cls(Identity(name), generate_private_key(SECP384R1()))

    @property
    def node_private(self) -> bytes:
        """The node's key as OpenSSH writes it: what ``flower-supernode --auth-supernode-private-key`` reads."""
        return self.node.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())

    @property
    def node_public(self) -> bytes:
        """Its public half on one line as OpenSSH writes it: what ``flwr supernode register`` reads."""
        return self.node.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


class KeyFile:
    """Where keys are kept; only its owner may read it (mode 0600)."""

    @staticmethod
    def load_or_create(path: str | os.PathLike[str], name: str) -> Keys:
        """The keys in ``path``, made now if there is no such file.

        Of two processes that make the same file at once, one makes it and the other reads it.

        Raises
        ------
        NotAKeyFile, ExposedKey
        """
        path = Path(path)
        if path.exists():
            return KeyFile.load(path, name)
        signing, opening, node = (
            Ed25519PrivateKey.generate(),
            X25519PrivateKey.generate(),
            generate_private_key(SECP384R1()),
        )
        written = _HEAD.encode() + b"".join(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) for key in (signing, opening, node)
        )
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = write_once(path, written)
        except OSError as error:
            raise ExposedKey(f"No keys can be kept in {path}: {error.strerror or error}. Name another file.") from error
        return Keys(Identity.of_keys(name, signing, opening), node) if made else KeyFile.load(path, name)

    @staticmethod
    def load(path: str | os.PathLike[str], name: str) -> Keys:
        """The keys in ``path``; ``name`` is what their owner is called, which no key file knows.

        Raises
        ------
        NotAKeyFile
            Torn, of another kind, or with other keys in it.
        ExposedKey
            Others can read it, or we cannot.
        """
        path = Path(path)
        written = _read_own(path)
        blocks = _BLOCK.findall(written)
        if len(blocks) != len(_KINDS):
            raise NotAKeyFile(
                f"{path} holds {len(blocks)} private keys where {len(_KINDS)} belong: it is torn, or not made by "
                "fi-workbench. It was left as it is; restore it, or name another file (new keys make a new party)."
            )
        keys: list[Any] = [_parse(block, path) for block in blocks]
        if not all(map(isinstance, keys, _KINDS)) or not isinstance(keys[2].curve, SECP384R1):
            found = ", ".join(type(key).__name__.removesuffix("PrivateKey").strip("_") for key in keys)
            raise NotAKeyFile(
                f"{path} holds keys of other kinds ({found}) than Ed25519, X25519 and P-384. It was left as it is; "
                "name another file."
            )
        signing, opening, node = keys
        return Keys(Identity.of_keys(name, signing, opening), node)


def write_once(path: Path, content: bytes) -> bool:
    """Make ``path`` with ``content``, whole or not at all, for its owner alone; False if it was there already.

    Raises
    ------
    OSError
    """
    # written beside and linked: nobody ever reads half a file, and of two makers one loses without harm
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write_new(partial, content)
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            try:
                _write_new(path, content)
            except FileExistsError:
                return False
        return True
    finally:
        partial.unlink(missing_ok=True)


def _write_new(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read_own(path: Path) -> bytes:
    """The content of a file that is its reader's alone."""
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())  # of what is open, not of what the name may mean by now
            if not stat.S_ISREG(state.st_mode):
                raise NotAKeyFile(f"{path} is no file; name another.")
            if _POSIX and state.st_uid != os.geteuid():
                raise ExposedKey(f"{path} belongs to another user, who can read it. `chown` it, or name another file.")
            if _POSIX and state.st_mode & 0o077:
                raise ExposedKey(
                    f"{path} can be read or changed by other users (mode {stat.S_IMODE(state.st_mode):04o}). "
                    f"`chmod 600 {path}`; if others may have read it, make new keys in another file."
                )
            written = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise NotAKeyFile(f"There is no key file {path}. `fi-workbench key {path}` makes one.") from error
    except FederationError:
        raise
    except OSError as error:
        raise ExposedKey(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(written) > MAX_FILE_BYTES:
        raise NotAKeyFile(f"{path} has more than {MAX_FILE_BYTES} bytes; a key file has about 600. Name another file.")
    return written


def _parse(block: bytes, path: Path) -> object:
    try:
        return load_pem_private_key(block, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise NotAKeyFile(f"A key in {path} is damaged. It was left as it is; restore it, or name another.") from error
