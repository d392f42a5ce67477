"""Options of plug-ins, drawn from their signatures.

An option is a keyword-only parameter with a default; ``Annotated`` carries its range, from which the widgets draw
the control::

    def trimmed_mean(answers, *, trim: Annotated[float, Between(0, 0.5)] = 0.2): ...
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from fi_workbench.core.errors import InvalidOption


@dataclass(frozen=True)
class Between:
    """A number from ``low`` to ``high``, both included; ``log`` asks for a logarithmic slider."""

    low: float
    high: float
    step: float | None = None
    log: bool = False

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is a finite number in the range."""
        return isinstance(value, int | float) and math.isfinite(value) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, init=False)
class OneOf:
    """One of the listed values."""

    choices: tuple[Any, ...]

    def __init__(self, *choices: Any) -> None:
        object.__setattr__(self, "choices", choices)

    def accepts(self, value: object) -> bool:
        """Whether ``value`` is one of the choices."""
        return value in self.choices

    def __str__(self) -> str:
        return "one of " + ", ".join(map(repr, self.choices))


@dataclass(frozen=True)
class Option:
    """One option of a plug-in: name, type, default, range and a line of help."""

    name: str
    kind: type
    default: Any
    limits: Between | OneOf | None
    help: str = ""


def options_of(*functions: Callable[..., Any]) -> tuple[Option, ...]:
    """The options of functions, in order: their keyword-only parameters with a default.

    Raises
    ------
    InvalidOption
        A keyword-only parameter without a default, or two functions that disagree about an option.
    """
    found: dict[str, Option] = {}
    for function in functions:
        hints = typing.get_type_hints(function, include_extras=True)
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                continue
            if parameter.default is inspect.Parameter.empty:
                raise InvalidOption(f"Option {name!r} of {function.__qualname__} needs a default.")
            hint = hints.get(name, type(parameter.default))
            option = _option(name, hint, parameter.default)
            if found.setdefault(name, option) != option:
                raise InvalidOption(f"Option {name!r} is declared twice with different defaults or ranges.")
    return tuple(found.values())


@lru_cache(maxsize=256)  # evaluating annotations takes longer than a small answer, and each party does it in each round
def options_of_fields(kind: type) -> tuple[Option, ...]:
    """The options of a plug-in that is a frozen dataclass: its fields with a default, ranges from their annotations.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Rounded:
    ...     digits: typing.Annotated[int, Between(0, 6), "Decimals that are kept."] = 2
    >>> options_of_fields(Rounded)[0].limits
    Between(low=0, high=6, step=None, log=False)
    """
    if not dataclasses.is_dataclass(kind):
        return ()
    hints = typing.get_type_hints(kind, include_extras=True)
    taken = (field for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING and field.init)
    return tuple(_option(field.name, hints[field.name], field.default) for field in taken)


def check_options(owner: str, options: Iterable[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` filled up with the defaults, after each value was checked.

    Raises
    ------
    InvalidOption
        An unknown option (the known ones are listed) or a value that is out of range or of the wrong type.
    """
    known = {option.name: option for option in options}
    for name in given:
        if name not in known:
            listed = ", ".join(known) or "it has none"
            raise InvalidOption(f"{owner} has no option {name!r}. Its options: {listed}.")
    return {name: _check_value(owner, option, given.get(name, option.default)) for name, option in known.items()}


def _check_value(owner: str, option: Option, value: Any) -> Any:
    if value is option.default:
        return value
    if isinstance(value, np.generic):
        value = value.item()
    wrong = not isinstance(value, option.kind) or (option.kind is not bool and isinstance(value, bool))
    if option.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value, wrong = float(value), False
    if not wrong and value == option.default:
        return value
    if option.limits is not None and (wrong or not option.limits.accepts(value)):
        raise InvalidOption(f"Option {option.name!r} of {owner} must be {option.limits}, not {value!r}.")
    if wrong or (isinstance(value, float) and not math.isfinite(value)):
        raise InvalidOption(
            f"Option {option.name!r} of {owner} must be {option.kind.__name__}, not {type(value).__name__} {value!r}."
        )
    return value


def _option(name: str, hint: Any, default: Any) -> Option:
    extras = getattr(hint, "__metadata__", ())
    base = typing.get_args(hint)[0] if extras else hint
    limits = next((extra for extra in extras if isinstance(extra, Between | OneOf)), None)
    text = next((extra for extra in extras if isinstance(extra, str)), "")
    return Option(name, _kind(base, default), default, limits, text)


def _kind(hint: Any, default: Any) -> type:
    """The type that values of an option have; ``float | None`` is a float that may be left at None."""
    if isinstance(hint, type):
        return hint
    members = [member for member in typing.get_args(hint) if isinstance(member, type) and member is not type(None)]
    return members[0] if len(members) == 1 else type(default)
