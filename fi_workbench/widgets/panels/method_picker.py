"""A picker of rules, or of anything else that is registered with options, an explanation, a formula and a source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ipywidgets

from fi_workbench.core.options import Option
from fi_workbench.widgets.panels.option_controls import OptionControls
from fi_workbench.widgets.panels.parts import Quietly, button, changed, column, hint, named, set_options, shown
from fi_workbench.widgets.wording import escaped, title


class Method(Protocol):
    """What can be picked."""

    @property
    def explanation(self) -> str:
        """One or two sentences."""

    @property
    def formula(self) -> str:
        """TeX or plain text."""

    @property
    def source(self) -> str:
        """Where it comes from."""

    @property
    def options(self) -> tuple[Option, ...]:
        """From which the controls are drawn."""


@dataclass(frozen=True)
class Shown:
    """Anything else that can be picked, as the picker shows it; fields as in :class:`Method`."""

    explanation: str
    formula: str = ""
    source: str = ""
    options: tuple[Option, ...] = ()


class MethodPicker:
    """A list, the options of what is picked, its explanation, and its formula and source one press away.

    Parameters
    ----------
    kind : str
        For the classes and tooltips: ``"rule"``.
    names : sequence of str
    look_up : callable
        The method of a name, or None where the name stands for another.
    choose : callable
        ``(name)``, when one is picked.
    configure : callable
        ``({name: value})``, when its options change.
    tooltip : str
    """

    def __init__(
        self,
        kind: str,
        names: Sequence[str],
        look_up: Callable[[str], Method | None],
        choose: Callable[[str], Any],
        configure: Callable[[dict[str, Any]], Any],
        tooltip: str,
    ) -> None:
        self._look_up, self._configure, self._quietly = look_up, configure, Quietly()
        self._name = ""
        self._controls: OptionControls | None = None
        self.list = named(
            ipywidgets.Dropdown(options=_labelled(names), tooltip=tooltip, layout={"width": "100%"}), f"fi-{kind}"
        )
        self.list.description_allow_html = False
        self._explanation = hint(css=f"fi-{kind}-explanation")
        self._more = button("Formula and source", "Show how it is computed and where it comes from",
                            f"fi-quiet fi-more fi-{kind}-more", self._toggle)  # fmt: skip
        self._details = column(css=f"fi-{kind}-details")
        self._options = column()
        shown(self._details, False)
        self.box = column(self.list, self._options, self._explanation, self._more, self._details)
        changed(self.list, self._quietly, choose)

    def show(self, name: str, options: Mapping[str, Any], names: Sequence[str], remark: str = "") -> None:
        """Show what is chosen; ``remark`` is plain text above the explanation."""
        with self._quietly:
            set_options(self.list, _labelled(names), name if name in names else names[0])
        method = self._look_up(name) if name in names else None
        if name != self._name:
            self._name = name
            self._controls = None
            if method is not None and method.options:
                self._controls = OptionControls(method.options, options, self._configure)
            self._options.children = () if self._controls is None else (self._controls.box,)
            self._details.children = ()
            shown(self._details, False)
            shown(self._more, method is not None and bool(method.formula or method.source))
        elif self._controls is not None:
            self._controls.show(options)
        said = " ".join(filter(None, (remark, method.explanation if method else "")))
        if self._explanation.value != escaped(said):
            self._explanation.value = escaped(said)

    def _toggle(self) -> None:
        hidden = self._details.layout.display == "none"
        method = self._look_up(self._name)
        if hidden and method is not None and not self._details.children:
            self._details.children = tuple(_details(method))
        shown(self._details, hidden)


def _details(method: Method) -> list[ipywidgets.Widget]:
    details: list[ipywidgets.Widget] = []
    if method.formula:
        tex = method.formula if "$" in method.formula else f"$\\displaystyle {method.formula}$"
        details.append(named(ipywidgets.HTMLMath(escaped(tex)), "fi-formula"))
    if method.source:
        details.append(hint(f"Source: {escaped(method.source)}"))
    return details


def _labelled(names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((title(name), name) for name in names)
