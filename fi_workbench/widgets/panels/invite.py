"""Join commands: made with a button, read and copied."""

from __future__ import annotations

import ipywidgets

from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.parts import button, column, hint, named, row, shown
from fi_workbench.widgets.running.link_view import LinkView
from fi_workbench.widgets.views.copy_field import CopyField
from fi_workbench.widgets.wording import escaped

MINUTES = (("10 minutes", 10.0), ("1 hour", 60.0), ("8 hours", 480.0), ("1 day", 1440.0))
MOST = 100
"""Commands that are made at once."""

_ONE_USE = "Each command lets one party join, once. Who has it can join: send it like a password."


class Invite:
    """How many, valid for how long, and the commands.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.n_parties = named(
            ipywidgets.BoundedIntText(
                value=1,
                min=1,
                max=MOST,
                description="parties",
                layout={"width": "96px"},
                tooltip="How many parties are invited",
            ),
            "fi-invite-n",
        )
        self.minutes = named(
            ipywidgets.Dropdown(
                options=MINUTES,
                value=60.0,
                description="for",
                layout={"width": "126px"},
                tooltip="How long the commands can be used",
            ),
            "fi-invite-minutes",
        )
        self.go = button("Invite", "Make a join command for each party that is to join", "fi-invite", self._invite)
        self.commands = named(CopyField(label="join commands"), "fi-invite-commands")
        self._hint = hint(css="fi-invite-hint")
        self.box = column(row(self.n_parties, self.minutes, self.go), self.commands, self._hint, css="fi-invite-box")
        desk.state.observe(lambda _change: self._show(), ["link", "commands"])
        self._show()

    def _invite(self) -> None:
        self._desk.linking.invite(self.n_parties.value, self.minutes.value)

    def _show(self) -> None:
        state = self._desk.state
        why = cannot_invite(state.link)
        for control in (self.n_parties, self.minutes, self.go):
            if control.disabled != bool(why):
                control.disabled = bool(why)
        commands = "\n".join(state.commands)
        if self.commands.text != commands:
            self.commands.text = commands
        said = why or (_ONE_USE if commands else "")
        if self._hint.value != said:
            self._hint.value = said
        shown(self._hint, bool(said))


def cannot_invite(view: LinkView | None) -> str:
    """Why nobody can be invited over a link; "" where somebody can."""
    if view is None:
        return "All parties are in this process."
    if view.status.kind == "superlink":
        return (
            "Who runs this SuperLink decides who joins: <code>flwr supernode register KEY.pub</code>, then, where the "
            f"model is, <code>fi-workbench join --link {escaped(view.status.address)}</code>."
        )
    return {"up": "", "lost": "Not while the link is lost.", "closed": "The link was closed."}[view.status.state]
