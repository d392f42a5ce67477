"""A party's seat in a session: what it takes part with, and what it holds the client's later questions against."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fi_workbench.core.affine import Affine
from fi_workbench.core.arrays import at_temperature
from fi_workbench.core.errors import Refused
from fi_workbench.core.peers import Peers
from fi_workbench.mpc.argmax import votes_fit
from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.keys import SessionKey, channel_secrets
from fi_workbench.mpc.session import Session
from fi_workbench.privacy.access import ModelAccess
from fi_workbench.privacy.context import PartyContext
from fi_workbench.privacy.mechanism import STALE
from fi_workbench.privacy.secure_inference.announcement import VOTED, Announcement, listed, session_of

if TYPE_CHECKING:  # it imports torch, which the coordinator and the client never do
    from fi_workbench.mpc.party import SecureParty

_log = logging.getLogger(__name__)

MAX_SUM = 2.0**30
"""Of all models' outputs together, either side of zero: half of what the ring holds with 32 fractional bits."""


@dataclass(frozen=True, eq=False)
class Coming:
    """A party between its announcement and its session.

    Parameters
    ----------
    key : SessionKey
    compiled : Compiled or None
        None for a helper.
    version : str
        Of the model, as it was compiled.
    client_public : bytes
    first_size : int
        Queries of the first question.
    """

    key: SessionKey
    compiled: Compiled | None
    version: str
    client_public: bytes
    first_size: int


@dataclass(frozen=True, eq=False)
class Seat:
    """One session at one party.

    Parameters
    ----------
    party : SecureParty
    peers : Peers
    client, asked, version : str
        Who may ask, how, and the model's state: as when the session was set up.
    """

    party: SecureParty
    peers: Peers
    client: str
    asked: str
    version: str

    def check(self, access: ModelAccess) -> None:
        """Nothing, if a question belongs here.

        Raises
        ------
        Refused
        """
        if access.client != self.client or access.asked != self.asked:
            raise Refused("this session was set up for another client, or for another way of asking.")
        if access.version() != self.version:
            raise Refused(f"{STALE}: the model has changed since.")

    def close(self) -> None:
        """Stop its roles and end its channels."""
        self.party.close()
        self.peers.close()


def coming(
    context: PartyContext, access: ModelAccess, client_public: bytes, first_size: int, input_bound: float
) -> tuple[Coming, Announcement]:
    """What a party brings to a session: its model compiled, and a fresh key.

    Raises
    ------
    Refused
        The model cannot be computed with as it is: its layer is named, numbers are in this party's own log. Or its
        logits are larger than the rule takes unclipped.
    """
    if access.network is None:
        raise Refused("this party has no channels to others.")
    module, version, compiled = access.module(), access.version(), None
    if module is not None and not access.knows_peers:
        _log.warning(
            "%s takes part in secure inference with whomever the client names: who runs two members of a cohort can "
            "have the model of a third. Say which parties you trust with Policy(peers=...).",
            context.name,
        )
    if module is not None:
        compiled = _compiled(access, module, context.name, input_bound, context.rule)
        _check_outputs(compiled, context)
    key = SessionKey()
    channel = access.network.announce(context.round_digest)
    weights = "" if compiled is None else secrets.token_hex(16)
    plan = None if compiled is None else compiled.plan
    return Coming(key, compiled, version, client_public, first_size), Announcement(key.public, channel, plan, weights)


def _check_outputs(compiled: Compiled, context: PartyContext) -> None:
    """Refuse outputs that cannot be compared with one another, or whose sum over all members could wrap."""
    if context.rule == VOTED:
        fits = votes_fit(compiled)
        why = "be compared unseen for a vote: scale its last layer down, all outputs alike; the vote stays the same"
    else:
        fits = all(layer.bound * len(context.peers) < MAX_SUM for layer in compiled.bounds[-1:])
        why = "be added up: scale its last layer down, or take a smaller cohort"
    if not fits:  # how large they get is the owner's
        _log.warning("%s: outputs may be as large as %.3g", context.name, compiled.bounds[-1].bound)
        raise Refused(f"outputs of its model may be too large to {why}; its own log has more.")


def _compiled(access: ModelAccess, module: Any, name: str, input_bound: float, rule: str) -> Compiled:

    from fi_workbench.mpc.compiler import NotSupported, OutOfBounds, compile_module  # noqa: PLC0415

    # neither a temperature nor a clip changes which output is the largest
    summand = None if rule == VOTED else access.affine()
    scaled = None
    if summand is not None:
        output = Affine.stacked(summand.maps)
        scaled = Affine(output.matrix / access.temperature, output.offset)
    if summand is not None and access.sample is not None:
        logits = at_temperature(access.predict(access.sample), "logits", access.temperature)
        largest = float(np.abs(logits - logits.mean(axis=-1, keepdims=True)).max(initial=0.0))
        reach = 2.0 ** math.floor(math.log2(summand.reach))  # in steps: who may choose it must not search for the size
        if largest > reach:
            _log.warning("%s: logits reach %.3g on its own sample; the rule clips at %g", name, largest, summand.reach)
            raise Refused(
                f"logits of its own sample are larger than {reach:g}; the rule clips them at {summand.reach:g}, which "
                "hidden ones cannot be. Raise the rule's option bound."
            )
    try:
        coarse = 2.0 ** math.ceil(math.log2(input_bound))  # in steps too
        return compile_module(
            module, access.input_shape, input_bound=coarse, sample=access.sample, output=scaled, name=name
        )
    except NotSupported as error:  # the architecture is no secret
        raise Refused(str(error)) from error
    except OutOfBounds as error:  # how large values get is
        _log.warning("%s: %s", name, error)
        raise Refused(
            f"values within its model may be too large for secure inference, at layer {error.path}; its own log has "
            "more."
        ) from error


@dataclass(frozen=True, eq=False)
class Agreed:
    """A party that knows the session, before it has met anybody.

    Parameters
    ----------
    came : Coming
    session : Session
    channels : mapping of str to bytes
        How its peers can be reached.
    """

    came: Coming
    session: Session
    channels: Mapping[str, bytes]


def agreed(
    context: PartyContext, access: ModelAccess, came: Coming, announced: Sequence[bytes], pool_size: int
) -> Agreed:
    """The session that was announced, if this party's owner agrees to it.

    Raises
    ------
    InvalidAnswer, DoesNotFit, BadSession
        The announcements make no session.
    Refused
        Fewer models than its owner wants in a sum.
    """
    members = listed(tuple(context.peers), announced)
    session = session_of(
        bytes.fromhex(context.round_digest), came.client_public, members, pool_size, came.first_size, context.rule
    )
    if len(session.triples) < access.min_models:
        raise Refused(
            f"the sum would be over {len(session.triples)} models, helpers not counted; this party agrees to "
            f"{access.min_models} or more (min_cohort)."
        )
    return Agreed(came, session, {name: members[name].channel for name in session.peers_of(context.name)})


def seated(context: PartyContext, access: ModelAccess, to: Agreed, end: float) -> Seat:
    """A seat with channels to all peers; set-up of the roles is still to come.

    Raises
    ------
    PeerFault
        A peer cannot be reached in any way.
    """
    if access.network is None:
        raise Refused("this party has no channels to others.")
    from fi_workbench.mpc.party import SecureParty  # noqa: PLC0415 (see above: torch)

    came, session = to.came, to.session
    secrets_ = channel_secrets(session, context.name, came.key)
    peers = access.network.connect(context.round_digest, context.name, to.channels, secrets_, end)
    try:
        party = SecureParty(session, context.name, came.key, peers, came.compiled)
    except BaseException:
        peers.close()
        raise
    return Seat(party, peers, access.client, access.asked, came.version)
