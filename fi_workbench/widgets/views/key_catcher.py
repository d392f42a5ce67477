"""Keys for a whole workbench, and its stylesheet."""

from __future__ import annotations

from typing import ClassVar

from fi_workbench.widgets.views.front_end import module, stylesheet
from fi_workbench.widgets.views.view import View


class KeyCatcher(View):
    """Invisible; makes the workbench around it one place for the keyboard.

    Put one anywhere within the box that carries the class ``fi-workbench``. It gives that box the stylesheet
    ``theme.css``, makes it focusable, keeps JupyterLab's own shortcuts out of it (or D D would delete the cell), lets
    sections fold, shows the help on "?" and sends the page's requests: ``"run_pause"`` (R), ``"stop"`` (S),
    ``"previous"``, ``"next"`` (left, right), ``"next_disagreement"`` (D). Keys typed into a text field, a picker or a
    slider are left alone.

    Examples
    --------
    >>> keys = KeyCatcher()
    >>> keys.on_request(lambda kind: None)
    """

    _esm = module("key_catcher")
    _css = stylesheet("views", "theme")

    requests: ClassVar[tuple[str, ...]] = ("run_pause", "stop", "previous", "next", "next_disagreement", "way_out")
