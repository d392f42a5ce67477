"""What the owner's desk needs of the link behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from fi_workbench.transport.hosted.hosted_grid import HostedGrid
from fi_workbench.transport.hosted.shown import Shown


class BehindDesk(Protocol):
    """A hosted link, as its desk sees it."""

    @property
    def shown(self) -> Shown:
        """What whoever watches is told."""

    def described(self, version: int) -> dict[str, Any]:
        """All that the desk says of the link, plain."""

    def invite(self, n: int = 1, minutes: float = 60.0) -> tuple[str, ...]:
        """Commands that let one new party join each."""

    def approve(self, name: str) -> None:
        """Let a waiting or expelled party take part."""

    def expel(self, name: str) -> None:
        """Have a party take part no longer."""

    def told(self, about: dict[str, Any]) -> None:
        """What the last round was."""

    def stop(self) -> None:
        """End the host's process, or the link."""

    def new_grid(self, arrived: Callable[[], None]) -> HostedGrid:
        """A grid for an attached process."""

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call something in the event loop's thread."""
