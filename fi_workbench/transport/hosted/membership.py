"""Who belongs to a hosted link: enrolled by a token, approved, announced, fitting, online; or refused, or expelled.

One code path for the host itself, its desk and what parties do. What must survive a restart is on the disk before it
takes effect.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from fi_workbench.core.errors import DoesNotFit
from fi_workbench.core.messages import PartyCard
from fi_workbench.transport.hosted.enrolment import EnrolRefused, EnrolRequest
from fi_workbench.transport.hosted.fleet import Fleet, Node
from fi_workbench.transport.hosted.keeping import Enrolled, Keeping, Kept
from fi_workbench.transport.hosted.tokens import Tokens
from fi_workbench.transport.roster import PartyState, Roster, RosterEntry

_log = logging.getLogger(__name__)

MOST_ENROLLED = 10_000

_ITS_LINK_FAILED = ("it could not announce itself", "it did not announce itself")
"""How the announcer begins where nothing came; else the card itself is at fault."""

Admit = Callable[[PartyCard], str]


def admit_all(card: PartyCard) -> str:  # noqa: ARG001 (a place for a condition)
    """No reason to refuse anybody."""
    return ""


def _ask_nobody(node: int) -> None:
    pass


class Membership:
    """The parties of one link.

    Parameters
    ----------
    keeping : Keeping
    roster : Roster
        Kept up to date.
    approve : bool
        Whether who enrols waits until the host approves.
    admit : callable
        ``(card) -> str``: why a party may not take part; empty if it may.
    classes : tuple of str, optional
    input_shape : tuple of int, optional
        What every party must have; the first member's when None.
    """

    def __init__(
        self,
        keeping: Keeping,
        roster: Roster,
        *,
        approve: bool,
        admit: Admit,
        classes: tuple[str, ...] | None,
        input_shape: tuple[int, ...] | None,
    ) -> None:
        self._keeping, self._roster = keeping, roster
        self._approve, self._admit, self._classes, self._input_shape = approve, admit, classes, input_shape
        self._lock = threading.RLock()
        kept = keeping.read()
        self._enrolled = {one.key: one for one in kept.enrolled}
        self._tokens = Tokens(kept.tokens)
        self.fleet = Fleet(self._came, self._went)
        self.ask: Callable[[int], None] = _ask_nobody
        """Asks a node for its card."""
        for one in kept.enrolled:
            node = self.fleet.add(one.node_key, one.key)
            state: PartyState = "expelled" if one.expelled else "offline" if one.approved else "waiting"
            self._put(one, node, state, "not seen since the link was started")

    # the host

    def invite(self, n: int, minutes: float) -> list[str]:
        """``n`` fresh tokens.

        Raises
        ------
        InvalidOption
        """
        with self._lock:
            tokens = self._tokens.issue(n, minutes)
            self._keep()
            return tokens

    def approve(self, name: str) -> None:
        """Let a waiting or expelled party take part.

        Raises
        ------
        UnknownName
        """
        with self._lock:
            one = self._named(name)
            self._change(replace(one, approved=True, expelled=False))
            entry = self._roster.of_key(one.key)
            if entry is not None and entry.state in ("waiting", "expelled", "refused"):
                self._settle(self._enrolled[one.key])

    def expel(self, name: str) -> None:
        """Have a party take part no longer; its key opens the door no longer.

        Raises
        ------
        UnknownName
        """
        with self._lock:
            one = self._named(name)
            self._change(replace(one, approved=False, expelled=True))
            node = self._node(one)
            self._roster.change(one.key, state="expelled", reason="expelled by its host")
        self.fleet.leave(node, "expelled by its host")
        self.fleet.on_mail([node.id])  # a pull that is parked ends now

    # a party

    def enrol(self, request: EnrolRequest, address: str) -> bool:
        """Take in a new party's keys, for a token; whether it has to wait until the host approves it.

        Raises
        ------
        EnrolRefused
        """
        with self._lock:
            one = Enrolled(request.identity, request.node_key, approved=not self._approve)
            known = self._enrolled.get(one.key)
            if known is not None and (known.name, known.node_key) == (one.name, one.node_key):
                if known.expelled:
                    raise EnrolRefused(403, "this party was expelled; ask the host to approve it again")
                return not known.approved
            if wrong := self._tokens.wrong_with(request.token):
                raise EnrolRefused(403, wrong)
            if known is not None or any(other.node_key == one.node_key for other in self._enrolled.values()):
                raise EnrolRefused(409, "one of these keys is enrolled with another; make a new key file")
            if any(other.name == one.name for other in self._enrolled.values()):
                raise EnrolRefused(
                    409, f"name taken: {one.name!r} is enrolled with another key; choose another (--name)"
                )
            if len(self._enrolled) >= MOST_ENROLLED:
                raise EnrolRefused(403, f"this link has {MOST_ENROLLED} parties and takes no more")
            self._tokens.use(request.token)
            self._enrolled[one.key] = one
            try:
                self._keep()
            except OSError:
                del self._enrolled[one.key]
                self._tokens.use(request.token, back=True)
                raise
            node = self.fleet.add(one.node_key, one.key)
            self._put(one, node, "offline" if one.approved else "waiting", "enrolled", address)
            return not one.approved

    def why_not(self, node: Node) -> str:
        """Why this node gets no messages; empty if it does."""
        one = self._enrolled.get(node.party)
        if one is None or one.expelled:
            return "this party was expelled; ask the host to approve it again"
        entry = self._roster.of_key(node.party)
        if entry is not None and entry.state == "refused":
            return f"refused: {entry.reason}"
        return ""

    def may_begin(self, node: Node) -> str:
        """Why this node may not even begin; one that was refused may have mended what was wrong."""
        one = self._enrolled.get(node.party)
        return "this party was expelled; ask the host to approve it again" if one is None or one.expelled else ""

    def announced(self, node_id: int, card: PartyCard) -> None:
        """A node announced a card whose signature is good."""
        with self._lock:
            one = self._of_node(node_id)
            if one is None or one.expelled:
                return
            if card.identity != one.identity or card.name != one.name:
                self._refuse(one, "it announced other keys than it enrolled with")
                return
            if card != one.card:
                one = self._enrolled[one.key] = replace(one, card=card)
                try:
                    self._keep()
                except OSError as error:  # it is announced anew after a restart: nothing hangs on the disk here
                    _log.warning("the card of %s is kept in memory only: %s", one.name, error)
            self._settle(one)

    def silent(self, node_id: int, reason: str) -> None:
        """A node announced nothing, or nothing that can be read."""
        with self._lock:
            one = self._of_node(node_id)
            entry = None if one is None else self._roster.of_key(one.key)
            if one is None or entry is None or entry.state in ("expelled", "waiting"):
                return
            if not reason.startswith(_ITS_LINK_FAILED):
                self._refuse(one, reason)
            elif self._node(one).present:  # else it was cut off, and is asked again when it comes back
                self._roster.change(one.key, reason=reason)

    def _settle(self, one: Enrolled) -> None:
        """Find the state that an enrolled party is in."""
        node = self._node(one)
        entry = self._roster.of_key(one.key)
        others = entry is None or not entry.member
        reason = "" if one.card is None else self._unfit(one.card, one.key if others else "") or self._admit(one.card)
        there: Literal["online", "offline"] = "online" if node.present and one.card is not None else "offline"
        state: PartyState = "refused" if reason else there if one.approved else "waiting"
        if not reason and state == "offline":
            reason = node.reason if not node.present else "it was not asked for its card yet"
            if node.present:
                self.ask(node.id)
        self._roster.change(one.key, state=state, reason=reason, card=one.card, node=node.id, address=node.address)
        if state == "refused":
            self.fleet.on_mail([node.id])  # a pull that is parked ends now, and its owner reads why

    def _refuse(self, one: Enrolled, reason: str) -> None:
        self._roster.change(one.key, state="refused", reason=reason)
        self.fleet.on_mail([self._node(one).id])

    def _unfit(self, card: PartyCard, newcomer: str) -> str:
        first = next(
            (entry.card for entry in self._roster.members if entry.key != card.identity.verify_key.hex()), None
        )
        classes = self._classes or (first.classes if first else card.classes)
        shape = self._input_shape or (first.input_shape if first else card.input_shape)
        if card.classes != tuple(classes):
            return f"its classes are {_few(card.classes)}; here they are {_few(classes)}"
        if card.input_shape != tuple(shape):
            return f"its queries have the shape {card.input_shape}; here they have {tuple(shape)}"
        return ""

    def _came(self, node: Node, new: bool) -> None:
        entry = self._roster.of_key(node.party)
        if entry is None or entry.state == "expelled":
            return
        if entry.state == "offline" and entry.card is not None and not new:
            self._roster.change(node.party, state="online", reason="", address=node.address)
            return
        self._roster.change(node.party, address=node.address)
        self.ask(node.id)

    def _went(self, node: Node, reason: str) -> None:
        entry = self._roster.of_key(node.party)
        if entry is not None and entry.state == "online":
            self._roster.change(node.party, state="offline", reason=reason)

    def _named(self, name: str) -> Enrolled:
        return self._enrolled[self._roster.entry(name).key]

    def _node(self, one: Enrolled) -> Node:
        return self.fleet.add(one.node_key, one.key)

    def _of_node(self, node_id: int) -> Enrolled | None:
        entry = self._roster.of_node(node_id)
        return None if entry is None else self._enrolled.get(entry.key)

    def _put(self, one: Enrolled, node: Node, state: PartyState, reason: str, address: str = "") -> None:
        self._roster.put(RosterEntry(one.key, one.name, state, time.time(), node.id, one.card, reason, address))

    def _change(self, one: Enrolled) -> None:
        before = self._enrolled[one.key]
        self._enrolled[one.key] = one
        try:
            self._keep()
        except OSError as error:
            self._enrolled[one.key] = before
            raise DoesNotFit(f"The link's folder cannot be written ({error}); nothing was changed.") from error

    def _keep(self) -> None:
        self._keeping.write(Kept(tuple(self._enrolled.values()), self._tokens.kept))


def _few(classes: tuple[str, ...]) -> str:
    shown = ", ".join(repr(name)[:40] for name in classes[:4])
    return f"{len(classes)} ({shown}{', ...' if len(classes) > 4 else ''})"
