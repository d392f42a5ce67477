"""Which mechanism protects whom from whom, what is done to each answer before it, and who sees what under both."""

from __future__ import annotations

import ipywidgets

from fi_workbench.core.disclosure import ROLES, Disclosure, Item, Role
from fi_workbench.core.options import options_of_fields
from fi_workbench.privacy.mechanism import mechanisms
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.method_picker import MethodPicker, Shown
from fi_workbench.widgets.panels.noise_picker import NoisePicker
from fi_workbench.widgets.panels.parts import Quietly, changed, hint, named, section, shown
from fi_workbench.widgets.panels.pool_gauge import PoolGauge
from fi_workbench.widgets.running.choosing import carriers
from fi_workbench.widgets.views import DisclosureMatrix
from fi_workbench.widgets.wording import REPRODUCIBLE, in_sentence, protects_nobody

_ROLES: dict[Role, str] = {
    "client": "client",
    "coordinator": "coordinator",
    "other_parties": "other parties",
    "owner": "owner",
    "wire": "wire",
}
_ITEMS: dict[Item, str] = {
    "query": "query",
    "answers": "each answer",
    "votes": "each vote",
    "sum": "sum",
    "label": "label",
    "class_counts": "class counts",
    "model": "model",
}

_LINKED = "These parties run elsewhere: what only each of them knows is not drawn, for it is not here."


_PUBLIC = (
    "Noise from a public seed protects nobody: whoever knows the question can take it off again. It is for experiments "
    "that must be repeatable."
)
_STILL_FRESH = "Not repeatable all the same: another part of the mechanism draws fresh noise."


class PrivacyPicker:
    """The mechanisms of the registry, the noise on answers, and what is drawn that a real coordinator would not see.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._state, self._quietly = desk.state, Quietly()
        self.picker = MethodPicker(
            "mechanism",
            self._names(),
            self._mechanism,
            lambda name: desk.state.choose(mechanism=name),
            lambda options: desk.state.choose(mechanism_options=options),
            "What protects the query and the answers on their way",
        )
        self.noise = NoisePicker(desk)
        self._public = hint(css="fi-public-noise")
        self.pool = PoolGauge(desk.state)
        self.simulation = named(
            ipywidgets.Checkbox(
                value=desk.state.simulation, indent=False, description="simulation view",
                tooltip="Draw private facts of the parties that this kernel made, which nobody else could see",
            ),
            "fi-simulation",
        )  # fmt: skip
        self._hint = hint()
        parts = (self.picker.box, self.pool.box, self.noise.box, self._public, self.simulation, self._hint)
        self.box = section("Privacy", *parts, css="fi-privacy-section")
        changed(self.simulation, self._quietly, lambda value: setattr(desk.state, "simulation", value))
        self._state.observe(lambda _change: self._show(), ["chosen", "federation", "revision", "simulation", "link"])
        self._show()

    def _names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in carriers())

    def _mechanism(self, name: str) -> Shown:
        kind = mechanisms[name]
        return Shown(kind.explanation, kind.formula, kind.source, options_of_fields(kind))

    def _show(self) -> None:
        state = self._state
        chosen, federation = state.chosen, state.federation
        remark = ""
        if federation is not None and federation.settings.mechanism.carrier.name != chosen.mechanism:
            remark = f"Not in force: {in_sentence(federation.settings.mechanism.carrier.name)} still protects."
        self._warn()
        self.noise.show()
        self.picker.show(chosen.mechanism, chosen.mechanism_options, self._names(), remark)
        with self._quietly:
            self.simulation.value = state.simulation
        shown(self.simulation, state.link is None)
        self._hint.value = (
            _LINKED
            if state.link is not None
            else (
                "Class counts of parties made here are drawn. In a real federation only each party knows this."
                if state.simulation
                else "As in a real federation: nothing is drawn that only each party knows."
            )
        )

    def _warn(self) -> None:
        """In red where the noise in force can be taken off again."""
        chosen, federation = self._state.chosen, self._state.federation
        given = (chosen.mechanism_options, *(options for _, options in chosen.noise))
        wished = any(options.get(REPRODUCIBLE) for options in given)
        nobody = federation is not None and protects_nobody(federation.settings.mechanism)
        said = _PUBLIC if nobody else _STILL_FRESH if wished else ""
        if self._public.value != said:
            self._public.value = said
        (self._public.add_class if nobody else self._public.remove_class)("fi-error")
        shown(self._public, bool(said))


def disclosure_matrix() -> DisclosureMatrix:
    """An empty picture of who sees what."""
    return DisclosureMatrix(roles=[_ROLES[role] for role in ROLES])


def show_disclosure(matrix: DisclosureMatrix, disclosure: Disclosure, baseline: Disclosure | None = None) -> None:
    """Fill it in; ``baseline`` is what it is compared to, dot by dot."""
    rows = (disclosure.table(), [] if baseline is None else baseline.table())
    items, before = ([(_ITEMS[item], seen) for item, seen in table] for table in rows)
    matrix.update(items=items, before=before, assumptions=disclosure.assumptions)
