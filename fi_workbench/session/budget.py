"""What a client has spent of each party's privacy budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fi_workbench.core.records import Absence
from fi_workbench.parties.party import Party
from fi_workbench.privacy.accountant import Accounting, epsilon_of
from fi_workbench.privacy.event import Event
from fi_workbench.protocol.account import Account
from fi_workbench.protocol.header import RoundHeader
from fi_workbench.protocol.policy import Policy
from fi_workbench.protocol.pricing import occasion_of
from fi_workbench.protocol.settings import RoundSettings
from fi_workbench.session.venue import Venue


@dataclass(frozen=True)
class PartyBudget:
    """What one client has been told by one party, and may still be.

    Parameters
    ----------
    party : str
    client : str
        The client's Ed25519 key in hexadecimal.
    epsilon : float
        Spent so far, at ``delta``; infinite once something was released without a guarantee.
    limit, left : float or None
        The party's budget for a client, and what is left of it; None where there is no limit, or nobody here knows.
    delta : float
    accounting : {"rdp", "pld"}
    n_queries : int
        Granted so far.
    since : float or None
        When something was last spent, in seconds since the epoch; spent is spent, and does not come back.
    booked_by : {"party", "client"}
        Whose account it is. A party elsewhere keeps its own, which decides; the client's counts what it asked of it.
    """

    party: str
    client: str
    epsilon: float
    limit: float | None
    left: float | None
    delta: float
    accounting: Accounting
    n_queries: int
    since: float | None
    booked_by: str

    @classmethod
    def of(cls, party: str, client: str, account: Account, policy: Policy | None) -> PartyBudget:
        """The row of an account, held against ``policy``; None where that is on another host."""
        held = policy or Policy()
        spent = epsilon_of(account.events, held.delta, held.accounting)
        left = None if held.epsilon is None else max(held.epsilon - spent, 0.0)
        return cls(
            party, client, spent, held.epsilon, left, held.delta, held.accounting, account.n_queries, account.last_at,
            "client" if policy is None else "party",
        )  # fmt: skip

    @property
    def last(self) -> str:
        """``since`` as text, in UTC."""
        return Account(last_at=self.since).last

    @property
    def guaranteed(self) -> bool:
        """Whether all that was released had a guarantee."""
        return math.isfinite(self.epsilon)


def budgets(venue: Venue, parties: Sequence[Party], client: str) -> tuple[PartyBudget, ...]:
    """One row a party, for the client with this key."""
    return tuple(PartyBudget.of(party.name, client, *venue.account(party, client)) for party in parties)


def book_round(
    venue: Venue,
    header: RoundHeader,
    settings: RoundSettings,
    parties: Iterable[Party],
    absent: Iterable[Absence],
) -> None:
    """Have the venue count what a round cost the parties, where they keep their own accounts elsewhere.

    A party that did not begin (it refused the question, or could not be reached) spent nothing; whoever fell out later
    has, for all that is known here.
    """
    begun, first = tuple(parties), settings.mechanism.carrier.phases_of(header.kind)[0]
    spared = {one.party for one in absent if one.phase == first and one.kind in ("refused", "unreachable")}
    if not begun:
        return
    occasion = occasion_of(header, settings.rule, begun[0].n_classes)
    events: Mapping[Event, int] = settings.mechanism.events(occasion)
    for party in begun:
        if party.name not in spared:
            venue.booked(party, events, header.n_queries)
