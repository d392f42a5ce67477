"""Text from outside, made fit for a terminal, a log and a page."""

from __future__ import annotations

LONGEST_TEXT = 200


def clean(text: object, longest: int = LONGEST_TEXT) -> str:
    """Text from outside, fit for a terminal and for one line of a log: nothing in it moves a cursor.

    Parameters
    ----------
    text : object
        Its ``str`` is taken.
    longest : int
        In characters; what is longer is cut.
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in str(text)[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."
