"""Secure sum: pairwise masks that cancel in the sum, and shares that open those of parties that fall out.

Sources: K. Bonawitz, V. Ivanov, B. Kreuter, A. Marcedone, H. B. McMahan, S. Patel, D. Ramage, A. Segal, K. Seth,
Practical secure aggregation for privacy-preserving machine learning, CCS 2017; J. H. Bell, K. A. Bonawitz, A. Gascon,
T. Lepoint, M. Raykova, Secure single-server aggregation with (poly)logarithmic overhead, CCS 2020.

With h holders of each party's secrets and a threshold of t = h - floor(tolerated_dropouts h) shares, a sum is opened
while t of the holders of each secret are left, and a coordinator that tells neighbours different stories opens no
party's mask both ways as long as at most 2 t - h - 1 of that party's holders collude with it (:mod:`.graph`). Nor does
it come to a sum of fewer than each holder was told of: t of the holders have signed one list before any opens a share.
In a graph that is not complete, with more than a third tolerated, lists may differ from one end of the circle to the
other: it may then come to sums over stretches of it, each of more parties than one has neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.disclosure import Disclosure, Item, Need
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.core.options import Between
from fi_workbench.core.summand import Component, Summand
from fi_workbench.privacy.context import CoordinatorContext, Occasion, PartyContext
from fi_workbench.privacy.event import UNPROTECTED, Event
from fi_workbench.privacy.mechanism import Mechanism, mechanisms
from fi_workbench.privacy.sampling import discrete_laplace
from fi_workbench.privacy.secure_sum import coordinator, party
from fi_workbench.privacy.secure_sum.graph import degree_of, graph_of, threshold_of
from fi_workbench.privacy.secure_sum.layout import Layout, Ring
from fi_workbench.privacy.secure_sum.plan import Plan

_KEEP_TO_IT = (
    "Parties and coordinator keep to the protocol, and fewer than t of the h holders of a party's secrets (itself and "
    "its neighbours) collude with the coordinator: t = h - floor(tolerated_dropouts h)."
)
_STORIES = (
    "A coordinator that tells neighbours different stories opens no party's mask both ways, and no other sum than that "
    "of one list which t holders signed, as long as at most 2 t - h - 1 of that party's holders collude with it (with "
    "more than a third tolerated and more than 13 parties, sums over more than h parties that stand in a row)."
)
EXACT_SUM = (
    "The sum is exact: who knows all answers but one knows that one, and two sums that differ in one party tell its "
    "answer. Parties that a client invented hide nobody."
)
_NOT = "It does not hide the query, and keeps no party from a wrong answer."
_ASSUMPTIONS = (_KEEP_TO_IT, _STORIES, EXACT_SUM, _NOT)


@dataclass(frozen=True)
class SecureSum(Mechanism):
    """Five phases: keys, shares of them, masked answers, who is in the sum, and the shares that take the masks off it.

    A subclass that blurs the sum says by how much in :meth:`noise_stddev` and does it in :meth:`blur`; one that lets
    something else travel than the rule's summand says what in :meth:`carried`, :meth:`prepared` and :meth:`released`.
    """

    name: ClassVar[str] = "secure_sum"
    explanation: ClassVar[str] = (
        "Each party hides its answer under masks that cancel in the sum: the coordinator learns what the answers add "
        "up to, and no single one. Everybody still sees the query."
    )
    formula: ClassVar[str] = (
        r"y_k = x_k + \mathrm{PRG}(b_k) + \sum_{j > k} \mathrm{PRG}(s_{kj}) - \sum_{j < k} \mathrm{PRG}(s_{kj}) "
        r"\pmod{2^{64}}"
    )
    source: ClassVar[str] = "Bonawitz et al., CCS 2017; Bell et al., CCS 2020"
    phases: ClassVar[tuple[str, ...]] = ("keys", "shares", "masked", "agree", "unmask")
    offers: ClassVar[Need] = "sum"
    requires: ClassVar[frozenset[str]] = frozenset({"phases"})
    hides_absence: ClassVar[bool] = True
    min_parties: ClassVar[int] = 3
    why_min_parties: ClassVar[str] = "with two, the sum tells each of them the other's answer"

    tolerated_dropouts: Annotated[
        float, Between(0, 0.49), "Share of those who hold a party's secrets that may drop out of a round."
    ] = 1 / 3
    neighbours: Annotated[int, Between(0, 1000), "Neighbours of each party, at least; 0 for as many as it takes."] = 0
    colluding: Annotated[float, Between(0.05, 0.3), "Share of the parties that may collude with the coordinator."] = 0.1
    enrolment_epsilon: Annotated[
        float, Between(0, 10), "Epsilon of the noise on each party's class counts, once per cohort; 0 for none."
    ] = 0.0

    @property
    def reproducible(self) -> bool:  # type: ignore[override]  # elsewhere an attribute; here an option decides
        """Sums in the ring are exact, so equal answers give equal sums; noise on the counts does not."""
        return not self.enrolment_epsilon

    @property
    def disclosure(self) -> Disclosure:
        """A sum where there was each answer; who reads the wire without keys comes to the sum too."""
        total: frozenset[Item] = frozenset({"query", "sum", "label"})
        return Disclosure(
            sees={
                "client": total,
                "coordinator": total,
                "other_parties": frozenset({"query"}),
                "owner": frozenset({"query", "model"}),
                "wire": total,
            },
            assumptions=(*_ASSUMPTIONS, self._of_colluders(), self._of_counts()),
        )

    def _of_colluders(self) -> str:
        return (
            f"With up to {self.colluding:.0%} of the parties colluding, whoever they are, the graph leaves some party "
            "open with probability below 2^-40; who may ask many questions may choose among as many graphs."
        )

    def _of_counts(self) -> str:
        if self.enrolment_epsilon:
            return (
                f"Class counts: each party's are blurred, with epsilon {self.enrolment_epsilon:g} for one sample more "
                "or less, once per cohort; all parties and the client see their sum."
            )
        return "Class counts, where the rule uses them: all parties and the client see their exact sum."

    # ---- what a subclass may change

    def carried(self, components: Mapping[str, Component]) -> Mapping[str, Component]:
        """What travels in place of the rule's summand in an answer round: its declarations."""
        return components

    def prepared(self, summand: Summand, context: PartyContext) -> Summand:
        """At a party: the arrays that travel, as :meth:`carried` declares them, from the rule's summand."""
        return summand

    def noise_stddev(self, components: Mapping[str, Component], n_parties: int) -> Mapping[str, float]:
        """Standard deviation of the noise on an entry of the sum over all parties, by component that travels."""
        return {}

    def blur(self, layout: Layout, context: PartyContext) -> NDArray[np.int64] | None:
        """At a party, in an answer round: noise in ring units, (word,), to add to its vector before it is masked."""
        return None

    def released(
        self, sums: Mapping[str, NDArray[np.float64]], n_present: int, context: CoordinatorContext
    ) -> Mapping[str, NDArray[np.float64]]:
        """At the coordinator: the sums that the rule finishes, from those of what travelled."""
        return sums

    # ---- the round

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """A sum as it is has no guarantee; noise on the counts is Laplace noise of the party's own, once."""
        if occasion.kind == "enrol" and self.enrolment_epsilon:
            return {Event("laplace", multiplier=1.0 / self.enrolment_epsilon, relation="participate"): 1}
        return {UNPROTECTED: max(occasion.n_queries, 1)}

    def party_step(self, phase: str, state: Any, message: Body, context: PartyContext) -> tuple[Any, Body]:
        """See :mod:`.party`; the model is asked in phase ``masked``, once it is clear that there will be a sum."""
        if phase == "keys":
            return party.announce(message, context)
        plan = self.plan(context, tuple(context.peers))
        if phase == "shares":
            return party.share(state, message, context, plan)
        if phase == "masked":
            return party.mask(state, message, context, plan, lambda: self._vector(state.question, plan.layout, context))
        if phase == "agree":
            return party.agree(state, message, context, plan)
        return None, party.unmask(state, message, context, plan)

    def coordinator_step(
        self, phase: str, state: Any, replies: Mapping[str, Reply], context: CoordinatorContext
    ) -> tuple[Any, Mapping[str, Body] | Release]:
        """See :mod:`.coordinator`; after the last phase the sum, or nothing."""
        plan = self.plan(context, context.cohort)
        if phase == "keys":
            return coordinator.after_keys(replies, context, plan)
        if phase == "shares":
            return coordinator.after_shares(state, replies, context, plan)
        if phase == "masked":
            return coordinator.after_masked(state, replies, context, plan)
        if phase == "agree":
            return coordinator.after_agree(state, replies, context, plan)
        _, total = coordinator.after_unmask(state, replies, context, plan)
        if isinstance(total, Release):
            return None, total
        sums: Mapping[str, NDArray[np.float64]] = plan.layout.decode(total, len(state.present))
        if context.kind == "answer":
            sums = self.released(sums, len(state.present), context)
        return None, Release(present=state.present, sums=sums)

    def plan(self, context: PartyContext | CoordinatorContext, cohort: tuple[str, ...]) -> Plan:
        """What parties and coordinator agree on, each by itself."""
        n_parties = len(cohort)
        answers = context.kind == "answer"
        components = self.carried(context.components) if answers else context.components
        stddev = self.noise_stddev(components, n_parties) if answers else self._enrolment_stddev(components, n_parties)
        layout = Layout.of(components, context.n_queries, context.n_classes, n_parties, stddev)
        degree = degree_of(n_parties, self.neighbours, self.tolerated_dropouts, self.colluding)
        threshold = threshold_of(degree + 1, self.tolerated_dropouts)
        return Plan(cohort, layout, graph_of(context.round_digest, n_parties, degree), threshold, self.min_parties)

    def _vector(self, question: Body, layout: Layout, context: PartyContext) -> Ring:
        """This party's part as a vector of the ring, with its noise; nobody else holds it."""
        if context.kind == "enrol":
            vector = layout.encode(context.summand(None, None))
            noise = self._enrolment_noise(layout, context)
        else:
            queries = np.asarray(question["queries"])
            vector = layout.encode(self.prepared(context.summand(queries, context.answer(queries)), context))
            noise = self.blur(layout, context)
        return vector if noise is None else vector + noise.astype(np.int64, copy=False).view(np.uint64)

    def _enrolment_scale(self, n_components: int) -> float:
        # one sample more or less moves one entry of each component by one
        return n_components / self.enrolment_epsilon if self.enrolment_epsilon else 0.0

    def _enrolment_stddev(self, components: Mapping[str, Component], n_parties: int) -> dict[str, float]:
        stddev = math.sqrt(2.0 * n_parties) * self._enrolment_scale(len(components))
        return dict.fromkeys(components, stddev)

    def _enrolment_noise(self, layout: Layout, context: PartyContext) -> NDArray[np.int64] | None:
        if not self.enrolment_epsilon:
            return None
        stream, noise = context.noise("secure sum enrolment"), np.empty(layout.size, dtype=np.int64)
        for entry in layout.entries:
            scale = math.ceil(self._enrolment_scale(len(layout.entries)) * entry.scale)
            noise[entry.where] = discrete_laplace(stream, entry.where.stop - entry.where.start, scale)
        return noise


mechanisms.add(SecureSum.name, SecureSum)
