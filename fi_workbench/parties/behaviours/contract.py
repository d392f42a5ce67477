"""What a dishonest party is: a pure function from what it sees to what it answers, with what it must see stated.

A behaviour stands between a party's own model and everything else: answer noise, the rule's local part and the
mechanism all work on what it returns. It cannot see what it does not declare.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from numpy.typing import NDArray

from fi_workbench.core.options import Option, check_options, options_of
from fi_workbench.core.registry import Registry
from fi_workbench.parties.behaviours.sight import GUARDED, Facts, Seen, Sight

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, eq=False)
class Behaviour:
    """A way to be dishonest, as registered; made by :func:`behaviour`.

    Parameters
    ----------
    name, title, explanation, formula, source : str
        Title from the name, explanation from the docstring's first paragraph; formula is plain text or TeX.
    sees : frozenset of {"own", "peers", "labels", "facts"}
    options : tuple of Option
    answer : callable
        ``(sight, **options) -> (query, class)`` of the outputs that the party declares.
    facts : callable
        ``(facts, **options) -> facts``: what it claims to know of its training data.
    agreed : callable
        ``(n_agreed, n_queries) -> int``: how often it says that its label was the released one.
    """

    name: str
    title: str
    explanation: str
    formula: str
    source: str
    sees: frozenset[str]
    options: tuple[Option, ...]
    answer: Callable[..., NDArray[Any]]
    facts: Callable[..., Facts]
    agreed: Callable[[int, int], int]

    @property
    def leak(self) -> str:
        """The leak that it needs: ``"labels"`` (it knows the truth), ``"wire"`` (it reads the peers' answers), or none.

        On the wire are answers that travel unprotected, or that a corrupted coordinator passes on.
        """
        return "labels" if "labels" in self.sees else "wire" if "peers" in self.sees else ""


behaviours: Registry[Behaviour] = Registry("behaviour")
"""All ways to be dishonest; an honest party has none, which is written None."""


def told_truly(facts: Facts) -> Facts:
    """Facts as they are: the claim of all who do not lie about them."""
    return facts


def agreed_truly(n_agreed: int, _n_queries: int) -> int:
    """The count as it is: what all say who do not lie about it."""
    return n_agreed


def behaviour(
    *,
    sees: tuple[Seen, ...] = (),
    facts: Callable[..., Facts] = told_truly,
    agreed: Callable[[int, int], int] = agreed_truly,
    formula: str = "",
    source: str = "",
) -> Callable[[F], F]:
    """Register ``(sight, *, options) -> (query, class)`` under the function's name, and return it unchanged.

    Parameters
    ----------
    sees
        What it looks at; reading more from its sight raises.
    facts : callable
        ``(facts, *, options) -> facts``, for one who lies about its training data.
    agreed : callable
        ``(n_agreed, n_queries) -> int``, for one who lies about how often its label was the released one.

    Raises
    ------
    ValueError
        There is no docstring: the workbench shows its first paragraph under the picker.
    """
    if unknown := set(sees) - GUARDED:
        raise ValueError(f"A behaviour cannot see {sorted(unknown)}; known: {', '.join(sorted(GUARDED))}.")

    def register(function: F) -> F:
        text = inspect.getdoc(function)
        if not text:
            raise ValueError(f"{function.__qualname__} needs a docstring; it is shown under the picker.")
        name = function.__name__
        explanation = " ".join(text.split("\n\n")[0].split())
        made = Behaviour(
            name, name.replace("_", " ").capitalize(), explanation, formula, source, frozenset(sees),
            options_of(function, facts), function, facts, agreed,
        )  # fmt: skip
        behaviours.add(name, made)
        return function

    return register


@dataclass(frozen=True)
class Dishonest:
    """A behaviour with its options: what one party is set to while a stream runs.

    Parameters
    ----------
    behaviour : Behaviour
    options : mapping
        Complete and checked; made by :func:`make_behaviour`.
    """

    behaviour: Behaviour
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The behaviour's name."""
        return self.behaviour.name

    def answer(self, sight: Sight) -> NDArray[Any]:
        """What it answers, (query, class) as declared, or garbage; shown no more of ``sight`` than it declares.

        Raises
        ------
        Refused
            It abstains.
        NotDisclosed
            It looks at what it has not declared.
        """
        function = self.behaviour.answer
        return function(sight.narrowed(self.behaviour.sees), **_taken(function, self.options))

    def claims(self, facts: Facts) -> Facts:
        """What it says of its training data."""
        function = self.behaviour.facts
        return function(facts, **_taken(function, self.options))

    def agreed(self, n_agreed: int, n_queries: int) -> int:
        """How often it says that its label was the released one."""
        return self.behaviour.agreed(n_agreed, n_queries)

    def settings(self) -> dict[str, Any]:
        """Name and options: plain data, from which :func:`make_behaviour` makes it again."""
        return {"name": self.name, **self.options}


def make_behaviour(name: str, **options: Any) -> Dishonest:
    """A behaviour by name, its options checked.

    Raises
    ------
    UnknownName, InvalidOption
        Unknown behaviour or option (the known ones are listed), or an option out of range.
    """
    chosen = behaviours[name]
    return Dishonest(chosen, check_options(f"Behaviour {name!r}", chosen.options, options))


def _taken(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that one of the two functions takes."""
    names = {option.name for option in options_of(function)}
    return {name: value for name, value in options.items() if name in names}
