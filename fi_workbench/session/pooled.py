"""What a round tells of the work that the parties do ahead of the next one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fi_workbench.core.messages import Release
from fi_workbench.privacy.secure_inference.asker import CAPACITY, NAMES, READY


def ahead(release: Release) -> tuple[Mapping[str, int] | None, Mapping[str, int] | None]:
    """For how many questions each party has all at hand, and how many it makes ahead; None where none works ahead.

    Parameters
    ----------
    release : Release
        As the coordinator made it.
    """
    names, ready, capacity = (_listed(release, name) for name in (NAMES, READY, CAPACITY))
    if not names or not len(names) == len(ready) == len(capacity):
        return None, None
    return _counted(names, ready), _counted(names, capacity)


def _listed(release: Release, name: str) -> list[Any]:
    told = release.sealed.get(name)
    return list(told) if isinstance(told, list) else []


def _counted(names: list[Any], counts: list[Any]) -> dict[str, int]:
    return {str(name): max(int(count), 0) for name, count in zip(names, counts, strict=True)}
