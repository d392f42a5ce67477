"""Which mechanism protects whom from whom, what is done to each answer before it, and who sees what under both."""

from __future__ import annotations

import ipywidgets

from fi_workbench.core.disclosure import ROLES, Disclosure, Item, Role
from fi_workbench.core.options import options_of_fields
from fi_workbench.core.records import RoundRecord
from fi_workbench.privacy.mechanism import mechanisms
from fi_workbench.widgets.desk import Desk
from fi_workbench.widgets.panels.method_picker import MethodPicker, Shown
from fi_workbench.widgets.panels.noise_picker import NoisePicker
from fi_workbench.widgets.panels.parts import Quietly, changed, hint, named, section, shown
from fi_workbench.widgets.running.choosing import carriers
from fi_workbench.widgets.views import DisclosureMatrix
from fi_workbench.widgets.wording import REPRODUCIBLE, escaped, in_sentence, pooled, protects_nobody, seconds

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
_FIRST = "The next question sets up a session with {n_parties} parties first, once for as long as they stay the same."

_SETTING_UP = "Setting up a session with {n_parties} parties ..."

_SET_UP_SECONDS = 0.02
"""Looking up a session that is there takes less."""

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
        self.pool = hint(css="fi-pool")
        self.simulation = named(
            ipywidgets.Checkbox(
                value=desk.state.simulation, indent=False, description="simulation view",
                tooltip="Draw private facts of the parties that this kernel made, which nobody else could see",
            ),
            "fi-simulation",
        )  # fmt: skip
        self._hint = hint()
        parts = (self.picker.box, self.pool, self.noise.box, self._public, self.simulation, self._hint)
        self.box = section("Privacy", *parts, css="fi-privacy-section")
        changed(self.simulation, self._quietly, lambda value: setattr(desk.state, "simulation", value))
        self._state.observe(lambda _change: self._show(), ["chosen", "federation", "revision", "simulation", "link"])
        self._state.observe(lambda _change: self._show_pool(), ["record", "federation", "status"])
        self._show()
        self._show_pool()

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

    def _show_pool(self) -> None:
        """For how many questions the parties have worked ahead, as each answer tells."""
        record, federation = self._state.record, self._state.federation
        said = ""
        if federation is not None and federation.settings.mechanism.carrier.prepares:
            n_parties = len(federation.parties)
            said = (_SETTING_UP if self._state.status == "running" else _FIRST).format(n_parties=n_parties)
            if record is not None and set(record.ready or ()) == {party.name for party in federation.parties}:
                said = gauge(record)
        if self.pool.value != said:
            self.pool.value = said
        shown(self.pool, bool(said))

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


def gauge(record: RoundRecord) -> str:
    """The pool of a round as markup: a meter with its words, and what the set-up took where it was made anew."""
    said, most = pooled(record.ready, record.capacity), min((record.capacity or {"": 0}).values())
    prepared = record.cost.stage_seconds.get("prepare", 0.0)
    parts = []
    if said:
        parts.append(
            f'<meter class="fi-pool-meter" min="0" max="{most}" value="{record.n_ready}" '
            f'aria-label="{escaped(said)}"></meter> {escaped(said)}.'
        )
    else:
        parts.append("Masks are made with each question: the pool is off.")
    if prepared >= _SET_UP_SECONDS:
        parts.append(f"The session of {len(record.parties)} parties was set up in {seconds(prepared)}.")
    return " ".join(parts)


def disclosure_matrix() -> DisclosureMatrix:
    """An empty picture of who sees what."""
    return DisclosureMatrix(roles=[_ROLES[role] for role in ROLES])


def show_disclosure(matrix: DisclosureMatrix, disclosure: Disclosure, baseline: Disclosure | None = None) -> None:
    """Fill it in; ``baseline`` is what it is compared to, dot by dot."""
    rows = (disclosure.table(), [] if baseline is None else baseline.table())
    items, before = ([(_ITEMS[item], seen) for item, seen in table] for table in rows)
    matrix.update(items=items, before=before, assumptions=disclosure.assumptions)
