"""The list of parties: who is asked, with which model, and how each of them is."""

from __future__ import annotations

import functools

import ipywidgets

from fi_workbench.session.linked import RemoteParty
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.parts import Quietly, button, changed, column, hint, named, row, section, shown
from fi_workbench.widgets.panels.party_editor import PartyEditor
from fi_workbench.widgets.running.members import Member
from fi_workbench.widgets.views import palette
from fi_workbench.widgets.wording import condition, escaped

ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0)

_BROUGHT = "These parties were brought by their owners; only those of a demo can be dealt and trained anew."
_ELSEWHERE = "These parties run elsewhere: data, model, name and behaviour are their owners'."
_EDIT = "Rename, change the model or the behaviour, remove"
_NOBODY = "Nobody has joined yet. Who joins is asked from the next round on."


class PartiesPanel:
    """One row a party, an editor for the one picked, the skew of their data, and one more.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._quietly = desk, Quietly()
        self._rows: dict[int, PartyRow] = {}
        self._list = column(css="fi-parties")
        self.editor = PartyEditor(desk)
        self.skew = named(
            ipywidgets.SelectionSlider(
                options=[(f"{alpha:g}", alpha) for alpha in ALPHAS], value=0.3, description="skew α",
                tooltip="Deals the training data anew and trains every demo party on its new share; "
                "small: each party knows few classes", continuous_update=False,
            ),
            "fi-skew",
        )  # fmt: skip
        self.add = button(
            "+ Add a party",
            "A new demo party, trained on a share of its own (an average share in size, its mix of classes drawn with "
            "the same skew; samples may be those of others too). The others keep theirs.",
            "fi-add-party",
            self.editor.add,
        )
        self._demo_only = column(self.skew, row(self.add))
        self._foreign = hint()
        self.box = section(
            "Parties", self._list, self.editor.box, self._demo_only, self._foreign, css="fi-parties-section"
        )
        changed(self.skew, self._quietly, desk.cohort.deal_again)
        desk.state.observe(lambda _change: self._show(), ["members", "federation", "revision", "simulation", "link"])
        desk.state.observe(lambda _change: self._show_status(), "frame")
        self._show()

    def _show(self) -> None:
        state = self._desk.state
        members: tuple[Member, ...] = state.members
        for number in self._rows.keys() - {member.number for member in members}:
            del self._rows[number]
        for member in members:
            if member.number not in self._rows:
                self._rows[member.number] = PartyRow(self._desk, self.editor, member.number)
            self._rows[member.number].show(member, self._behaviour(member))
        rows = tuple(self._rows[member.number].box for member in members)
        if self._list.children != rows:
            self._list.children = rows
        demo = None if state.federation is None or state.link is not None else state.federation.made_from
        shown(self._demo_only, demo is not None)
        shown(self._foreign, state.federation is not None and demo is None)
        foreign = _BROUGHT if state.link is None else _ELSEWHERE if state.members else _NOBODY
        if self._foreign.value != foreign:
            self._foreign.value = foreign
        if demo is not None:
            with self._quietly:
                alphas = sorted({*ALPHAS, demo.alpha})
                if len(alphas) != len(self.skew.options):
                    self.skew.options = [(f"{alpha:g}", alpha) for alpha in alphas]
                self.skew.value = demo.alpha
        self.editor.refresh()

    def _behaviour(self, member: Member) -> str:
        """How a party is set to misbehave, where that may be shown."""
        set_to = self._desk.driver.behaving.of(member) if self._desk.state.simulation else None
        return "" if set_to is None else set_to.name

    def _show_status(self) -> None:
        frame = self._desk.state.frame
        for line in frame.parties if frame else ():
            if line.number in self._rows:
                self._rows[line.number].show_status(line.status, line.reason)


class PartyRow:
    """Whether a party is asked, its colour, name, model and state, and a button that opens the editor.

    Parameters
    ----------
    desk : Desk
    editor : PartyEditor
    number : int
    """

    def __init__(self, desk: Desk, editor: PartyEditor, number: int) -> None:
        self._quietly, self._number = Quietly(), number
        self._member: Member | None = None
        self._status, self._behaviour = ("present", ""), ""
        self.asked = named(
            ipywidgets.Checkbox(
                value=True, indent=False, description="", tooltip="Asked, or left out", layout={"width": "20px"}
            ),
            "fi-party-asked",
        )
        self._text = named(ipywidgets.HTML(), "fi-party-text")
        self.edit = button("⋯", _EDIT, "fi-quiet fi-icon fi-party-edit",
                           functools.partial(editor.open, number))  # fmt: skip
        self.box = named(ipywidgets.HBox((self.asked, self._text, self.edit)), "fi-party-row")
        changed(self.asked, self._quietly, lambda value: desk.cohort.enable(number, value))

    def show(self, member: Member, behaviour: str) -> None:
        """Show who it is, whether it is asked, and how it is set to misbehave."""
        self._member, self._behaviour = member, behaviour
        with self._quietly:
            self.asked.value = member.enabled
            left_out = member.away == "left out"
            self.asked.disabled = left_out
            self.asked.tooltip = member.reason if left_out else f"Whether {member.party.name} is asked"
        (self.box.add_class if member.away else self.box.remove_class)("fi-party-away")
        edit = "What it announces" if isinstance(member.party, RemoteParty) else _EDIT
        if self.edit.tooltip != edit:
            self.edit.tooltip = edit
        self._draw()

    def show_status(self, status: str, reason: str) -> None:
        """Show how it is."""
        if (status, reason) != self._status:
            self._status = status, reason
            self._draw()

    def _draw(self) -> None:
        if self._member is None:
            return
        party = self._member.party
        status, reason = condition(*self._status, self._behaviour, simulation=True)
        place = self._number % len(palette.NAMES)
        hatched = " fi-chip-hatched" if palette.is_hatched(self._number) else ""
        word = "" if status in ("present", "joining") else status
        if self._member.away:
            word, reason = self._member.away, self._member.reason
        elif not self._member.enabled:
            word, reason = "not asked", ""
        text = (
            f'<span class="fi-chip-box{hatched}" style="--fi-chip: var(--fi-party-{place}); '
            f'--fi-chip-line: var(--fi-line-{place})"></span>'
            f'<span class="fi-party-name" title="{escaped(party.name)}">{escaped(party.name)}</span> '
            f'<span class="fi-party-model">{escaped(party.model)}</span>'
            f'<span class="fi-party-state" title="{escaped(reason)}">{escaped(word)}</span>'
        )
        if self._text.value != text:
            self._text.value = text
