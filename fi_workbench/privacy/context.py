"""What a mechanism's steps are given: the contexts of party and coordinator, and the occasion that sets a price."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

from fi_workbench.core.arrays import Outputs, Queries
from fi_workbench.core.disclosure import Need
from fi_workbench.core.identity import PublicIdentity
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.summand import Component, Summand
from fi_workbench.privacy.access import ModelAccess

Kind = Literal["answer", "enrol", "prepare"]
"""What a round is for: answering queries, summing private facts once per cohort, or setting up later rounds."""


@dataclass(frozen=True, eq=False)
class PartyContext:
    """What a party's step may use; all of it stays with the party.

    Parameters
    ----------
    name : str
    round_id : str
    round_digest : str
        Hexadecimal SHA-256 of the client's signed header: all that was asked, of whom, under which settings.
    kind : {"answer", "enrol", "prepare"}
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
        ``n_queries`` is 0 in a round that answers nothing.
    access : ModelAccess, optional
        For a mechanism that computes with the model itself.
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
    access: ModelAccess | None = None


@dataclass(frozen=True)
class Occasion:
    """What is asked of a party, as far as the price in privacy depends on it; the same at client and party.

    Parameters
    ----------
    kind : {"answer", "enrol", "prepare"}
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
    kind : {"answer", "enrol", "prepare"}
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
