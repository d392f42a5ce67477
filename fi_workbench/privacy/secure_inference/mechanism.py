"""Secure inference: each model is evaluated by three parties, and no one sees the query, a model, or an answer.

The owner of a model holds its weights W and masked values, an evaluator W - A and masked values, a dealer A and what
masks are made of; see :mod:`fi_workbench.mpc`. The roles rotate over the parties, so that each plays all three, for
different models. What the client gets is the sum of the rule's summand over all models, from which nothing else can be
told: every sender blinds its one vector with a share of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from fi_workbench.core.disclosure import Disclosure, Need
from fi_workbench.core.errors import InvalidAnswer
from fi_workbench.core.identity import PublicIdentity, statement, verify
from fi_workbench.core.kept import Kept
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.core.options import Between
from fi_workbench.mpc.argmax import MAX_CLASSES
from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.keys import SessionKey
from fi_workbench.privacy.context import CoordinatorContext, Kind, Occasion, PartyContext
from fi_workbench.privacy.event import UNPROTECTED, Event
from fi_workbench.privacy.mechanism import Again, Mechanism, mechanisms
from fi_workbench.privacy.secure_inference import coordinator, party
from fi_workbench.privacy.secure_inference.announcement import VOTED, listed, session_of
from fi_workbench.privacy.secure_inference.asker import Asker
from fi_workbench.privacy.secure_sum import SecureSum

_ASSUMPTIONS = (
    "All parties keep to the protocol (semi-honest); no two of the three that evaluate a model pool what they hold.",
    "Whoever runs two members of a cohort can have the model of a third: owners say whom they trust (Policy.peers).",
    "Owner and dealer together, or owner and evaluator, come to the query.",
    "Evaluator and dealer together come to the weights and to the values within, and so mostly to the query.",
    "Up to five parties without helpers, any two of them are owner and evaluator, or owner and dealer, of some model.",
    "With two models, the client and one owner come to the other's answer; with one, the client's sum is its answer.",
    "Everybody learns each model's architecture, the number of queries, how long it took and the sizes of messages.",
    "Who may ask many questions can train a model on the answers, as with any answers.",
    "Class counts, where the rule uses them: all parties and the client see their exact sum.",
    "Under hard_vote the client gets the label alone; of one model it is its vote.",
    "Of two models' label, the client and one owner may come to the other's vote.",
)


@dataclass(frozen=True)
class SecureInference(Mechanism):
    """Three phases to set up a session, once for a cohort; then one phase a question."""

    name: ClassVar[str] = "secure_inference"
    explanation: ClassVar[str] = (
        "The query stays hidden from every party, and every model from all but its owner: three parties compute each "
        "model's answer on masked numbers, and the client alone opens the sum."
    )
    formula: ClassVar[str] = r"W v = W (v - B) + (W - A) B + A B \pmod{2^{64}}"
    source: ClassVar[str] = "Federated inference, arXiv:2603.02214; after Wagh et al., Falcon, PoPETs 2021"
    phases: ClassVar[tuple[str, ...]] = ("infer",)
    offers: ClassVar[Need] = "sum"
    requires: ClassVar[frozenset[str]] = frozenset({"phases", "peer_channels"})
    finish_at: ClassVar[Literal["coordinator", "client"]] = "client"
    hides_absence: ClassVar[bool] = True
    min_parties: ClassVar[int] = 3
    why_min_parties: ClassVar[str] = (
        "each model takes three members; below three parties add helpers, which have no model: fi.helper(like=party)"
    )
    prepares: ClassVar[bool] = True
    inside_models: ClassVar[bool] = True
    repeats: ClassVar[frozenset[str]] = frozenset({"connect", "infer"})
    pool: Annotated[int, Between(0, 64), "Questions for which masks are made ahead, in the background."] = 4
    input_bound: Annotated[
        float, Between(0.5, 1000, log=True), "No number in a query may be larger, either side of zero."
    ] = 8.0
    set_up_seconds: Annotated[float, Between(1, 600, log=True), "Time to set a session up, once for a cohort."] = 60.0

    @property
    def reproducible(self) -> bool:  # type: ignore[override]  # elsewhere an attribute
        """The last bits of a sum depend on masks."""
        return False

    @property
    def disclosure(self) -> Disclosure:
        """The client sees the sum; nobody sees the query, an answer or a model that is not its own."""
        return Disclosure(
            sees={
                "client": frozenset({"query", "sum", "label"}),
                "coordinator": frozenset(),
                "other_parties": frozenset(),
                "owner": frozenset({"model"}),
                "wire": frozenset(),
            },
            assumptions=_ASSUMPTIONS,
        )

    def carries(self, rule: str, affine: bool) -> bool:
        """Rules whose summand is affine in the logits; and the vote, of which only the label is opened."""
        return affine or rule == VOTED

    def cannot_carry(self, rule: str, n_classes: int) -> str:
        """Hidden votes are among few classes."""
        if rule != VOTED or 2 <= n_classes <= MAX_CLASSES:
            return ""
        return f"hidden votes are among 2 to {MAX_CLASSES} classes, and there are {n_classes}"

    def phases_of(self, kind: Kind) -> tuple[str, ...]:
        """Sums over private facts are secure sums."""
        phases: dict[Kind, tuple[str, ...]] = {"prepare": ("plans", "agree", "connect"), "enrol": SecureSum.phases}
        return phases.get(kind, self.phases)

    def events(self, occasion: Occasion) -> Mapping[Event, int]:
        """A sum as it is has no guarantee."""
        if occasion.kind == "enrol":
            return SecureSum().events(occasion)
        return {UNPROTECTED: max(occasion.n_queries, 1)}

    # ---- at the client

    def begin(self, occasion: Occasion) -> tuple[Any, Body]:
        """A fresh key, and how many queries the first question will have: its masks are made at once."""
        key = SessionKey()
        return (key, occasion), {party.CLIENT_KEY: key.public, party.FIRST: occasion.n_queries}

    def set_up(self, state: Any, release: Release, cohort: Mapping[str, PublicIdentity], round_id: str) -> Asker:
        """The session of those who announced themselves, if all of them signed what was released."""
        key, occasion = state
        announced, binding = release.sealed[coordinator.ANNOUNCED], release.sealed[coordinator.BINDING]
        signatures = release.sealed[coordinator.SIGNATURES]
        if not isinstance(announced, list) or not isinstance(signatures, list) or not isinstance(binding, bytes):
            raise InvalidAnswer("Nothing was released of which a session could be made.")
        for name, data, signature in zip(cohort, announced, signatures, strict=True):
            verify(cohort[name].verify_key, signature, statement(round_id, name, party.announced_part(data)))  # type: ignore[arg-type]
        members = listed(tuple(cohort), announced)  # type: ignore[arg-type]
        session = session_of(binding, key.public, members, self.pool, occasion.n_queries, occasion.rule)
        return Asker(SecureClient(session, key), occasion.components, occasion.n_classes)

    # ---- the round

    def party_step(self, phase: str, state: Any, message: Body, context: PartyContext) -> tuple[Any, Body]:
        """See :mod:`.party`."""
        if context.kind == "enrol":
            return SecureSum().party_step(phase, state, message, context)
        if phase == "plans":
            return party.announce(message, context, self.input_bound)
        if phase == "agree":
            return party.agree(state, message, context, self.pool)
        if phase == "connect":
            return party.connect(state, message, context)
        return party.infer(state, message, context)

    def refused(self, message: Body, kept: Kept, client: str) -> None:
        """End the session: its other members would wait for this one, and the question's masks are used up there."""
        party.leave(message, kept, client)

    def coordinator_step(
        self, phase: str, state: Any, replies: Mapping[str, Reply], context: CoordinatorContext
    ) -> tuple[Any, Mapping[str, Body] | Again | Release]:
        """See :mod:`.coordinator`."""
        if context.kind == "enrol":
            return SecureSum().coordinator_step(phase, state, replies, context)
        if phase == "plans":
            return coordinator.after_announce(replies, context)
        if phase == "agree":
            return coordinator.after_agree(state, replies, context)
        if phase == "connect":
            return coordinator.after_connect(state, replies, context)
        return coordinator.after_infer(state, replies, context)


mechanisms.add(SecureInference.name, SecureInference)
