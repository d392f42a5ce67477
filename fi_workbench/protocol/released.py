"""After a round: the parties are told the labels that were released, and each says how often it had given them, signed.

A party compares with the labels of the answer that it gave, as it left its model, its behaviour and its answer noise;
they stay here for a while, and are spoken of once. What it says is one number. Nobody can check it: that would take
the answers. And a client that makes labels up learns from the number how often the party gave these; with many copies
of one query, and labels to match, that is the party's vote. So a party that clients may ask only under mechanisms
that hide votes says nothing, unless the owner has it do so (``Policy.tells_agreement``); and none does about fewer
queries than :data:`FEWEST_QUERIES`.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels, Queries
from fi_workbench.core.digest import canonical, sha256
from fi_workbench.core.errors import InvalidReply, Refused
from fi_workbench.core.identity import BadSignature, Identity, statement, verify
from fi_workbench.core.messages import Body, Reply
from fi_workbench.core.plain_text import clean
from fi_workbench.core.records import Absence, Cost
from fi_workbench.privacy.context import Occasion, PartyContext
from fi_workbench.privacy.event import UNPROTECTED
from fi_workbench.privacy.stack import Stack
from fi_workbench.protocol.header import RoundHeader
from fi_workbench.protocol.ports import ABSENT_KIND, ABSENT_REASON, RELEASED, ROUND_ID, Link, Sent

FEWEST_QUERIES = 8
"""About fewer queries a party does not say how often it gave the released label."""

HELD_SECONDS = 600.0
"""How long after its answer a party can be told what was released."""

MAX_HELD = 1000
"""Rounds whose labels a party holds at once; the oldest give way."""

LABELS, AGREED, BY_CLIENT, BY_PARTY = "labels", "agreed", "client_signature", "party_signature"


MAX_LABELS = 4_000_000
"""And so many labels of all of them: 16 MB."""


@dataclass(frozen=True, eq=False)
class _Held:
    """Of the question, not its header: one may have megabytes."""

    client: str
    round_digest: str
    labels: NDArray[np.int32]
    n_classes: int
    expires: float


class OwnLabels:
    """The labels of the answers that a party gave lately; safe to use from several threads."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._n_labels = 0
        self._lock = threading.Lock()

    def watching(self, context: PartyContext, header: RoundHeader, stack: Stack, occasion: Occasion) -> PartyContext:
        """The same context, whose answer's labels are kept where to speak of them costs no more than the answer did.

        That is where the answer itself has no guarantee, or where its own noise gives it one, which all that is made of
        it keeps. Under noise that the mechanism adds to a sum, it would tell more than was booked.
        """
        noisy = not stack.reproducible and any(one.events(occasion) is not None for one in stack.noise)
        noisy = noisy and not occasion.uses_facts  # then the noise on the answer is not what was booked
        if header.kind != "answer" or not (noisy or UNPROTECTED in stack.events(occasion)):
            return context

        def answer(queries: Queries) -> NDArray[Any]:
            values = context.answer(queries)
            labels, expires = values.argmax(axis=1).astype(np.int32), time.monotonic() + HELD_SECONDS
            held = _Held(header.client, header.digest, labels, occasion.n_classes, expires)
            self._keep(header.round_id, held)
            return values

        return replace(context, answer=answer)

    def agreement(self, message: Body, me: Identity, claimed: Callable[[int, int], int]) -> Body:
        """What a party replies to the labels that were released: once a round.

        Parameters
        ----------
        message : Body
        me : Identity
        claimed : callable
            ``(n_agreed, n_queries) -> int``: what it says where it had given ``n_agreed`` of the labels.

        Raises
        ------
        Refused
            The round is not held here (any more), the labels are not signed by its client or cannot be its labels, or
            there are too few.
        """
        round_id = str(message.get(ROUND_ID))
        with self._lock:
            held = self._held.get(round_id)
        if held is None or held.expires <= time.monotonic():
            raise Refused(f"of round {round_id[:8]} no labels are held here: its owner does not tell, or told before.")
        labels, signature = message.get(LABELS), message.get(BY_CLIENT)
        if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu" or labels.shape != held.labels.shape:
            raise Refused("the released labels are not one whole number a query.")
        try:
            told = signature if isinstance(signature, bytes) else b""
            verify(bytes.fromhex(held.client), told, _told(held.round_digest, labels))
        except BadSignature as error:
            raise Refused("the released labels are not signed by the client of their round.") from error
        if ((labels < 0) | (labels >= held.n_classes)).any():
            raise Refused("the released labels name a class that there is not.")
        if len(labels) < FEWEST_QUERIES:
            raise Refused(f"agreement on {len(labels)} queries would tell single answers; {FEWEST_QUERIES} are needed.")
        with self._lock:
            if self._drop(round_id) is None:
                raise Refused(f"of round {round_id[:8]} it was told before.")
        said = claimed(int((labels == held.labels).sum()), len(labels))
        return {AGREED: said, BY_PARTY: me.sign(_said(round_id, held.round_digest, me.name, labels, said))}

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()
            self._n_labels = 0

    def _keep(self, round_id: str, held: _Held) -> None:
        with self._lock:
            self._drop(round_id)
            self._held[round_id] = held
            self._n_labels += held.labels.size
            while self._held and (
                len(self._held) > MAX_HELD
                or self._n_labels > MAX_LABELS
                or next(iter(self._held.values())).expires <= time.monotonic()
            ):
                self._drop(next(iter(self._held)))

    def _drop(self, round_id: str) -> _Held | None:
        held = self._held.pop(round_id, None)
        self._n_labels -= 0 if held is None else held.labels.size
        return held


def telling(client: Identity, header: RoundHeader, labels: Labels) -> Body:
    """The message that tells the parties of a round its labels, signed by the client."""
    told = np.ascontiguousarray(labels, dtype=np.int32)
    return {ROUND_ID: header.round_id, LABELS: told, BY_CLIENT: client.sign(_told(header.digest, told))}


@dataclass(frozen=True, eq=False)
class Agreements:
    """What the parties of a round said.

    Parameters
    ----------
    counts : mapping of str to int
        On how many queries each gave the released label, by its own word.
    absent : tuple of Absence
        Why the others said nothing.
    cost : Cost
    """

    counts: Mapping[str, int]
    absent: tuple[Absence, ...]
    cost: Cost


def gathered(
    link: Link, header: RoundHeader, message: Body, parties: Sequence[str], seconds: float, cancelled: threading.Event
) -> Agreements:
    """Carry the released labels to the parties, and gather what they say; what is not signed or cannot be is no word.

    Parameters
    ----------
    link : Link
    header : RoundHeader
        Of the round.
    message : Body
        As :func:`telling` made it.
    parties : sequence of str
    seconds : float
    cancelled : Event
    """
    counts: dict[str, int] = {}
    absent: list[Absence] = []
    cost, clock, labels = Cost(), time.perf_counter(), message[LABELS]
    messages = dict.fromkeys(parties, message)
    for arrival in link.exchange(RELEASED, messages, round_id=header.round_id, seconds=seconds, cancelled=cancelled):
        if isinstance(arrival, Sent):
            cost = replace(cost, messages_out=arrival.n_messages, bytes_out=arrival.n_bytes)
        elif isinstance(arrival, Absence):
            absent.append(arrival)
        else:
            cost = replace(cost, messages_in=cost.messages_in + 1, bytes_in=cost.bytes_in + arrival.n_bytes)
            try:
                counts[arrival.party] = _read(arrival, header, np.asarray(labels))
            except InvalidReply as error:
                absent.append(Absence(arrival.party, RELEASED, "invalid", str(error), arrival.seconds))
    return Agreements(counts, tuple(absent), replace(cost, stage_seconds={RELEASED: time.perf_counter() - clock}))


def _read(reply: Reply, header: RoundHeader, labels: Labels) -> int:
    party = reply.party
    if ABSENT_KIND in reply.body:
        raise InvalidReply(party, f"it says nothing: {clean(str(reply.body.get(ABSENT_REASON))[:500], 500)}")
    said = reply.field(AGREED, int)
    try:
        signed = _said(header.round_id, header.digest, party, labels, said)
        verify(header.identities[party].verify_key, reply.field(BY_PARTY, bytes), signed)
    except BadSignature as error:
        raise InvalidReply(party, f"{party} did not sign how often it agrees.") from error
    if isinstance(said, bool) or not 0 <= said <= len(labels):
        raise InvalidReply(party, f"{party} says that it agrees {said} times of {len(labels)}.")
    return said


def _told(round_digest: str, labels: Labels) -> bytes:
    """What the client signs; the digest is of a header that holds the round's own number."""
    return canonical(["fi-workbench released labels", round_digest, _digest(labels)])


def _said(round_id: str, round_digest: str, party: str, labels: Labels, n_agreed: int) -> bytes:
    said = canonical(["fi-workbench agreement", round_digest, _digest(labels), n_agreed, len(labels)])
    return statement(round_id, party, said)


def _digest(labels: Labels) -> str:
    return sha256(np.ascontiguousarray(labels, dtype=np.int32))
