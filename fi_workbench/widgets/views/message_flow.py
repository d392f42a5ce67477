"""Messages between a few players, in their order, and what each looks like to whoever gets it."""

from __future__ import annotations

from typing import Any

import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import CannotDraw, Frozen, Numbers, Words
from fi_workbench.widgets.views.view import View

_KEYS = frozenset({"group", "sender", "receiver", "name", "size", "first", "counts", "said", "fair"})


def _lines(lines: Any) -> tuple[dict[str, Any], ...]:
    frozen = []
    for line in lines:
        if set(line) != _KEYS:
            raise CannotDraw(f"MessageFlow.lines takes dicts of {', '.join(sorted(_KEYS))}, not {sorted(line)}.")
        counts = tuple(int(count) for count in line["counts"])
        if any(count < 0 for count in counts):
            raise CannotDraw("MessageFlow.lines counts entries: no count is negative.")
        frozen.append({**line, "counts": counts})
    return tuple(frozen)


class MessageFlow(View):
    """One line a message: an arrow from sender to receiver, its size, its first words and a histogram of them all.

    Parameters
    ----------
    players : sequence of str
        From left to right.
    roles : sequence of str
        What each plays.
    colours : sequence of int or None
        Each player's number, which is its colour everywhere; None for the client, which has the text's.
    lines : sequence of dict
        ``group`` (a head above all lines of the same group), ``sender`` and ``receiver`` (places in ``players``; the
        same for what a player holds), ``name``, ``size`` (in words), ``first`` (its first words), ``counts``
        (its histogram), ``said`` (what the histogram says, in words) and ``fair`` (whether it is uniform, or None).

    Examples
    --------
    >>> flow = MessageFlow(players=["A", "B"])
    >>> flow.update(lines=[{"group": "online", "sender": 0, "receiver": 1, "name": "opened", "size": "512 B",
    ...                     "first": "9c22", "counts": [4, 4], "said": "uniform", "fair": True}])
    >>> flow.lines[0]["counts"]
    (4, 4)
    """

    _esm = module("message_flow")
    _css = stylesheet("views", "message_flow")

    title = traitlets.Unicode("Messages").tag(sync=True)
    players = Words().tag(sync=True)
    roles = Words().tag(sync=True)
    colours = Numbers(low=0, whole=True).tag(sync=True)
    lines = Frozen(_lines, "a sequence of dicts").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)

    def _check(self) -> None:
        self._same_length(("roles", "colours"), len(self.players), "players")
        for line in self.lines:
            if not all(0 <= line[end] < len(self.players) for end in ("sender", "receiver")):
                raise CannotDraw(f"MessageFlow has {len(self.players)} players; {line['name']!r} is between others.")
