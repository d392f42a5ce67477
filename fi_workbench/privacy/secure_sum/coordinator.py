"""The coordinator's side of secure sum: carries sealed shares, adds masked vectors, takes the masks off their sum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from fi_workbench.core.errors import InvalidReply
from fi_workbench.core.identity import BadSignature
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.privacy.context import CoordinatorContext
from fi_workbench.privacy.secure_sum.keys import Announced, commitment, is_agreed, private_key, public_part
from fi_workbench.privacy.secure_sum.layout import Ring, check_vector
from fi_workbench.privacy.secure_sum.masking import add_pairwise, own_mask
from fi_workbench.privacy.secure_sum.party import (
    AGREED,
    ANNOUNCED,
    INCLUDED,
    MASKED,
    OWNERS,
    PARTIES,
    SEALED,
    SEALED_BYTES,
    SHARES,
)
from fi_workbench.privacy.secure_sum.plan import Plan
from fi_workbench.privacy.secure_sum.shamir import SHARE_BYTES, join

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class CoordinatorState:
    """What the coordinator keeps between phases.

    Parameters
    ----------
    announced : mapping of str to Announced
        Of those that are left; from phase ``masked`` on, of all who put masks on others.
    told : mapping of str to tuple of str
        The neighbours of each that are left, in the order in which it was told of them.
    present : tuple of str
        Who is in the sum.
    total : array (word,)
        Sum of the masked vectors.
    """

    announced: Mapping[str, Announced]
    told: Mapping[str, tuple[str, ...]]
    present: tuple[str, ...] = ()
    total: Ring = field(default_factory=lambda: np.zeros(0, np.uint64))


Step = tuple[CoordinatorState | None, Mapping[str, Body] | Release]


def after_keys(replies: Mapping[str, Reply], context: CoordinatorContext, plan: Plan) -> Step:
    """To each party the keys of its neighbours."""

    def read(reply: Reply) -> Announced:
        try:
            announced = Announced.of_bytes(reply.field(ANNOUNCED, bytes))
            announced.check(context.round_id, context.round_digest, context.identities[reply.party])
        except (ValueError, BadSignature) as error:
            raise InvalidReply(reply.party, str(error)) from None
        return announced

    announced = _read(replies, context, read)
    told = _with_enough_neighbours(announced, context, plan)
    if len(told) < plan.min_parties:
        return _nothing(announced, context, f"{_are(told)} left with enough neighbours; {plan.min_parties} are needed.")
    state = CoordinatorState({party: announced[party] for party in told}, told)
    return state, {
        party: {PARTIES: list(others), ANNOUNCED: b"".join(announced[other].to_bytes() for other in others)}
        for party, others in told.items()
    }


def after_shares(
    state: CoordinatorState, replies: Mapping[str, Reply], context: CoordinatorContext, plan: Plan
) -> Step:
    """To each party the shares that its neighbours sealed for it."""

    def read(reply: Reply) -> dict[str, bytes]:
        others, data = state.told[reply.party], reply.field(SEALED, bytes)
        if len(data) != SEALED_BYTES * len(others):
            raise InvalidReply(reply.party, f"{reply.party} sent {len(data)} bytes of shares for {len(others)}.")
        return {other: data[SEALED_BYTES * at : SEALED_BYTES * (at + 1)] for at, other in enumerate(others)}

    sealed = _read(replies, context, read)
    told = _with_enough_neighbours(sealed, context, plan)
    if len(told) < plan.min_parties:
        return _nothing(sealed, context, f"{_are(told)} left with enough neighbours; {plan.min_parties} are needed.")
    kept = replace(state, announced={party: state.announced[party] for party in told}, told=told)
    return kept, {
        party: {PARTIES: list(others), SEALED: b"".join(sealed[other][party] for other in others)}
        for party, others in told.items()
    }


def after_masked(
    state: CoordinatorState, replies: Mapping[str, Reply], context: CoordinatorContext, plan: Plan
) -> Step:
    """To each party that is in the sum, who is."""
    total = np.zeros(plan.layout.size, dtype=np.uint64)

    def read(reply: Reply) -> None:
        vector = check_vector(reply.body.get(MASKED), plan.layout.size)
        if vector is None:
            raise InvalidReply(reply.party, f"{reply.party} sent no vector of {plan.layout.size} words.")
        np.add(total, vector, out=total)

    present = tuple(_read(replies, context, read))
    if len(present) < plan.min_parties:
        return _nothing(present, context, f"{_are(present)} in the sum; {plan.min_parties} are needed.")
    if lost := _lost(present, state, plan):
        return _nothing(present, context, lost)
    included = plan.packed(present)
    if not plan.graph.in_one_piece(plan.unpacked(included)):
        return _nothing(present, context, "those who are left share no masks across; their sum would fall apart.")
    return replace(state, present=present, total=total), {party: {INCLUDED: included} for party in present}


def after_agree(state: CoordinatorState, replies: Mapping[str, Reply], context: CoordinatorContext, plan: Plan) -> Step:
    """To each party that signed who is in the sum, the signatures of its neighbours."""
    included = plan.packed(state.present)

    def read(reply: Reply) -> bytes:
        signature = reply.field(AGREED, bytes)
        if not is_agreed(context.round_id, context.round_digest, context.identities[reply.party], included, signature):
            raise InvalidReply(reply.party, f"{reply.party} did not sign who is in the sum.")
        return signature

    signed = _read(replies, context, read)
    if lost := _lost(signed, state, plan):
        return _nothing(state.present, context, lost)
    told = {party: [other for other in plan.neighbours(party) if other in signed] for party in signed}
    return state, {
        party: {PARTIES: others, AGREED: b"".join(signed[other] for other in others)} for party, others in told.items()
    }


def after_unmask(
    state: CoordinatorState, replies: Mapping[str, Reply], context: CoordinatorContext, plan: Plan
) -> tuple[CoordinatorState | None, Ring | Release]:
    """The sum of the vectors of those present, (word,); or nothing, where too few shares came to open it."""
    opened, present = _gathered(state, replies, context), frozenset(state.present)
    secrets: dict[str, bytes] = {}
    liars: set[str] = set()
    for owner, announced in state.announced.items():
        holders = [one for one in (owner, *state.told[owner]) if one not in liars and owner in opened.get(one, ())]
        if len(holders) < plan.threshold:
            return _nothing(state.present, context, _too_few(owner, len(holders), plan))
        holder_of = {plan.share_number(owner, holder): holder for holder in holders}
        shares = {number: opened[holder][owner] for number, holder in holder_of.items()}
        is_right = _is_right(owner, owner in present, announced, context.round_digest)
        secret, wrong = join(shares, plan.threshold, is_right)
        if secret is None:
            reason = f"no {plan.threshold} shares open what {owner} announced: it, or several that hold shares, lied."
            return _nothing(state.present, context, reason)
        secrets[owner] = secret
        for number in sorted(wrong):
            context.absent(holder_of[number], "invalid", f"it sent a wrong share of a secret of {owner}.")
            liars.add(holder_of[number])
    total = state.total.copy()
    for party, secret in secrets.items():
        if party in present:
            np.subtract(total, own_mask(secret, context.round_digest, party, len(total)), out=total)
        else:  # what it would have added cancels what its neighbours did
            others = {one: state.announced[one].masking for one in state.told[party] if one in present}
            add_pairwise(total, party, private_key(secret), others, context.round_digest)
    return None, total


def _gathered(
    state: CoordinatorState, replies: Mapping[str, Reply], context: CoordinatorContext
) -> dict[str, dict[str, bytes]]:
    """What each holder opened, by owner; of one that opens what it does not hold, nothing."""

    def read(reply: Reply) -> dict[str, bytes]:
        owners, data = reply.field(OWNERS, list), reply.field(SHARES, bytes)
        held = {reply.party, *state.told[reply.party]}
        texts = {owner for owner in owners if isinstance(owner, str)}
        if len(texts) != len(owners) or not texts <= held or len(data) != SHARE_BYTES * len(owners):
            raise InvalidReply(reply.party, f"{reply.party} opened shares that it does not hold, or in pieces.")
        return {owner: data[SHARE_BYTES * at : SHARE_BYTES * (at + 1)] for at, owner in enumerate(owners)}

    return _read(replies, context, read)


def _is_right(owner: str, is_in: bool, announced: Announced, round_digest: str) -> Callable[[bytes], bool]:
    if is_in:
        return lambda seed: commitment(round_digest, owner, seed) == announced.commitment
    return lambda masking: public_part(private_key(masking)) == announced.masking


def _read(
    replies: Mapping[str, Reply], context: CoordinatorContext, read: Callable[[Reply], T]
) -> dict[str, T]:  # fmt: skip
    """What each reply says; a party whose reply says nothing that can be used has left the round."""
    said: dict[str, T] = {}
    for party, reply in replies.items():
        try:
            said[party] = read(reply)
        except InvalidReply as error:
            context.absent(party, "invalid", str(error))
    return said


def _with_enough_neighbours(
    parties: Iterable[str], context: CoordinatorContext, plan: Plan
) -> dict[str, tuple[str, ...]]:
    """Those whose secrets could be opened, each with its neighbours among them: the others would refuse."""
    told = {party: plan.neighbours(party) for party in parties}
    while True:
        told = {party: tuple(other for other in others if other in told) for party, others in told.items()}
        alone = [party for party, others in told.items() if len(others) + 1 < plan.threshold]
        if not alone:
            return told
        for party in alone:
            reason = f"{len(told.pop(party)) + 1} that hold its shares are left; {plan.threshold} are needed."
            context.absent(party, "excluded", reason)


def _lost(left: Iterable[str], state: CoordinatorState, plan: Plan) -> str:
    """Why those who are left cannot open each secret, as a clause; empty where they can."""
    still = frozenset(left)
    for owner in state.announced:
        n_holders = len(still.intersection((owner, *state.told[owner])))
        if n_holders < plan.threshold:
            return _too_few(owner, n_holders, plan)
    return ""


def _too_few(owner: str, n_shares: int, plan: Plan) -> str:
    return (
        f"too many dropped out: {n_shares} that hold shares of {owner}'s secrets answered, {plan.threshold} are "
        "needed; nothing was opened."
    )


def _are(parties: Iterable[str]) -> str:
    count = len(tuple(parties))
    return f"{count} part{'y is' if count == 1 else 'ies are'}"


def _nothing(parties: Iterable[str], context: CoordinatorContext, reason: str) -> tuple[None, Release]:
    for party in parties:
        context.absent(party, "excluded", f"there is no sum: {reason}")
    return None, Release(present=())
