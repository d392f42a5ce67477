"""The party's steps: announce a compiled model and a key, agree on the session, connect, answer questions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import Refused
from fi_workbench.core.identity import BadSignature
from fi_workbench.core.kept import Kept
from fi_workbench.core.messages import Body
from fi_workbench.core.peers import PeerFault
from fi_workbench.mpc.session import SessionEnded
from fi_workbench.mpc.streams import Lot
from fi_workbench.privacy.access import ModelAccess
from fi_workbench.privacy.context import PartyContext
from fi_workbench.privacy.mechanism import STALE
from fi_workbench.privacy.secure_inference.asker import CAPACITY, LOT, READY, SEALED, SESSION
from fi_workbench.privacy.secure_inference.coordinator import ANNOUNCED, ANNOUNCEMENT, SIGNATURE, SIGNATURES
from fi_workbench.privacy.secure_inference.relaying import Relayed
from fi_workbench.privacy.secure_inference.seat import Agreed, Coming, Seat, agreed, coming, seated

CLIENT_KEY, FIRST = "client_key", "first"

_KEY_BYTES = 32
_RESERVE = 0.1
"""Share of a phase's time that is kept for telling what went wrong."""

_MOST_RESERVE_SECONDS = 1.0


def announced_part(data: bytes) -> bytes:
    """What a member signs of its announcement."""
    return canonical(["fi-workbench secure inference", data])


def announce(message: Body, context: PartyContext, input_bound: float) -> tuple[Coming, Body]:
    """Phase ``plans``: the plan of this party's model, a fresh key, and how it can be reached.

    Raises
    ------
    Refused
        The client sent no key of its own.
    NotSupported, OutOfBounds, InvalidParty
        See :func:`~fi_workbench.privacy.secure_inference.seat.coming`.
    """
    client = message.get(CLIENT_KEY)
    if not isinstance(client, bytes) or len(client) != _KEY_BYTES:
        raise Refused("the client sent no key for the session.")
    first = message.get(FIRST, 0)
    if not isinstance(first, int) or not 0 <= first < 2**31:
        raise Refused("the client said no number of queries that there can be.")
    came, announcement = coming(context, _access(context), client, first, input_bound)
    data = announcement.encoded()
    return came, {ANNOUNCEMENT: data, SIGNATURE: context.sign(announced_part(data))}


def agree(state: Coming, message: Body, context: PartyContext, pool_size: int) -> tuple[Agreed, Body]:
    """Phase ``agree``: everybody makes the session by itself, before anybody waits for anybody.

    Raises
    ------
    Refused
        The announcements are not signed by those whom the client asked, or this party's owner does not agree.
    InvalidAnswer, DoesNotFit, BadSession
        They make no session.
    """
    announced, signatures = message.get(ANNOUNCED), message.get(SIGNATURES)
    if not isinstance(announced, list) or not isinstance(signatures, list) or len(signatures) != len(context.peers):
        raise Refused("the members' announcements did not come.")
    for name, data, signature in zip(context.peers, announced, signatures, strict=True):
        try:
            context.verify(name, announced_part(data), signature)  # type: ignore[arg-type]
        except (BadSignature, TypeError) as error:
            raise Refused(f"what {name} is said to have announced is not signed by it in this round.") from error
    found = agreed(context, _access(context), state, announced, pool_size)  # type: ignore[arg-type]
    return found, {SESSION: found.session.id}


def connect(state: Agreed | Relayed[str], message: Body, context: PartyContext) -> tuple[Relayed[str] | None, Body]:
    """Phase ``connect``: channels to the peers, and what is exchanged once.

    Raises
    ------
    PeerFault
        A peer cannot be reached, or did not keep to the protocol.
    """
    if isinstance(state, Relayed):
        return _relayed(state, message, lambda session: {SESSION: session})
    access, session = _access(context), state.session
    end = _end(access)
    seat = seated(context, access, state, end)

    def set_up() -> str:
        try:
            seat.party.set_up(end)
        except BaseException:
            seat.close()
            raise
        access.kept.put(session.id, seat)
        return session.id

    if not seat.peers.relayed:
        return None, {SESSION: set_up()}
    return _relayed(Relayed(seat.peers, set_up, end), {}, lambda session_id: {SESSION: session_id})


def infer(state: Relayed[Body] | None, message: Body, context: PartyContext) -> tuple[Relayed[Body] | None, Body]:
    """Phase ``infer``: this party's part for all models in which it plays a role, as one vector for the client.

    Raises
    ------
    Refused
        The session is not open here, or was set up for something else.
    PeerFault
        A peer did not keep to the protocol; the session has ended.
    """
    if state is not None:
        return _relayed(state, message, lambda body: body)
    access = _access(context)
    session, index, sealed = message.get(SESSION), message.get(LOT), message.get(SEALED)
    if not isinstance(session, str) or not isinstance(index, int) or not isinstance(sealed, bytes):
        raise Refused("the question is not one for a session.")
    seat: Seat | None = access.kept.get(session)
    if seat is None:
        raise Refused(f"{STALE}.")
    seat.check(access)
    end, lot = _end(access), Lot(context.n_queries, index)

    def answer() -> Body:
        try:
            vector = seat.party.answer(lot, sealed, end)
        except SessionEnded as error:
            access.kept.drop(session)
            raise Refused(f"{STALE}: {error}") from error
        except PeerFault:
            access.kept.drop(session)
            raise
        return {SEALED: vector, READY: seat.party.ready, CAPACITY: seat.party.capacity}

    if not seat.peers.relayed:
        return None, answer()
    return _relayed(Relayed(seat.peers, answer, end), {}, lambda body: body)


def leave(message: Body, kept: Kept, client: str) -> None:
    """End the session that a client's message names, if it is that client's."""
    session = message.get(SESSION)
    seat: Seat | None = kept.get(session) if isinstance(session, str) else None
    if seat is not None and seat.client == client:
        kept.drop(str(session))


def _relayed(work: Relayed[Any], message: Body, told: Callable[[Any], Body]) -> tuple[Relayed[Any] | None, Body]:
    done, result, body = work.step(message)
    return (None, {**body, **told(result)}) if done else (work, body)


def _access(context: PartyContext) -> ModelAccess:
    if context.access is None:
        raise Refused("this party lends its model to nobody.")
    return context.access


def _end(access: ModelAccess) -> float:
    """When this side gives up, in monotonic seconds: early enough to say why."""
    left = max(access.end - time.monotonic(), 0.0)
    return access.end - min(_RESERVE * left, _MOST_RESERVE_SECONDS)
