"""The party's side of a round: policy, model, the rule's local part, the mechanism's party step.

It holds the only reference to the model and to the private facts; what leaves is the body that :meth:`handle` returns.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fi_workbench.aggregation.rule import Rule, rules
from fi_workbench.core.arrays import to_simplex
from fi_workbench.core.digest import sha256
from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import (
    DoesNotFit,
    FederationError,
    InvalidAnswer,
    InvalidOption,
    InvalidParty,
    InvalidQuery,
    Refused,
    UnknownName,
)  # fmt: skip
from fi_workbench.core.identity import BadSignature, Identity
from fi_workbench.core.messages import Body, PartyCard
from fi_workbench.core.peers import PeerFault, PeerNetwork
from fi_workbench.incentives.ledger import Receipt
from fi_workbench.parties.behaviours import Dishonest, agreed_truly
from fi_workbench.parties.leak import Leak
from fi_workbench.parties.party import Party
from fi_workbench.privacy.context import PartyContext
from fi_workbench.privacy.mechanism import Mechanism
from fi_workbench.privacy.stack import Stack, make_mechanism
from fi_workbench.protocol.announcement import announcement
from fi_workbench.protocol.batch import batch_of
from fi_workbench.protocol.header import HEADER, SIGNATURE, RoundHeader, read_header
from fi_workbench.protocol.journal import Journal, MemoryJournal
from fi_workbench.protocol.party_context import Owner, party_context
from fi_workbench.protocol.policy import Policy
from fi_workbench.protocol.ports import (
    ABSENT_KIND,
    ABSENT_REASON,
    ANNOUNCE,
    CAPABILITIES,
    INSIDE_MODEL,
    PEER_CHANNELS,
    RECEIPT,
    RELEASED,
    ROUND_ID,
)
from fi_workbench.protocol.pricing import check_guarantee, occasion_of
from fi_workbench.protocol.released import OwnLabels
from fi_workbench.protocol.runtime import OpenRound, PartyRuntime

_log = logging.getLogger(__name__)

_TOLD = (InvalidAnswer, InvalidQuery, InvalidOption, UnknownName, DoesNotFit, BadSignature, PeerFault)
"""Errors whose text speaks of declarations, shapes and names only. Any other may quote private facts or data."""


@dataclass(frozen=True, eq=False)
class _Facts:
    """What this side keeps of a question while its round is open."""

    header: RoundHeader
    stack: Stack
    context: PartyContext


class PartySide:
    """Answers questions for one party.

    Parameters
    ----------
    party : Party
    identity : Identity, optional
        Its keys; fresh ones when None.
    policy : Policy, optional
        Whom it answers; anyone when None.
    journal : Journal, optional
        What it remembers of whom it answered; in memory when None. It belongs to who made it, who closes it.
    capabilities : frozenset of str
        What it can do where it runs; a process that ends with each message has no ``"phases"``.
    network : PeerNetwork, optional
        Its channels to other parties, for mechanisms that need them. It belongs to this, which closes it.

    Raises
    ------
    InvalidParty
        The identity is of another name: peers could seal nothing to it, and its receipts would be another's.
    """

    def __init__(
        self,
        party: Party,
        identity: Identity | None = None,
        policy: Policy | None = None,
        journal: Journal | None = None,
        capabilities: frozenset[str] = CAPABILITIES,
        network: PeerNetwork | None = None,
    ) -> None:
        self.party = party
        self.identity = identity or Identity(party.name)
        if self.identity.name != party.name:
            raise InvalidParty(f"Party {party.name!r} is given the keys of {self.identity.name!r}; name both alike.")
        self.policy = policy or Policy()
        self.journal = journal or MemoryJournal()
        self.network = network
        channels = set() if network is None else {PEER_CHANNELS}
        self.capabilities = capabilities | channels | ({INSIDE_MODEL} if _can_be_computed_with(party) else set())
        self.runtime = PartyRuntime()
        self.behaviour: Dishonest | None = None
        self._stopped = threading.Event()
        self.leak: Leak | None = None
        self.standing: Mapping[str, float] = {}
        self._own = OwnLabels()

    @cached_property
    def card(self) -> PartyCard:
        """What this party announces of itself."""
        party = self.party
        return PartyCard(
            party.name, party.classes, party.input_shape, party.outputs, party.model, party.facts.names(),
            self.capabilities, self.identity.public,
        )  # fmt: skip

    def behave(self, behaviour: Dishonest | None) -> None:
        """From its next question on, behave so; None is honest. What still waits under the former stops waiting."""
        waiting, self._stopped = self._stopped, threading.Event()
        self.behaviour = behaviour
        waiting.set()

    def stop(self) -> None:
        """Drop all state and answer nothing more."""
        self._stopped.set()
        self.runtime.stop()
        self._own.clear()
        if self.network is not None:
            self.network.close()

    def handle(self, phase: str, message: Body) -> Body:
        """The reply to one message; never raises for what the message or the model does.

        What went wrong inside the model, or with private facts, is told to others by its class only: a message may
        quote private data. The whole of it is in this party's own log.
        """
        try:
            if phase == ANNOUNCE:
                return announcement(self.identity, self.card, message)
            if phase == RELEASED:
                said = agreed_truly if self.behaviour is None else self.behaviour.agreed
                return self._own.agreement(message, self.identity, said)
            return self._answer(phase, message)
        except Refused as refusal:
            return {ABSENT_KIND: "refused", ABSENT_REASON: str(refusal)}
        except FederationError as error:
            _log.warning("%s: %s", self.party.name, error)
            told = str(error) if isinstance(error, _TOLD) else f"{type(error).__name__}; its own log has more"
            return {ABSENT_KIND: "invalid", ABSENT_REASON: told}
        except Exception as error:  # noqa: BLE001 - whatever a model raises is an absence, not the end of the round
            _log.warning("%s raised in phase %s", self.party.name, phase, exc_info=True)
            return {ABSENT_KIND: "raised", ABSENT_REASON: f"{type(error).__name__} in its model; its own log has more"}

    def _answer(self, phase: str, message: Body) -> Body:
        opened = self._begin(message) if HEADER in message else self.runtime.resume(str(message.get(ROUND_ID)))
        facts: _Facts = opened.facts
        carrier = facts.stack.carrier
        phases = carrier.phases_of(facts.header.kind)
        with opened.turn:  # a message that comes twice at once is answered once
            if phases[opened.next_phase : opened.next_phase + 1] != (phase,):
                raise Refused(f"phase {phase!r} is out of turn.")
            opened.next_phase += 1
            try:
                opened.state, reply = carrier.party_step(phase, opened.state, message, facts.context)
                if phase in carrier.repeats and opened.state is not None:
                    opened.next_phase -= 1  # it has more to say in this phase
            except BaseException:
                opened.next_phase = len(phases)
                raise
            finally:
                if opened.next_phase == len(phases):
                    self.runtime.end(facts.header.round_id)
        if opened.next_phase == len(phases) and facts.header.receipts:
            reply = {**reply, RECEIPT: self._receipt(facts.header, reply)}
        self._is_heard(facts.header.round_id, reply)
        return reply

    def _receipt(self, header: RoundHeader, reply: Body) -> bytes:
        """This party's signature of what it released, to which question, in which round."""
        return bytes.fromhex(Receipt.sign(self.identity, header.round_id, header.digest, sha256(reply)).signature)

    def _is_heard(self, round_id: str, reply: Body) -> None:
        """What leaves in the clear can be read on the way: a leak, where this federation has one, hears it."""
        answer = reply.get("answer")
        if self.leak is not None and isinstance(answer, np.ndarray):
            self.leak.heard(round_id, self.party.name, to_simplex(answer, self.party.outputs))

    def _begin(self, message: Body) -> OpenRound:
        header = read_header(message)
        stack = make_mechanism(header.mechanism)
        try:
            return self._agreed_to(header, stack, message)
        except BaseException:
            stack.carrier.refused(message, self.runtime.kept, header.client)
            raise

    def _agreed_to(self, header: RoundHeader, stack: Stack, message: Body) -> OpenRound:
        names = [member.name for member in stack.members]
        self.policy.check(header, names, self.identity.public.verify_key)
        members = header.identities
        if self.party.name not in members:
            raise Refused("this party is not in the question's cohort.")
        if members[self.party.name].verify_key != self.identity.public.verify_key:
            raise Refused("the cohort lists this party's name with another key.")
        payload = {name: value for name, value in message.items() if name not in (HEADER, SIGNATURE)}
        promised = header.payloads.get(self.party.name, header.payloads.get("*"))
        if promised != sha256(payload):
            raise Refused("the question's content is not what its client signed.")
        rule = rules[header.rule]
        _check_carrier(header, stack.carrier, rule)
        if rule.asks_again and stack.noise:  # each asking is blurred anew; what is booked is one
            noise = stack.noise[0].name
            raise Refused(f"rule {rule.name!r} asks again about each query, which {noise!r} does not bear.")
        owner = Owner(
            self.party, self.identity, self.behaviour, self.leak, self.standing, self._stopped, self.network,
            self.runtime.kept, self.policy,
        )  # fmt: skip
        asked = occasion_of(header, rule, self.party.n_classes)
        context = party_context(owner, header, stack, rule, members, payload)
        if self.policy.speaks_of_labels:
            context = self._own.watching(context, header, stack, asked)
        phases = stack.carrier.phases_of(header.kind)
        more = len(phases) > 1 or phases[0] in stack.carrier.repeats
        facts = _Facts(header, stack, context)
        opened = self.runtime.begin(header.round_id, header.deadline_seconds, facts, stays=more)
        try:
            events = stack.events(asked)
            if self.policy.epsilon is not None:
                check_guarantee(stack, events, asked, rule, self.policy.mechanisms)
            batch = batch_of(header, payload, stack.carrier, events)
            self.journal.book(header, self.policy, events, batch)  # before the answer can leave
        except BaseException:
            self.runtime.end(header.round_id)
            raise
        return opened


def _can_be_computed_with(party: Party) -> bool:
    return party.is_helper or (party.module is not None and party.outputs == "logits")


def _check_carrier(header: RoundHeader, carrier: Mechanism, rule: Rule) -> None:
    """Nothing, if the client's settings keep what the mechanism promises; a client is not taken at its word.

    Raises
    ------
    Refused
        A rule that must see more than the mechanism shows, a cohort that is too small for it, or absences treated in a
        way that it excludes.
    """
    serves = carrier.carries(rule.name, rule.affine is not None)
    if header.kind == "prepare" and not carrier.prepares:
        raise Refused(f"mechanism {carrier.name!r} needs no preparation.")
    if not serves or not satisfies(carrier.offers, rule.needs):
        raise Refused(f"mechanism {carrier.name!r} does not carry rule {rule.name!r}.")
    if len(header.cohort) < carrier.min_parties:
        why = f": {carrier.why_min_parties}" if carrier.why_min_parties else ""
        raise Refused(
            f"mechanism {carrier.name!r} needs {carrier.min_parties} parties; the cohort has {len(header.cohort)}{why}."
        )
    if carrier.hides_absence and header.on_absence != "keep":
        raise Refused(f"mechanism {carrier.name!r} hides who is absent; weights cannot be renormalised under it.")
