"""The coordinator's side of a round: the mechanism's steps, and the rule's finish where the mechanism lets it.

It never has more than what parties send it; queries and scores pass through it only as the mechanism makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fi_workbench.aggregation.apply import components_of, enrolment_components_of, finish
from fi_workbench.core.arrays import Scores
from fi_workbench.core.digest import sha256
from fi_workbench.core.errors import InvalidReply
from fi_workbench.core.identity import BadSignature
from fi_workbench.core.messages import AGAIN, Body, PartyCard, Release, Reply
from fi_workbench.core.plain_text import clean
from fi_workbench.core.records import Absence, AbsenceKind
from fi_workbench.core.summand import Component
from fi_workbench.incentives.ledger import Receipt
from fi_workbench.privacy.context import CoordinatorContext
from fi_workbench.privacy.mechanism import Again
from fi_workbench.protocol.header import RoundHeader
from fi_workbench.protocol.ports import ABSENT_KIND, ABSENT_REASON, RECEIPT, ROUND_ID
from fi_workbench.protocol.settings import RoundSettings

_KINDS: dict[str, AbsenceKind] = {"refused": "refused", "invalid": "invalid", "raised": "raised"}


class CoordinatorRound:
    """One round, as the coordinator sees it.

    Parameters
    ----------
    header : RoundHeader
        As the client signed it.
    settings : RoundSettings
    cards : mapping of str to PartyCard
        Of the cohort.
    """

    def __init__(self, header: RoundHeader, settings: RoundSettings, cards: Mapping[str, PartyCard]) -> None:
        self.header, self.settings = header, settings
        self.absent: dict[str, Absence] = {}
        self.receipts: dict[str, Receipt] = {}
        self.again = False  # whether the next messages are of the same phase
        self._state: Any = None
        self._phase = ""
        n_classes = len(cards[header.names[0]].classes)
        self._context = CoordinatorContext(
            round_id=header.round_id,
            round_digest=header.digest,
            kind=header.kind,
            cohort=header.names,
            identities=header.identities,
            outputs={name: cards[name].outputs for name in header.names},
            n_queries=header.n_queries,
            n_classes=n_classes,
            rule_needs=settings.rule.needs,
            components=self._components(n_classes),
            absent=self._leave_out,
        )

    @property
    def phases(self) -> tuple[str, ...]:
        """The mechanism's phases, in order."""
        return self.settings.mechanism.carrier.phases_of(self.header.kind)

    def step(self, phase: str, replies: Mapping[str, Reply]) -> Mapping[str, Body] | Release:
        """The next messages after a phase, or after the last one the release.

        Parties that say in their reply that they do not answer become absences.
        """
        self._phase, self.again = phase, False
        answered: dict[str, Reply] = {}
        for party in self.header.names:
            reply = replies.get(party)
            if reply is None:
                continue
            if (kind := absence_kind(reply.body)) is not None:
                reason = reply.body.get(ABSENT_REASON)
                told = clean(reason[:500], 500) if isinstance(reason, str) else "it gave no reason."
                self.miss(Absence(party, phase, kind, told, reply.seconds))
            elif self._is_receipted(phase, reply):
                answered[party] = reply
        if not answered:
            return Release(present=())
        state, outcome = self._taken(phase, answered)
        if outcome is None:
            return Release(present=())
        self._state = state
        if isinstance(outcome, Release):
            for party in answered.keys() - set(outcome.present):
                self._leave_out(party, "excluded", "the mechanism left it out.")
            return outcome
        if isinstance(outcome, Again):
            self.again, outcome = True, outcome.messages
        for party in () if self.again else answered.keys() - outcome.keys():
            self._leave_out(party, "excluded", "the mechanism left it out.")
        return {party: {ROUND_ID: self.header.round_id, **body} for party, body in outcome.items()}

    def _taken(self, phase: str, answered: dict[str, Reply]) -> tuple[Any, Mapping[str, Body] | Again | Release | None]:
        # a step is a function of state and replies, so it can be taken again without a reply that it cannot read
        carrier = self.settings.mechanism.carrier
        while answered:
            try:
                return carrier.coordinator_step(phase, self._state, answered, self._context)
            except InvalidReply as error:
                if answered.pop(error.party, None) is None:
                    raise
                self._leave_out(error.party, "invalid", str(error))
        return None, None

    def miss(self, absence: Absence) -> None:
        """Note that a party fell out; the first reason stays."""
        self.absent.setdefault(absence.party, absence)

    def finish(self, release: Release) -> Scores:
        """The rule's finish at the coordinator: (query, class)."""
        settings = self.settings
        return finish(
            settings.rule, settings.rule_options, sums=release.sums, parts=release.parts, answers=release.answers,
            outputs=release.outputs, parties=release.present,
        )  # fmt: skip

    def _is_receipted(self, phase: str, reply: Reply) -> bool:
        """Whether the reply carries what was asked for: in the last phase of a paid round, its party's receipt."""
        if not self.header.receipts or phase != self.phases[-1] or AGAIN in reply.body:
            return True
        party, header = reply.party, self.header
        released = {name: value for name, value in reply.body.items() if name != RECEIPT}
        key = header.identities[party].verify_key.hex()
        try:
            signature = reply.field(RECEIPT, bytes).hex()
            receipt = Receipt(header.round_id, header.digest, party, key, sha256(released), signature).check()
        except (InvalidReply, BadSignature):
            self._leave_out(party, "invalid", "it signed no receipt of what it released, so it cannot be paid.")
            return False
        self.receipts[party] = receipt
        return True

    def _leave_out(self, party: str, kind: AbsenceKind, reason: str) -> None:
        self.miss(Absence(party, self._phase, kind, reason))

    def _components(self, n_classes: int) -> Mapping[str, Component]:
        rule, settings = self.settings.rule, self.settings
        if self.header.kind == "enrol":
            return enrolment_components_of(rule, n_classes, settings.rule_options)
        return components_of(rule, n_classes, settings.on_absence, settings.rule_options)


def absence_kind(body: Body) -> AbsenceKind | None:
    """Why a party says that it does not answer; None where it does. What it makes up itself is ``invalid``."""
    if ABSENT_KIND not in body:
        return None
    kind = body[ABSENT_KIND]
    return _KINDS.get(kind, "invalid") if isinstance(kind, str) else "invalid"
