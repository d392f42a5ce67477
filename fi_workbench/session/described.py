"""What can be read of a federation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from fi_workbench.core.arrays import Labels
from fi_workbench.core.disclosure import Disclosure, Need
from fi_workbench.core.errors import MissingData
from fi_workbench.core.identity import Identity
from fi_workbench.incentives import Estimate
from fi_workbench.incentives.apply import settled
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.payout import payouts
from fi_workbench.parties import Dataset
from fi_workbench.parties.behaviours import Dishonest
from fi_workbench.session.askable import Askable
from fi_workbench.session.budget import PartyBudget, budgets
from fi_workbench.session.crediting import stream_key
from fi_workbench.session.demo import Demo
from fi_workbench.session.history import History
from fi_workbench.session.pooled import ready_now
from fi_workbench.session.runtime import Runtime
from fi_workbench.session.settings import Settings


class Described(Askable):
    """What has parties, settings and a runtime, and says so."""

    _dataset: Dataset | None
    _demo: Demo | None

    @property
    def settings(self) -> Settings:
        """How it answers."""
        return self._settings

    @property
    def dataset(self) -> Dataset | None:
        """The data set that came with it, or None."""
        return self._dataset

    @property
    def test_set(self) -> tuple[NDArray[Any], Labels]:
        """Queries (query, *input_shape) and labels (query,) that no party was trained on.

        Raises
        ------
        MissingData
            If the federation came without a data set.
        """
        if self._dataset is None:
            raise MissingData("This federation came without a data set; give queries and labels of your own.")
        return self._dataset.test_images, self._dataset.test_labels

    @property
    def made_from(self) -> Demo | None:
        """What its demo parties are made of, or None."""
        return self._demo

    @property
    def disclosure(self) -> Disclosure:
        """Who sees what in a round, and what rule, contribution and payout must see for it.

        Class counts are there to be seen only where the rule uses private facts. A contribution method that asks more
        than the round itself says among the assumptions what that gives away.
        """
        settings = self._settings
        rule, method, payout = settings.the_rule, settings.method(len(self.parties)), payouts[settings.payout]
        stated = settings.mechanism.disclosure
        stated = stated if rule.facts else stated.without("class_counts")
        if settings.mechanism.carrier.inside_models and rule.affine is None:
            stated = stated.without("sum")  # of votes only the label is opened
        asks = method.asks
        more = () if asks is None else (asks.discloses(**settled(method, settings.contribution_options)),)
        needs: dict[str, Need] = {
            f"rule {rule.name}": rule.needs,
            f"contribution {method.name}": method.needs,
            f"payout {payout.name}": payout.needs,
        }
        return replace(stated, assumptions=(*stated.assumptions, *more), needs=needs)

    @property
    def budget(self) -> tuple[PartyBudget, ...]:
        """What this client has spent of each party's privacy budget so far, one row a party."""
        return budgets(self._runtime.venue, self.parties, self.client.public.verify_key.hex())

    @property
    def masks_ready(self) -> Mapping[str, int]:
        """For how many questions each party of this process has masks at hand; of others, the last round tells."""
        return ready_now(self._runtime.venue, self.parties)

    @property
    def history(self) -> History:
        """All rounds of this federation and its copies."""
        return self._runtime.history

    @property
    def runtime(self) -> Runtime:
        """What all copies share."""
        return self._runtime

    @property
    def client(self) -> Identity:
        """The asker's keys."""
        return self._runtime.client.identity

    @property
    def ledger(self) -> Ledger | None:
        """Where rounds are paid for, or None."""
        return self._runtime.ledger

    @property
    def behaviours(self) -> Mapping[str, Dishonest]:
        """Which parties are set to behave dishonestly, and how."""
        set_to = {party.name: self._runtime.venue.behaviour(party) for party in self.parties}
        return {name: behaviour for name, behaviour in set_to.items() if behaviour is not None}

    @property
    def contributed(self) -> Estimate:
        """What the parties contributed over all rounds so far, by the method in force; carried on round by round.

        Raises
        ------
        InvalidData
            There was no round yet.
        """
        names = tuple(party.name for party in self.parties)
        method = self._settings.method(len(names))
        key, options = stream_key(method, self._settings.contribution_options, names)
        return self._runtime.contributed(key, method, options, len(names)).estimate()
