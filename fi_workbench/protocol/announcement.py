"""What a party says of itself when a coordinator asks who is there: its card, signed with the key that the card names.

The coordinator sends random bytes; the signature covers them, so that an announcement of another day proves nothing.
"""

from __future__ import annotations

import json
import math
import secrets
from typing import Any, get_args

from fi_workbench.core.arrays import Outputs
from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import InvalidParty
from fi_workbench.core.identity import BadSignature, Identity, PublicIdentity, verify
from fi_workbench.core.messages import Body, PartyCard
from fi_workbench.protocol.header import VERSION

NONCE, CARD, SIGNATURE = "nonce", "card", "signature"
NONCE_BYTES = 32

MAX_CARD_BYTES = 2**20
"""Tens of thousands of class names; a longer card is refused before it is read."""

LONGEST_NAME = 40
LONGEST_WORD = 200
"""Of a class, a private fact or a capability."""

MOST_AXES, MOST_NUMBERS = 16, 2**31
"""Axes of one query, and numbers in it."""


def ask_for_card() -> tuple[bytes, Body]:
    """Fresh random bytes, and the message that carries them to one party."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce, {NONCE: nonce}


def announcement(identity: Identity, card: PartyCard, message: Body) -> Body:
    """A party's reply to :func:`ask_for_card`.

    Raises
    ------
    InvalidParty
        The message carries no nonce.
    """
    nonce = message.get(NONCE)
    if not isinstance(nonce, bytes) or len(nonce) != NONCE_BYTES:
        raise InvalidParty("Whoever asks for a card sends 32 random bytes with the question.")
    written = card_bytes(card)
    return {CARD: written, SIGNATURE: identity.sign(_signed(nonce, written))}


def read_announcement(message: Body, nonce: bytes) -> PartyCard:
    """The card in a reply, after its signature and every field of it were checked.

    Raises
    ------
    InvalidParty
        No card, one that cannot be read, or one of another protocol version.
    BadSignature
        Not signed over ``nonce`` by the key that the card names.
    """
    written, signature = message.get(CARD), message.get(SIGNATURE)
    if not isinstance(written, bytes) or not isinstance(signature, bytes):
        raise InvalidParty("It announced nothing; is it a party of this workbench?")
    card = read_card(written)
    verify(card.identity.verify_key, signature, _signed(nonce, written))
    return card


def card_bytes(card: PartyCard) -> bytes:
    """A card as JSON, as it travels."""
    who = card.identity
    plain = {
        "version": VERSION,
        "name": card.name,
        "classes": list(card.classes),
        "input_shape": list(card.input_shape),
        "outputs": card.outputs,
        "model": card.model,
        "facts": sorted(card.facts),
        "capabilities": sorted(card.capabilities),
        "identity": [who.verify_key.hex(), who.seal_key.hex(), who.binding.hex()],
    }
    return json.dumps(plain, sort_keys=True).encode()


def read_card(written: bytes) -> PartyCard:
    """A card from what :func:`card_bytes` wrote; every field is checked, for it comes from outside.

    Raises
    ------
    InvalidParty, BadSignature
    """
    if len(written) > MAX_CARD_BYTES:
        raise InvalidParty(f"Its card has {len(written)} bytes; at most {MAX_CARD_BYTES}.")
    try:
        plain = json.loads(written)
        if plain["version"] != VERSION:
            raise InvalidParty(f"It speaks protocol version {plain['version']!r:.20}; this link speaks {VERSION}.")
        keys = [bytes.fromhex(text) for text in plain["identity"]]
        if not _fits(plain) or [len(key) for key in keys] != [32, 32, 64]:
            raise InvalidParty(
                "Its card cannot be read: a field is missing, of another type, too long, or not printable."
            )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, InvalidParty):
            raise
        raise InvalidParty("Its card cannot be read: it is not what a party of this version announces.") from error
    try:
        identity = PublicIdentity(plain["name"], *keys).check()
    except BadSignature as error:
        raise BadSignature("The keys of its card do not belong together.") from error
    return PartyCard(
        plain["name"], tuple(plain["classes"]), tuple(plain["input_shape"]), plain["outputs"], plain["model"],
        frozenset(plain["facts"]), frozenset(plain["capabilities"]), identity,
    )  # fmt: skip


def _signed(nonce: bytes, written: bytes) -> bytes:
    return canonical(["fi-workbench announcement", nonce, written])


def _fits(plain: dict[str, Any]) -> bool:
    def texts(values: Any) -> bool:
        # they are shown, in terminals and on pages: what could move a cursor is no name
        return isinstance(values, list) and all(
            isinstance(value, str) and len(value) <= LONGEST_WORD and value.isprintable() for value in values
        )

    def label(text: Any) -> bool:
        return isinstance(text, str) and 0 < len(text) <= LONGEST_NAME and text.isprintable() and text == text.strip()

    shape = plain["input_shape"]
    return (
        label(plain["name"])
        and label(plain["model"])
        and all(map(texts, (plain["classes"], plain["facts"], plain["capabilities"])))
        and 1 < len(plain["classes"]) == len(set(plain["classes"]))
        and isinstance(shape, list)
        and len(shape) <= MOST_AXES
        and all(isinstance(length, int) and not isinstance(length, bool) and length > 0 for length in shape)
        and math.prod(shape) <= MOST_NUMBERS
        and plain["outputs"] in get_args(Outputs)
    )
