"""The coordinator's steps: it carries what the members announce, and what they seal for the client and each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fi_workbench.core.errors import InvalidReply
from fi_workbench.core.messages import AGAIN, Body, Release, Reply
from fi_workbench.privacy.context import CoordinatorContext
from fi_workbench.privacy.mechanism import Again
from fi_workbench.privacy.secure_inference.asker import CAPACITY, NAMES, READY, SEALED, SESSION, VECTORS
from fi_workbench.privacy.secure_inference.relaying import carried_on

ANNOUNCEMENT, SIGNATURE = "announcement", "announcement_signature"
ANNOUNCED, SIGNATURES, BINDING = "announced", "signatures", "binding"


@dataclass(frozen=True, eq=False)
class CoordinatorState:
    """What the coordinator keeps between phases, and while it carries messages.

    Parameters
    ----------
    announced, signatures : tuple of bytes
        In cohort order.
    done : mapping of str to Reply
        Of those who have no more to say in this phase.
    """

    announced: tuple[bytes, ...] = ()
    signatures: tuple[bytes, ...] = ()
    done: Mapping[str, Reply] = field(default_factory=dict)


def after_announce(
    replies: Mapping[str, Reply], context: CoordinatorContext
) -> tuple[CoordinatorState | None, Mapping[str, Body] | Release]:
    """To each member, what all announced; nothing if one is missing."""
    announced = {party: reply.field(ANNOUNCEMENT, bytes) for party, reply in replies.items()}
    signatures = {party: reply.field(SIGNATURE, bytes) for party, reply in replies.items()}
    if ended := _incomplete(announced, context):
        return None, ended
    state = CoordinatorState(
        tuple(announced[name] for name in context.cohort), tuple(signatures[name] for name in context.cohort)
    )
    told: Body = {ANNOUNCED: list(state.announced), SIGNATURES: list(state.signatures)}
    return state, dict.fromkeys(context.cohort, told)


def after_agree(
    state: CoordinatorState, replies: Mapping[str, Reply], context: CoordinatorContext
) -> tuple[CoordinatorState, Mapping[str, Body] | Release]:
    """To each member, that all have agreed; who came to another session than most is left out."""
    sessions = {party: reply.field(SESSION, str) for party, reply in replies.items()}
    if ended := _incomplete(sessions, context):
        return state, ended
    most, _ = Counter(sessions.values()).most_common(1)[0]
    for party, session in sessions.items():
        if session != most:
            raise InvalidReply(party, f"{party} came to another session than the others; was it told the same?")
    return state, {party: {SESSION: most} for party in sessions}


def after_connect(
    state: CoordinatorState, replies: Mapping[str, Reply], context: CoordinatorContext
) -> tuple[CoordinatorState, Again | Release]:
    """To the client, what it needs to make the same session."""
    state, outcome = _gathered(state, replies, context)
    if outcome is not None:
        return state, outcome
    sealed: Body = {
        ANNOUNCED: list(state.announced), SIGNATURES: list(state.signatures),
        BINDING: bytes.fromhex(context.round_digest),
    }  # fmt: skip
    return state, Release(present=context.cohort, sealed=sealed)


def after_infer(
    state: CoordinatorState | None, replies: Mapping[str, Reply], context: CoordinatorContext
) -> tuple[CoordinatorState, Again | Release]:
    """To the client, what each member sealed for it."""
    state, outcome = _gathered(state or CoordinatorState(), replies, context)
    if outcome is not None:
        return state, outcome
    done = state.done
    sealed: Body = {
        NAMES: list(context.cohort),
        VECTORS: [done[name].field(SEALED, bytes) for name in context.cohort],
        READY: [done[name].field(READY, int) for name in context.cohort],
        CAPACITY: [done[name].field(CAPACITY, int) for name in context.cohort],
    }
    return state, Release(present=context.cohort, sealed=sealed)


def _gathered(
    state: CoordinatorState, replies: Mapping[str, Reply], context: CoordinatorContext
) -> tuple[CoordinatorState, Again | Release | None]:
    """Who is done by now; what those get that are not; the end of the round, if somebody fell out."""
    done = {**state.done, **{party: reply for party, reply in replies.items() if AGAIN not in reply.body}}
    if ended := _incomplete({*done, *replies}, context):
        return state, ended
    state = replace(state, done=done)
    if len(done) < len(context.cohort):
        return state, Again(carried_on(replies))
    return state, None


def _incomplete(present: Iterable[str], context: CoordinatorContext) -> Release | None:
    """The end of a round in which not everybody takes part: a sum over others would tell their difference."""
    missing = [party for party in context.cohort if party not in set(present)]
    if not missing:
        return None
    for party in present:
        context.absent(party, "excluded", f"every member is needed, and {', '.join(missing)} fell out.")
    return Release(present=())
