"""What a party may use in one round: its model behind calibration, behaviour and noise; its rule part; its keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from fi_workbench.aggregation.affine import affine_part
from fi_workbench.aggregation.apply import components_of, enrolment_components_of, enrolment_part, local_part
from fi_workbench.aggregation.rule import LocalView, OnAbsence, Rule
from fi_workbench.core.affine import AffineSummand
from fi_workbench.core.arrays import at_temperature, check_answer
from fi_workbench.core.digest import canonical, sha256
from fi_workbench.core.errors import InvalidParty, Refused
from fi_workbench.core.identity import Identity, PublicIdentity, statement, verify
from fi_workbench.core.kept import Kept
from fi_workbench.core.keystream import Keystream
from fi_workbench.core.messages import Body
from fi_workbench.core.options import check_options
from fi_workbench.core.peers import PeerNetwork
from fi_workbench.core.randomness import generator
from fi_workbench.core.summand import Component, Summand
from fi_workbench.parties.behaviours import Dishonest, Sight
from fi_workbench.parties.leak import Leak
from fi_workbench.parties.party import Party, version_of
from fi_workbench.privacy.access import ModelAccess
from fi_workbench.privacy.context import PartyContext
from fi_workbench.privacy.stack import Stack
from fi_workbench.protocol.header import RoundHeader
from fi_workbench.protocol.policy import Policy
from fi_workbench.protocol.ports import TOTALS

LISTEN_SECONDS = 0.25
"""So long a behaviour that reads its peers' answers waits for them; under a mechanism that hides them, in vain."""


@dataclass(frozen=True, eq=False)
class Owner:
    """Who answers: a party, its keys, and how its owner has it behave.

    Parameters
    ----------
    party : Party
    identity : Identity
    behaviour : Dishonest, optional
        None for an honest party.
    leak : Leak, optional
        What has been put on the wire, for a behaviour that looks at it.
    standing : mapping of str to float
        What each party was openly credited with so far.
    stopped : Event
        Set when the owner has it behave otherwise: it waits no longer.
    network : PeerNetwork, optional
        Its channels to other parties.
    kept : Kept
        What outlives a round.
    policy : Policy
        What the owner agrees to.
    """

    party: Party
    identity: Identity
    behaviour: Dishonest | None = None
    leak: Leak | None = None
    standing: Mapping[str, float] = field(default_factory=dict)
    stopped: threading.Event = field(default_factory=threading.Event)
    network: PeerNetwork | None = None
    kept: Kept = field(default_factory=Kept)
    policy: Policy = field(default_factory=Policy)


def party_context(
    owner: Owner, header: RoundHeader, stack: Stack, rule: Rule, members: Mapping[str, PublicIdentity], payload: Body
) -> PartyContext:
    """The context of one party in one round.

    Parameters
    ----------
    owner : Owner
    header : RoundHeader
        Checked.
    stack : Stack
    rule : Rule
    members : mapping of str to PublicIdentity
    payload : Body
        The question, with the enrolment sums in it.
    """
    party, me = owner.party, owner.party.name
    options = check_options(rule.name, rule.options, header.rule_options)

    # the seed is public: only what is declared reproducible may draw from it
    @cache
    def rng() -> Generator:
        return generator(header.seed, "rule", header.n_queries, me) if stack.reproducible else default_rng()

    def noise(purpose: str) -> Keystream:
        return Keystream.seeded(header.seed, purpose, me) if stack.reproducible else Keystream.fresh()

    totals = {name[len(TOTALS) :]: np.asarray(value) for name, value in payload.items() if name.startswith(TOTALS)}
    held: Mapping[str, Any] = {name: getattr(party.facts, name) for name in party.facts.names()}
    claimed = held if owner.behaviour is None else owner.behaviour.claims(held)
    end = time.monotonic() + header.deadline_seconds

    def predict(queries: NDArray[Any]) -> NDArray[Any]:
        """The model as all the rest of the round sees it, however often it is asked."""
        values = _own_answer(owner, header, queries)
        if owner.behaviour is not None:
            left = max(end - time.monotonic(), 0.0)  # a rule may ask often: all its waiting ends with the round
            values = owner.behaviour.answer(_sight(owner, header, queries, values, held, left))
            values = check_answer(values, party.outputs, len(queries), len(party.classes), me)
        if stack.noise:
            values = stack.perturb(values, party.outputs, noise)
            values = check_answer(values, party.outputs, len(queries), len(party.classes), me)
        return values

    def answer(queries: NDArray[Any]) -> NDArray[Any]:
        if header.kind != "answer":
            raise Refused(f"a round of kind {header.kind!r} asks for no answer.")
        if len(queries) != header.n_queries:
            raise Refused(f"{len(queries)} queries came, {header.n_queries} were announced.")
        return predict(queries)

    def summand(queries: NDArray[Any] | None, values: NDArray[Any] | None) -> Summand:
        if header.kind == "enrol":
            return enrolment_part(rule, claimed, options)
        if rule.local is None or values is None:
            return {}
        on_absence: OnAbsence = "keep" if header.on_absence == "keep" else "renormalise"
        view = LocalView(values, party.outputs, queries, predict, claimed, totals, on_absence, rng)
        return local_part(rule, view, options)

    return PartyContext(
        me, header.round_id, header.digest, header.kind, members, party.outputs, answer, summand,
        *_signing(owner, header, members), *_sealing(owner, header, members), noise, rule.name, rule.needs,
        declared(header, rule, party.n_classes), header.n_queries, party.n_classes,
        _access(owner, header, lambda: affine_part(rule, claimed, totals, party.n_classes, options), end),
    )  # fmt: skip


def declared(header: RoundHeader, rule: Rule, n_classes: int) -> Mapping[str, Component]:
    """What the arrays of a question's summand are declared to be; the coordinator comes to the same."""
    if header.kind == "enrol":
        return enrolment_components_of(rule, n_classes, header.rule_options)
    on_absence: OnAbsence = "keep" if header.on_absence == "keep" else "renormalise"
    return components_of(rule, n_classes, on_absence, header.rule_options)


def _access(owner: Owner, header: RoundHeader, affine: Callable[[], AffineSummand], end: float) -> ModelAccess:
    """What a mechanism that computes with the model itself may use."""
    party = owner.party

    def module() -> Any:
        if owner.behaviour is not None and not party.is_helper:
            raise Refused(
                "how this party behaves changes its answers, and there is none to change under this mechanism."
            )
        return party.module

    temperature = 1.0
    if header.calibration == "temperature" and not party.is_helper:
        if party.facts.temperature is None:
            raise InvalidParty("The party holds no temperature, which calibration needs.")
        temperature = party.facts.temperature
    asked = sha256([header.rule, dict(header.rule_options), header.mechanism, header.calibration, header.cohort])
    return ModelAccess(
        header.client, asked, party.input_shape, module, lambda: version_of(party.module), party.predict,
        party.sample, affine, temperature, owner.network, owner.kept, end, owner.policy.min_cohort,
        owner.policy.peers is not None or party.made_here,
    )  # fmt: skip


def _own_answer(owner: Owner, header: RoundHeader, queries: NDArray[Any]) -> NDArray[Any]:
    """What the model says, at the temperature that its owner fitted where the client asks for calibrated answers."""
    party = owner.party
    values = party.predict(queries)
    if header.calibration == "none":
        return values
    if party.facts.temperature is None:
        raise InvalidParty("The party holds no temperature, which calibration needs.")
    return at_temperature(values, party.outputs, party.facts.temperature)


def _sight(
    owner: Owner,
    header: RoundHeader,
    queries: NDArray[Any],
    values: NDArray[Any],
    facts: Mapping[str, Any],
    seconds_left: float,
) -> Sight:
    """What a dishonest party may look at, and not change: it is the model's, the runtime's and other rounds' too."""
    leak, me = owner.leak, owner.party.name
    own = values.view()
    own.setflags(write=False)

    def peers() -> Mapping[str, NDArray[Any]]:
        if leak is None:
            return {}
        patience = min(LISTEN_SECONDS, seconds_left / 2)  # to hear something too late is to be absent
        return leak.answers(
            header.round_id, but=me, peers=header.names, wait_seconds=patience, stopped=owner.stopped
        )  # fmt: skip

    return Sight(
        own=own,
        outputs=owner.party.outputs,
        queries=queries,
        facts=MappingProxyType(facts),
        n_classes=owner.party.n_classes,
        party=me,
        peers=peers,
        labels=None if leak is None else lambda: leak.labels(header.round_id),
        rng=generator(header.seed, "behaviour", me),
        standing=MappingProxyType(owner.standing),
        stopped=owner.stopped,
        seconds_left=seconds_left,
    )


def _signing(
    owner: Owner, header: RoundHeader, members: Mapping[str, PublicIdentity]
) -> tuple[Callable[[bytes], bytes], Callable[[str, bytes, bytes], None]]:
    def sign(message: bytes) -> bytes:
        return owner.identity.sign(statement(header.round_id, owner.party.name, message))

    def verify_(sender: str, message: bytes, signature: bytes) -> None:
        verify(members[sender].verify_key, signature, statement(header.round_id, sender, message))

    return sign, verify_


def _sealing(
    owner: Owner, header: RoundHeader, members: Mapping[str, PublicIdentity]
) -> tuple[Callable[[str, bytes, str], bytes], Callable[[str, bytes, str], bytes]]:
    me = owner.party.name

    def label(sender: str, recipient: str, phase: str) -> bytes:
        return canonical(["fi-workbench", header.round_id, phase, sender, recipient])

    def seal(to: str, content: bytes, phase: str) -> bytes:
        return owner.identity.seal(members[to].check(), content, label(me, to, phase))

    def open_(sender: str, sealed: bytes, phase: str) -> bytes:
        return owner.identity.open(members[sender].check(), sealed, label(sender, me, phase))

    return seal, open_
