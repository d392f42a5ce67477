"""A party from its owner's own files: ``my_party.py:party``, or a saved model with a schema beside it.

Loading runs what is in the file: a Python file as such, a joblib file because it is a pickle. They are the owner's own,
on the owner's machine; nothing that came over a network is ever loaded here.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from fi_workbench.core.errors import FederationError, InvalidParty
from fi_workbench.parties.model_files import LOADERS
from fi_workbench.parties.party import Party
from fi_workbench.parties.schema import read_schema

USUAL_ATTRIBUTE = "party"


class PartyFileFailed(InvalidParty):
    """An owner's file that raised while it was read.

    Parameters
    ----------
    message : str
    traceback : str
        Where in the file it happened: for its owner, who wrote it.
    """

    def __init__(self, message: str, traceback: str) -> None:
        self.traceback = traceback
        super().__init__(message)


def party_of(spec: str, schema: Path | None = None, name: str | None = None) -> Party:
    """The party that an owner's file holds.

    Parameters
    ----------
    spec : str
        ``file.py:attribute``, a party or a function without arguments that returns one (``:party`` may be left out);
        or a model: ``.pt2`` (torch.export), ``.pt`` (TorchScript, or a state dict of an ``architecture``),
        ``.safetensors`` (of an ``architecture``), ``.joblib`` (scikit-learn).
    schema : path, optional
        TOML that declares a model; the model's name with ``.toml`` where not given.
    name : str, optional
        What the party is called, whatever the file says.

    Raises
    ------
    InvalidParty
        No such file, nothing of that name in it, or no party.
    PartyFileFailed
        The file raised.
    """
    file, _, attribute = spec.rpartition(":")
    if not file or not attribute.isidentifier():
        file, attribute = spec, ""
    path = Path(file).expanduser()
    known = ", ".join((".py", *LOADERS))
    if path.suffix != ".py" and path.suffix not in LOADERS:
        raise InvalidParty(f"{spec!r} is no file that holds a party; known are {known}. E.g. my_party.py:party.")
    if not path.is_file():
        raise InvalidParty(f"There is no file {path}. --model takes e.g. my_party.py:party, or a model: {known}.")
    if path.suffix == ".py":
        if schema is not None:
            raise InvalidParty(f"A schema declares a saved model; {path.name} declares its party itself.")
        party = _from_python(path, attribute or USUAL_ATTRIBUTE)
        return party if name is None else replace(party, name=name)
    if attribute:
        raise InvalidParty(f"{path.name} is a saved model and has no attributes; leave out ':{attribute}'.")
    return LOADERS[path.suffix](path, read_schema(schema or path.with_suffix(".toml"), name))


def _from_python(path: Path, attribute: str) -> Party:
    module = _imported(path)
    if not hasattr(module, attribute):
        raise InvalidParty(f"{path} has no {attribute!r}. {_candidates(module)}")
    found = getattr(module, attribute)
    if callable(found) and not isinstance(found, Party):
        try:
            inspect.signature(found).bind()
        except (TypeError, ValueError) as error:
            raise InvalidParty(
                f"{attribute!r} in {path} cannot be called without arguments ({error}); name a party, or a function "
                f"without arguments that returns one. {_candidates(module)}"
            ) from error
        with _told(path, f"{attribute}() in "), _beside(path):
            found = found()
    if not isinstance(found, Party):
        raise InvalidParty(
            f"{attribute!r} in {path} is {type(found).__name__}, not a party; make one with "
            f"fi.Party.from_callable(...) or another of its ways. {_candidates(module)}"
        )
    return found


def _imported(path: Path) -> ModuleType:
    # not under its own name: a my_party called json.py must not stand in for the library
    name = f"fi_party_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidParty(f"{path} cannot be imported; is it Python?")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look themselves up there
    try:
        with _told(path), _beside(path):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Modules in the file's own folder can be imported meanwhile."""
    folder = str(path.parent.resolve())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


@contextmanager
def _told(path: Path, where: str = "") -> Iterator[None]:
    try:
        yield
    except FederationError:
        raise  # a party that declares itself wrongly: the message says in what
    except (Exception, SystemExit) as error:
        lines = traceback.format_exception(error)
        raise PartyFileFailed(f"{where}{path} raised {type(error).__name__}: {error}", "".join(lines)) from error


def _candidates(module: ModuleType) -> str:
    """What in a file could have been meant."""
    parties = [name for name, value in vars(module).items() if isinstance(value, Party)]
    functions = [
        f"{name}()"
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]
    return f"It has: {', '.join(parties + functions) or 'neither a party nor a function'}."
