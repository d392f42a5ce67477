"""Files of data sets: from the user's folder, from the cache, or downloaded once with a checksum."""

from __future__ import annotations

import hashlib
import os
import urllib.request
import warnings
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from fi_workbench.core.errors import MissingData
from fi_workbench.core.folders import cache_folder, data_folder, set_aside
from fi_workbench.core.progress import OnProgress, Progress
from fi_workbench.parties.locking import exclusive

_CHUNK_BYTES = 1 << 18
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class RemoteFile:
    """A file to be fetched.

    Parameters
    ----------
    url : str
    checksum : str
        ``"<algorithm>:<hexadecimal digest>"``.
    max_bytes : int
        A longer answer is refused.
    """

    url: str
    checksum: str
    max_bytes: int

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in {"http", "https"}:
            raise ValueError(f"{self.url} is not an address on the web.")

    @property
    def name(self) -> str:
        """The name that it is kept under."""
        return PurePosixPath(urlsplit(self.url).path).name


def find_or_download(dataset: str, remote: RemoteFile, on_progress: OnProgress) -> Path:
    """Where a file of a data set lies on this machine, after it was downloaded if need be.

    A file in ``FI_WORKBENCH_DATA/<dataset>/`` is the user's own and taken as it is; one in the cache must match its
    checksum, or it is set aside, with a warning, and fetched again.

    Raises
    ------
    MissingData
        Neither here nor to be downloaded; the message says where to put it.
    """
    folder = data_folder()
    if folder is not None and (own := folder / dataset / remote.name).is_file():
        return own
    target = cache_folder("data", dataset) / remote.name
    if target.is_file() and _checksum(target, remote.checksum) == remote.checksum:
        return target
    task = f"downloading {remote.name}"
    with exclusive(target, task, on_progress):
        if target.is_file():  # another kernel may have brought it meanwhile
            if _checksum(target, remote.checksum) == remote.checksum:
                return target
            aside = set_aside(target)
            warnings.warn(f"{target} was damaged; it is kept as {aside.name} and downloaded again.", stacklevel=2)
        _download(remote, target, task, on_progress)
    return target


def _download(remote: RemoteFile, target: Path, task: str, on_progress: OnProgress) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.part")
    algorithm = remote.checksum.partition(":")[0]
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        opened = urllib.request.urlopen(remote.url, timeout=_TIMEOUT_SECONDS)  # noqa: S310 (RemoteFile checks the scheme)
        with closing(opened) as answer, partial.open("wb") as file:
            announced = answer.headers.get("Content-Length", "")
            total = int(announced) if announced.isdigit() else 0
            done = 0
            on_progress(Progress(task, done, total, "bytes"))
            while chunk := answer.read(_CHUNK_BYTES):
                done += len(chunk)
                if done > remote.max_bytes:
                    raise OSError(f"more than the {remote.max_bytes} bytes expected")
                digest.update(chunk)
                file.write(chunk)
                on_progress(Progress(task, done, total, "bytes"))
        if (found := f"{algorithm}:{digest.hexdigest()}") != remote.checksum:
            raise OSError(f"the checksum of what came ({done} bytes) is {found}, not {remote.checksum}")
        partial.replace(target)
    except (OSError, HTTPException) as error:  # urllib's own errors are OSErrors
        raise MissingData(
            f"{remote.name} could not be downloaded from {remote.url}: {error}. Put the file at {target}, or in the "
            f"folder {target.parent.name} of a folder that FI_WORKBENCH_DATA names, and try again."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _checksum(path: Path, like: str) -> str:
    algorithm = like.partition(":")[0]
    digest = hashlib.new(algorithm, usedforsecurity=False)
    digest.update(path.read_bytes())
    return f"{algorithm}:{digest.hexdigest()}"
