"""The head of a question: what is asked, by whom, of whom, under which settings; signed by the client."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

from fi_workbench.core.digest import canonical
from fi_workbench.core.errors import Refused
from fi_workbench.core.identity import BadSignature, Identity, PublicIdentity, verify
from fi_workbench.core.messages import Body
from fi_workbench.privacy.context import Kind

Calibration = Literal["none", "temperature"]
"""``temperature``: each party divides its logits by the temperature that its owner fitted."""

VERSION = 2
HEADER, SIGNATURE = "header", "signature"
MAX_AGE_SECONDS = 600.0
"""A question older than this, or from further in the future, is refused: the window in which replays are remembered."""

MAX_DEADLINE_SECONDS = 3600.0
"""The longest deadline: a party keeps the state of an open round no longer than this."""

MAX_HEADER_BYTES = 4 * 2**20
"""About ten thousand parties; a longer header is refused before it is read."""


@dataclass(frozen=True)
class RoundHeader:
    """All that the parties and the coordinator must agree on; public within the cohort.

    Parameters
    ----------
    round_id : str
        32 random hexadecimal digits.
    kind : {"answer", "enrol", "prepare"}
    issued_at : float
        Seconds since the epoch, by the client's clock.
    deadline_seconds : float
    client : str
        The client's Ed25519 key in hexadecimal.
    rule : str
    rule_options : mapping
    mechanism : list of mapping
        Name and options of each member of the stack.
    on_absence : {"renormalise", "keep"}
    n_queries : int
    seed : int
        From which ``reproducible`` mechanisms draw.
    cohort : list of [name, verify_key, seal_key, binding]
        In hexadecimal, in the order of the party axis.
    payloads : mapping of str to str
        SHA-256 of the payload for each party, or for all under ``"*"``.
    calibration : {"none", "temperature"}
        What each party does to its model's answer before anything else sees it.
    receipts : bool
        Whether each party signs what it released in the last phase: the round is paid for.
    """

    round_id: str
    kind: Kind
    issued_at: float
    deadline_seconds: float
    client: str
    rule: str
    rule_options: Mapping[str, Any]
    mechanism: list[dict[str, Any]]
    on_absence: str
    n_queries: int
    seed: int
    cohort: list[list[str]]
    payloads: Mapping[str, str]
    calibration: Calibration = "none"
    receipts: bool = False
    version: int = VERSION

    @property
    def names(self) -> tuple[str, ...]:
        """Party names, in the order of the party axis."""
        return tuple(member[0] for member in self.cohort)

    @cached_property
    def identities(self) -> Mapping[str, PublicIdentity]:
        """The cohort's public identities by name; each binding is checked where a payload is sealed to it."""
        return {
            name: PublicIdentity(name, bytes.fromhex(key), bytes.fromhex(seal), bytes.fromhex(binding))
            for name, key, seal, binding in self.cohort
        }

    @cached_property
    def encoded(self) -> bytes:
        """The bytes that are signed and sent."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return json.dumps(plain, sort_keys=True, allow_nan=False).encode()

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of what is sent: what receipts and commitments are bound to."""
        return digest_of(self.encoded)

    def signed(self, client: Identity) -> dict[str, bytes]:
        """The two message fields that carry this header."""
        return {HEADER: self.encoded, SIGNATURE: client.sign(canonical(["fi-workbench question", self.encoded]))}


def digest_of(data: bytes) -> str:
    """Hexadecimal SHA-256 of a header as it was sent."""
    return hashlib.sha256(data).hexdigest()


def cohort_of(identities: Mapping[str, PublicIdentity]) -> list[list[str]]:
    """The header's form of a cohort."""
    return [[name, who.verify_key.hex(), who.seal_key.hex(), who.binding.hex()] for name, who in identities.items()]


def read_header(message: Body, now: float | None = None) -> RoundHeader:
    """The header of a message, after version, signature and age were checked.

    Raises
    ------
    Refused
        If it is missing, malformed, of another version, not signed by its client, or too old.
    """
    data, signature = message.get(HEADER), message.get(SIGNATURE)
    if not isinstance(data, bytes) or not isinstance(signature, bytes):
        raise Refused("The question has no header.")
    if len(data) > MAX_HEADER_BYTES:
        raise Refused(f"The question's header has {len(data)} bytes; at most {MAX_HEADER_BYTES}.")
    header = _parse_signed(data, signature)
    age = (time.time() if now is None else now) - header.issued_at
    if abs(age) > MAX_AGE_SECONDS:
        raise Refused(
            f"The question was issued {age:.0f} s ago by the client's clock; at most {MAX_AGE_SECONDS:.0f} s."
        )
    return header


@lru_cache(maxsize=64)  # parties of one process get the same bytes: parsed and verified once
def _parse_signed(data: bytes, signature: bytes) -> RoundHeader:
    try:
        fields = json.loads(data)
        if fields.get("version") != VERSION:
            raise Refused(f"The question has protocol version {fields.get('version')}; this party speaks {VERSION}.")
        header = RoundHeader(**fields)
        verify(bytes.fromhex(header.client), signature, canonical(["fi-workbench question", data]))
        _check_fields(header)
        members = header.identities
    except BadSignature as error:
        raise Refused("The question is not signed by the client that it names.") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Refused("The question's header cannot be read.") from error
    if not len(header.cohort) == len(members) == len({who.verify_key for who in members.values()}):
        raise Refused("The question's cohort lists a name or a key twice.")
    return header


def _check_fields(header: RoundHeader) -> None:
    """Nothing, if every field is of its type and within its range: budgets and policies count on it.

    Raises
    ------
    Refused
        Naming the first that is not.
    """

    def number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

    def whole(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool)

    def texts(values: Iterable[object]) -> bool:
        return all(isinstance(value, str) for value in values)

    answers = header.kind == "answer"
    checks = {
        "round_id": _is_hex(header.round_id, 16),
        "kind": header.kind in get_args(Kind),
        "issued_at": number(header.issued_at),
        "deadline_seconds": number(header.deadline_seconds) and 0 < header.deadline_seconds <= MAX_DEADLINE_SECONDS,
        # one spelling for each key: budgets are kept by it
        "client": _is_hex(header.client, 32),
        "rule": isinstance(header.rule, str),
        "rule_options": isinstance(header.rule_options, dict),
        "mechanism": isinstance(header.mechanism, list)
        and all(isinstance(member, dict) and isinstance(member.get("name"), str) for member in header.mechanism),
        "on_absence": header.on_absence in ("renormalise", "keep"),
        "n_queries": whole(header.n_queries) and (header.n_queries > 0 if answers else header.n_queries == 0),
        "seed": whole(header.seed),
        "cohort": bool(header.cohort) and all(len(member) == 4 and texts(member) for member in header.cohort),
        "payloads": isinstance(header.payloads, dict) and texts(header.payloads.values()),
        "calibration": header.calibration in get_args(Calibration),
        "receipts": isinstance(header.receipts, bool),
    }
    for name, fits in checks.items():
        if not fits:
            raise Refused(f"The question's header has {name} = {getattr(header, name)!r:.60}, which cannot be.")


def _is_hex(text: object, n_bytes: int) -> bool:
    return isinstance(text, str) and len(text) == 2 * n_bytes and bytes.fromhex(text).hex() == text
