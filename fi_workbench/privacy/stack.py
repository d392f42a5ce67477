"""One mechanism out of a name, an object or a sequence of them, checked as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from numpy.typing import NDArray

from fi_workbench.core.arrays import Outputs
from fi_workbench.core.disclosure import Disclosure
from fi_workbench.core.errors import DoesNotFit, InvalidOption
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.options import check_options, options_of_fields
from fi_workbench.privacy.context import Occasion
from fi_workbench.privacy.event import UNPROTECTED, Event
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
        """The carrier's, with what the noise does and promises among the assumptions."""
        stated = self.carrier.disclosure
        if not self.noise:
            return stated
        names = ", then ".join(member.name for member in self.noise)
        after = f"What is seen of an answer, or made of it, is seen after {names}: never what the model itself said."
        added = tuple(text for member in self.noise for text in member.assumptions)
        return replace(stated, assumptions=(*added, after, *stated.assumptions))

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """What a round costs each of its parties in privacy: what comes after noise costs nothing more.

        Each member's account holds on its own; the first that states one is taken. Noise on the answer says nothing of
        what a rule makes of private facts, which leave the party as they are: there the carrier's account is the one.
        Noise from a public seed can be taken off again: a reproducible round has no guarantee.
        """
        if occasion.kind == "prepare":
            return {}
        if self.reproducible:
            return {UNPROTECTED: max(occasion.n_queries, 1)}
        if occasion.kind == "answer" and not occasion.uses_facts:
            for member in self.noise:
                if (stated := member.events(occasion)) is not None:
                    return stated
        return self.carrier.events(occasion)

    def perturb(self, answer: NDArray[Any], outputs: Outputs, noise: Callable[[str], Keystream]) -> NDArray[Any]:
        """One party's answer after all noise, (query, class)."""
        for place, member in enumerate(self.noise):
            answer = member.perturb(answer, outputs, noise(f"answer {place} {member.name}"))
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
    return kind(**check_options(f"Mechanism {item!r}", options_of_fields(kind), options))


def _options(member: Mechanism | AnswerNoise) -> dict[str, Any]:
    fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(member) if dataclasses.is_dataclass(member) else ()
    return {field.name: getattr(member, field.name) for field in fields}
