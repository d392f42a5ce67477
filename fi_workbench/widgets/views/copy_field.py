"""A text that is there to be copied."""

from __future__ import annotations

import anywidget
import traitlets

from fi_workbench.widgets.views.front_end import module


class CopyField(anywidget.AnyWidget):
    """A text that can be read and selected but not changed, and a button that copies it; hidden while empty.

    Parameters
    ----------
    text : str
        What is copied, whole.
    shown : str
        What is shown in its place, where the text is long; the text itself where empty.
    label : str
        What it is, for the button's name and the hover text.

    Examples
    --------
    >>> field = CopyField(label="join command")
    >>> field.text = "fi-workbench join --link 127.0.0.1:9000"
    """

    _esm = module("copy_field")

    text = traitlets.Unicode("").tag(sync=True)
    shown = traitlets.Unicode("").tag(sync=True)
    label = traitlets.Unicode("").tag(sync=True)
