"""Which queries a question asks of which cohort, as digests, so that asking them again of another one is noticed.

The difference of two sums over the same queries, one without a certain party, is that party's answer. Queries are
compared bit by bit: one that was changed ever so little is another. That stops carelessness and makes malice work for
it; where that is not enough, an epsilon bounds what any questions together can tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fi_workbench.core.digest import canonical
from fi_workbench.core.messages import Body
from fi_workbench.privacy.event import UNPROTECTED, Event
from fi_workbench.privacy.mechanism import Mechanism
from fi_workbench.protocol.header import RoundHeader

_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Batch:
    """Queries and their cohort.

    Parameters
    ----------
    queries : tuple of bytes
        A digest of 16 bytes of each; of an enrolment, one for all that can be enrolled; one for all hidden queries.
    cohort : bytes
        A digest of the keys, in no order.
    """

    queries: tuple[bytes, ...]
    cohort: bytes


def batch_of(header: RoundHeader, payload: Body, carrier: Mechanism, events: Mapping[Event, int]) -> Batch | None:
    """What to watch for differences; None where the answers are shown anyway, or what they tell has a bound."""
    if carrier.offers not in ("nothing", "sum") or UNPROTECTED not in events:
        return None
    cohort = _digest(canonical({who.verify_key for who in header.identities.values()}))
    asked = payload.get("queries")
    if header.kind == "enrol":
        return Batch((_digest(b"enrolment"),), cohort)
    if carrier.inside_models:  # nobody here can tell hidden queries apart: each may be the one of another cohort
        return None if header.kind == "prepare" else Batch((_digest(b"hidden query"),), cohort)
    if not isinstance(asked, np.ndarray) or not asked.ndim or not asked.size:
        return Batch((_digest(canonical(dict(header.payloads))),), cohort)
    plain = np.ascontiguousarray(asked)
    return Batch(_rows(plain.tobytes(), plain.nbytes // len(plain)), cohort)


@lru_cache(maxsize=4)  # parties of one process get the same bytes
def _rows(content: bytes, n_bytes: int) -> tuple[bytes, ...]:
    return tuple(_digest(content[start : start + n_bytes]) for start in range(0, len(content), n_bytes))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
