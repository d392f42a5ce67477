"""What a browser may ask to be started, checked before any process is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fi_workbench.core.errors import InvalidOption, UnknownName

MAX_PARTIES = 50
"""Demo parties share one process; more of them are simulated without connections, in a notebook."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,38}[A-Za-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?):([0-9]{1,5})")


@dataclass(frozen=True)
class StartRequest:
    """A federation to be run by a process of the server's own.

    Parameters
    ----------
    name : str
        What it is to be called; empty for one that the server chooses.
    address : str
        ``host:port`` where parties connect; port 0 for any free one.
    parties : int, optional
        How many demo parties it runs; None for an empty link that others join.
    dataset, model : str, optional
        Of the demo parties; the workbench's own choice if not given.
    alpha : float, optional
        Skew between them; small is more skewed.
    """

    name: str = ""
    address: str = "127.0.0.1:0"
    parties: int | None = None
    dataset: str | None = None
    model: str | None = None
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.name:
            checked_name(self.name)
        checked_address(self.address)
        if self.parties is None and (self.dataset, self.model, self.alpha) != (None, None, None):
            raise InvalidOption("A data set, model or skew is for demo parties; say how many of them in 'parties'.")
        if self.parties is not None:
            checked_count("parties", self.parties, MAX_PARTIES)
        for what, word in (("dataset", self.dataset), ("model", self.model)):
            if word is not None and not (isinstance(word, str) and _WORD.fullmatch(word)):
                raise InvalidOption(f"{what} is the name of a registered one, not {word!r}.")
        if self.alpha is not None:
            object.__setattr__(self, "alpha", _positive("alpha", self.alpha))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StartRequest:
        """Read what a browser sent; a field that is null counts as not given.

        Raises
        ------
        UnknownName, InvalidOption
        """
        for name in data:
            if name not in cls.__dataclass_fields__:
                raise UnknownName("option of a new federation", name, cls.__dataclass_fields__)
        return cls(**{name: value for name, value in data.items() if value is not None})

    def arguments(self, name: str) -> list[str]:
        """The arguments of ``fi-workbench`` that do it, for a federation called `name`."""
        words = ["host", "--name", name, "--address", self.address]
        options = (("--parties", self.parties), ("--dataset", self.dataset), ("--alpha", self.alpha),
                   ("--model", self.model))  # fmt: skip
        for option, value in options:
            if value is not None:
                words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
        return [*words, "--until-eof", "--announce-by", "panel", "--json"]


def checked_name(name: Any) -> str:
    """`name`, if it can be a federation's or a party's: it is typed, shown, and part of Python code."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidOption(
            f"{str(name)[:60]!r} cannot be a name: use 1 to 40 letters, digits, spaces or . _ -, and "
            "a letter or digit at either end."
        )
    return name


def checked_address(address: Any) -> str:
    """`address`, if it is ``host:port``."""
    found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if found is None or int(found[2]) > 65535:
        raise InvalidOption(
            f"{str(address)[:60]!r} is no address; write HOST:PORT, e.g. 127.0.0.1:0 for any free port."
        )
    return str(address)


def checked_count(what: str, value: Any, most: int) -> int:
    """`value`, if it is a whole number from 1 to `most`."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise InvalidOption(f"{what} is a whole number from 1 to {most}, not {str(value)[:40]!r}.")
    return value


def _positive(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e6:
        raise InvalidOption(f"{what} is a number greater than 0, not {str(value)[:40]!r}.")
    return float(value)
