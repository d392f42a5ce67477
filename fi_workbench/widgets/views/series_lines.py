"""Lines over rounds, on a canvas."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import CannotDraw, Float32, Numbers, Words
from fi_workbench.widgets.views.view import View

KINDS = ("consensus", "best", "oracle", "bound", "party")
"""What a line is: consensus solid in the text colour, best and bound dashed, oracle dotted, party in its colour."""


class SeriesLines(View):
    """Up to `latest` points of several series over rounds, labelled at the right, with a read-out on hover.

    Parameters
    ----------
    names : sequence of str
        One per series.
    kinds : sequence of {"consensus", "best", "oracle", "bound", "party"}
        One per series, or empty: the first is the consensus, the others are parties.
    colours : sequence of int or None
        Colour of each "party" series: its number in the federation; where empty, counted from 0.
    points : array (series, point)
        NaN is a gap. Travels as float32 bytes.
    first_round : int
        Round of the first point.
    unit : str
        With "%", values are shares from 0 to 1 and the axis shows per cent.
    limits : (low, high), optional
        Ends of the axis; where empty, 0 to 1 for "%", else the data's, and zero where it is near.
    horizontal : str
        Name of the horizontal axis.

    Examples
    --------
    >>> lines = SeriesLines(names=["consensus", "best party"], kinds=["consensus", "best"])
    >>> lines.append([0.81, 0.78])
    >>> lines.append([0.82, 0.78])
    >>> lines.array.shape, lines.first_round, lines.round
    ((2, 2), 1, 2)
    """

    _esm = module("series_lines")
    _css = stylesheet("views")

    latest: ClassVar[int] = 500

    title = traitlets.Unicode("Accuracy over rounds").tag(sync=True)
    empty_text = traitlets.Unicode("No rounds yet: ask a batch or press Run.").tag(sync=True)
    names = Words().tag(sync=True)
    kinds = Words(known=KINDS).tag(sync=True)
    colours = Numbers(low=0, whole=True).tag(sync=True)
    points = Float32().tag(sync=True)
    first_round = traitlets.Int(1, min=0).tag(sync=True)
    unit = traitlets.Unicode("%").tag(sync=True)
    limits = Numbers().tag(sync=True)
    horizontal = traitlets.Unicode("round").tag(sync=True)

    @property
    def array(self) -> np.ndarray:
        """The points, (series, point), float32."""
        return np.frombuffer(self.points, dtype="<f4").reshape(len(self.names), -1)

    def update(self, **values: Any) -> None:
        """As :meth:`View.update`; of an array of `points` the latest are kept, and `first_round` moves with them."""
        points = values.get("points")
        if isinstance(points, np.ndarray | list | tuple):
            points = np.asarray(points, dtype="<f4")
            n_names = len(values.get("names", self.names))
            if points.ndim != 2 or len(points) != n_names:
                raise CannotDraw(f"SeriesLines.points takes ({n_names} series, points), not {points.shape}.")
            n_dropped = max(points.shape[1] - self.latest, 0)
            first = values.get("first_round", self.first_round) + n_dropped
            values = {**values, "points": points[:, n_dropped:], "first_round": first}
        super().update(**values)

    def append(self, values: Any, **others: Any) -> None:
        """Add one point to each series (None or NaN: a gap), and update `others` in the same message."""
        column = np.array([np.nan if value is None else value for value in values], dtype="<f4")
        if len(column) != len(self.names):
            raise CannotDraw(f"SeriesLines.append takes {len(self.names)} values, not {len(column)}.")
        self.update(points=np.hstack([self.array, column[:, None]]), **others)

    def clear(self) -> None:
        """Forget all points; the next one is of round 1."""
        self.update(points=b"", first_round=1, round=0)

    def _check(self) -> None:
        self._same_length(("kinds", "colours"), len(self.names), "series")
        if len(self.points) % (4 * max(len(self.names), 1)):
            raise CannotDraw(f"SeriesLines.points holds {len(self.points) // 4} values for {len(self.names)} series.")
        low_high = [limit for limit in self.limits if limit is not None]
        if self.limits and (len(low_high) != 2 or low_high[0] >= low_high[1]):
            raise CannotDraw(f"SeriesLines.limits takes (low, high), not {self.limits}.")
