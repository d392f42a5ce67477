"""Which roles a party plays in a session, made with their keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.core.peers import Peers
from fi_workbench.mpc.argmax import votes_fit
from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.keys import SessionKey, label_keys, query_root, triple_keys
from fi_workbench.mpc.plan import MAX_BOUND
from fi_workbench.mpc.plan_text import plan_digest
from fi_workbench.mpc.pool import Made
from fi_workbench.mpc.roles import DealerRole, EvaluatorRole, OwnerRole, Seen
from fi_workbench.mpc.session import KEY_BYTES, BadSession, Session
from fi_workbench.mpc.streams import Lot


class PlayedRole(Protocol):
    """A role, whichever; its material is its own type, which only it looks into."""

    observer: Callable[[Seen], None] | None

    def set_up(self, end: float) -> None:
        """Once a session."""

    def offline(self, lot: Lot, end: float) -> Any:
        """What it needs to answer a lot."""

    def online(
        self, lot: Lot, material: Any, end: float, query: NDArray[np.uint64] | None = None
    ) -> NDArray[np.uint64] | None:
        """Answer a lot; the share of the output, (query, output)."""


@dataclass(frozen=True)
class LotMaterial:
    """What a party needs to answer one lot.

    Parameters
    ----------
    by_number : mapping of int to Made
        What its roles need, by the number of their triple.
    hiding : ndarray of uint64 or None
        Of the output step; None of a party that sends the client nothing.
    """

    by_number: Mapping[int, Made]
    hiding: NDArray[np.uint64] | None

    @property
    def n_bytes(self) -> int:
        """Of memory."""
        own = 0 if self.hiding is None else self.hiding.nbytes
        return own + sum(material.n_bytes for material in self.by_number.values())


def roles_of(
    session: Session, me: str, key: SessionKey, peers: Peers, compiled: Compiled | None, end: float
) -> dict[int, PlayedRole]:
    """The roles that a party plays, by number of their triple, in this order; that for the label comes last.

    Evaluators hand dealers the roots of the query masks on the way: a dealer knows the mask of a query in any case, and
    the client has told it nothing yet.

    Parameters
    ----------
    session : Session
    me : str
    key : SessionKey
    peers : Peers
    compiled : Compiled or None
        The party's own model, if it owns one.
    end : float
        Monotonic seconds.

    Raises
    ------
    PeerFault
    """
    places = [(number, triple) for number, triple in enumerate(session.triples) if triple.role_of(me)]
    roots: dict[int, bytes] = {}
    for number, triple in places:
        if triple.evaluator == me:
            roots[number] = query_root(session, number, key, session.client_public)
            peers.send(triple.dealer, _root_tag(number), roots[number])
    for number, triple in places:
        if triple.dealer == me:
            roots[number] = bytes(peers.receive(triple.evaluator, _root_tag(number), KEY_BYTES, end))
    roles: dict[int, PlayedRole] = {}
    for number, triple in places:
        plan = session.played[triple.owner]
        keys = triple_keys(session, number, me, key, roots.get(number))
        if triple.owner == me and compiled is not None:
            roles[number] = OwnerRole(triple, number, plan, compiled.weights, keys, peers)
        elif triple.evaluator == me:
            roles[number] = EvaluatorRole(triple, number, plan, keys, peers)
        else:
            roles[number] = DealerRole(triple, number, plan, keys, peers)
    if session.label_plan is not None and (place := session.label_triple.role_of(me)) is not None:
        about = (session.label_triple, session.label_number, session.label_plan)
        keys = label_keys(session, me, key)
        if place == "owner":
            roles[session.label_number] = OwnerRole(*about, (), keys, peers)
        else:
            kind = EvaluatorRole if place == "evaluator" else DealerRole
            roles[session.label_number] = kind(*about, keys, peers)
    return roles


def check_place(session: Session, me: str, key: SessionKey, compiled: Compiled | None) -> None:
    """Nothing, if the session has this party, with this key and this model's plan.

    Raises
    ------
    BadSession
        Otherwise.
    """
    if me not in session.members:
        raise BadSession(f"{me!r} is no member of this session; its members are {', '.join(session.members)}.")
    if key.public != session.publics[me]:
        raise BadSession(f"This session has another key for {me!r} than this one.")
    owns = session.number_owned(me) is not None
    if owns != (compiled is not None):
        raise BadSession(f"{me!r} {'owns a model' if owns else 'is a helper'} in this session, but not here.")
    if compiled is not None and plan_digest(compiled.plan) != plan_digest(session.plans[me]):
        raise BadSession(f"The plan that this session has for {me!r} is not that of its model.")
    if compiled is not None and session.opens == "label" and not votes_fit(compiled):
        raise DoesNotFit(
            f"The outputs of the model of {me!r} may be as large as {MAX_BOUND - 1:g}, and cannot be compared unseen. "
            "Scale its last layer down: all outputs alike, the vote stays the same.",
            ("mean_logit",),
            "rule",
        )


def _root_tag(number: int) -> str:
    return f"{number}/set_up/query"
