"""What the stream looks like now."""

from __future__ import annotations

import ipywidgets

from fi_workbench.widgets.pages.page import Page
from fi_workbench.widgets.panels.parts import column, hint, named, shown
from fi_workbench.widgets.panels.privacy_picker import disclosure_matrix, show_disclosure
from fi_workbench.widgets.running.frames import Frame
from fi_workbench.widgets.running.members import Member
from fi_workbench.widgets.views import ClassCounts, ContributionBars, GainBars, SeriesLines
from fi_workbench.widgets.wording import condition, in_sentence, per_cent

_NO_ROUNDS = "No rounds yet: ask a batch or press Run."
_NO_LABELS = "No labelled round yet: accuracy needs true labels."


class LivePage(Page):
    """Contribution, accuracy over rounds, gain by joining, class counts, who sees what."""

    title = "Live"

    def _build(self) -> tuple[ipywidgets.Widget, ...]:
        self.bars, self.gains, self.counts = ContributionBars(), GainBars(), ClassCounts()
        self.lines = SeriesLines(names=["consensus", "best party", "oracle"], kinds=["consensus", "best", "oracle"])
        self._sure = hint(css="fi-coverage")
        self.matrix = disclosure_matrix()
        self._marked = named(hint("Simulation view: in a real federation only each party knows this."), "fi-marked")
        self._needs(self.gains, "votes")
        self._simulated = self._state.simulation
        grid = named(
            ipywidgets.Box(
                (
                    named(column(self.bars), "fi-whole"),
                    column(self.lines, self._sure),
                    self.gains,
                    column(self.counts, self._marked),
                    self.matrix,
                )
            ),
            "fi-pictures",
        )
        return (grid,)

    def refresh(self) -> None:
        """Class counts, the matrix, and what cannot be drawn under the mechanism."""
        federation = self._state.federation
        if federation is None:
            return
        members: tuple[Member, ...] = self._state.enabled
        names, colours = [one.party.name for one in members], [one.number for one in members]
        simulation = self._state.simulation
        counts = [one.party.facts.class_counts if simulation and one.party.made_here else None for one in members]
        self.counts.update(parties=names, colours=colours, classes=federation.classes, counts=counts)
        drawn = any(row is not None for row in counts)
        self._marked.layout.display = None if drawn else "none"
        show_disclosure(self.matrix, federation.disclosure)
        self._meets(self.gains, "votes")
        if self._state.frame is not None and simulation != self._simulated:
            self._simulated = simulation
            self.show(self._state.frame)  # who is marked as misbehaving

    def show(self, frame: Frame) -> None:
        """One message to each picture."""
        parties = frame.parties
        conditions = [condition(one.status, one.reason, one.behaviour, self._state.simulation) for one in parties]
        names, colours = [one.name for one in parties], [one.number for one in parties]
        window = f"share of the last {frame.n_window} rounds" if frame.n_window > 1 else "share of the last round"
        if not frame.n_window:
            window = "no rounds yet with these parties" if frame.round else "no rounds yet: press Run"
        self.bars.update(
            round=frame.round,
            parties=names,
            colours=colours,
            shares=[one.share for one in parties],
            accuracies=[one.accuracy for one in parties],
            latencies_ms=[None if one.latency_seconds is None else 1000 * one.latency_seconds for one in parties],
            statuses=[status for status, _ in conditions],
            reasons=[reason for _, reason in conditions],
            window=window,
            method=in_sentence(frame.method) if frame.method else "",
        )
        self._show_coverage(frame)
        best = f"best party, {frame.best}" if frame.best else "best party"
        self.lines.update(
            round=frame.round,
            names=["consensus", best, "oracle"],
            points=frame.lines,
            first_round=frame.first_round,
            empty_text=_NO_LABELS if frame.round else _NO_ROUNDS,
        )
        gains = [frame.gains.get(one.name) for one in parties]
        own = self._own_numbers()
        self.gains.update(
            round=frame.round,
            parties=names if frame.gains else (),
            colours=colours if frame.gains else (),
            gains=[gain and gain.gain for gain in gains] if frame.gains else (),
            gains_own=[
                gain.own_distribution_gain if gain and one.number in own else None
                for gain, one in zip(gains, parties, strict=True)
            ]
            if frame.gains
            else (),
        )

    def _show_coverage(self, frame: Frame) -> None:
        """How often it was sure enough to answer, where it does not always answer."""
        federation = self._state.federation
        abstains = federation is not None and federation.settings.abstain_below > 0
        said = ""
        if abstains and frame.coverage is not None:
            rounds = "the last round" if frame.n_window == 1 else f"the last {frame.n_window} rounds"
            said = f"Sure enough to answer {per_cent(frame.coverage)} of the queries of {rounds}"
            right = frame.selective_accuracy
            said += "." if right is None else f", and right in {per_cent(right)} of these answers."
        if self._sure.value != said:
            self._sure.value = said
        shown(self._sure, bool(said))

    def _own_numbers(self) -> set[int]:
        """Whose gain on their own classes may be drawn."""
        if not self._state.simulation:
            return set()
        return {one.number for one in self._state.members if one.party.made_here}
