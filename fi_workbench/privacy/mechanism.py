"""What a privacy mechanism is: step functions at the client, the party and the coordinator, with a disclosure.

A round has one or more phases. In each phase every party gets one message and returns one; between phases the
coordinator turns the replies into the next messages, and after the last one into a :class:`Release`. Steps are
``(state, message) -> (state, message)``: a mechanism object itself is frozen settings and holds no state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args

from numpy.typing import NDArray

from fi_workbench.core.arrays import Outputs
from fi_workbench.core.disclosure import Disclosure, Need
from fi_workbench.core.identity import PublicIdentity
from fi_workbench.core.kept import Kept
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.core.registry import Registry
from fi_workbench.privacy.context import CoordinatorContext, Kind, Occasion, PartyContext
from fi_workbench.privacy.event import UNPROTECTED, Event

STALE = "this party does not hold the session (any more)"
"""Begins the reason of a refusal that a new preparation mends."""


@dataclass(frozen=True)
class Again:
    """What a coordinator's step returns to go through the same phase once more.

    Parameters
    ----------
    messages : mapping of str to Body
        For those that have more to say; the others wait, and are still part of the round.
    """

    messages: Mapping[str, Body]


class Prepared(Protocol):
    """What the client holds after a round of kind ``prepare``, for as many rounds as it serves."""

    def protect(self, payload: Body, cohort: Mapping[str, PublicIdentity]) -> tuple[Any, Mapping[str, Body]]:
        """As :meth:`Mechanism.protect`."""

    def open(self, state: Any, release: Release) -> Release:
        """As :meth:`Mechanism.open`."""


class Mechanism(ABC):
    """A privacy mechanism; subclasses are frozen dataclasses whose fields are its options.

    Attributes
    ----------
    name, explanation, formula, source : str
    phases : tuple of str
        Names of its phases, identifiers; a party is asked ``query.<phase>``.
    offers : {"nothing", "sum", "votes", "each"}
        The most that a rule, contribution or panel may need under it.
    disclosure : Disclosure
        Who sees what.
    requires : frozenset of str
        Capabilities that each party's runtime must announce.
    finish_at : {"coordinator", "client"}
        Where the rule's finish runs.
    hides_absence : bool
        Whether renormalising over those present would disclose what it hides; sums are then kept as they are.
    reproducible : bool
        Whether equal seeds give equal released values. Where it adds noise, that is an option that is off: noise from
        a public seed protects nobody.
    min_parties : int
        Fewer parties than this are refused when the federation is made.
    why_min_parties : str
        What fewer would disclose, for the refusal.
    only_rules : frozenset of str, optional
        The rules that it carries; None for every rule whose need it meets.
    prepares : bool
        Whether a cohort is set up once before it answers: :meth:`begin` and :meth:`set_up`.
    inside_models : bool
        Whether it computes with the models themselves: it bears no noise on answers, and takes helpers.
    repeats : frozenset of str
        Phases that may be gone through several times: a party whose step returns a state there has more to say.
    """

    name: ClassVar[str]
    explanation: ClassVar[str]
    formula: ClassVar[str] = ""
    source: ClassVar[str] = ""
    phases: ClassVar[tuple[str, ...]]
    offers: ClassVar[Need]
    requires: ClassVar[frozenset[str]] = frozenset()
    finish_at: ClassVar[Literal["coordinator", "client"]] = "coordinator"
    hides_absence: ClassVar[bool] = False
    min_parties: ClassVar[int] = 1
    why_min_parties: ClassVar[str] = ""
    only_rules: ClassVar[frozenset[str] | None] = None
    prepares: ClassVar[bool] = False
    inside_models: ClassVar[bool] = False
    repeats: ClassVar[frozenset[str]] = frozenset()
    reproducible: bool = True

    def phases_of(self, kind: Kind) -> tuple[str, ...]:
        """The phases of a round of this kind."""
        return self.phases

    @property
    def all_phases(self) -> frozenset[str]:
        """The phases of rounds of every kind."""
        kinds: tuple[Kind, ...] = get_args(Kind)
        return frozenset(phase for kind in kinds for phase in self.phases_of(kind))

    @property
    @abstractmethod
    def disclosure(self) -> Disclosure:
        """Who sees what under this mechanism."""

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """What a round costs each of its parties in privacy, as events and how often; booked before it answers."""
        return {UNPROTECTED: max(occasion.n_queries, 1)}

    def cannot_carry(self, rule: str, n_classes: int) -> str:
        """Why it does not carry a rule of this name for so many classes, as a clause; empty where it does."""
        return ""

    def carries(self, rule: str, affine: bool) -> bool:
        """Whether it carries a rule of this name, whose summand is affine in the logits or not, if its need is met."""
        return self.only_rules is None or rule in self.only_rules

    def cannot(self, n_parties: int) -> str:
        """Why it cannot carry a round of so many parties on this machine, as a clause; empty where it can."""
        return ""

    def protect(self, payload: Body, cohort: Mapping[str, PublicIdentity]) -> tuple[Any, Body | Mapping[str, Body]]:
        """At the client: what is sent to the parties in place of ``payload``.

        Returns
        -------
        state
            For :meth:`open`.
        message : Body, or mapping of party name to Body
            One message for all, or one for each.
        """
        return None, payload

    def begin(self, occasion: Occasion) -> tuple[Any, Body]:
        """At the client: the state and the message that a round of kind ``prepare`` begins with."""
        raise NotImplementedError(f"{self.name} prepares nothing.")

    def set_up(self, state: Any, release: Release, cohort: Mapping[str, PublicIdentity], round_id: str) -> Prepared:
        """At the client: what such a round has come to.

        Raises
        ------
        BadSignature, InvalidAnswer
            What was released cannot be used.
        """
        raise NotImplementedError(f"{self.name} prepares nothing.")

    @abstractmethod
    def party_step(self, phase: str, state: Any, message: Body, context: PartyContext) -> tuple[Any, Body]:
        """At a party: its reply to one message. ``state`` is None in the first phase."""

    def refused(self, message: Body, kept: Kept, client: str) -> None:  # noqa: B027 (most have nothing to let go of)
        """At a party that refuses this message of a client: let go of what others would wait for."""

    @abstractmethod
    def coordinator_step(
        self, phase: str, state: Any, replies: Mapping[str, Reply], context: CoordinatorContext
    ) -> tuple[Any, Mapping[str, Body] | Again | Release]:
        """At the coordinator, after each phase: the next messages, or after the last phase the release.

        ``replies`` are of those who answered, in cohort order; :meth:`Reply.field` reads them, so that one party's
        garbage is its absence and not the end of the round. A party without a next message has left the round.
        """

    def open(self, state: Any, release: Release) -> Release:
        """At the client: the release with what only the client can open."""
        return release


class AnswerNoise(ABC):
    """A mechanism of the other kind: it changes a party's answer before anything leaves the party.

    Any number of them stand before the one :class:`Mechanism` that carries the round.
    """

    name: ClassVar[str]
    explanation: ClassVar[str]
    formula: ClassVar[str] = ""
    source: ClassVar[str] = ""
    reproducible: bool = True

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What it promises, in words, with its neighbouring relation; or that it promises nothing."""
        return ()

    def events(self, occasion: Occasion) -> Mapping[Event, int] | None:
        """What a round costs each of its parties in privacy; None where it has no guarantee."""
        return None

    @abstractmethod
    def perturb(self, answer: NDArray[Any], outputs: Outputs, noise: Keystream) -> NDArray[Any]:
        """(query, class) in, (query, class) of the same kind out."""


mechanisms: Registry[type[Mechanism] | type[AnswerNoise]] = Registry("mechanism")


def phases_of_all() -> frozenset[str]:
    """Every phase of every mechanism that carries a round and is registered by now."""
    carriers = (kind for _, kind in mechanisms.items() if issubclass(kind, Mechanism))
    return frozenset(phase for carrier in carriers for phase in carrier().all_phases)
