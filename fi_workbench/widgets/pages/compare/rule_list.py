"""The rules that a comparison is asked for: a line each, that can be configured or taken off."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ipywidgets

from fi_workbench.aggregation import rules
from fi_workbench.core.errors import FederationError
from fi_workbench.session.comparing import fitting_rules
from fi_workbench.session.comparison import Side
from fi_workbench.session.federation import Federation
from fi_workbench.widgets.panels.method_picker import MethodPicker
from fi_workbench.widgets.panels.parts import button, column, named, row, shown
from fi_workbench.widgets.running.choosing import check_fitted
from fi_workbench.widgets.views import rule_palette
from fi_workbench.widgets.wording import escaped, title

FEWEST = 2


@dataclass(frozen=True)
class Entry:
    """A rule on the list.

    Parameters
    ----------
    number : int
        Its colour in all pictures of the page; stays the same when others go.
    side : Side
    """

    number: int
    side: Side = field(default_factory=lambda: Side("soft_vote"))


class RuleList:
    """Which rules are compared, each with its options; one editor for the one that is open.

    Parameters
    ----------
    federation : callable
        ``() -> Federation or None``: the one that the rules must fit.
    changed : callable
        Called whenever the list is another.
    fitted : callable
        ``(rule) -> options`` with which a rule that must be learned can be used; empty where it was not.
    """

    def __init__(
        self,
        federation: Callable[[], Federation | None],
        changed: Callable[[], Any],
        fitted: Callable[[str], dict[str, Any]] = lambda _rule: {},
    ) -> None:
        self._federation, self._changed, self._fitted = federation, changed, fitted
        self.entries: tuple[Entry, ...] = ()
        self._open: int | None = None
        self.rows: dict[int, RuleRow] = {}
        self.lines = column(css="fi-rules")
        self.picker = MethodPicker(
            "compare-rule", tuple(rules), rules.__getitem__, self._pick, self._configure, "The rule of this line"
        )
        done = button("Done", "Close the options of this rule", "fi-quiet fi-compare-done", lambda: self.edit(None))
        self.editor = column(self.picker.box, done, css="fi-rule-editor")
        self.add = button("+ Add a rule", "One more rule on the same answers", "fi-compare-add", self.add_one)
        self.all = button(
            "All that fit", "Add every rule that fits the parties and the mechanism", "fi-compare-all", self.add_all
        )
        self.fewer = button("Only two", "Keep the first two rules", "fi-quiet fi-compare-fewer", self.keep_two)
        self.box = column(self.lines, self.editor, row(self.add, self.all, self.fewer))
        shown(self.editor, False)

    @property
    def sides(self) -> tuple[Side, ...]:
        """What is compared; a rule that stands there twice with the same options counts once."""
        sides: list[Side] = []
        for one in self.entries:
            if one.side not in sides:
                sides.append(one.side)
        return tuple(sides)

    def number(self, side: Side) -> int:
        """The colour of a rule."""
        return next((one.number for one in self.entries if one.side == side), 0)

    def begin(self, *sides: Side) -> None:
        """Compare these, coloured from the first colour on."""
        self._take(tuple(Entry(number, side) for number, side in enumerate(sides)))

    def add_one(self) -> None:
        """Add the first rule that fits and is not there yet, and open it."""
        there = {one.side.rule for one in self.entries}
        fitting = self._fitting()
        name = next((name for name in fitting if name not in there), fitting[0] if fitting else next(iter(rules)))
        entry = Entry(self._free(), Side(name, self._fitted(name)))
        self._take((*self.entries, entry))
        self.edit(entry.number)

    def add_all(self) -> None:
        """Add every rule that fits and is not there yet; take off those that do not fit."""
        kept = tuple(one for one in self.entries if self._fits(one.side))
        there = {one.side.rule for one in kept}
        numbers = self._numbers({one.number for one in kept})
        added = tuple(
            Entry(next(numbers), Side(name, self._fitted(name))) for name in self._fitting() if name not in there
        )
        self._take((*kept, *added))

    def keep_two(self) -> None:
        """Keep the first two."""
        self._take(self.entries[:FEWEST])

    def remove(self, number: int) -> None:
        """Take one off; two stay."""
        if len(self.entries) > FEWEST:
            self._take(tuple(one for one in self.entries if one.number != number))

    def edit(self, number: int | None) -> None:
        """Open the options of one, or close them."""
        self._open = None if number == self._open else number
        self._show()

    def _pick(self, name: str) -> None:
        self._replace(Side(name, self._fitted(name)))

    def _configure(self, options: Mapping[str, Any]) -> None:
        entry = self._opened()
        if entry is not None:
            self._replace(Side(entry.side.rule, dict(options)))

    def _replace(self, side: Side) -> None:
        self._take(tuple(Entry(one.number, side) if one.number == self._open else one for one in self.entries))

    def _opened(self) -> Entry | None:
        return next((one for one in self.entries if one.number == self._open), None)

    def _take(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._show()
        self._changed()

    def _show(self) -> None:
        for number in self.rows.keys() - {one.number for one in self.entries}:
            del self.rows[number]
        for one in self.entries:
            if one.number not in self.rows:
                self.rows[one.number] = RuleRow(self, one.number)
            self.rows[one.number].show(one, opened=one.number == self._open, last=len(self.entries) <= FEWEST)
        lines = tuple(self.rows[one.number].box for one in self.entries)
        if self.lines.children != lines:
            self.lines.children = lines
        entry = self._opened()
        shown(self.editor, entry is not None)
        if entry is not None:
            self.picker.show(entry.side.rule, entry.side.options, tuple(rules), self._misfit(entry.side))
        self.fewer.disabled = len(self.entries) <= FEWEST

    def _free(self) -> int:
        return next(self._numbers({one.number for one in self.entries}))

    @staticmethod
    def _numbers(taken: set[int]) -> Any:
        return (number for number in range(len(taken) + len(rules) + 1) if number not in taken)

    def _fitting(self) -> tuple[str, ...]:
        federation = self._federation()
        if federation is None:
            return ()
        fitting = fitting_rules(federation)
        return tuple(name for name in rules if name in fitting or self._fits_once_learned(name))

    def _fits_once_learned(self, name: str) -> bool:
        options = self._fitted(name)
        return bool(options) and self._fits(Side(name, options))

    def _fits(self, side: Side) -> bool:
        return not self._misfit(side)

    def _misfit(self, side: Side) -> str:
        """Why a rule does not fit the federation; "" where it does."""
        federation = self._federation()
        try:
            if federation is not None:
                federation.with_(rule=side.rule, rule_options=side.options)
                check_fitted(federation, side.rule, side.options)
        except FederationError as error:
            return f"Does not fit: {error}"
        return ""


class RuleRow:
    """A rule's mark, name and options, a button that opens it and one that takes it off.

    Parameters
    ----------
    rule_list : RuleList
    number : int
    """

    def __init__(self, rule_list: RuleList, number: int) -> None:
        self._text = named(ipywidgets.HTML(), "fi-rule-text")
        self.edit = button(
            "⋯", "Choose another rule, set its options", "fi-quiet fi-icon fi-rule-edit",
            functools.partial(rule_list.edit, number),
        )  # fmt: skip
        self.remove = button(
            "×", "Leave this rule out", "fi-quiet fi-icon fi-rule-remove", functools.partial(rule_list.remove, number)
        )
        self.box = named(ipywidgets.HBox((self._text, self.edit, self.remove)), "fi-rule-row")

    def show(self, entry: Entry, *, opened: bool, last: bool) -> None:
        """Show what it is; ``last``: it must stay, for two are compared at least."""
        name = title(entry.side.rule)
        options = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in entry.side.options.items())
        text = (
            f"{mark(entry.number)}<span class='fi-rule-name' title='{escaped(name)}'>{escaped(name)}</span>"
            f"<span class='fi-rule-options' title='{escaped(options)}'>{escaped(options)}</span>"
        )
        if self._text.value != text:
            self._text.value = text
        if self.remove.disabled != last:
            self.remove.disabled = last
        (self.box.add_class if opened else self.box.remove_class)("fi-rule-open")


def mark(number: int) -> str:
    """A rule's mark as the pictures draw it, as markup."""
    n_colours = len(rule_palette.NAMES)
    shapes = ("<circle cx='6' cy='6' r='5'/>", "<path d='M1 1H11V11H1Z'/>", "<path d='M6 0L12 6L6 12L0 6Z'/>")
    shape = shapes[number // n_colours % len(shapes)]
    colour = f"fill: var(--fi-rule-{number % n_colours})"
    return f"<svg width='12' height='12' style='{colour}' aria-hidden='true'>{shape}</svg>"
