"""What a workbench sees of the link behind its federation: who is there, who is asked, and what changed."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

from fi_workbench.aggregation.combiner import KINDS
from fi_workbench.core.errors import InvalidParty
from fi_workbench.session.federation import Federation
from fi_workbench.session.linked import Linked, RemoteParty
from fi_workbench.session.members import check_alike
from fi_workbench.transport.roster import LinkStatus, Roster, RosterEntry
from fi_workbench.widgets.running.members import Away, Member
from fi_workbench.widgets.wording import listed

_numbers: WeakKeyDictionary[Roster, dict[str, int]] = WeakKeyDictionary()
"""By key of the party: its colour, the same in all workbenches on one link, also when it left and came back."""

_numbering = threading.Lock()


@dataclass(frozen=True)
class LinkView:
    """A link at one moment.

    Parameters
    ----------
    status : LinkStatus
    entries : tuple of RosterEntry
        Everybody who is or was on it.
    """

    status: LinkStatus
    entries: tuple[RosterEntry, ...] = ()

    @property
    def members(self) -> tuple[RosterEntry, ...]:
        """Those who are asked."""
        return tuple(entry for entry in self.entries if entry.member)

    @property
    def waiting(self) -> tuple[RosterEntry, ...]:
        """Those who wait for approval."""
        return self._in("waiting")

    @property
    def refused(self) -> tuple[RosterEntry, ...]:
        """Those who were turned away, with the reason."""
        return self._in("refused")

    @property
    def expelled(self) -> tuple[RosterEntry, ...]:
        """Those who were members once."""
        return self._in("expelled")

    @property
    def n_online(self) -> int:
        """Members who are there now."""
        return sum(entry.state == "online" for entry in self.members)

    def _in(self, state: str) -> tuple[RosterEntry, ...]:
        return tuple(entry for entry in self.entries if entry.state == state)


def cohort_on(federation: Federation, before: Sequence[Member] | None) -> tuple[Federation, tuple[Member, ...]]:
    """Whoever is on the link as a list, and a copy of the federation that asks just those who are enabled.

    Parameters
    ----------
    federation : Federation
        Over a link; any copy with the settings that are wanted.
    before : sequence of Member, optional
        The list so far, which says who is enabled; newcomers are. None: those whom ``federation`` asks are.

    Returns
    -------
    (Federation, tuple of Member)
        Where nobody is a member, the federation of whoever comes; where nobody is enabled, ``federation`` itself.

    Raises
    ------
    DoesNotFit
        Those who are enabled are no cohort under these settings, e.g. too few.
    """
    venue, live = federation.runtime.venue, federation.with_(parties=None)
    if not isinstance(venue, Linked):
        raise TypeError("This federation's parties are in this process.")
    roster, left_out = venue.remote.roster, dict(live.left_out)
    known = {} if before is None else {one.number: one for one in before}
    asked_now = {party.name for party in federation.parties}
    settled = bool(known) and federation.settings.rule in KINDS  # a learned rule knows whom it was fitted on
    members: list[Member] = []
    for party in venue.parties():
        entry = roster.of_key(party.key)
        if entry is None or not entry.member:
            continue  # gone in between
        number = _number(roster, party.key)
        left_out |= _unlike(party, members, left_out)
        if number in known:
            enabled = known[number].enabled
        else:
            enabled = not settled if before is not None else party.name in asked_now or party.name in left_out
        away, reason = _away(entry, left_out.get(party.name, ""))
        members.append(_same(known.get(number), Member(party, number, enabled, away, reason)))
    asked = [one.party for one in members if one.asked]
    if asked:
        return live.with_(parties=asked), tuple(members)
    return (federation if members and before is not None else live), tuple(members)


def left_out_now(before: Sequence[Member], now: Sequence[Member]) -> tuple[Member, ...]:
    """Members that cannot answer under these settings, and could before or were not there."""
    out = {one.number for one in before if one.away == "left out"}
    return tuple(one for one in now if one.away == "left out" and one.number not in out)


def since(moment: float) -> str:
    """A time of day.

    Parameters
    ----------
    moment : float
        Seconds since the epoch.
    """
    return datetime.fromtimestamp(moment).astimezone().strftime("%H:%M:%S")


def link_sentence(view: LinkView) -> str:
    """What is to be said of a link before anything else; "" where it is up and somebody is there."""
    status = view.status
    if status.state == "closed":
        return "The link was closed: this is its last picture. Host or attach again to go on."
    if status.state == "lost":
        return (
            f"The link to {status.address} is lost. {status.reason or 'It is tried again.'} No party answers till then."
        )
    if view.members:
        return ""
    if view.waiting:
        names = [entry.name for entry in view.waiting]
        return f"Nobody takes part yet: {listed(names)} {'waits' if len(names) == 1 else 'wait'} for approval."
    return "Nobody has joined yet." if not view.expelled else "Nobody is left on the link."


def happened(before: LinkView | None, now: LinkView) -> Iterable[tuple[str, bool]]:
    """Lines for the log, and whether each is a warning: what is other than it was."""
    if before is None:
        return
    if (now.status.state, before.status.state) == ("lost", "up"):
        yield f"The link to {now.status.address} is lost. {now.status.reason}".rstrip(), True
    elif (now.status.state, before.status.state) == ("up", "lost"):
        yield f"The link to {now.status.address} is up again.", False
    elif now.status.state == "closed" != before.status.state:
        yield "The link was closed.", True
    was, here = ({entry.key: entry for entry in view.entries} for view in (before, now))
    for key, entry in here.items():
        old = was.get(key)
        if entry.state == "offline" and not entry.member:
            continue  # enrolled, and not yet here for the first time
        if old is None or old.state != entry.state:
            yield _said(entry, back=old is not None and old.member)
        elif old.card is not None and old.card != entry.card:
            yield f"{entry.name} announces itself anew.", False
    for key in was.keys() - here.keys():
        yield f"{was[key].name} has left.", True


def _said(entry: RosterEntry, *, back: bool) -> tuple[str, bool]:
    why = f": {entry.reason.rstrip('.')}" if entry.reason and entry.state != "expelled" else ""
    if entry.state == "online":
        whence = f" from {entry.address}" if entry.address else ""
        return f"{entry.name} {'is back' if back else 'joined'}{whence}.", False
    if entry.state == "waiting":
        return f"{entry.name} waits for approval.", False
    words = {"offline": "is offline", "refused": "was refused", "expelled": "was expelled"}
    return f"{entry.name} {words[entry.state]}{why}.", True


def _number(roster: Roster, key: str) -> int:
    """A party's colour; numbered in the order in which they came, whoever looks first."""
    with _numbering:
        numbers = _numbers.setdefault(roster, {})
        for entry in roster.entries:
            if entry.member:
                numbers.setdefault(entry.key, len(numbers))
        return numbers.setdefault(key, len(numbers))


def _unlike(party: RemoteParty, members: Sequence[Member], left_out: dict[str, str]) -> dict[str, str]:
    """Why a party cannot be asked together with those before it."""
    together = [one.party for one in members if one.away != "left out"]
    if not together or party.name in left_out:
        return {}
    try:
        check_alike([*([one for one in together if one.name == party.name] or together[:1]), party])
    except InvalidParty as error:
        return {party.name: str(error)}
    return {}


def _away(entry: RosterEntry, left_out: str) -> tuple[Away, str]:
    if left_out:
        return "left out", left_out
    if entry.state == "offline":
        why = f": {entry.reason.rstrip('.')}" if entry.reason else ""
        return "offline", f"Offline since {since(entry.since)}{why}."
    return "", ""


def _same(old: Member | None, new: Member) -> Member:
    """The member as it was, where nothing of it is other."""
    if old is not None and all(getattr(old, name) == getattr(new, name) for name in Member.__dataclass_fields__):
        return old
    return new
