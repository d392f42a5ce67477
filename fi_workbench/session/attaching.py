"""``fi.attach``: to what another notebook, the side panel or a terminal of this user hosts."""

from __future__ import annotations

from typing import Any

from fi_workbench.session.federation import Federation


def attach(name: str | None = None, **settings: Any) -> Federation:
    """Attach to a federation that another process of this user hosts on this machine.

    Parameters
    ----------
    name : str, optional
        As the side panel shows it; may be left out where there is one only.
    **settings
        See :meth:`Federation.attach`.
    """
    return Federation.attach(name, **settings)
