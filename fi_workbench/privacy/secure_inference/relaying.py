"""Peers that cannot reach one another: what they seal for each other travels with the phase's own messages.

A party's step then does not wait for its work to end. It hands out what its peers are to get, says that it has more to
say, and goes on with what they sent when the coordinator comes again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from fi_workbench.core.errors import InvalidReply, Refused
from fi_workbench.core.messages import AGAIN, Body, Reply
from fi_workbench.core.peers import PeerLate, Peers

T = TypeVar("T")

SENDERS, RECIPIENTS, FRAMES = "relay.from", "relay.to", "relay.frames"
PAUSE_SECONDS = 0.2
"""A party that has nothing for its peers yet answers after so long, so that the others' can come in."""

MAX_FRAMES = 4096


class Relayed(Generic[T]):
    """Work of one party that exchanges messages with peers it cannot reach.

    Parameters
    ----------
    peers : Peers
    work : callable
        Run in a thread of its own.
    end : float
        Monotonic seconds.
    """

    def __init__(self, peers: Peers, work: Callable[[], T], end: float) -> None:
        self._peers, self._work, self._end = peers, work, end
        self._result: T | None = None
        self._raised: BaseException | None = None
        self._done = threading.Event()
        threading.Thread(target=self._run, name="fi-relayed", daemon=True).start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - raised again where its step is taken
            self._raised = error
        finally:
            self._done.set()

    def step(self, message: Body) -> tuple[bool, T | None, Body]:
        """Take in what peers sent, and hand out what they are to get.

        Returns
        -------
        done : bool
        result
            Of the work, once it is done.
        body : Body
            What the reply carries for the peers.

        Raises
        ------
        PeerFault
            And whatever else the work raises.
        """
        for sender, frame in frames_of(message, SENDERS):
            self._peers.incoming(sender, frame)
        end = min(time.monotonic() + PAUSE_SECONDS, self._end)
        out: list[tuple[str, bytes]] = []
        while not self._done.is_set() and not out and time.monotonic() < end:
            out = self._peers.outgoing(min(0.01, PAUSE_SECONDS))
        done = self._done.is_set()
        if self._raised is not None:
            raise self._raised
        if not done and time.monotonic() >= self._end:
            raise PeerLate("", "the round's time ran out while messages were carried between parties.")
        out += self._peers.outgoing(0.0)
        body: dict[str, list[str] | list[bytes] | bool] = {
            RECIPIENTS: [to for to, _ in out],
            FRAMES: [frame for _, frame in out],
        }
        return done, self._result, body if done else {**body, AGAIN: True}


def frames_of(message: Body, names: str) -> list[tuple[str, bytes]]:
    """What a message carries from or for peers.

    Raises
    ------
    Refused
        It is malformed.
    """
    who, frames = message.get(names, []), message.get(FRAMES, [])
    if not isinstance(who, list) or not isinstance(frames, list) or not len(who) == len(frames) <= MAX_FRAMES:
        raise Refused("the messages that are carried between parties are malformed.")
    carried = [(name, frame) for name, frame in zip(who, frames, strict=True) if _is_frame(name, frame)]
    if len(carried) < len(who):
        raise Refused("the messages that are carried between parties are malformed.")
    return carried  # type: ignore[return-value]  # each was looked at


def _is_frame(name: object, frame: object) -> bool:
    return isinstance(name, str) and isinstance(frame, bytes)


def carried_on(replies: Mapping[str, Reply]) -> dict[str, Body]:
    """At the coordinator: the next message to each party that has more to say, with what the others sent it.

    Raises
    ------
    InvalidReply
        What a party wants carried is malformed.
    """
    mail: dict[str, list[tuple[str, bytes]]] = {party: [] for party, reply in replies.items() if AGAIN in reply.body}
    for party, reply in replies.items():
        try:
            out = frames_of(reply.body, RECIPIENTS)
        except Refused as error:
            raise InvalidReply(party, f"{party} wants something carried that is malformed.") from error
        for to, frame in out:
            if to in mail:  # who is done needs nothing more
                mail[to].append((party, frame))
    return {
        party: {SENDERS: [sender for sender, _ in held], FRAMES: [frame for _, frame in held]}
        for party, held in mail.items()
    }
