"""What all live views share: one message per frame, clear refusals, requests from the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import anywidget
import traitlets

from fi_workbench.core.errors import UnknownName
from fi_workbench.widgets.views.traits import CannotDraw, Numbers, Words


class View(anywidget.AnyWidget):
    """A live picture.

    Values are set by :meth:`update`, all of one frame together; they are immutable, and only what changed travels.
    The page shows the state in attributes: ``data-testid="fi-<view>"``, ``data-round``, ``data-status``
    (``drawn``, ``empty`` or ``refused``).

    Parameters
    ----------
    title : str
        Stands above the picture.
    round : int
        Number of the round that is shown; :meth:`update` counts it up where none is given.
    empty_text : str
        What would fill the picture, shown while there is nothing to draw.
    refusal : str
        Why the picture cannot be drawn under the settings (what does not fit, and what would); replaces it.
    way_out : str
        Label of the button beneath a refusal, e.g. "Show every answer"; a press is the request ``"way_out"``.
    """

    title = traitlets.Unicode("").tag(sync=True)
    round = traitlets.Int(0, min=0).tag(sync=True)
    empty_text = traitlets.Unicode("Nothing to show yet.").tag(sync=True)
    refusal = traitlets.Unicode("").tag(sync=True)
    way_out = traitlets.Unicode("").tag(sync=True)
    request = traitlets.Dict()
    """The page's latest request, ``{"kind": ..., "n": ...}``; `n` counts them."""

    requests: ClassVar[tuple[str, ...]] = ("way_out",)
    """What the page may ask for."""

    def __init__(self, **values: Any) -> None:
        self._refuse_unknown(values)
        self._lock = threading.RLock()
        super().__init__(**values)
        self.on_msg(self._hear)
        try:
            self._check()
        except CannotDraw:
            self.close()
            raise

    def update(self, **values: Any) -> None:
        """Show these values, in one message; what is not named stays.

        Safe from any thread. When a value is refused, nothing changes.

        Parameters
        ----------
        **values
            Traits of this view by name; ``round`` counts up by one where it is not given.

        Raises
        ------
        UnknownName
            A trait that this view does not have.
        CannotDraw, traitlets.TraitError
            Values that it cannot draw, or that do not go together.
        """
        self._refuse_unknown(values)
        with self._lock, self.hold_sync(), self.hold_trait_notifications():
            for name, value in {"round": self.round + 1, **values}.items():
                setattr(self, name, value)
            self._check()

    def on_request(self, callback: Callable[[str], None]) -> None:
        """Call ``callback(kind)`` at each request from the page; `requests` lists the kinds."""
        self.observe(lambda change: callback(change["new"]["kind"]), "request")

    def _check(self) -> None:
        """Refuse values that do not go together; views with several sequences override it."""

    def _same_length(self, names: Iterable[str], n: int, per: str) -> None:
        """Each of the named sequences is empty or has one entry per ``per``."""
        for name in names:
            length = len(getattr(self, name))
            if length not in {0, n}:
                raise CannotDraw(f"{type(self).__name__}.{name} has {length} entries for {n} {per}.")

    def _refuse_unknown(self, values: Iterable[str]) -> None:
        known = {name for name in self.class_traits(sync=True) if not name.startswith("_")}
        for name in values:
            if name not in known:
                raise UnknownName(f"trait of {type(self).__name__}", name, known)

    def _hear(self, _view: object, content: object, _buffers: object) -> None:
        # Requests come as messages of their own: of changes to a trait that follow each other quickly, ipywidgets
        # delivers the last one only, and a press of Stop must not be lost.
        kind = content.get("request") if isinstance(content, dict) else None
        if kind is None:
            return
        if kind not in self.requests:
            raise UnknownName(f"request of {type(self).__name__}", kind, self.requests)
        self.request = {"kind": kind, "n": self.request.get("n", 0) + 1}


class PartyView(View):
    """A view with one row per party.

    Parameters
    ----------
    parties : sequence of str
        Names.
    colours : sequence of int
        Each party's number in its federation, which is its colour everywhere; where empty, its place in `parties`.
    """

    parties = Words().tag(sync=True)
    colours = Numbers(low=0, whole=True).tag(sync=True)

    per_party: ClassVar[tuple[str, ...]] = ("colours",)
    """Traits that are empty or have one entry per party."""

    def _check(self) -> None:
        self._same_length(self.per_party, len(self.parties), "parties")
