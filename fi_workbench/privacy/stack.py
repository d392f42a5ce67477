"""One mechanism out of a name, an object or a sequence of them, checked as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Outputs
from fi_workbench.core.disclosure import Disclosure
from fi_workbench.core.errors import DoesNotFit, InvalidOption
from fi_workbench.privacy.mechanism import AnswerNoise, Mechanism, mechanisms
from fi_workbench.privacy.plain import Plain

MechanismLike: TypeAlias = str | Mechanism | AnswerNoise | Sequence[str | Mechanism | AnswerNoise]


@dataclass(frozen=True)
class Stack:
    """Answer noise, in order, before the one mechanism that carries the round.

    Parameters
    ----------
    carrier : Mechanism
    noise : tuple of AnswerNoise
    """

    carrier: Mechanism
    noise: tuple[AnswerNoise, ...] = ()

    @property
    def members(self) -> tuple[Mechanism | AnswerNoise, ...]:
        """All members, in the order in which they act."""
        return (*self.noise, self.carrier)

    @property
    def name(self) -> str:
        """The names of all members, joined by ``+``."""
        return "+".join(member.name for member in self.members)

    @property
    def reproducible(self) -> bool:
        """Whether equal seeds give equal released values."""
        return self.carrier.reproducible and all(member.reproducible for member in self.noise)

    @property
    def disclosure(self) -> Disclosure:
        """The carrier's, with what the noise promises added to the assumptions."""
        added = tuple(text for member in self.noise for text in member.assumptions)
        stated = self.carrier.disclosure
        return replace(stated, assumptions=(*added, *stated.assumptions))

    def perturb(self, answer: NDArray[Any], outputs: Outputs, rng: np.random.Generator) -> NDArray[Any]:
        """One party's answer after all noise, (query, class)."""
        for member in self.noise:
            answer = member.perturb(answer, outputs, rng)
        return answer

    def settings(self) -> list[dict[str, Any]]:
        """Names and options of all members: plain data, from which :func:`make_mechanism` makes the stack again."""
        return [{"name": member.name, **_options(member)} for member in self.members]


def make_mechanism(given: MechanismLike | Sequence[Mapping[str, Any]] | Stack, **options: Any) -> Stack:
    """A :class:`Stack` from a name, a mechanism, a sequence of them, or what ``Stack.settings`` returned.

    Parameters
    ----------
    given
        A name with ``options``, or members in the order in which they act.

    Raises
    ------
    UnknownName
        A name that is not registered.
    InvalidOption
        An option that the named mechanism does not have or refuses, or options without a name.
    DoesNotFit
        More than one mechanism that carries the round.
    """
    if options and not isinstance(given, str):
        raise InvalidOption(
            f"Options {', '.join(options)} are for a mechanism given by name; set them on the mechanism."
        )
    if isinstance(given, Stack):
        return given
    if isinstance(given, str | Mechanism | AnswerNoise):
        members = [_member(given, options)]
    elif isinstance(given, Sequence):
        members = [_member(item, {}) for item in given]
    else:
        raise InvalidOption(f"A mechanism is a name, a Mechanism or a sequence of them, not {given!r}.")
    carriers = [member for member in members if isinstance(member, Mechanism)]
    if len(carriers) > 1:
        names = " and ".join(repr(member.name) for member in carriers)
        raise DoesNotFit(f"{names} each decide how a round travels; choose one of them.")
    noise = tuple(member for member in members if isinstance(member, AnswerNoise))
    return Stack(carriers[0] if carriers else Plain(), noise)


def _member(item: Any, options: Mapping[str, Any]) -> Mechanism | AnswerNoise:
    if isinstance(item, Mechanism | AnswerNoise):
        return item
    if isinstance(item, Mapping):
        item, options = item["name"], {key: value for key, value in item.items() if key != "name"}
    kind = mechanisms[item]
    known: list[str] = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    for option in options:
        if option not in known:
            raise InvalidOption(
                f"Mechanism {item!r} has no option {option!r}. Its options: {', '.join(known) or 'none'}."
            )
    return kind(**options)


def _options(member: Mechanism | AnswerNoise) -> dict[str, Any]:
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(member) if dataclasses.is_dataclass(member) else ()
    return {field.name: getattr(member, field.name) for field in fields}
