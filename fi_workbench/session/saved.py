"""A federation as plain data: what can be saved as JSON and loaded again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fi_workbench.core.errors import InvalidOption
from fi_workbench.session.demo import Demo
from fi_workbench.session.settings import Settings

FORMAT = "fi-workbench federation 1"


@dataclass(frozen=True, eq=False)
class SavedFederation:
    """All of a federation but its models, its keys and its history.

    Parameters
    ----------
    settings : Settings
    parties : tuple of str
        Names, in the order of the party axis.
    demo : Demo, optional
        What demo parties are made of; None where the parties are somebody's own.
    """

    settings: Settings
    parties: tuple[str, ...]
    demo: Demo | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes."""
        return {
            "format": FORMAT,
            "settings": self.settings.to_dict(),
            "parties": list(self.parties),
            "demo": None if self.demo is None else self.demo.to_dict(),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> SavedFederation:
        """The same from what :meth:`to_dict` returned.

        Raises
        ------
        InvalidOption
            If it is something else.
        """
        if not isinstance(given, Mapping) or given.get("format") != FORMAT:
            found = given.get("format") if isinstance(given, Mapping) else type(given).__name__
            raise InvalidOption(f"These are no settings of a federation: format is {found!r}, not {FORMAT!r}.")
        if missing := sorted({"settings", "parties"} - set(given)):
            raise InvalidOption(f"These settings of a federation lack {', '.join(missing)}.")
        demo = given.get("demo")
        return cls(
            Settings.from_dict(given["settings"]),
            tuple(given["parties"]),
            None if demo is None else Demo.from_dict(demo),
        )
