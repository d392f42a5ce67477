"""The Jupyter server extension: its settings, its routes, and its end."""

from __future__ import annotations

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Float, Integer, List, Unicode

from fi_workbench.lab.children import COMMAND
from fi_workbench.lab.federations import FederationsManager
from fi_workbench.lab.routes import handlers
from fi_workbench.transport.hosted.announced import listed


class FederationsApp(ExtensionApp):
    """Federations of this machine, for JupyterLab's side panel."""

    name = "fi_workbench"
    load_other_extensions = True

    enabled = Bool(True, help="Whether this server shows and starts federations.").tag(config=True)
    max_federations = Integer(
        8, min=0, help="How many federations may run at a time as processes of this server."
    ).tag(config=True)  # fmt: skip
    poll_seconds = Float(
        0.2, min=0.05, help="A federation is asked how it is, and a page is told, not more often than that."
    ).tag(config=True)  # fmt: skip
    scan_seconds = Float(0.5, min=0.1, help="How often it is looked for federations that were newly announced.").tag(
        config=True
    )

    host_command = List(
        Unicode(), list(COMMAND), help="What runs a federation: its words come before 'host --name ...'."
    ).tag(config=True)  # fmt: skip

    manager: FederationsManager | None = None

    def initialize_handlers(self) -> None:
        """Add the routes, where they are wanted."""
        if self.enabled:
            self.manager = FederationsManager(
                listed, n_most=self.max_federations, scan_seconds=self.scan_seconds, poll_seconds=self.poll_seconds,
                command=self.host_command,
            )  # fmt: skip
            self.handlers.extend(handlers(self.manager))

    async def stop_extension(self) -> None:
        """End what was started here."""
        if self.manager is not None:
            await self.manager.close()
