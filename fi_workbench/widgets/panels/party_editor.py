"""The form of one party: its name, its model, how it behaves, and the way out; and the form of a new one."""

from __future__ import annotations

import ipywidgets

from fi_workbench.session.linked import RemoteParty
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.behaviour_picker import BehaviourPicker
from fi_workbench.widgets.panels.parts import Quietly, button, changed, column, hint, named, row, set_options, shown
from fi_workbench.widgets.running.members import Member
from fi_workbench.widgets.wording import escaped, listed


class PartyEditor:
    """Edits the party that was picked; closed until one is.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._quietly = desk, Quietly()
        self._number: int | None = None
        self._adding = False
        self.name = named(
            ipywidgets.Text(
                description="name", continuous_update=False, tooltip="What this party is called; Enter to take it over"
            ),
            "fi-party-name-field",
        )
        self.model = named(
            ipywidgets.Dropdown(description="model", tooltip="Trains the party anew on its own share with this model"),
            "fi-party-model-field",
        )
        self.remove = button("Remove", "Take this party off the list", "fi-party-remove", self._remove)
        self.train = button("Train it", "Train the new party; it answers when it is done", "fi-party-train", self._add)
        self.close = button("Close", "Close this form", "fi-quiet fi-party-close", self._close)
        self._hint = hint()
        self.behaviour = BehaviourPicker(desk)
        self.box = column(
            self.name,
            self.model,
            self._hint,
            self.behaviour.box,
            row(self.train, self.remove, self.close),
            css="fi-party-editor",
        )
        shown(self.box, False)
        changed(self.name, self._quietly, self._rename)
        changed(self.model, self._quietly, self._change_model)

    def open(self, number: int) -> None:
        """Open the form for a party, or close it where it is open for that one."""
        if self._number == number:
            self._close()
            return
        self._number, self._adding = number, False
        self.refresh()

    def add(self) -> None:
        """Open the form for a new party."""
        self._number, self._adding = None, True
        self.refresh()

    def refresh(self) -> None:
        """Show what is so."""
        member = self._member()
        if member is None and not self._adding:
            shown(self.box, False)
            return
        made_here = self._adding or (member is not None and member.party.made_here)
        with self._quietly:
            models = tuple(self._models()) if made_here else ()
            own = "mlp" if member is None else member.party.model
            names = models if own in models else (*models, own)
            set_options(self.model, tuple((name.replace("_", " "), name) for name in names), own)
            self.name.value = member.party.name if member else ""
        self.name.disabled = not made_here
        self.model.disabled = not made_here or not self._trainable(member)
        remote = member is not None and isinstance(member.party, RemoteParty)
        for widget, visible in (
            (self.name, member is not None), (self.remove, member is not None and not remote),
            (self.train, self._adding),
        ):  # fmt: skip
            shown(widget, visible)
        self.behaviour.show(member)
        if self._adding:
            self._hint.value = (
                "It gets a share of its own: average in size, its classes drawn with the same skew. Samples may be "
                "those of others too. The others keep their models."
            )
        elif made_here:
            self._hint.value = "Another model is trained on the party's own share. Another name comes with new keys."
        elif member is not None and isinstance(member.party, RemoteParty):
            self._hint.value = escaped(_announced(member.party))
        else:
            self._hint.value = "Its name and its model belong to its owner."
        shown(self.box, True)

    def _models(self) -> list[str]:
        from fi_workbench.parties.models import architectures  # noqa: PLC0415 (torch takes seconds to import)

        return list(architectures)

    def _trainable(self, member: Member | None) -> bool:
        federation = self._desk.state.federation
        demo = None if federation is None else federation.made_from
        return demo is not None and (member is None or member.number < len(demo.models))

    def _member(self) -> Member | None:
        return next((one for one in self._desk.state.members if one.number == self._number), None)

    def _rename(self, name: str) -> None:
        if self._number is not None:
            self._desk.cohort.rename(self._number, name)

    def _change_model(self, model: str) -> None:
        if self._number is not None:
            self._desk.cohort.change_model(self._number, model)

    def _remove(self) -> None:
        if self._number is not None and self._desk.cohort.remove(self._number):
            self._close()

    def _add(self) -> None:
        self._desk.cohort.add(self.model.value)
        self._close()

    def _close(self) -> None:
        self._number, self._adding = None, False
        shown(self.box, False)


def _announced(party: RemoteParty) -> str:
    """What a party elsewhere says of itself, and who may change it."""
    card = party.card
    facts = listed([name.replace("_", " ") for name in sorted(card.facts)]) or "no private facts"
    able = listed([name.replace("_", " ") for name in sorted(card.capabilities)]) or "nothing beyond plain rounds"
    return (
        f"Its name and its model belong to its owner. It announces {facts}, and can do {able}. Its key begins with "
        f"{party.key[:16]}. To have it gone, expel it in the section Link."
    )
