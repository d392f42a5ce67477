"""What an owner declares of a model that comes as a file: a small TOML file beside it."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fi_workbench.core.arrays import Outputs
from fi_workbench.core.errors import InvalidParty

MAX_FILE_BYTES = 2**22
"""Tens of thousands of class names."""

EXAMPLE = """\
name = "clinic"
classes = ["normal", "pneumonia"]
input_shape = [1, 28, 28]      # of one query, without the batch axis
outputs = "logits"             # or "probabilities"
"""


@dataclass(frozen=True)
class Schema:
    """What a model's file does not say of itself.

    Parameters
    ----------
    name : str
        What the party is called.
    classes : tuple of str
    input_shape : tuple of int
        Of one query, without the batch axis.
    outputs : {"logits", "probabilities"}, optional
        What the model returns; where it is left out, what its kind usually does.
    class_counts, data_size, temperature
        Private facts: see :class:`~fi_workbench.parties.facts.PrivateFacts`.
    model : str, optional
        The kind of model in a word.
    architecture : str, optional
        For parameters without a model: which of the workbench's architectures they belong to.
    """

    name: str
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    outputs: Outputs | None = None
    class_counts: tuple[int, ...] | None = None
    data_size: int | None = None
    temperature: float | None = None
    model: str | None = None
    architecture: str | None = None

    def declared(self, usual: Outputs) -> dict[str, Any]:
        """The declaration as the parameters of ``Party.from_...``."""
        plain = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "architecture"}
        return plain | {"outputs": self.outputs or usual}


def read_schema(path: Path, name: str | None = None) -> Schema:
    """The schema in a TOML file; ``name`` stands in for the one in it.

    Raises
    ------
    InvalidParty
        No such file, no TOML, an unknown key, or one that is missing or of the wrong type.
    """
    try:
        with path.open("rb") as file:
            written = file.read(MAX_FILE_BYTES + 1)
        if len(written) > MAX_FILE_BYTES:
            raise InvalidParty(f"The schema {path} has more than {MAX_FILE_BYTES} bytes.")
        given = tomllib.loads(written.decode())
    except FileNotFoundError as error:
        raise InvalidParty(f"There is no schema {path}. Write one, or name it with --schema:\n\n{EXAMPLE}") from error
    except (OSError, ValueError) as error:  # TOML's and UTF-8's errors are ValueErrors
        raise InvalidParty(f"The schema {path} cannot be read: {error}") from error
    known = [one.name for one in fields(Schema)]
    if unknown := sorted(set(given) - set(known)):
        raise InvalidParty(f"The schema {path} has {', '.join(unknown)}, which is unknown. Known: {', '.join(known)}.")
    if name is not None:
        given["name"] = name
    for key in ("name", "classes", "input_shape"):
        if key not in given:
            raise InvalidParty(f"The schema {path} lacks {key}. A whole one:\n\n{EXAMPLE}")
    for key, value in given.items():
        is_of_kind, kind = _KINDS[key]
        if not is_of_kind(value):
            raise InvalidParty(f"In the schema {path}, {key} is {kind}, not {value!r:.80}.")
    frozen: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return Schema(**frozen)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _list_of(holds: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and all(map(holds, value))


_KINDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": (_text, "a text"),
    "classes": (_list_of(_text), "a list of texts"),
    "input_shape": (_list_of(_whole), "a list of whole numbers"),
    "outputs": (lambda value: value in ("logits", "probabilities"), '"logits" or "probabilities"'),
    "class_counts": (_list_of(_whole), "a list of whole numbers"),
    "data_size": (_whole, "a whole number"),
    "temperature": (lambda value: isinstance(value, int | float) and not isinstance(value, bool), "a number"),
    "model": (_text, "a text"),
    "architecture": (_text, "a text"),
}
