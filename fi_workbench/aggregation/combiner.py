"""A fitted combiner: what was learned from labelled proxy queries, as frozen data, on disk and by name."""

from __future__ import annotations

import json
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from fi_workbench.core.digest import sha256
from fi_workbench.core.errors import CorruptFile, DoesNotFit, FederationError, UnknownName
from fi_workbench.core.folders import set_aside, state_folder

Kind = Literal["stacked", "deep_set"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FORMAT = "fi_workbench combiner 1"
"""In the metadata of each file; raised when its layout changes."""

NAME_LENGTH = 16


@dataclass(frozen=True)
class Training:
    """How a combiner came about; no part of its digest.

    Parameters
    ----------
    n_queries : int
        Labelled proxy queries given, those held out included.
    accuracy : float or None
        Share of right labels on the queries held out, of the combiner as it is; None where none were.
    seconds : float
        That fitting took.
    """

    n_queries: int
    accuracy: float | None
    seconds: float


@dataclass(frozen=True, eq=False)
class Combiner:
    """A fitted combiner of the parties' answers.

    Parameters
    ----------
    kind : {"stacked", "deep_set"}
    parties : tuple of str
        In the order in which it was fitted.
    n_classes : int
    weights : mapping of str to float32 array
        Shapes by kind, see :func:`weight_shapes`; made read-only.
    options : mapping
        With what it was fitted, plain data; ``floor`` is the least probability that ``stacked`` tells apart.
    training : Training

    Raises
    ------
    UnknownName
        Another kind.
    DoesNotFit
        Parties without a name or twice, or weights of other names, shapes or dtype, NaN or infinite.
    """

    kind: Kind
    parties: tuple[str, ...]
    n_classes: int
    weights: Mapping[str, NDArray[np.float32]]
    options: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=lambda: Training(0, None, 0.0))

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownName("kind of combiner", self.kind, KINDS)
        parties = tuple(map(str, self.parties))
        if not parties or "" in parties or len(set(parties)) < len(parties):
            raise DoesNotFit(f"A combiner needs parties of different names, not {list(parties)}.")
        shapes = weight_shapes(self.kind, len(parties), self.n_classes, self.weights)
        if set(shapes) != set(self.weights):
            raise DoesNotFit(f"A {self.kind} combiner holds {sorted(shapes)}; {sorted(self.weights)} were given.")
        own = {}
        for name, shape in shapes.items():
            array = np.array(self.weights[name], order="C")
            if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise DoesNotFit(
                    f"Weights {name!r} have shape {array.shape} and dtype {array.dtype}; "
                    f"finite float32 of shape {shape} are needed."
                )
            array.flags.writeable = False
            own[name] = array
        object.__setattr__(self, "parties", parties)
        object.__setattr__(self, "weights", own)
        object.__setattr__(self, "options", json.loads(json.dumps(dict(self.options))))  # as after a file

    @cached_property
    def digest(self) -> str:
        """SHA-256 of kind, parties, options and weights: equal exactly when the combiner answers equally."""
        return sha256([self.kind, self.parties, self.options, self.weights])

    @property
    def name(self) -> str:
        """The first 16 hexadecimal digits of the digest; rules find the combiner by it."""
        return self.digest[:NAME_LENGTH]

    def save(self, path: str | Path) -> Path:
        """Write it as safetensors, beside and then renamed, so that a file under its name is whole; return its path."""
        target = Path(path)
        plain = {
            "kind": self.kind, "parties": self.parties, "n_classes": self.n_classes, "options": self.options,
            "training": asdict(self.training),
        }  # fmt: skip
        metadata = {"format": FORMAT, "digest": self.digest, "combiner": json.dumps(plain, sort_keys=True)}
        partial = target.with_name(f"{target.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            with partial.open("wb") as file:
                file.write(save(dict(self.weights), metadata))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Combiner:
        """Read what :meth:`save` wrote, the same bit for bit.

        Raises
        ------
        CorruptFile
            The file is cut, holds something else, or its content is not that of its digest. It is left where it is.
        FileNotFoundError
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"There is no combiner at {path}.")
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            if metadata.get("format") != FORMAT:
                raise CorruptFile(f"{path} is no combiner of this version ({FORMAT!r}).")
            plain = json.loads(metadata["combiner"])
            training = Training(**plain.pop("training"))
            loaded = cls(**plain, weights=weights, training=training)
        except CorruptFile:
            raise
        except (SafetensorError, FederationError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorruptFile(f"{path} cannot be read as a combiner ({error}); fit it again.") from error
        if loaded.digest != metadata.get("digest"):
            raise CorruptFile(f"{path} does not hold the combiner of its digest; fit it again.")
        return loaded


def weight_shapes(
    kind: Kind, n_parties: int, n_classes: int, weights: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[int, ...]]:
    """The arrays that a combiner of this kind holds, and their shapes; ``deep_set`` takes its width from ``bias_1``."""
    if kind == "stacked":
        return {"weight": (n_parties, n_classes, n_classes), "bias": (n_classes,)}
    width = int(np.size(weights["bias_1"])) if "bias_1" in weights else 0
    sizes = (n_classes, width, width, width, n_classes)
    layers = range(1, len(sizes))
    return {
        **{f"weight_{layer}": (sizes[layer - 1], sizes[layer]) for layer in layers},
        **{f"bias_{layer}": (sizes[layer],) for layer in layers},
    }


class CombinerStore:
    """Combiners by name: in this process, and in the state folder, where the next kernel finds them."""

    def __init__(self) -> None:
        self._members: dict[str, Combiner] = {}

    def add(self, combiner: Combiner) -> str:
        """Keep a combiner and return its name; where the folder cannot be written to, a warning says so."""
        self._members[combiner.name] = combiner
        try:
            path = _path(combiner.name)
            if not path.exists():
                combiner.save(path)
        except OSError as error:
            warnings.warn(f"Combiner {combiner.name} is kept in this process only ({error}).", stacklevel=2)
        return combiner.name

    def get(self, name: str) -> Combiner:
        """The combiner of that name.

        Raises
        ------
        UnknownName
            Neither in this process nor in the state folder; lists those that are.
        CorruptFile
            Its file cannot be read; it was set aside.
        """
        if name in self._members:
            return self._members[name]
        if (path := _kept(name)) is None:
            raise UnknownName("combiner", name, self)
        try:
            loaded = Combiner.load(path)
            if loaded.name != name:
                raise CorruptFile(f"{path} holds the combiner {loaded.name}.")
        except CorruptFile as error:
            raise CorruptFile(f"{error} It was set aside as {set_aside(path)}.") from error
        return self._members.setdefault(name, loaded)

    def __iter__(self) -> Iterator[str]:
        try:
            kept = [path.stem for path in state_folder("combiners").glob("*.safetensors")]
        except OSError:
            kept = []
        return iter(sorted({*self._members, *kept}))

    def __contains__(self, name: object) -> bool:
        return name in set(self)


combiners = CombinerStore()
"""The combiners of this process and this computer."""


def _kept(name: str) -> Path | None:
    """The file of a combiner, if there is one. A name may come from another machine: it must look like one of ours."""
    if not re.fullmatch(f"[0-9a-f]{{{NAME_LENGTH}}}", str(name)):
        return None
    try:
        path = _path(name)
        return path if path.is_file() else None
    except OSError:
        return None


def _path(name: str) -> Path:
    return state_folder("combiners") / f"{name}.safetensors"
