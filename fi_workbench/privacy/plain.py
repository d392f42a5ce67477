"""No protection: every answer is visible to the coordinator. The baseline that the others are measured against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fi_workbench.core.arrays import check_answer
from fi_workbench.core.disclosure import Disclosure, Item, Need
from fi_workbench.core.errors import InvalidAnswer
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.privacy.mechanism import CoordinatorContext, Mechanism, PartyContext, mechanisms

SUM = "sum."
"""Prefix of the summand's arrays in a message."""


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
        """The answer, and the rule's summand beside it."""
        if context.kind == "enrol":
            return None, {SUM + name: array for name, array in context.summand(None, None).items()}
        queries = np.asarray(message["queries"])
        answer = context.answer(queries)
        summed = context.summand(queries, answer)
        # float32 on the wire: half the bytes, and more digits than models have
        reply: dict[str, Any] = {SUM + name: array.astype(np.float32) for name, array in summed.items()}
        return None, reply | {"answer": answer.astype(np.float32, copy=False)}

    def coordinator_step(
        self, phase: str, state: Any, replies: Mapping[str, Reply], context: CoordinatorContext
    ) -> tuple[Any, Release]:
        """All answers as they are, and their sums in cohort order."""
        n_queries, n_classes = context.n_queries, context.n_classes
        present, answers, parts = list[str](), list[Any](), list[dict[str, Any]]()
        for party, reply in replies.items():
            try:
                if context.kind == "answer":
                    answer = reply.body.get("answer")
                    answer = check_answer(answer, context.outputs[party], n_queries, n_classes, party)
                part = {
                    name: component.check(reply.body.get(SUM + name), n_queries, n_classes, f"{name!r} of {party}")
                    for name, component in context.components.items()
                }
            except InvalidAnswer as error:
                context.absent(party, "invalid", str(error))
                continue
            present.append(party)
            parts.append(part)
            if context.kind == "answer":
                answers.append(answer)
        sums = {name: np.sum([part[name] for part in parts], axis=0) for name in context.components} if parts else {}
        return None, Release(
            present=tuple(present),
            sums=sums or None,
            answers=tuple(answers) if context.kind == "answer" else None,
            outputs=tuple(context.outputs[party] for party in present),
        )


mechanisms.add("plain", Plain)
