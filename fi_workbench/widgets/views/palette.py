"""The parties' colours: one palette for the live views (JavaScript, CSS) and for plotly figures.

Okabe and Ito's eight colours ("Color Universal Design", 2008) in an order in which the first few are furthest apart,
also for readers who do not see red or green. Three things are ours:

- Their **black** cannot be a party: the consensus is drawn in the text colour, which is near black in the light theme.
  A middle grey stands in for it, as the last of the eight; it is the one colour whose shade follows the theme.
- On white, orange, sky blue and yellow are too pale for a line or an edge (under 3:1). Areas keep the original
  colour in both themes, so that a party looks the same everywhere; lines and the edges of areas take `LINES_ON_LIGHT`.
- From the ninth party on the eight come again, **hatched**. A name always stands beside the colour.
"""

from __future__ import annotations

import json

NAMES = ("blue", "orange", "sky blue", "vermillion", "bluish green", "reddish purple", "yellow", "grey")
"""What the colours are called, in the fixed order."""

FILLS = ("#0072B2", "#E69F00", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#F0E442", "#7A7A7A")
"""Areas, on a light ground."""

FILLS_ON_DARK = (*FILLS[:7], "#A6A6A6")
"""Areas and lines on a dark ground: each has at least 3:1 there."""

LINES_ON_LIGHT = ("#0072B2", "#C68905", "#3D9DD1", "#D55E00", "#009E73", "#CC79A7", "#6B6400", "#7A7A7A")
"""Lines and edges on a light ground: each has at least 3:1 against white."""

DARK_THEME = 'body[data-jp-theme-light="false"], body.theme-dark, body.vscode-dark'
"""Where a page is dark: JupyterLab, Voila, VS Code."""


def colour(index: int, *, dark: bool = False, line: bool = False) -> str:
    """Colour of a party as ``#RRGGBB``.

    Parameters
    ----------
    index : int
        The party's number in its federation, from 0.
    dark : bool
        Whether the ground is dark.
    line : bool
        For a line or an edge rather than an area.

    Examples
    --------
    >>> colour(1), colour(1, line=True), colour(9) == colour(1)
    ('#E69F00', '#C68905', True)
    """
    if index < 0:
        raise ValueError(f"Parties are numbered from 0, not {index}.")
    if dark:
        return FILLS_ON_DARK[index % len(NAMES)]
    return (LINES_ON_LIGHT if line else FILLS)[index % len(NAMES)]


def is_hatched(index: int) -> bool:
    """Whether the colour comes for the second time or more, and so is drawn hatched.

    Examples
    --------
    >>> [is_hatched(index) for index in (0, 7, 8)]
    [False, False, True]
    """
    return index >= len(NAMES)


def css() -> str:
    """Custom properties ``--fi-party-<k>`` (areas) and ``--fi-line-<k>`` (lines, edges) for both themes."""

    def properties(fills: tuple[str, ...], lines: tuple[str, ...]) -> str:
        pairs = zip(fills, lines, strict=True)
        return " ".join(f"--fi-party-{k}: {fill}; --fi-line-{k}: {line};" for k, (fill, line) in enumerate(pairs))

    light = f"body {{ {properties(FILLS, LINES_ON_LIGHT)} }}"
    return f"{light}\n{DARK_THEME} {{ {properties(FILLS_ON_DARK, FILLS_ON_DARK)} }}\n"


def javascript() -> str:
    """The palette as a module's constant, for the views."""
    return f"export const N_COLOURS = {json.dumps(len(NAMES))};\n"
