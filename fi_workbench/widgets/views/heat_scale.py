"""The colours of heat maps: one hue from nothing to much, and two hues to either side of nothing.

None is a party's colour. A cell's shade is its colour's opacity over the page's ground, so that both themes read alike;
on the strongest shade a number in the text's colour can still be read. The two hues are brown and teal, which readers
who do not see red or green tell apart (C. A. Brewer's BrBG).
"""

from __future__ import annotations

from fi_workbench.widgets.views.palette import DARK_THEME

NAMES = ("only", "up", "down")
"""Of a scale that begins at nothing; of one with two sides: above, and below."""

ON_LIGHT = ("#8F97EA", "#4FB5A6", "#DDA25C")
"""At full shade, on a light ground."""

ON_DARK = ("#4F57BD", "#1D7A6F", "#8F5E1E")
"""At full shade, on a dark ground."""


def css() -> str:
    """Custom properties ``--fi-heat-<name>`` for both themes."""

    def properties(colours: tuple[str, ...]) -> str:
        return " ".join(f"--fi-heat-{name}: {colour};" for name, colour in zip(NAMES, colours, strict=True))

    return f"body {{ {properties(ON_LIGHT)} }}\n{DARK_THEME} {{ {properties(ON_DARK)} }}\n"
