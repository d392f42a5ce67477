"""The party's side of a round: policy, model, the rule's local part, the mechanism's party step.

It holds the only reference to the model and to the private facts; what leaves is the body that :meth:`handle` returns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from fi_workbench.aggregation.apply import enrolment_part, local_part
from fi_workbench.aggregation.rule import LocalView, OnAbsence, Rule, rules
from fi_workbench.core.arrays import check_answer
from fi_workbench.core.digest import canonical, sha256
from fi_workbench.core.errors import (
    DoesNotFit,
    FederationError,
    InvalidAnswer,
    InvalidOption,
    InvalidQuery,
    Refused,
    UnknownName,
)  # fmt: skip
from fi_workbench.core.identity import BadSignature, Identity, PublicIdentity, verify
from fi_workbench.core.messages import Body, PartyCard
from fi_workbench.core.options import check_options
from fi_workbench.core.randomness import generator
from fi_workbench.core.summand import Summand
from fi_workbench.parties.party import Party
from fi_workbench.privacy.mechanism import Mechanism, PartyContext
from fi_workbench.privacy.stack import Stack, make_mechanism
from fi_workbench.protocol.header import HEADER, SIGNATURE, RoundHeader, read_header
from fi_workbench.protocol.policy import Policy, QueryBudget
from fi_workbench.protocol.ports import ABSENT_KIND, ABSENT_REASON, ANNOUNCE, CAPABILITIES, ROUND_ID, TOTALS
from fi_workbench.protocol.runtime import OpenRound, PartyRuntime

_log = logging.getLogger(__name__)

_TOLD = (InvalidAnswer, InvalidQuery, InvalidOption, UnknownName, DoesNotFit, BadSignature)
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
    """

    def __init__(self, party: Party, identity: Identity | None = None, policy: Policy | None = None) -> None:
        self.party = party
        self.identity = identity or Identity(party.name)
        self.policy = policy or Policy()
        self.budget = QueryBudget(self.policy.query_budget)
        self.runtime = PartyRuntime()

    @cached_property
    def card(self) -> PartyCard:
        """What this party announces of itself."""
        party = self.party
        return PartyCard(
            party.name, party.classes, party.input_shape, party.outputs, party.model, party.facts.names(),
            CAPABILITIES, self.identity.public,
        )  # fmt: skip

    def stop(self) -> None:
        """Drop all state and answer nothing more."""
        self.runtime.stop()

    def handle(self, phase: str, message: Body) -> Body:
        """The reply to one message; never raises for what the message or the model does.

        What went wrong inside the model, or with private facts, is told to others by its class only: a message may
        quote private data. The whole of it is in this party's own log.
        """
        try:
            if phase == ANNOUNCE:
                return {"name": self.party.name}
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
        phases = tuple(facts.stack.carrier.phases)
        with opened.turn:  # a message that comes twice at once is answered once
            if phases[opened.next_phase : opened.next_phase + 1] != (phase,):
                raise Refused(f"phase {phase!r} is out of turn.")
            opened.next_phase += 1
            try:
                opened.state, reply = facts.stack.carrier.party_step(phase, opened.state, message, facts.context)
            except BaseException:
                opened.next_phase = len(phases)
                raise
            finally:
                if opened.next_phase == len(phases):
                    self.runtime.end(facts.header.round_id)
        return reply

    def _begin(self, message: Body) -> OpenRound:
        header = read_header(message)
        stack = make_mechanism(header.mechanism)
        self.policy.check(header, (member.name for member in stack.members))
        members = header.identities
        if self.party.name not in members:
            raise Refused("this party is not in the question's cohort.")
        if members[self.party.name].verify_key != self.identity.public.verify_key:
            raise Refused("the cohort lists this party's name with another key.")
        payload = {name: value for name, value in message.items() if name not in (HEADER, SIGNATURE)}
        promised = header.payloads.get(self.party.name, header.payloads.get("*"))
        if promised != sha256(payload):
            raise Refused("the question's content is not what its client signed.")
        _check_carrier(header, stack.carrier)
        rule = rules[header.rule]
        context = self._context(header, stack, rule, members, payload)
        more = len(stack.carrier.phases) > 1
        facts = _Facts(header, stack, context)
        opened = self.runtime.begin(header.round_id, header.deadline_seconds, facts, stays=more)
        try:
            self.budget.book(header.client, header.n_queries)  # before the answer can leave
        except Refused:
            self.runtime.end(header.round_id)
            raise
        return opened

    def _context(
        self, header: RoundHeader, stack: Stack, rule: Rule, members: Mapping[str, PublicIdentity], payload: Body
    ) -> PartyContext:
        party, me = self.party, self.party.name
        options = check_options(rule.name, rule.options, header.rule_options)

        # the seed is public: only what is declared reproducible may draw from it
        @cache
        def rng() -> Generator:
            return generator(header.seed, "answer noise", header.n_queries, me) if stack.reproducible else default_rng()

        totals = {name[len(TOTALS) :]: np.asarray(value) for name, value in payload.items() if name.startswith(TOTALS)}

        def predict(queries: NDArray[Any]) -> NDArray[Any]:
            """The model as all the rest of the round sees it: behind its answer noise, however often it is asked."""
            values = party.predict(queries)
            if not stack.noise:
                return values
            noisy = stack.perturb(values, party.outputs, rng())
            return check_answer(noisy, party.outputs, len(queries), len(party.classes), me)

        def answer(queries: NDArray[Any]) -> NDArray[Any]:
            if header.kind != "answer":
                raise Refused(f"a round of kind {header.kind!r} asks for no answer.")
            if len(queries) != header.n_queries:
                raise Refused(f"{len(queries)} queries came, {header.n_queries} were announced.")
            return predict(queries)

        def summand(queries: NDArray[Any] | None, values: NDArray[Any] | None) -> Summand:
            held = {name: getattr(party.facts, name) for name in party.facts.names()}
            if header.kind == "enrol":
                return enrolment_part(rule, held)
            if rule.needs != "sum" or values is None:
                return {}
            on_absence: OnAbsence = "keep" if header.on_absence == "keep" else "renormalise"
            view = LocalView(values, party.outputs, queries, predict, held, totals, on_absence, rng)
            return local_part(rule, view, options)

        return PartyContext(
            me, header.round_id, header.kind, members, party.outputs, answer, summand, *self._signing(header, members),
            *self._sealing(header, members), rng,
        )  # fmt: skip

    def _signing(
        self, header: RoundHeader, members: Mapping[str, PublicIdentity]
    ) -> tuple[Callable[[bytes], bytes], Callable[[str, bytes, bytes], None]]:
        def statement(sender: str, message: bytes) -> bytes:
            return canonical(["fi-workbench statement", header.round_id, sender, message])

        def sign(message: bytes) -> bytes:
            return self.identity.sign(statement(self.party.name, message))

        def verify_(sender: str, message: bytes, signature: bytes) -> None:
            verify(members[sender].verify_key, signature, statement(sender, message))

        return sign, verify_

    def _sealing(
        self, header: RoundHeader, members: Mapping[str, PublicIdentity]
    ) -> tuple[Callable[[str, bytes, str], bytes], Callable[[str, bytes, str], bytes]]:
        def label(sender: str, recipient: str, phase: str) -> bytes:
            return canonical(["fi-workbench", header.round_id, phase, sender, recipient])

        def seal(to: str, content: bytes, phase: str) -> bytes:
            return self.identity.seal(members[to].check(), content, label(self.party.name, to, phase))

        def open_(sender: str, sealed: bytes, phase: str) -> bytes:
            return self.identity.open(members[sender].check(), sealed, label(sender, self.party.name, phase))

        return seal, open_


def _check_carrier(header: RoundHeader, carrier: Mechanism) -> None:
    """Nothing, if the client's settings keep what the mechanism promises; a client is not taken at its word.

    Raises
    ------
    Refused
        A cohort that is too small for the mechanism, or absences treated in a way that it excludes.
    """
    if len(header.cohort) < carrier.min_parties:
        raise Refused(
            f"mechanism {carrier.name!r} needs {carrier.min_parties} parties; the cohort has {len(header.cohort)}."
        )
    if carrier.hides_absence and header.on_absence != "keep":
        raise Refused(f"mechanism {carrier.name!r} hides who is absent; weights cannot be renormalised under it.")
