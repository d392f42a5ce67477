"""The link to parties elsewhere: where it is, whether it is up, who waits, who may go."""

from __future__ import annotations

import functools

import ipywidgets

from fi_workbench.transport.roster import RosterEntry
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.invite import Invite
from fi_workbench.widgets.panels.parts import button, column, hint, named, row, section, shown
from fi_workbench.widgets.running.link_view import LinkView, since
from fi_workbench.widgets.views.copy_field import CopyField
from fi_workbench.widgets.wording import escaped

_KINDS = {
    "hosted": "Hosted by this kernel",
    "attached": "Hosted by another process here",
    "superlink": "A SuperLink that somebody runs",
}
MOST_REFUSED = 3
"""Of those turned away, so many are shown; the log has all."""


class LinkPanel:
    """Shown for federations of parties elsewhere only; folds.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._rows: dict[str, LinkRow] = {}
        self._facts = named(ipywidgets.HTML(), "fi-link-facts")
        self.address = named(CopyField(label="address"), "fi-link-address")
        self.fingerprint = named(CopyField(label="fingerprint of the certificate"), "fi-link-fingerprint")
        self.invite = Invite(desk)
        self._waiting_head = named(hint("Waiting for approval"), "fi-sub-head")
        self._waiting = column(css="fi-link-list fi-link-waiting")
        self._members_head = named(hint("On the link"), "fi-sub-head")
        self._members = column(css="fi-link-list fi-link-members")
        self._refused = hint(css="fi-link-refused")
        self.box = section(
            "Link", self._facts, self.address, self.fingerprint, self.invite.box, self._waiting_head, self._waiting,
            self._members_head, self._members, self._refused, css="fi-link-section",
        )  # fmt: skip
        desk.state.observe(lambda _change: self._show(), "link")
        self._show()

    def row(self, key: str) -> LinkRow:
        """The line of one party, by its key."""
        return self._rows[key]

    def _show(self) -> None:
        view: LinkView | None = self._desk.state.link
        shown(self.box, view is not None)
        if view is None:
            self._rows, self._waiting.children, self._members.children = {}, (), ()
            return
        facts = _facts(view)
        if self._facts.value != facts:
            self._facts.value = facts
        for field, text in ((self.address, view.status.address), (self.fingerprint, view.status.fingerprint)):
            if field.text != text:
                field.shown = short(text)
                field.text = text
        closed = view.status.state == "closed"
        listed = (*view.waiting, *view.members, *view.expelled)
        for key in self._rows.keys() - {entry.key for entry in listed}:
            del self._rows[key]
        for entry in listed:
            if entry.key not in self._rows:
                self._rows[entry.key] = LinkRow(self._desk)
            self._rows[entry.key].show(entry, closed=closed)
        for head, box, entries in (
            (self._waiting_head, self._waiting, view.waiting),
            (self._members_head, self._members, (*view.members, *view.expelled)),
        ):
            rows = tuple(self._rows[entry.key].box for entry in entries)
            if box.children != rows:
                box.children = rows
            shown(head, bool(rows))
        refused = _refused(view)
        if self._refused.value != refused:
            self._refused.value = refused
        shown(self._refused, bool(refused))


class LinkRow:
    """One party on the link and what its host may do about it; to expel is asked once more.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._asking = desk, False
        self._entry: RosterEntry | None = None
        self._closed = False
        self._text = named(ipywidgets.HTML(), "fi-link-text")
        act = functools.partial
        self.approve = button("Approve", "Let this party take part", "fi-approve", act(self._act, "approve"))
        self.refuse = button("Refuse", "Turn this party away", "fi-refuse", act(self._act, "expel"))
        self.expel = button("Expel", "Have this party take part no longer", "fi-quiet fi-expel", act(self._ask, True))
        self.sure = button("Expel", "Its key no longer opens the door", "fi-expel-sure", act(self._act, "expel"))
        self.keep = button("Keep", "It stays", "fi-expel-keep", act(self._ask, False))
        self._buttons = (self.approve, self.refuse, self.expel, self.sure, self.keep)
        self.box = row(self._text, *self._buttons, css="fi-link-row")

    def show(self, entry: RosterEntry, *, closed: bool) -> None:
        """Show who it is and what can be done."""
        if self._entry is not None and entry.state != self._entry.state:
            self._asking = False
        self._entry, self._closed = entry, closed
        self._draw()

    def _draw(self) -> None:
        entry, closed = self._entry, self._closed
        if entry is None:
            return
        name, waits, out = escaped(entry.name), entry.state == "waiting", entry.state == "expelled"
        if self._asking:
            text = f"Expel {name}?"
        else:
            whence = f"from {entry.address}" if entry.address else ""
            word = whence or entry.state if entry.state in ("online", "waiting") else entry.state
            why = f"{entry.state.capitalize()} since {since(entry.since)} {whence}".rstrip() + "."
            why += f" {entry.reason} Key {entry.key[:16]}…"
            text = (
                f'<span class="fi-party-name" title="{name}">{name}</span> <span class="fi-link-state" '
                f'title="{escaped(why)}">{escaped(word)}</span>'
            )
        if self._text.value != text:
            self._text.value = text
        member = not waits and not out
        for control, visible in (
            (self.approve, waits or out), (self.refuse, waits), (self.expel, member and not self._asking),
            (self.sure, member and self._asking), (self.keep, member and self._asking),
        ):  # fmt: skip
            shown(control, visible)
            if control.disabled != closed:
                control.disabled = closed
        label = f"Expel {entry.name}: it takes part no longer"
        if self.expel.tooltip != label:
            self.expel.tooltip = label
            self.approve.tooltip = f"Let {entry.name} take part"

    def _ask(self, asking: bool) -> None:
        self._asking = asking
        self._draw()

    def _act(self, wish: str) -> None:
        if self._entry is not None:
            self._asking = False
            self._draw()
            linking = self._desk.linking
            (linking.approve if wish == "approve" else linking.expel)(self._entry.name)


def short(text: str) -> str:
    """A long text as its beginning and its end.

    >>> short("127.0.0.1:9092"), short("0123456789abcdef" * 4)
    ('127.0.0.1:9092', '0123456789ab…89abcdef')
    """
    return text if len(text) <= 32 else f"{text[:12]}…{text[-8:]}"


def _facts(view: LinkView) -> str:
    status, n_members = view.status, len(view.members)
    there = "nobody yet" if not n_members else f"{view.n_online} of {n_members} online"
    reason = f'<div class="fi-error">{escaped(status.reason)}</div>' if status.state != "up" and status.reason else ""
    return (
        f'<span class="fi-link-dot fi-link-{status.state}" aria-hidden="true"></span> <b>{status.state}</b>, '
        f"{there}<div>{_KINDS[status.kind]}, called {escaped(status.name)}</div>{reason}"
    )


def _refused(view: LinkView) -> str:
    """Who was turned away last, and why."""
    last = view.refused[-MOST_REFUSED:]
    return "<br>".join(f"{escaped(entry.name)} was refused: {escaped(entry.reason)}" for entry in last)
