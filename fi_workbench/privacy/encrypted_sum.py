"""A sum under homomorphic encryption: the parties encrypt for the client, the coordinator adds without any key.

The second way to a sum that hides its summands, beside pairwise masks: one phase, so that parties keep no state, at the
price of ciphertexts several times as long as what is in them. Scheme and security: :mod:`fi_workbench.privacy.ckks`.

Values travel as whole numbers, in steps of their component's range, and the sum is rounded to such numbers again. What
the client learns is so the exact sum and nothing of the errors of encryption (B. Li, D. Micciancio, On the security of
homomorphic encryption on approximate numbers, EUROCRYPT 2021, attack who can show decryptions to others; here the
holder of the key alone sees them).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.disclosure import Disclosure, Need
from fi_workbench.core.errors import DoesNotFit, InvalidAnswer, Refused
from fi_workbench.core.identity import PublicIdentity
from fi_workbench.core.messages import Body, Release, Reply
from fi_workbench.core.summand import Component, Summand
from fi_workbench.privacy import ckks
from fi_workbench.privacy.context import CoordinatorContext, PartyContext
from fi_workbench.privacy.mechanism import Mechanism, mechanisms

_KEY, _CIPHERTEXTS = "he.public_key", "he.ciphertexts"
_COMPONENTS, _QUERIES, _CLASSES = "he.components", "he.n_queries", "he.n_classes"

_COARSEST_BITS = 20
"""A step is at most 2^-20; where a range leaves no room for that in one limb, its numbers take two."""

_HALF_BITS = 26
"""Of each of two limbs: 52 together, the whole numbers that a float64 holds."""


@dataclass(frozen=True)
class _Part:
    """One component as whole numbers: how many, in steps of 2^-bits from its lower bound, in how many limbs each."""

    name: str
    component: Component
    shape: tuple[int, ...]
    bits: int
    n_limbs: Literal[0, 1, 2]

    @classmethod
    def of(cls, name: str, component: Component, n_queries: int, n_classes: int) -> _Part:
        shape, width = component.shape(n_queries, n_classes), component.upper - component.lower
        if width <= 0:  # everybody's is the same, such as a count of one
            return cls(name, component, shape, 0, 0)
        exponent = math.ceil(math.log2(width))
        if ckks.LIMB_BITS - exponent >= _COARSEST_BITS:
            return cls(name, component, shape, ckks.LIMB_BITS - exponent, 1)
        return cls(name, component, shape, 2 * _HALF_BITS - exponent, 2)

    @property
    def n_numbers(self) -> int:
        return self.n_limbs * math.prod(self.shape)

    @property
    def limb_bits(self) -> int:
        return ckks.LIMB_BITS if self.n_limbs == 1 else _HALF_BITS

    def encoded(self, array: NDArray[np.float64]) -> NDArray[np.int64]:
        """A party's array, inside its bounds, as (number,), each from 0 to 2^28."""
        bounded = np.clip(array, self.component.lower, self.component.upper).ravel() - self.component.lower
        steps = np.rint(np.ldexp(bounded, self.bits)).astype(np.int64)
        limbs = {0: [], 1: [steps], 2: [steps >> _HALF_BITS, steps & (2**_HALF_BITS - 1)]}[self.n_limbs]
        return np.concatenate([np.zeros(0, np.int64), *limbs])

    def decoded(self, numbers: NDArray[np.int64], n_parties: int) -> NDArray[np.float64]:
        """The sum of as many parties' arrays, from the sums of their numbers.

        Raises
        ------
        InvalidAnswer
            More or less than so many parties can sum up to inside the bounds.
        """
        lower, upper = self.component.lower, self.component.upper
        steps = np.zeros(math.prod(self.shape), np.int64)
        # limbs first: two that are too long could come to steps, modulo 2^64, that are not
        within = not numbers.size or (numbers.min() >= 0 and numbers.max() <= n_parties << self.limb_bits)
        for limb in np.split(numbers, self.n_limbs) if self.n_limbs and within else ():
            steps = (steps << _HALF_BITS) + limb
        highest = n_parties * (math.ldexp(upper - lower, self.bits) + 1)  # each rounds up by half a step at most
        if not within or (steps.size and steps.max() > highest):
            raise InvalidAnswer(
                f"The sum of {self.name!r} is outside of what {n_parties} parties can reach inside their bounds, "
                f"{lower:g} to {upper:g} each: some party encrypted something else, and nobody can tell which."
            )
        return (np.ldexp(steps.astype(np.float64), -self.bits) + n_parties * lower).reshape(self.shape)


@dataclass(frozen=True)
class EncryptedSum(Mechanism):
    """One phase: each party's part under the client's key of this round; their sum, opened and finished by the client.

    A key of its own for each round costs 5 ms: no state to keep, and nothing to decrypt a round with once it is over.
    """

    name: ClassVar[str] = "encrypted_sum"
    explanation: ClassVar[str] = (
        "Each party encrypts its part under a key of the client's; the coordinator adds them up without being able to "
        "read them, and the client reads the sum alone."
    )
    formula: ClassVar[str] = r"\mathrm{Dec}\Big(\sum_k \mathrm{Enc}(x_k)\Big) = \sum_k x_k"
    source: ClassVar[str] = "CKKS: Cheon, Kim, Kim, Song, ASIACRYPT 2017; Microsoft SEAL through TenSEAL"
    phases: ClassVar[tuple[str, ...]] = ("encrypt",)
    offers: ClassVar[Need] = "sum"
    requires: ClassVar[frozenset[str]] = frozenset({"ckks"})
    finish_at: ClassVar[Literal["coordinator", "client"]] = "client"
    hides_absence: ClassVar[bool] = True
    min_parties: ClassVar[int] = 3
    why_min_parties: ClassVar[str] = "with two, the sum tells each of them the other's answer"

    @property
    def disclosure(self) -> Disclosure:
        """The sum to the client alone; ciphertexts to everybody else."""
        return Disclosure(
            sees={
                "client": frozenset({"query", "sum", "label"}),
                "coordinator": frozenset({"query"}),
                "other_parties": frozenset({"query"}),
                "owner": frozenset({"query", "model"}),
                "wire": frozenset({"query"}),
            },
            assumptions=(
                "The client and the coordinator are apart: the client's key opens each single ciphertext too.",
                "In a notebook one person is both: this shows there how it works, and hides nothing from its user.",
                "The client does not read the wire between the parties and the coordinator, for the same reason.",
                "The coordinator adds up as it should, and no fewer than three.",
                "Each party's part lies inside its bounds: one that does not cannot be told from the others.",
                "Sums over cohorts that differ by one party show that party's part to who subtracts them.",
                "Class counts, where the rule uses them: the client reads their exact sum and tells it to all parties.",
                "CKKS at 128 bits of security, by SEAL's table: 4,096 coefficients, 109 bits of modulus.",
            ),
        )

    def cannot(self, n_parties: int) -> str:
        """What it computes with is missing, or there are more parties than the modulus has room for."""
        if not ckks.is_installed():
            return ckks.NOT_HERE
        most = ckks.MAX_SUMMANDS
        return f"it adds up {most} parties at most; there are {n_parties}" if n_parties > most else ""

    def protect(self, payload: Body, cohort: Mapping[str, PublicIdentity]) -> tuple[Any, Body]:
        """The same to all parties: the question, and the public half of keys that are made for this round.

        Raises
        ------
        DoesNotFit
            tenseal is not installed, or the cohort is too large.
        """
        if reason := self.cannot(len(cohort)):
            raise DoesNotFit(f"Mechanism {self.name!r} cannot carry this round: {reason}.")
        keys = ckks.Keys()
        return keys, {**payload, _KEY: keys.public()}

    def party_step(self, phase: str, state: Any, message: Body, context: PartyContext) -> tuple[Any, Body]:
        """The rule's part, checked against its bounds and encrypted.

        Raises
        ------
        Refused
            The cohort is too large, or there is no public key that this party would encrypt under.
        InvalidAnswer
            The part breaks its declaration.
        """
        if reason := self.cannot(len(context.peers)):
            raise Refused(f"{reason}.")
        key = message.get(_KEY)
        if not isinstance(key, bytes):
            raise Refused("the question brings no public key to encrypt under.")
        queries = np.asarray(message["queries"]) if context.kind == "answer" else None
        summand = context.summand(queries, None if queries is None else context.answer(queries))
        return None, {_CIPHERTEXTS: list[bytes](ckks.encrypt(key, _numbers(summand, context)))}

    def coordinator_step(
        self, phase: str, state: Any, replies: Mapping[str, Reply], context: CoordinatorContext
    ) -> tuple[Any, Release]:
        """The sum of all ciphertexts that are some; nothing where fewer than three are left."""
        parts = _parts(context.components, context.n_queries, context.n_classes)
        total, present = ckks.Sum(sum(part.n_numbers for part in parts)), list[str]()
        for party, reply in replies.items():
            ciphertexts = reply.field(_CIPHERTEXTS, list)
            try:
                total.add(ciphertexts)
            except InvalidAnswer as error:
                context.absent(party, "invalid", f"{party}: {error}")
                continue
            present.append(party)
        if len(present) < self.min_parties:
            for party in present:
                context.absent(
                    party, "excluded", f"only {len(present)} parties are left; the sum of so few would show too much."
                )
            return None, Release(present=())
        sealed: Body = {
            _CIPHERTEXTS: total.ciphertexts(),
            _COMPONENTS: json.dumps({name: asdict(one) for name, one in context.components.items()}),
            _QUERIES: context.n_queries,
            _CLASSES: context.n_classes,
        }
        return None, Release(present=tuple(present), sealed=sealed)

    def open(self, state: Any, release: Release) -> Release:
        """The sums, decrypted.

        Raises
        ------
        InvalidAnswer
            The coordinator released something else than a sum of that many parties.
        """
        sealed = release.sealed
        try:
            components = {name: Component(**fields) for name, fields in json.loads(str(sealed[_COMPONENTS])).items()}
            parts = _parts(components, int(str(sealed[_QUERIES])), int(str(sealed[_CLASSES])))
            ciphertexts = sealed[_CIPHERTEXTS]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidAnswer("The coordinator released no encrypted sum.") from error
        if not isinstance(ciphertexts, list):
            raise InvalidAnswer("The coordinator released no encrypted sum.")
        numbers = state.decrypt(ciphertexts, sum(part.n_numbers for part in parts))
        sums, start = dict[str, NDArray[np.float64]](), 0
        for part in parts:
            sums[part.name] = part.decoded(numbers[start : start + part.n_numbers], len(release.present))
            start += part.n_numbers
        return replace(release, sums=sums, sealed={})


def _parts(components: Mapping[str, Component], n_queries: int, n_classes: int) -> list[_Part]:
    return [_Part.of(name, component, n_queries, n_classes) for name, component in components.items()]


def _numbers(summand: Summand, context: PartyContext) -> NDArray[np.int64]:
    """What a party encrypts, (number,)."""
    n_queries, n_classes = context.n_queries, context.n_classes
    numbers = [np.zeros(0, np.int64)]
    for part in _parts(context.components, n_queries, n_classes):
        array = part.component.check(summand.get(part.name), n_queries, n_classes, f"{part.name!r} of {context.name}")
        numbers.append(part.encoded(array))
    return np.concatenate(numbers)


mechanisms.add(EncryptedSum.name, EncryptedSum)
