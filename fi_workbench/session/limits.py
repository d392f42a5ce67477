"""The limits that a party's owner sets, from a TOML file and from options beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from fi_workbench.aggregation import rules
from fi_workbench.core.errors import InvalidOption
from fi_workbench.privacy import mechanisms
from fi_workbench.protocol.policy import Policy

MAX_FILE_BYTES = 2**20

LIMITS = tuple(one.name for one in fields(Policy))
"""What can be limited."""

_SETS = {"clients", "mechanisms", "rules", "peers"}


def read_limits(path: Path | None = None, given: Mapping[str, Any] | None = None) -> Policy:
    """The policy in a TOML file, with ``given`` in place of what the file says of the same.

    Parameters
    ----------
    path : path, optional
        Keys as the parameters of :class:`~fi_workbench.protocol.policy.Policy`; sets are lists.
    given : mapping, optional
        Limits by name; None is not given.

    Raises
    ------
    InvalidOption
        No such file, no TOML, an unknown limit, or one that is out of its range.
    UnknownName
        A mechanism or rule that does not exist: a misspelt name would refuse everybody.
    """
    limits = dict(_read(path)) if path is not None else {}
    limits.update({name: value for name, value in (given or {}).items() if value is not None})
    where = f"The file of limits {path}" if path is not None else "The limits"
    if unknown := sorted(set(limits) - set(LIMITS)):
        raise InvalidOption(f"{where} has {', '.join(unknown)}, which is unknown. Known: {', '.join(LIMITS)}.")
    for name in _SETS & limits.keys():
        if not isinstance(limits[name], list | tuple | set | frozenset):
            raise InvalidOption(f"{where}: {name} is a list of names, not {limits[name]!r:.60}.")
    policy = Policy(**limits)
    for name in sorted(policy.mechanisms or ()):
        mechanisms[name]
    for name in sorted(policy.rules or ()):
        rules[name]
    return policy


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            written = file.read(MAX_FILE_BYTES + 1)
        if len(written) > MAX_FILE_BYTES:
            raise InvalidOption(f"The file of limits {path} has more than {MAX_FILE_BYTES} bytes.")
        return tomllib.loads(written.decode())
    except OSError as error:
        raise InvalidOption(f"The file of limits {path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        if isinstance(error, InvalidOption):
            raise
        raise InvalidOption(f"The file of limits {path} is no TOML: {error}") from error
