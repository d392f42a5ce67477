"""The rules' colours, so that nobody takes a rule for a party.

After Paul Tol's "muted" scheme (Colour Schemes, SRON/EPS/TN/09-002, 2021), which readers who do not see red or green
can tell apart; its pale ones are darkened for a light ground and its dark ones lightened for a dark one, to 3:1 at
least. From the ninth rule on the eight come again with other dashes and marks; a name always stands beside the colour.
"""

from __future__ import annotations

from fi_workbench.widgets.views.palette import DARK_THEME

NAMES = ("indigo", "rose", "teal", "sand", "wine", "green", "cyan", "purple")
"""What the colours are called, in the fixed order."""

ON_LIGHT = ("#332288", "#CC6677", "#359384", "#A8862A", "#882255", "#117733", "#4596BD", "#AA4499")
"""On a light ground."""

ON_DARK = ("#9A8FF0", "#E08594", "#44AA99", "#DDCC77", "#D0689E", "#4FB06F", "#88CCEE", "#CE82C2")
"""On a dark ground."""


def css() -> str:
    """Custom properties ``--fi-rule-<k>`` for both themes."""

    def properties(colours: tuple[str, ...]) -> str:
        return " ".join(f"--fi-rule-{k}: {colour};" for k, colour in enumerate(colours))

    return f"body {{ {properties(ON_LIGHT)} }}\n{DARK_THEME} {{ {properties(ON_DARK)} }}\n"
