"""A mechanism of two phases, for tests: parties commit to their answers before any of them is revealed.

It uses what later mechanisms need: state between phases, payloads sealed from party to party through the coordinator,
and parties that fall out between the phases.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fi_workbench.core.arrays import check_answer
from fi_workbench.core.digest import canonical
from fi_workbench.core.disclosure import Disclosure
from fi_workbench.core.errors import InvalidAnswer
from fi_workbench.core.messages import Release
from fi_workbench.privacy.mechanism import Mechanism

SEALED = "sealed."


def commitment(salt, answer):
    return hashlib.blake2b(canonical([salt, answer])).digest()


@dataclass(frozen=True)
class CommitThenReveal(Mechanism):
    """First a hash of each answer, told to every peer under seal; then the answers, held against the hashes."""

    name: ClassVar[str] = "commit_then_reveal"
    explanation: ClassVar[str] = "Answers are fixed before any is shown."
    phases: ClassVar[tuple[str, ...]] = ("commit", "reveal")
    offers: ClassVar[str] = "each"
    requires: ClassVar[frozenset[str]] = frozenset({"sealed_payloads"})

    salt_bytes: int = 32

    @property
    def disclosure(self):
        seen = frozenset({"query", "answers", "votes", "sum", "label"})
        return Disclosure(
            sees={
                "client": seen, "coordinator": seen, "wire": seen,
                "other_parties": frozenset({"query"}), "owner": frozenset({"query", "model"}),
            },
            assumptions=("Nobody can answer after having seen another's answer.",),
        )  # fmt: skip

    def party_step(self, phase, state, message, context):
        if phase == "commit":
            answer = context.answer(np.asarray(message["queries"])).astype(np.float32)
            salt = secrets.token_bytes(self.salt_bytes)
            own = commitment(salt, answer)
            sealed = {SEALED + peer: context.seal(peer, own, phase) for peer in context.peers if peer != context.name}
            return (salt, answer), {"commitment": own, **sealed}
        salt, answer = state
        for peer in [name[len(SEALED) :] for name in message if name.startswith(SEALED)]:
            told = context.open(peer, message[SEALED + peer], "commit")
            if told != message[f"commitment.{peer}"]:
                raise InvalidAnswer(f"{context.name} was told another commitment of {peer} than the list shows.")
        return None, {"answer": answer, "salt": salt}

    def coordinator_step(self, phase, state, replies, context):
        if phase == "commit":
            commitments = {party: reply.field("commitment", bytes) for party, reply in replies.items()}
            listed = {f"commitment.{party}": value for party, value in commitments.items()}
            return commitments, {
                party: listed
                | {SEALED + peer: replies[peer].field(SEALED + party, bytes) for peer in replies if peer != party}
                for party in replies
            }
        present, answers = [], []
        for party, reply in replies.items():
            answer = reply.field("answer", np.ndarray)
            if commitment(reply.field("salt", bytes), answer) != state[party]:
                context.absent(party, "invalid", "its answer is not what it had committed to.")
                continue
            answers.append(check_answer(answer, context.outputs[party], context.n_queries, context.n_classes, party))
            present.append(party)
        return None, Release(tuple(present), answers=tuple(answers), outputs=tuple(context.outputs[p] for p in present))
