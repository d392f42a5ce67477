"""What all members of one session, and its client, must have been told alike; and what in it was used.

The session's id is a digest of all of it. Every key of the session is bound to the id, so those who were told different
things (another model version, another key, another order of the triples) cannot open one another's messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fi_workbench.core.digest import sha256
from fi_workbench.core.errors import FederationError
from fi_workbench.mpc.argmax import label_plan, with_votes
from fi_workbench.mpc.assignment import Triple, senders_of
from fi_workbench.mpc.plan import Plan
from fi_workbench.mpc.plan_text import plan_digest

CLIENT = ""
"""Who asks, where a label names a party; no party is called so."""

KEY_BYTES = 32

MAX_QUERIES = 1 << 16
"""In one lot."""

MAX_TRIPLES, MAX_NAME_LENGTH, MAX_POOL_SIZE = 1024, 256, 1024

_VERSION = re.compile(r"[0-9a-f]{1,128}")
_HOUSE = "fi-workbench secure session, version 2"

Opened = Literal["sum", "label"]
"""What the client gets: the sum of all models' outputs, or 1 for the class with the most votes and 0 for the others."""


class BadSession(FederationError, ValueError):
    """What was told of a session does not make one."""


class SessionEnded(FederationError, RuntimeError):
    """A session that ended, with its reason; the next question needs a new one."""


@dataclass(frozen=True, eq=False)
class Session:
    """One session of secure inference, public: the same at the client and at every member, or its id differs.

    Parameters
    ----------
    binding : bytes
        Digest of what else was agreed on, such as the signed header of the round that began it; 32 bytes.
    client_public : bytes
        The client's X25519 key of this session, 32 bytes.
    triples : tuple of Triple
        One for each model; a triple's number is its place here.
    plans : mapping of str to Plan
        By owner. All take the same queries and make as many outputs.
    versions : mapping of str to str
        By owner: what names the weights, hexadecimal. Other weights are another version.
    publics : mapping of str to bytes
        By member, its X25519 key of this session, 32 bytes.
    pool_size : int
        Lots that are made ahead for one size of batch.
    first_size : int
        Queries of the lots that are made ahead before the first question; 0 for none.
    opens : {"sum", "label"}
        What the client gets. For a label each model votes for the class of its largest output, and nobody sees a vote,
        or a count of votes.

    Raises
    ------
    DoesNotFit
        A label of fewer than two classes, or of more than 64.
    BadSession
        Anything of it missing, superfluous, of the wrong form, or used twice.
    """

    binding: bytes
    client_public: bytes
    triples: tuple[Triple, ...]
    plans: Mapping[str, Plan]
    versions: Mapping[str, str]
    publics: Mapping[str, bytes]
    pool_size: int = 4
    first_size: int = 0
    opens: Opened = "sum"
    id: str = field(init=False)

    def __post_init__(self) -> None:
        for name in ("plans", "versions", "publics"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        object.__setattr__(self, "triples", tuple(self.triples))
        self._check_members()
        self._check_keys()
        self._check_models()
        told = {
            "house": _HOUSE,
            "binding": self.binding,
            "client": self.client_public,
            "triples": [[triple.owner, triple.evaluator, triple.dealer] for triple in self.triples],
            "plans": {owner: plan_digest(plan) for owner, plan in self.plans.items()},
            "versions": dict(self.versions),
            "publics": dict(self.publics),
            "pool": [self.pool_size, self.first_size],
            "opens": self.opens,
        }
        object.__setattr__(self, "id", sha256(told))

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Everybody who plays a role, in order of first appearance."""
        roles = ((triple.owner, triple.evaluator, triple.dealer) for triple in self.triples)
        return tuple(dict.fromkeys(name for names in roles for name in names))

    @cached_property
    def senders(self) -> tuple[str, ...]:
        """Who sends the client one vector."""
        return senders_of(self.triples)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one query."""
        return self.plans[self.triples[0].owner].input_shape

    @property
    def n_outputs(self) -> int:
        """Length of the output, for one query."""
        return self.plans[self.triples[0].owner].n_outputs

    @cached_property
    def played(self) -> Mapping[str, Plan]:
        """What the roles evaluate, by owner: the models' plans, followed by the vote where only a label is opened."""
        if self.opens == "sum":
            return self.plans
        return {owner: with_votes(plan) for owner, plan in self.plans.items()}

    @cached_property
    def label_plan(self) -> Plan | None:
        """What is evaluated on the counts of votes; None where the sum is opened."""
        return None if self.opens == "sum" else label_plan(self.n_outputs, len(self.triples))

    @property
    def label_triple(self) -> Triple:
        """Who evaluate :attr:`label_plan`."""
        return self.triples[0]

    @property
    def label_number(self) -> int:
        """What counts as the number of that evaluation, after those of the models."""
        return len(self.triples)

    @property
    def input_bound(self) -> float:
        """No entry of a query may be larger, either side of zero: the smallest of all models' bounds."""
        return min(plan.input_bound for plan in self.plans.values())

    def number_owned(self, party: str) -> int | None:
        """Number of the triple whose model is the party's; None for a helper."""
        return next((number for number, triple in enumerate(self.triples) if triple.owner == party), None)

    def peers_of(self, party: str) -> tuple[str, ...]:
        """With whom a party shares a triple, or exchanges votes, in the session's order."""
        near = {
            name for triple in self.triples if triple.role_of(party) for name in self.members if triple.role_of(name)
        }
        if self.opens == "label" and party in self.senders:
            collector = self.label_triple.owner  # all senders send it their votes
            near |= set(self.senders) if party == collector else {collector}
        return tuple(name for name in self.members if name != party and name in near)

    def _check_members(self) -> None:
        if not 1 <= len(self.triples) <= MAX_TRIPLES:
            raise BadSession(f"A session has 1 to {MAX_TRIPLES} models, not {len(self.triples)}.")
        for triple in self.triples:
            if len({triple.owner, triple.evaluator, triple.dealer}) != 3:
                raise BadSession(
                    f"One party plays two roles for the model of {triple.owner!r}; it would learn all of it."
                )
        owners = [triple.owner for triple in self.triples]
        if len(set(owners)) != len(owners):
            raise BadSession("A party owns two models of one session; each owner has one.")
        for name in self.members:
            if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH:
                raise BadSession(f"A member's name has 1 to {MAX_NAME_LENGTH} characters.")
        for what, given, wanted in (
            ("plan", self.plans, set(owners)),
            ("version", self.versions, set(owners)),
            ("key", self.publics, set(self.members)),
        ):
            if set(given) != wanted:
                named = ", ".join(sorted(map(repr, set(given) ^ wanted)))
                raise BadSession(f"Each has one {what} in a session; missing or superfluous: {named}.")

    def _check_keys(self) -> None:
        if not isinstance(self.binding, bytes) or len(self.binding) != KEY_BYTES:
            raise BadSession(f"What a session is bound to is a digest of {KEY_BYTES} bytes.")
        anybody = X25519PrivateKey.generate()
        keys = {**self.publics, CLIENT: self.client_public}
        for name, key in keys.items():
            whose = f"the key of {name!r}" if name else "the client's key"
            if not isinstance(key, bytes) or len(key) != KEY_BYTES:
                raise BadSession(f"In a session, {whose} must be {KEY_BYTES} bytes.")
            try:
                anybody.exchange(X25519PublicKey.from_public_bytes(key))
            except ValueError:
                raise BadSession(f"With {whose}, every secret is zero: it cannot be used.") from None
        if len(set(keys.values())) != len(keys):
            raise BadSession("Two in a session have the same key; each makes its own.")

    def _check_models(self) -> None:
        for owner, version in self.versions.items():
            if not isinstance(version, str) or not _VERSION.fullmatch(version):
                raise BadSession(f"The model version of {owner!r} must be 1 to 128 lower-case hexadecimal digits.")
        first = self.triples[0].owner
        for owner, plan in self.plans.items():
            mine, theirs = (plan.input_shape, plan.n_outputs), (self.input_shape, self.n_outputs)
            if mine != theirs:
                raise BadSession(
                    f"The model of {owner!r} takes queries of shape {mine[0]} and makes {mine[1]} outputs, that of "
                    f"{first!r} {theirs[0]} and {theirs[1]}: their outputs cannot be added."
                )
        if self.opens not in ("sum", "label"):
            raise BadSession("A session opens the sum, or a label.")
        if self.opens == "label":
            label_plan(self.n_outputs, len(self.triples))
        if not 0 <= self.pool_size <= MAX_POOL_SIZE:
            raise BadSession(f"A pool has 0 to {MAX_POOL_SIZE} lots of one size, not {self.pool_size}.")
        if not 0 <= self.first_size <= MAX_QUERIES:
            raise BadSession(f"A lot has at most {MAX_QUERIES} queries, not {self.first_size}.")
