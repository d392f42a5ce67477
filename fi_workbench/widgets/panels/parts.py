"""Small parts that all panels are made of, each with its class for the stylesheet and the tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import ipywidgets
import traitlets

W = TypeVar("W", bound=ipywidgets.Widget)


def named(widget: W, *classes: str) -> W:
    """The widget with these classes."""
    for name in classes:
        widget.add_class(name)
    return widget


def column(*children: ipywidgets.Widget, css: str = "") -> ipywidgets.VBox:
    """Children one below another."""
    return named(ipywidgets.VBox(children), *css.split())


def row(*children: ipywidgets.Widget, css: str = "") -> ipywidgets.HBox:
    """Children side by side, wrapping where there is no room."""
    return named(ipywidgets.HBox(children), "fi-row", *css.split())


def section(title: str, *children: ipywidgets.Widget, css: str, folded: bool = False) -> ipywidgets.VBox:
    """A group with a head that folds it."""
    head = named(ipywidgets.Button(description=title, tooltip=f"Fold or unfold: {title.lower()}"), "fi-section-head")
    box = column(head, column(*children, css="fi-section-body"), css=f"fi-section {css}")
    return named(box, "fi-folded") if folded else box


def hint(text: str = "", css: str = "") -> ipywidgets.HTML:
    """Small print; ``text`` is markup, so what a stranger wrote in it must be escaped."""
    return named(ipywidgets.HTML(text), "fi-hint", *css.split())


def button(
    label: str, tooltip: str, css: str, pressed: Callable[[], Any] | None = None, **traits: Any
) -> ipywidgets.Button:
    """A button that calls ``pressed()``."""
    made = named(ipywidgets.Button(description=label, tooltip=tooltip, **traits), *css.split())
    if pressed is not None:
        made.on_click(lambda _button: pressed())
    return made


class Quietly:
    """Sets controls from the state without their answering back.

    Use it as ``with self._quietly: control.value = ...`` and ask ``if self._quietly.now`` in the control's callback.
    """

    def __init__(self) -> None:
        self.now = False

    def __enter__(self) -> Quietly:
        self.now = True
        return self

    def __exit__(self, *error: object) -> None:
        self.now = False


def changed(control: ipywidgets.Widget, quietly: Quietly, act: Callable[[Any], Any]) -> None:
    """Call ``act(value)`` when the reader changes a control, not when the workbench does."""

    def heard(change: traitlets.Bunch) -> None:
        if not quietly.now:
            act(change["new"])

    control.observe(heard, "value")


def shown(widget: ipywidgets.Widget, visible: bool) -> None:
    """Show a widget, or take it out of the layout."""
    display = None if visible else "none"
    if widget.layout.display != display:
        widget.layout.display = display


def set_options(control: ipywidgets.Widget, options: Sequence[Any], value: Any) -> None:
    """Options and value of a picker in one go."""
    if tuple(control.options) != tuple(options):
        control.options = options
    if control.value != value:
        control.value = value
