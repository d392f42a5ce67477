"""One query: what it shows, what each party said, what came out."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import traitlets

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.traits import CannotDraw, Float32, Numbers, Words
from fi_workbench.widgets.views.view import PartyView


def as_image(query: Any) -> np.ndarray:
    """A query as uint8 pixels (height, width) or (height, width, 3).

    Takes (height, width), channels first or channels last. Floats are stretched from their own lowest and highest
    value, unless they lie between 0 and 1, which is black to white.

    Examples
    --------
    >>> as_image(np.array([[0.0, 1.0]])).tolist(), as_image(np.array([[[0.0, 16.0]]])).tolist()
    ([[0, 255]], [[0, 255]])
    """
    pixels = np.asarray(query)
    if pixels.ndim == 3 and pixels.shape[2] not in {1, 3} and pixels.shape[0] in {1, 3}:
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in {2, 3} or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise CannotDraw(f"An image is (height, width), with 1 or 3 channels first or last, not {pixels.shape}.")
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    pixels = np.nan_to_num(pixels.astype(np.float64))
    low, high = min(pixels.min(initial=0.0), 0.0), pixels.max(initial=0.0)
    if low >= 0.0 and high <= 1.0:
        high = 1.0
    return np.ascontiguousarray(np.rint((pixels - low) / max(high - low, 1e-12) * 255).astype(np.uint8))


class QueryView(PartyView):
    """Drill-down on one query; buttons and keys step through the batch.

    The page's requests: ``"next"``, ``"previous"``, ``"next_disagreement"`` (and ``"way_out"``, as everywhere).

    Parameters
    ----------
    position, n_queries : int
        Which query of how many, from 0.
    image : bytes
        uint8 pixels, row by row; set by :meth:`show_query`, with `height`, `width` and `n_channels` (1 or 3).
    vector : sequence of float
        The query where it is no image, drawn as a strip of bars.
    classes : sequence of str
    scores : sequence of float or None
        The consensus' score per class, from 0 to 1.
    answers : array (party, class)
        Each party's probabilities; NaN for an absent party. Travels as float32 bytes.
    abstains : bool
        Whether the federation is not sure enough to answer.
    truth : int, optional
        The true class, where it is known (outlined).
    disclosed : bool
        Whether each party's answer may be shown; where not, `answers` must be empty (give ``answers=()`` with it).
    hidden_reason : str
        Why not, e.g. "Secure sum: only the sum is visible."
    """

    _esm = module("query_view")
    _css = stylesheet("views")

    requests: ClassVar[tuple[str, ...]] = ("next", "previous", "next_disagreement", "way_out")

    title = traitlets.Unicode("Query").tag(sync=True)
    empty_text = traitlets.Unicode("No query yet: ask a batch to look at each answer.").tag(sync=True)
    position = traitlets.Int(0, min=0).tag(sync=True)
    n_queries = traitlets.Int(0, min=0).tag(sync=True)
    image = traitlets.Bytes(b"").tag(sync=True)
    height = traitlets.Int(0, min=0).tag(sync=True)
    width = traitlets.Int(0, min=0).tag(sync=True)
    n_channels = traitlets.Enum((1, 3), 1).tag(sync=True)
    vector = Numbers().tag(sync=True)
    classes = Words().tag(sync=True)
    scores = Numbers().tag(sync=True)
    answers = Float32().tag(sync=True)
    abstains = traitlets.Bool(False).tag(sync=True)
    truth = traitlets.Int(None, min=0, allow_none=True).tag(sync=True)
    disclosed = traitlets.Bool(True).tag(sync=True)
    hidden_reason = traitlets.Unicode("Each party's answer is not disclosed.").tag(sync=True)

    per_party: ClassVar[tuple[str, ...]] = ("colours",)

    def show_query(self, query: Any, **others: Any) -> None:
        """Show a query, an image (see :func:`as_image`) or a vector, and update `others` in the same message."""
        query = np.asarray(query)
        if query.ndim <= 1:
            self.update(vector=query.reshape(-1), image=b"", height=0, width=0, **others)
            return
        pixels = as_image(query)
        height, width = pixels.shape[:2]
        n_channels = 1 if pixels.ndim == 2 else 3
        self.update(image=pixels.tobytes(), height=height, width=width, n_channels=n_channels, vector=(), **others)

    def _check(self) -> None:
        super()._check()
        self._same_length(("scores",), len(self.classes), "classes")
        if len(self.image) != self.height * self.width * self.n_channels:
            shape = f"{self.height} x {self.width} x {self.n_channels}"
            raise CannotDraw(f"QueryView.image holds {len(self.image)} bytes for {shape} pixels.")
        n_answers = len(self.answers) // 4
        if n_answers not in {0, len(self.parties) * len(self.classes)}:
            wanted = f"{len(self.parties)} parties x {len(self.classes)} classes"
            raise CannotDraw(f"QueryView.answers holds {n_answers} values for {wanted}.")
        if self.answers and not self.disclosed:
            raise CannotDraw("QueryView: answers that are not disclosed must not be sent to the page.")
        if self.truth is not None and self.classes and self.truth >= len(self.classes):
            raise CannotDraw(f"QueryView.truth is class {self.truth} of {len(self.classes)}.")
        if self.n_queries and self.position >= self.n_queries:
            raise CannotDraw(f"QueryView.position is {self.position} of {self.n_queries} queries.")
