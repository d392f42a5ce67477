"""A federation: frozen settings over parties, and the runtime that all its copies share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from fi_workbench.core.errors import DoesNotFit, FederationError, InvalidOption, UnknownName
from fi_workbench.core.identity import Identity
from fi_workbench.core.progress import OnProgress, quiet
from fi_workbench.incentives.ledger import Ledger
from fi_workbench.incentives.payout import MICRO
from fi_workbench.parties import Dataset, Party
from fi_workbench.parties.behaviours import Dishonest, make_behaviour
from fi_workbench.privacy.stack import MechanismLike, make_mechanism
from fi_workbench.protocol.header import Calibration
from fi_workbench.protocol.policy import Policy
from fi_workbench.session.demo import Demo
from fi_workbench.session.history import History, Keep
from fi_workbench.session.members import check_alike, named, taken
from fi_workbench.session.reachable import Reachable
from fi_workbench.session.runtime import Runtime
from fi_workbench.session.saved import SavedFederation
from fi_workbench.session.settings import Settings


class Federation(Reachable):
    """Parties that answer together, and how.

    Its settings never change: :meth:`with_` makes a copy with others. All copies share keys, budgets and history.

    Parameters
    ----------
    parties : sequence of Party
        At least one; all with the same classes and input shape.
    rule : str
        Aggregation rule; ``fi.rules`` lists them.
    rule_options : mapping, optional
    mechanism : str, Mechanism, or a sequence of them
        Privacy mechanism; ``fi.mechanisms`` lists them.
    mechanism_options : mapping, optional
        For a mechanism given by name.
    contribution : str
        How contributions are valued; ``"auto"`` picks the richest method that the mechanism allows.
    contribution_options : mapping, optional
    deadline_seconds : float
        For a whole round; who has not answered by then is absent from it.
    seed : int
        From which every random choice that is not a secret derives.
    dataset : Dataset, optional
        Whose test set the workbench asks; not needed to ask anything of your own.
    policies : mapping of str to Policy, optional
        What each party agrees to, by name; parties not named agree to everything.
    history : path, History, "auto" or None
        Where rounds are written as they end: ``"auto"`` is a file of its own in the state folder, None memory only.
    keep : {"scalars", "answers"}
        What the history keeps: scalars per round and party, or all arrays.
    client : Identity, optional
        The asker's keys; fresh ones when None.
    calibration : {"none", "temperature"}
        Whether each party divides its logits by the temperature that its owner fitted.
    abstain_below : float
        Confidence (the top score) below which the federation says that it does not know.
    payout : str
        How a round's budget is split by contribution; ``fi.payouts`` lists the ways.
    payout_options : mapping, optional
    budget_micro : int
        Micro-units that each round pays out; 1,000,000 are one unit.
    ledger : path or Ledger, optional
        Where rounds are paid for, from what :meth:`deposit` put there; without one, payments are only promised.

    Raises
    ------
    InvalidParty, InvalidOption, UnknownName, DoesNotFit
        Everything that does not fit is refused here, before anything is asked.
    """

    def __init__(
        self,
        parties: Sequence[Party],
        *,
        rule: str = "soft_vote",
        rule_options: Mapping[str, Any] | None = None,
        mechanism: MechanismLike = "plain",
        mechanism_options: Mapping[str, Any] | None = None,
        contribution: str = "auto",
        contribution_options: Mapping[str, Any] | None = None,
        deadline_seconds: float = 10.0,
        seed: int = 0,
        dataset: Dataset | None = None,
        policies: Mapping[str, Policy] | None = None,
        history: str | os.PathLike[str] | History | Literal["auto"] | None = "auto",
        keep: Keep = "scalars",
        client: Identity | None = None,
        calibration: Calibration = "none",
        abstain_below: float = 0.0,
        payout: str = "proportional",
        payout_options: Mapping[str, Any] | None = None,
        budget_micro: int = MICRO,
        ledger: str | os.PathLike[str] | Ledger | None = None,
    ) -> None:
        parties = taken(parties)
        check_alike(parties)
        settings = Settings(
            rule, rule_options or {}, make_mechanism(mechanism, **(mechanism_options or {})), contribution,
            contribution_options or {}, deadline_seconds, seed, calibration, abstain_below, payout,
            payout_options or {}, budget_micro,
        )  # fmt: skip
        if unknown := sorted(set(policies or {}) - {party.name for party in parties}):
            raise UnknownName("party with a policy", unknown[0], [party.name for party in parties])
        runtime = Runtime(History.of(history, keep), client, ledger=ledger)
        for party in parties:
            runtime.venue.side(party, (policies or {}).get(party.name))
        self._take(runtime, settings, parties, dataset, None)

    @classmethod
    def demo(
        cls,
        dataset: str | os.PathLike[str] = "digits",
        n_parties: int = 5,
        alpha: float = 0.3,
        seed: int = 0,
        model: str | Sequence[str] = "mlp",
        *,
        partition: str = "dirichlet",
        partition_options: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        on_progress: OnProgress = quiet,
        **settings: Any,
    ) -> Self:
        """A federation of demo parties, each trained on its own share of a data set and cached.

        Parameters
        ----------
        dataset : str or path
            ``digits`` (bundled), ``fashionmnist``, ``pneumoniamnist``, or an ``.npz`` file of your own.
        n_parties : int
        alpha : float
            Skew of the Dirichlet partition over labels; small is more skewed.
        seed : int
        model : str or sequence of str
            ``logistic_regression``, ``mlp``, ``lenet`` or ``resnet``; one for all, or one per party.
        partition, partition_options, epochs
            See :func:`fi_workbench.parties.demo_parties`.
        on_progress : callable
            Told of downloads and training.
        **settings : as for :class:`Federation`
        """
        chosen = model if isinstance(model, str) else tuple(model)
        spec = Demo(str(dataset), n_parties, alpha, seed, chosen, partition, dict(partition_options or {}), epochs)
        return cls._of_demo(spec, on_progress, {"seed": seed, **settings})

    @classmethod
    def _of_demo(cls, spec: Demo, on_progress: OnProgress, settings: Mapping[str, Any]) -> Self:
        data = spec.data(on_progress)
        federation = cls(spec.parties(on_progress, data), dataset=data, **settings)
        federation._demo = spec
        return federation

    def _take(
        self,
        runtime: Runtime,
        settings: Settings,
        parties: tuple[Party, ...] | None,
        data: Dataset | None,
        demo: Demo | None,
    ) -> None:
        """Take over what a copy shares, checked; ``parties`` is None for whoever is on the link."""
        runtime.venue.teach(settings.mechanism.carrier.all_phases)
        newcomers = [party for party in parties or () if not runtime.venue.knows(party)]
        try:
            if parties is None:
                settings.check_methods()
            else:
                settings.check(parties, [runtime.venue.card(party) for party in parties])
        except FederationError:
            for party in newcomers:
                runtime.venue.retire(party)
            raise
        self._runtime, self._settings, self._parties, self._dataset, self._demo = runtime, settings, parties, data, demo

    def behave(self, party: str, behaviour: str | Dishonest | None, **options: Any) -> None:
        """Simulation: have a party behave dishonestly from its next question on, in all copies of this federation.

        It is the party's own doing and no setting: the client's question does not know of it.

        Parameters
        ----------
        party : str
            Of this federation.
        behaviour : str, Dishonest or None
            A name in ``fi.behaviours``; None makes the party honest again.
        **options
            Of a behaviour given by name.

        Raises
        ------
        UnknownName, InvalidOption
            No such party, behaviour or option.
        """
        chosen = make_behaviour(behaviour, **options) if isinstance(behaviour, str) else behaviour
        self._runtime.venue.behave(named([party], self.parties)[0], chosen)

    def deposit(self, amount_micro: int) -> None:
        """Put money into the client's account in the ledger, in micro-units.

        Raises
        ------
        DoesNotFit
            The federation has no ledger.
        """
        if self._runtime.ledger is None:
            raise DoesNotFit("This federation has no ledger; make it with ledger=PATH, or ledger=fi.Ledger(PATH).")
        self._runtime.ledger.deposit(self.client.public.verify_key.hex(), amount_micro)

    def with_(self, **changes: Any) -> Self:
        """A copy with other settings, over the same runtime.

        Parameters
        ----------
        **changes
            ``rule``, ``rule_options``, ``mechanism``, ``mechanism_options``, ``contribution``,
            ``contribution_options``, ``deadline_seconds``, ``seed``, ``calibration``, ``abstain_below``, ``payout``,
            ``payout_options``, ``budget_micro``, and ``parties``: Party objects, or names of parties that are in this
            federation; None, over a link, for whoever is on it. Options go back to their defaults where the method
            they belong to changes and they are not given. ``made_from`` says what the given demo parties are made of.

        Raises
        ------
        InvalidOption
            For another name; lists these.
        """
        parties = changes.pop("parties", self._parties)
        if parties is not None or self.link is None:
            parties = named(parties, self.parties)
        demo = changes.pop("made_from", self._demo)
        if parties is not None:
            check_alike(parties)
        copy = object.__new__(type(self))
        copy._take(self._runtime, self._settings.changed(changes), parties, self._dataset, demo)
        return copy

    def to_dict(self) -> dict[str, Any]:
        """Settings as plain data that ``json`` takes; parties by name, and what demo parties are made of."""
        return SavedFederation(self._settings, tuple(party.name for party in self.parties), self._demo).to_dict()

    @classmethod
    def from_dict(
        cls,
        given: Mapping[str, Any],
        parties: Sequence[Party] | None = None,
        on_progress: OnProgress = quiet,
        **more: Any,
    ) -> Self:
        """A federation from what :meth:`to_dict` returned.

        Parameters
        ----------
        given : mapping
        parties : sequence of Party, optional
            Needed where the parties were not demo parties.
        on_progress : callable
            Told of downloads and training.
        **more
            ``history``, ``keep``, ``policies``, ``client``, as for :class:`Federation`.

        Raises
        ------
        InvalidOption
            If ``given`` is something else, or needs ``parties``.
        """
        saved = SavedFederation.from_dict(given)
        if parties is not None:
            federation = cls(parties, **more)
        elif saved.demo is not None:
            federation = cls._of_demo(saved.demo, on_progress, more)
        else:
            raise InvalidOption(
                f"Give parties=...: the settings name {', '.join(saved.parties)}, but not their models."
            )
        return federation.with_(**vars(saved.settings), parties=saved.parties)

    def close(self) -> None:
        """Stop the runtime of this federation and all its copies; the history stays readable."""
        self._runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        parties, settings = self.parties, self._settings
        names = ", ".join(party.name for party in parties[:8]) + (", ..." if len(parties) > 8 else "")
        return f"<Federation of {names or 'nobody yet'}: rule {settings.rule}, mechanism {settings.mechanism.name}>"
