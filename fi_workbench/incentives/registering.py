"""What registering a plug-in of this room takes: its words from its docstring, its options from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from fi_workbench.core.options import options_of


def described(function: Callable[..., Any]) -> tuple[str, str, str]:
    """Name, title (from the name) and explanation (the docstring's first paragraph) of a plug-in's function.

    Raises
    ------
    ValueError
        There is no docstring: the workbench shows its first paragraph under the picker.
    """
    text = inspect.getdoc(function)
    if not text:
        raise ValueError(f"{function.__qualname__} needs a docstring; it is shown under the picker.")
    name = function.__name__
    return name, name.replace("_", " ").capitalize(), " ".join(text.split("\n\n")[0].split())


def with_own_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, handed the options of its method and taking those that are its own."""
    own = {option.name for option in options_of(function)}

    @wraps(function)
    def taking(*given: Any, **options: Any) -> Any:
        return function(*given, **{name: value for name, value in options.items() if name in own})

    return taking
