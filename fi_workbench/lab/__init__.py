"""The JupyterLab side on the server: federations that the side panel starts, watches and stops.

``serverext`` is the wiring, ``routes`` HTTP without a domain, ``federations`` the domain without HTTP.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from fi_workbench.lab.serverext import FederationsApp  # noqa: PLC0415 (only a Jupyter server needs tornado)

    return [{"module": "fi_workbench.lab", "app": FederationsApp}]
