"""A party's side of secure sum, phase by phase; whatever the coordinator tells it is checked before it is used."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from fi_workbench.core.errors import Refused
from fi_workbench.core.identity import BadSignature
from fi_workbench.core.messages import Body
from fi_workbench.privacy.context import PartyContext
from fi_workbench.privacy.secure_sum.keys import (
    ANNOUNCED_BYTES,
    SIGNATURE_BYTES,
    Announced,
    RoundKeys,
    derived,
    is_agreed,
    listed_part,
    shared_secret,
)
from fi_workbench.privacy.secure_sum.layout import Ring
from fi_workbench.privacy.secure_sum.masking import add_pairwise, own_mask
from fi_workbench.privacy.secure_sum.plan import Plan
from fi_workbench.privacy.secure_sum.shamir import SHARE_BYTES, split

_log = logging.getLogger(__name__)

ANNOUNCED, PARTIES, SEALED, MASKED = "announced", "parties", "sealed", "masked"
INCLUDED, AGREED, OWNERS, SHARES = "included", "agreed", "owners", "shares"
"""Fields of the messages."""

_TAG_BYTES = 16
SEALED_BYTES = 2 * SHARE_BYTES + _TAG_BYTES

_NONCE = bytes(12)
"""Each key seals once."""


@dataclass(frozen=True)
class Pair:
    """A holder's shares of the two secrets of one owner, of which it opens one at most."""

    seed: bytes
    masking: bytes


@dataclass(frozen=True, eq=False)
class PartyState:
    """What a party keeps between the phases of one round.

    Parameters
    ----------
    question : mapping
        The message that the answer is computed from, once it is asked for.
    keys : RoundKeys, optional
        Dropped as soon as they have served.
    sealing : mapping of str to bytes
        What this party and each neighbour alone know, for sealing.
    announced : mapping of str to Announced
        Of the neighbours that sent shares; before that, of those that announced keys.
    held : mapping of str to Pair
        Shares that this party holds, its own among them.
    included : bytes
        Who is in the sum, as this party was told and has signed.
    """

    question: Body
    keys: RoundKeys | None
    sealing: Mapping[str, bytes] = field(default_factory=dict)
    announced: Mapping[str, Announced] = field(default_factory=dict)
    held: Mapping[str, Pair] = field(default_factory=dict)
    included: bytes = b""


def announce(message: Body, context: PartyContext) -> tuple[PartyState, Body]:
    """Phase ``keys``: fresh keys, and what others may know of them, signed."""
    keys = RoundKeys.fresh()
    announced = keys.announced(context.round_digest, context.name, context.sign)
    return PartyState(message, keys), {ANNOUNCED: announced.to_bytes()}


def share(state: PartyState, message: Body, context: PartyContext, plan: Plan) -> tuple[PartyState, Body]:
    """Phase ``shares``: both secrets in shares, one pair sealed for each neighbour.

    Raises
    ------
    Refused
        The keys are not those of enough neighbours, or one is not signed for the question that this party has.
    """
    parties, listed = _listed(message, ANNOUNCED, ANNOUNCED_BYTES, plan.neighbours(context.name), plan)
    announced = {party: Announced.of_bytes(data) for party, data in zip(parties, listed, strict=True)}
    for party, keys in announced.items():
        try:
            keys.check(context.round_id, context.round_digest, context.peers[party])
        except BadSignature as error:
            raise Refused(f"{error} It may have been told of another cohort; nothing is shared.") from None
    own = _still(state)
    seeds = split(own.seed, plan.graph.n_holders, plan.threshold)
    maskings = split(own.masking.private_bytes_raw(), plan.graph.n_holders, plan.threshold)
    secrets = {party: shared_secret(own.sealing, keys.sealing) for party, keys in announced.items()}
    sealed = []
    for party, secret in secrets.items():
        number = plan.share_number(context.name, party) - 1
        cipher = _cipher(secret, context.round_digest, context.name, party)
        sealed.append(cipher.encrypt(_NONCE, seeds[number] + maskings[number], None))
    held = {context.name: Pair(seeds[0], maskings[0])}
    return replace(state, sealing=secrets, announced=announced, held=held), {SEALED: b"".join(sealed)}


def mask(
    state: PartyState, message: Body, context: PartyContext, plan: Plan, vector: Callable[[], Ring]
) -> tuple[PartyState, Body]:
    """Phase ``masked``: this party's vector under its own mask and one for each neighbour that is still there.

    Parameters
    ----------
    vector : callable
        ``() -> (word,)``: asked for once everything else is found in order; it is changed in place.

    Raises
    ------
    Refused
        Fewer neighbours are left than it takes to open this party's secrets.
    """
    parties, listed = _listed(message, SEALED, SEALED_BYTES, state.announced, plan)
    held = dict(state.held)
    for party, sealed in zip(parties, listed, strict=True):
        cipher = _cipher(state.sealing[party], context.round_digest, party, context.name)
        try:
            opened = cipher.decrypt(_NONCE, sealed, None)
        except InvalidTag:  # the mask is shared all the same; this one share of its secrets is missing
            _log.warning("%s: the shares from %s cannot be opened", context.name, party)
            continue
        held[party] = Pair(opened[:SHARE_BYTES], opened[SHARE_BYTES:])
    left = {party: state.announced[party] for party in parties}
    own, total = _still(state), vector()
    np.add(total, own_mask(own.seed, context.round_digest, context.name, len(total)), out=total)
    others = {party: keys.masking for party, keys in left.items()}
    add_pairwise(total, context.name, own.masking, others, context.round_digest)
    return PartyState({}, None, announced=left, held=held), {MASKED: total}


def agree(state: PartyState, message: Body, context: PartyContext, plan: Plan) -> tuple[PartyState, Body]:
    """Phase ``agree``: the list of those in the sum, signed by each party that was told it.

    Raises
    ------
    Refused
        The list is malformed, too short, without this party or too many of its neighbours, or falls apart.
    """
    data = message.get(INCLUDED)
    if not isinstance(data, bytes):
        raise Refused("the list of those who are in the sum did not come.")
    try:
        bits = plan.unpacked(data)
    except ValueError as error:
        raise Refused(str(error)) from None
    included = {name for name, is_in in zip(plan.names, bits, strict=True) if is_in}
    if context.name not in included:
        raise Refused("it sent its part, and the list of those who are in the sum leaves it out.")
    if len(included) < plan.min_parties:
        raise Refused(f"{len(included)} parties are in the sum; one of fewer than {plan.min_parties} is not opened.")
    unheard = included.intersection(plan.neighbours(context.name)) - state.announced.keys()
    if unheard:
        raise Refused(f"{min(unheard)} is said to be in the sum, and sent no shares.")
    n_holders = len(included.intersection((context.name, *plan.neighbours(context.name))))
    if n_holders < plan.threshold:  # an honest coordinator would have ended the round: lists leave out few nearby
        raise Refused(f"{n_holders} that hold its shares are in the sum; {plan.threshold} are needed to open it.")
    if not plan.graph.in_one_piece(bits):
        raise Refused("those who are in the sum share no masks across: it would fall apart into smaller sums.")
    return replace(state, included=data), {AGREED: context.sign(listed_part(context.round_digest, data))}


def unmask(state: PartyState, message: Body, context: PartyContext, plan: Plan) -> Body:
    """Phase ``unmask``: for each neighbour one share, of its seed if it is in the sum and of its mask key if it is not.

    Only where as many of its holders as open a secret have signed the list that this party has: told one list each, the
    holders would leave out, all together, far more parties than any of them would alone, down to a sum of one.

    Raises
    ------
    Refused
        Too few neighbours have signed this party's list of those in the sum, or one has signed another.
    """
    parties, signatures = _listed(message, AGREED, SIGNATURE_BYTES, plan.neighbours(context.name), plan)
    for party, signature in zip(parties, signatures, strict=True):
        if not is_agreed(context.round_id, context.round_digest, context.peers[party], state.included, signature):
            raise Refused(f"{party} has not signed the list of those in the sum that this party was told.")
    # one of the two, by this one list: never both
    included = {name for name, is_in in zip(plan.names, plan.unpacked(state.included), strict=True) if is_in}
    shares = {owner: pair.seed if owner in included else pair.masking for owner, pair in state.held.items()}
    return {OWNERS: list(shares), SHARES: b"".join(shares.values())}


def _listed(
    message: Body, name: str, n_bytes: int, allowed: tuple[str, ...] | Mapping[str, object], plan: Plan
) -> tuple[list[str], list[bytes]]:
    """Neighbours and what came of each, ``n_bytes`` long.

    Raises
    ------
    Refused
        A list that is malformed, names who is no neighbour, or too few to open this party's secrets.
    """
    parties, data = message.get(PARTIES), message.get(name)
    if not isinstance(parties, list) or not isinstance(data, bytes) or len(data) != n_bytes * len(parties):
        raise Refused(f"the list of neighbours, or the {name!r} of each, did not come as it should.")
    texts = [party for party in parties if isinstance(party, str)]
    if len(set(texts)) != len(parties) or (strangers := sorted(set(texts) - set(allowed))):
        named = f"names {strangers[0][:60]!r}, who is none" if len(set(texts)) == len(parties) else "names one twice"
        raise Refused(f"the list of neighbours {named}: another graph than the question's.")
    if len(texts) + 1 < plan.threshold:
        raise Refused(
            f"{len(texts)} of its neighbours are left; {plan.threshold - 1} are needed for the sum ever to be opened."
        )
    return texts, [data[start : start + n_bytes] for start in range(0, len(data), n_bytes)]


def _still(state: PartyState) -> RoundKeys:
    if state.keys is None:
        raise Refused("its secrets of this round have served.")
    return state.keys


def _cipher(secret: bytes, round_digest: str, sender: str, recipient: str) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(derived(secret, round_digest, "shares", sender, recipient))
