"""The work that the parties do ahead of the next round: as a round tells it, and as it is now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from fi_workbench.core.errors import Closed, DoesNotFit
from fi_workbench.core.messages import Release
from fi_workbench.parties.party import Party
from fi_workbench.privacy.secure_inference.asker import CAPACITY, NAMES, READY
from fi_workbench.privacy.secure_inference.seat import Seat
from fi_workbench.session.venue import Venue


def ahead(release: Release) -> tuple[Mapping[str, int] | None, Mapping[str, int] | None]:
    """For how many questions each party has all at hand, and how many it makes ahead; None where none works ahead.

    Parameters
    ----------
    release : Release
        As the coordinator made it.
    """
    names, ready, capacity = (_listed(release, name) for name in (NAMES, READY, CAPACITY))
    if not names or not len(names) == len(ready) == len(capacity):
        return None, None
    return _counted(names, ready), _counted(names, capacity)


def ready_now(venue: Venue, parties: Iterable[Party]) -> dict[str, int]:
    """For how many questions each party of this process has all at hand, in the session that it answered in last."""
    ready: dict[str, int] = {}
    for party in parties:
        with suppress(DoesNotFit, Closed):  # it is on another host; nothing is made any more
            seats = [one for one in venue.side(party).runtime.kept.all() if isinstance(one, Seat)]
            if seats:
                ready[party.name] = seats[-1].party.ready
    return ready


def _listed(release: Release, name: str) -> list[Any]:
    told = release.sealed.get(name)
    return list(told) if isinstance(told, list) else []


def _counted(names: list[Any], counts: list[Any]) -> dict[str, int]:
    return {str(name): max(int(count), 0) for name, count in zip(names, counts, strict=True)}
