"""What the pictures of a comparison share: one row or line per rule, bounds among them."""

from __future__ import annotations

from typing import ClassVar

from fi_workbench.widgets.views import rule_palette
from fi_workbench.widgets.views.front_end import stylesheet
from fi_workbench.widgets.views.traits import Numbers, Words
from fi_workbench.widgets.views.view import View

KINDS = ("rule", "bound", "oracle")
"""A rule in its colour; a bound dashed, the oracle dotted, both in grey."""

STYLE = rule_palette.css() + stylesheet("views", "rules")


class RuleView(View):
    """A view with one entry per rule or bound.

    Parameters
    ----------
    names : sequence of str
    kinds : sequence of {"rule", "bound", "oracle"}
        All are rules where empty.
    colours : sequence of int or None
        Each rule's number on its page, which is its colour there; its place where empty.
    """

    names = Words().tag(sync=True)
    kinds = Words(known=KINDS).tag(sync=True)
    colours = Numbers(low=0, whole=True).tag(sync=True)

    per_rule: ClassVar[tuple[str, ...]] = ()
    """Further traits that are empty or have one entry per rule."""

    def _check(self) -> None:
        self._same_length(("kinds", "colours", *self.per_rule), len(self.names), "rules")
