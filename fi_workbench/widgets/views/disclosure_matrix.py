"""Who sees what."""

from __future__ import annotations

from typing import Any

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import CannotDraw, Frozen, Words
from fi_workbench.widgets.views.view import View


def _rows(items: Any) -> tuple[tuple[str, tuple[bool, ...]], ...]:
    rows = tuple((item, tuple(seen)) for item, seen in items)
    for item, seen in rows:
        if not isinstance(item, str) or not all(isinstance(one, bool) for one in seen):
            raise CannotDraw(f"DisclosureMatrix.items takes (item, one bool per role), not {(item, seen)!r}.")
    return rows


class DisclosureMatrix(View):
    """One row per item (the query, each answer, ...), one column per role: a filled dot where the role sees it.

    Parameters
    ----------
    roles : sequence of str
    items : sequence of (str, sequence of bool)
    before : sequence of (str, sequence of bool)
        What it is compared to, with the same items: a dot that is hidden here and is seen there is struck out. May be
        left empty.
    assumptions : sequence of str
        What it rests on, one sentence each; shown beneath.

    Examples
    --------
    >>> matrix = DisclosureMatrix(roles=["client", "coordinator"])
    >>> matrix.update(items=[("the query", [True, False])], assumptions=["All follow the protocol."])
    """

    _esm = module("disclosure_matrix")
    _css = stylesheet("views")

    title = traitlets.Unicode("Who sees what").tag(sync=True)
    roles = Words().tag(sync=True)
    items = Frozen(_rows, "a sequence of (item, one bool per role)").tag(sync=True)
    before = Frozen(_rows, "a sequence of (item, one bool per role)").tag(sync=True)
    before_name = traitlets.Unicode("plain").tag(sync=True)
    assumptions = Words().tag(sync=True)

    def _check(self) -> None:
        if self.before and [item for item, _ in self.before] != [item for item, _ in self.items]:
            raise CannotDraw("DisclosureMatrix.before has other items than what is compared to it.")
        for item, seen in (*self.items, *self.before):
            if len(seen) != len(self.roles):
                raise CannotDraw(f"DisclosureMatrix: {item!r} has {len(seen)} dots for {len(self.roles)} roles.")
