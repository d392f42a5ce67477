"""Links on this computer that their owner's other processes may attach to: one private file each, while they are up.

Kernels, the terminal and the Jupyter server find one another here. The files hold the token of a link's desk, so they,
and their folder, are their owner's alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from jupyter_core.paths import jupyter_runtime_dir

from fi_workbench.core.errors import FederationError, InvalidOption
from fi_workbench.transport.hosted.keeping import private_folder, write_private

_VERSION = 1
_LARGEST_BYTES = 2**16

By = Literal["kernel", "panel", "cli"]


@dataclass(frozen=True)
class Announced:
    """Where a link's desk is, and what opens it.

    Parameters
    ----------
    id : str
        Of this announcement; a link that is started again has another.
    name : str
    pid : int
        Of the process that hosts it.
    started : float
        Seconds since the epoch.
    desk : str
        ``http://127.0.0.1:PORT``.
    token : str
    address : str
        ``HOST:PORT`` where parties connect.
    by : {"kernel", "panel", "cli"}
        Who hosts it.
    """

    id: str
    name: str
    pid: int
    started: float
    desk: str
    token: str
    address: str
    by: By

    def __repr__(self) -> str:
        return f"Announced({self.name!r}, {self.address}, pid {self.pid}, by {self.by})"  # the token stays out of logs


def runtime_folder() -> Path:
    """Where this owner's links announce themselves: within Jupyter's runtime folder."""
    return Path(jupyter_runtime_dir()) / "fi-workbench"


def announce(one: Announced, folder: Path | None = None) -> Path:
    """Announce a link; the file, to be removed when the link ends.

    Raises
    ------
    InvalidOption
        If others can look into the folder.
    """
    path = private_folder(folder or runtime_folder()) / f"{one.id}.json"
    write_private(path, json.dumps({"version": _VERSION, **asdict(one)}).encode())
    return path


def listed(folder: Path | None = None) -> tuple[Announced, ...]:
    """Links whose process runs, the oldest first, without asking any; what dead ones left behind is removed."""
    folder = folder or runtime_folder()
    found = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        one = _read(path)
        if one is not None and _is_alive(one.pid):
            found.append(one)
        elif one is not None:
            path.unlink(missing_ok=True)
    return tuple(sorted(found, key=lambda one: one.started))


def announced(folder: Path | None = None) -> tuple[Announced, ...]:
    """Links that answer now, the oldest first; what dead ones left behind is removed."""
    # Flower comes with it, which a Jupyter server that only lists has no use for
    from fi_workbench.transport.hosted.desk_client import Desk, DeskGone  # noqa: PLC0415

    folder = folder or runtime_folder()
    found = []
    for one in listed(folder):
        try:
            with Desk(one.desk, one.token) as desk:
                if desk.status(seconds=2.0)["name"] == one.name:
                    found.append(one)
        except DeskGone as gone:
            if gone.nobody_there:  # its number was given to another process
                (folder / f"{one.id}.json").unlink(missing_ok=True)
        except (FederationError, KeyError):
            continue
    return tuple(found)


def _read(path: Path) -> Announced | None:
    try:
        found = path.stat()
        shared = os.name == "posix" and (found.st_mode & 0o077 or found.st_uid != os.getuid())
        if shared or found.st_size > _LARGEST_BYTES:
            return None
        plain = json.loads(path.read_bytes())
        if plain.pop("version") != _VERSION:
            return None
        one = Announced(**plain)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    texts = (one.id, one.name, one.desk, one.token, one.address)
    if not all(isinstance(text, str) for text in texts) or one.by not in ("kernel", "panel", "cli"):
        return None
    if not isinstance(one.pid, int) or one.pid <= 0 or not isinstance(one.started, int | float):
        return None
    where = urlsplit(one.desk)
    return one if where.scheme == "http" and where.hostname == "127.0.0.1" else None


def _is_alive(pid: int) -> bool:
    if os.name != "posix":  # there, signal 0 would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def named(name: str, folder: Path | None = None) -> Announced | None:
    """The newest link of this name that answers."""
    return next((one for one in reversed(announced(folder)) if one.name == name), None)


def check_name(name: str) -> str:
    """The name, if a link may have it.

    Raises
    ------
    InvalidOption
    """
    if not 0 < len(name) <= 100 or not name.isprintable() or name != name.strip():
        raise InvalidOption(f"{name!r:.120} cannot be the name of a federation: 1 to 100 printable characters.")
    return name
