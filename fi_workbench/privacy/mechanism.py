"""What a privacy mechanism is: step functions at the client, the party and the coordinator, with a disclosure.

A round has one or more phases. In each phase every party gets one message and returns one; between phases the
coordinator turns the replies into the next messages, and after the last one into a :class:`Release`. Steps are
``(state, message) -> (state, message)``: a mechanism object itself is frozen settings and holds no state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from fi_workbench.core.arrays import Outputs, Queries
from fi_workbench.core.disclosure import Disclosure, Need
from fi_workbench.core.identity import PublicIdentity
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.core.registry import Registry
from fi_workbench.core.summand import Component, Summand
from fi_workbench.privacy.event import UNPROTECTED, Event

Kind = Literal["answer", "enrol"]
"""What a round is for: answering queries, or summing private facts once per cohort."""


@dataclass(frozen=True, eq=False)
class PartyContext:
    """What a party's step may use; all of it stays with the party.

    Parameters
    ----------
    name : str
    round_id : str
    round_digest : str
        Hexadecimal SHA-256 of the client's signed header: all that was asked, of whom, under which settings.
    kind : {"answer", "enrol"}
    peers : mapping of str to PublicIdentity
        The cohort of this round, the party itself included.
    outputs : {"logits", "probabilities"}
    answer : callable
        ``(queries) -> (query, class)``: the party's own model, checked, after its answer noise.
    summand : callable
        ``(queries, answer) -> {name: array}``: the rule's local part; in an enrolment round ``(None, None)``.
        Empty for a rule that has no party-side part.
    sign, verify : callable
        ``(message) -> signature`` with the party's own key, and ``(sender, message, signature)``, which raises
        ``BadSignature``. Round and sender are bound in: signed here, a message is nothing anywhere else.
    seal, open : callable
        ``(to, content, label)`` and ``(sender, sealed, label)`` with the party's own keys. The label names the phase;
        round, sender and recipient are bound in.
    noise : callable
        ``(purpose) -> Keystream``: privacy noise. Fresh at each call, unless the client asked for a reproducible
        experiment; then from the question's public seed, party and purpose, and so no protection at all.
    rule, rule_needs : str
    components : mapping of str to Component
        Declarations of the arrays of the summand, as the coordinator has them; empty for a rule without a part.
    n_queries, n_classes : int
        ``n_queries`` is 0 in an enrolment round.
    """

    name: str
    round_id: str
    round_digest: str
    kind: Kind
    peers: Mapping[str, PublicIdentity]
    outputs: Outputs
    answer: Callable[[Queries], NDArray[Any]]
    summand: Callable[[Queries | None, NDArray[Any] | None], Summand]
    sign: Callable[[bytes], bytes]
    verify: Callable[[str, bytes, bytes], None]
    seal: Callable[[str, bytes, str], bytes]
    open: Callable[[str, bytes, str], bytes]
    noise: Callable[[str], Keystream]
    rule: str = ""
    rule_needs: Need = "each"
    components: Mapping[str, Component] = field(default_factory=dict)
    n_queries: int = 0
    n_classes: int = 0


@dataclass(frozen=True)
class Occasion:
    """What is asked of a party, as far as the price in privacy depends on it; the same at client and party.

    Parameters
    ----------
    kind : {"answer", "enrol"}
    rule : str
    components : mapping of str to Component
    n_parties, n_queries, n_classes : int
    uses_facts : bool
        Whether the rule's part tells of the party's private facts too (counts, sizes), not of its answer alone.
    """

    kind: Kind
    rule: str
    components: Mapping[str, Component]
    n_parties: int
    n_queries: int
    n_classes: int
    uses_facts: bool = False


@dataclass(frozen=True, eq=False)
class CoordinatorContext:
    """What the coordinator's step may use.

    Parameters
    ----------
    round_id, round_digest : str
        As the parties have them.
    kind : {"answer", "enrol"}
    cohort : tuple of str
        Party names, in the order of every party axis.
    identities : mapping of str to PublicIdentity
        Of the cohort.
    outputs : mapping of str to {"logits", "probabilities"}
    n_queries, n_classes : int
        ``n_queries`` is 0 in an enrolment round.
    rule_needs : {"nothing", "sum", "votes", "each"}
    components : mapping of str to Component
        Declarations of the arrays of the summand; empty for a rule without a party-side part.
    absent : callable
        ``(party, kind, reason)``: leave a party out of this round from here on, with the reason in the record.
    """

    round_id: str
    round_digest: str
    kind: Kind
    cohort: tuple[str, ...]
    identities: Mapping[str, PublicIdentity]
    outputs: Mapping[str, Outputs]
    n_queries: int
    n_classes: int
    rule_needs: Need
    components: Mapping[str, Component]
    absent: Callable[[str, Literal["invalid", "excluded"], str], None]


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
    reproducible: bool = True

    @property
    @abstractmethod
    def disclosure(self) -> Disclosure:
        """Who sees what under this mechanism."""

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """What a round costs each of its parties in privacy, as events and how often; booked before it answers."""
        return {UNPROTECTED: max(occasion.n_queries, 1)}

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

    @abstractmethod
    def party_step(self, phase: str, state: Any, message: Body, context: PartyContext) -> tuple[Any, Body]:
        """At a party: its reply to one message. ``state`` is None in the first phase."""

    @abstractmethod
    def coordinator_step(
        self, phase: str, state: Any, replies: Mapping[str, Reply], context: CoordinatorContext
    ) -> tuple[Any, Mapping[str, Body] | Release]:
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
    return frozenset(phase for carrier in carriers for phase in carrier.phases)
