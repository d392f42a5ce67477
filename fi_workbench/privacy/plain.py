"""No protection: every answer is visible to the coordinator. The baseline that the others are measured against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import check_answer
from fi_workbench.core.disclosure import Disclosure, Item, Need
from fi_workbench.core.errors import InvalidAnswer
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.privacy.context import CoordinatorContext, PartyContext
from fi_workbench.privacy.mechanism import Mechanism, mechanisms

SUM = "sum."
"""Prefix, in a message, of the arrays of the rule's local part, which most rules sum."""


@dataclass(frozen=True)
class Plain(Mechanism):
    """One phase: the query goes to each party as it is, each answer comes back as it is."""

    name: ClassVar[str] = "plain"
    explanation: ClassVar[str] = "No protection: the coordinator sees the query, every answer and the result."
    phases: ClassVar[tuple[str, ...]] = ("answer",)
    offers: ClassVar[Need] = "each"

    @property
    def disclosure(self) -> Disclosure:
        """The coordinator and whoever reads the wire see all but the models."""
        everything: frozenset[Item] = frozenset({"query", "answers", "votes", "sum", "label", "class_counts"})
        hidden: frozenset[Item] = frozenset({"class_counts"})
        return Disclosure(
            sees={
                "client": everything - hidden,
                "coordinator": everything,
                "other_parties": frozenset({"query"}),
                "owner": frozenset({"query", "model"}),
                "wire": everything,
            },
            assumptions=("None: nothing is hidden but the models and the training data.",),
        )

    def party_step(self, phase: str, state: Any, message: Body, context: PartyContext) -> tuple[Any, Body]:
        """The answer, and the rule's part beside it."""
        return None, reply_in_the_clear(message, context)

    def coordinator_step(
        self, phase: str, state: Any, replies: Mapping[str, Reply], context: CoordinatorContext
    ) -> tuple[Any, Release]:
        """All answers as they are, and the parts or their sums, in cohort order."""
        return None, gather({party: reply.body for party, reply in replies.items()}, context)


def reply_in_the_clear(message: Body, context: PartyContext) -> Body:
    """At a party: its answer to ``message`` as it is, and the rule's part beside it; that part alone when enrolling.

    Raises
    ------
    InvalidAnswer, InvalidParty, DoesNotFit
        From the model's checks and the rule's local part.
    """
    if context.kind == "enrol":
        return {SUM + name: array for name, array in context.summand(None, None).items()}
    queries = np.asarray(message["queries"])
    answer = context.answer(queries)
    # float32 on the wire: half the bytes, and more digits than models have
    reply: dict[str, Any] = {
        SUM + name: array.astype(np.float32) for name, array in context.summand(queries, answer).items()
    }
    return reply | {"answer": answer.astype(np.float32, copy=False)}


def gather(replies: Mapping[str, Body], context: CoordinatorContext) -> Release:
    """At the coordinator: what :func:`reply_in_the_clear` made at each party, checked and gathered.

    Parts are summed in cohort order where the rule needs a sum, and when enrolling; where it needs each part they stand
    side by side. A party whose reply breaks its contract leaves the round by ``context.absent``.
    """
    n_queries, n_classes = context.n_queries, context.n_classes
    present, answers, parts = list[str](), list[NDArray[Any]](), list[dict[str, NDArray[np.float64]]]()
    for party, body in replies.items():
        try:
            if context.kind == "answer":
                answer = check_answer(body.get("answer"), context.outputs[party], n_queries, n_classes, party)
            part = {
                name: component.check(body.get(SUM + name), n_queries, n_classes, f"{name!r} of {party}")
                for name, component in context.components.items()
            }
        except InvalidAnswer as error:
            context.absent(party, "invalid", str(error))
            continue
        present.append(party)
        parts.append(part)
        if context.kind == "answer":
            answers.append(answer)
    stacked = {name: np.stack([part[name] for part in parts]) for name in context.components} if parts else {}
    summed = context.kind == "enrol" or context.rule_needs == "sum"
    return Release(
        present=tuple(present),
        sums={name: each.sum(axis=0) for name, each in stacked.items()} if summed and stacked else None,
        answers=tuple(answers) if context.kind == "answer" else None,
        outputs=tuple(context.outputs[party] for party in present),
        parts=stacked if stacked and not summed else None,
    )


mechanisms.add("plain", Plain)
