"""What stands where the pictures will be, while nobody has joined: what goes on, and how somebody joins."""

from __future__ import annotations

from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.invite import cannot_invite
from fi_workbench.widgets.panels.parts import button, column, hint, named, row, shown
from fi_workbench.widgets.running.link_view import LinkView
from fi_workbench.widgets.views.copy_field import CopyField
from fi_workbench.widgets.wording import escaped

MINUTES = 60.0


class NobodyPanel:
    """A sentence, a button that makes a join command, and the commands that were made.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._text = hint(css="fi-nobody-text")
        self.make = button(
            "Make a join command", "For one party, for an hour; the section Link makes several at once",
            "fi-nobody-invite fi-primary", self._invite,
        )  # fmt: skip
        self.commands = named(CopyField(label="join command"), "fi-nobody-commands")
        self.box = column(self._text, row(self.make), self.commands, css="fi-nobody")
        desk.state.observe(lambda _change: self._show(), ["link", "commands", "members", "federation"])
        self._show()

    def _invite(self) -> None:
        self._desk.linking.invite(1, MINUTES)

    def _show(self) -> None:
        state = self._desk.state
        view: LinkView | None = state.link
        shown(self.box, state.federation is not None and not state.members)
        if view is None:
            return
        why = cannot_invite(view)
        shown(self.make, view.status.kind != "superlink")
        self.make.disabled = bool(why)
        commands = "\n".join(state.commands)
        if self.commands.text != commands:
            self.commands.text = commands
        text = _said(view, why)
        if self._text.value != text:
            self._text.value = text


def _said(view: LinkView, why: str) -> str:
    address = escaped(view.status.address)
    if view.status.state != "up":
        return why
    if view.waiting:
        return "<b>Somebody waits for approval.</b> The section Link lists who; approve or refuse there."
    head = "<b>Nobody has joined yet.</b> " if not view.expelled else "<b>Nobody is left.</b> "
    if why:
        return f"{head}Parties are nodes of the SuperLink at {address}. {why}"
    return (
        f"{head}The link at {address} waits. Whoever owns a model runs a join command where the model is; the pictures "
        "come by themselves when the first party is there."
    )
