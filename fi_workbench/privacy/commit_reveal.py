"""Commit, then reveal: every answer is fixed before any of them can be read, so that none can be copied.

Source: M. Naor, Bit commitment using pseudorandomness, Journal of Cryptology 4(2), 1991, for commitments; here one is a
salted hash, hiding and binding where BLAKE2b (RFC 7693) behaves as a random function. Besides the answer it covers the
round and the committing party's own key, so that no copier can repeat a peer's commitment and open it after the peer.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from fi_workbench.core.digest import canonical
from fi_workbench.core.disclosure import Disclosure, Need
from fi_workbench.core.errors import InvalidReply, Refused
from fi_workbench.core.identity import BadSignature, statement, verify
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.privacy.context import CoordinatorContext, PartyContext
from fi_workbench.privacy.mechanism import Mechanism, mechanisms
from fi_workbench.privacy.plain import Plain

SALT_BYTES = 32
"""As many as the digest has: guessing a salt is no easier than guessing a commitment."""

COMMITMENT_BYTES = 32

_SALT, _COMMITTED = "salt", "committed"
_COMMITMENT, _SIGNATURE = "commitment", "signature"
_PARTIES, _COMMITMENTS, _SIGNATURES = "parties", "commitments", "signatures"

_PLAIN = Plain()
"""What is revealed is what a plain round sends; it is made and gathered there."""


def commitment(round_digest: str, verify_key: bytes, salt: bytes, body: Body) -> bytes:
    """What binds a party to the body that it will reveal, 32 bytes, and shows nothing of it.

    Parameters
    ----------
    round_digest : str
        Of the client's signed header: the commitment is nothing in another round.
    verify_key : bytes
        Of the party that commits: nobody else can open it, not even with the same salt and body.
    salt : bytes
        32 bytes, secret until the reveal: answers are few enough to be tried out.
    body : mapping
        The whole body, by name.
    """
    bound = canonical(["fi-workbench commitment", round_digest, verify_key, salt, body])
    return hashlib.blake2b(bound, digest_size=COMMITMENT_BYTES).digest()


@dataclass(frozen=True)
class CommitReveal(Mechanism):
    """Two phases: a signed commitment from each, told to all of them together; then the answers, held against it."""

    name: ClassVar[str] = "commit_reveal"
    explanation: ClassVar[str] = (
        "Each party fixes its answer before it can see another's, so that none can be copied. In the end the "
        "coordinator sees every answer, as without protection."
    )
    formula: ClassVar[str] = (
        r"h_k = \mathrm{BLAKE2b}(\mathrm{round}, \mathrm{key}_k, \mathrm{salt}_k, \mathrm{answer}_k)"
    )
    source: ClassVar[str] = "Naor, Journal of Cryptology 4(2), 1991; BLAKE2b: RFC 7693"
    phases: ClassVar[tuple[str, ...]] = ("commit", "reveal")
    offers: ClassVar[Need] = "each"
    requires: ClassVar[frozenset[str]] = frozenset({"phases"})

    @property
    def disclosure(self) -> Disclosure:
        """In the end as without protection; what changes is when."""
        return Disclosure(
            sees=_PLAIN.disclosure.sees,
            assumptions=(
                "No party can choose its answer after it has seen another's.",
                "The coordinator does not help a copier: it alone holds what is revealed against the commitments.",
                "Who has committed may still keep silent once it has seen others' answers; it is then absent, unpaid.",
                "Parties that share a model or talk to each other before they commit are not kept from agreeing.",
            ),
        )

    def party_step(self, phase: str, state: Any, message: Body, context: PartyContext) -> tuple[Any, Body]:
        """In ``commit`` the answer is computed, once, and its commitment sent; in ``reveal`` it is opened.

        Raises
        ------
        Refused
            The list of commitments is malformed, not signed by whom it names, or shows another of this party. Who is
            missing from it may have been late, or kept out by the coordinator: that cannot be told apart here.
        """
        if phase == "commit":
            _, body = _PLAIN.party_step("answer", None, message, context)
            salt = secrets.token_bytes(SALT_BYTES)
            own = commitment(context.round_digest, context.peers[context.name].verify_key, salt, body)
            return (own, salt, body), {_COMMITMENT: own, _SIGNATURE: context.sign(_signed(context.round_digest, own))}
        own, salt, body = state
        _check_list(message, own, context)
        return None, {**body, _SALT: salt, _COMMITTED: sorted(body)}

    def coordinator_step(
        self, phase: str, state: Any, replies: Mapping[str, Reply], context: CoordinatorContext
    ) -> tuple[Any, Mapping[str, Body] | Release]:
        """After ``commit`` the whole signed list, to each; after ``reveal`` what was opened rightly."""
        return _listed(replies, context) if phase == "commit" else (None, _opened(state, replies, context))


def _signed(round_digest: str, own: bytes) -> bytes:
    """What a party signs; its name and the round are bound in by the signing itself."""
    return canonical(["fi-workbench commitment", round_digest, own])


def _check_list(message: Body, own: bytes, context: PartyContext) -> None:
    parties, commitments, signatures = (message.get(name) for name in (_PARTIES, _COMMITMENTS, _SIGNATURES))
    if not (isinstance(parties, list) and isinstance(commitments, list) and isinstance(signatures, list)):
        raise Refused("the list of commitments did not come; nothing is revealed without it.")
    listed = dict(zip(map(str, parties), commitments, strict=False))
    if not len(listed) == len(parties) == len(commitments) == len(signatures):
        raise Refused("the list of commitments names a party twice, or not one commitment and signature for each.")
    if listed.get(context.name) != own:
        raise Refused("the list of commitments does not show this party's own as it was sent.")
    for party, theirs, signature in zip(listed, commitments, signatures, strict=True):
        if party not in context.peers:
            raise Refused(f"the list of commitments names {party[:60]!r}, who is not in the cohort.")
        if not isinstance(theirs, bytes) or not isinstance(signature, bytes):
            raise Refused(f"the commitment or signature of {party} is no byte string.")
        try:
            context.verify(party, _signed(context.round_digest, theirs), signature)
        except BadSignature:
            raise Refused(f"the commitment listed for {party} is not signed by {party}.") from None


def _listed(
    replies: Mapping[str, Reply], context: CoordinatorContext
) -> tuple[dict[str, bytes], dict[str, dict[str, Any]]]:
    """The commitments that stand, and one message for each of their parties."""
    held: dict[str, bytes] = {}
    signatures: list[bytes] = []
    for party, reply in replies.items():
        own, signature = reply.field(_COMMITMENT, bytes), reply.field(_SIGNATURE, bytes)
        # one bad signature in the list would make every honest party refuse
        if len(own) != COMMITMENT_BYTES or not _is_from(party, own, signature, context):
            context.absent(party, "invalid", f"{party} sent a commitment that it did not sign, or of the wrong length.")
            continue
        held[party] = own
        signatures.append(signature)
    told = {_PARTIES: list(held), _COMMITMENTS: list(held.values()), _SIGNATURES: signatures}
    return held, {party: dict(told) for party in held}


def _is_from(party: str, own: bytes, signature: bytes, context: CoordinatorContext) -> bool:
    message = _signed(context.round_digest, own)
    stated = statement(context.round_id, party, message)  # as PartyContext.sign binds round and sender in
    try:
        verify(context.identities[party].verify_key, signature, stated)
    except BadSignature:
        return False
    return True


def _opened(held: Mapping[str, bytes], replies: Mapping[str, Reply], context: CoordinatorContext) -> Release:
    revealed: dict[str, Reply] = {}
    for party, reply in replies.items():
        body = _committed(reply)
        key = context.identities[party].verify_key
        try:
            again = commitment(context.round_digest, key, reply.field(_SALT, bytes), body)
        except TypeError:  # what has no canonical form was not committed to
            again = b""
        if party not in held or not secrets.compare_digest(again, held[party]):
            context.absent(party, "invalid", f"{party} revealed something else than it had committed to.")
            continue
        revealed[party] = Reply(party, body, reply.seconds, reply.n_bytes)
    _, release = _PLAIN.coordinator_step("answer", None, revealed, context)
    return release


def _committed(reply: Reply) -> Body:
    """The fields that a party says it committed to; nothing else of its reply is read.

    Raises
    ------
    InvalidReply
        It names none, or one that it did not send.
    """
    names = reply.field(_COMMITTED, list)
    if missing := [name for name in names if not isinstance(name, str) or name not in reply.body]:
        raise InvalidReply(reply.party, f"{reply.party} committed to {str(missing[0])[:60]!r} and did not send it.")
    return {name: reply.body[name] for name in names}


mechanisms.add(CommitReveal.name, CommitReveal)
