"""Where the workbench keeps things on this computer.

``FI_WORKBENCH_HOME`` moves everything under one folder; otherwise the platform's cache and state folders are used.
``FI_WORKBENCH_DATA`` names a folder with one sub-folder per data set, looked at before anything is downloaded.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder(*parts: str) -> Path:
    """A folder for what can be made again (demo parties, downloads); it exists on return."""
    return _folder("cache", platformdirs.user_cache_path("fi_workbench"), parts)


def state_folder(*parts: str) -> Path:
    """A folder for what cannot be made again (histories); it exists on return."""
    return _folder("state", platformdirs.user_state_path("fi_workbench"), parts)


def data_folder() -> Path | None:
    """The folder of data sets that the user named, or None."""
    named = os.environ.get("FI_WORKBENCH_DATA")
    return Path(named) if named else None


def set_aside(path: Path) -> Path:
    """Rename a file that cannot be read to ``<name>.corrupt-<n>`` and return its new path; nothing is deleted."""
    number = 1
    while (target := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    path.rename(target)
    return target


def _folder(kind: str, default: Path, parts: tuple[str, ...]) -> Path:
    home = os.environ.get("FI_WORKBENCH_HOME")
    folder = (Path(home) / kind if home else default).joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
