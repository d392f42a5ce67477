"""What a demo federation is made of, as plain data that can be saved and made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.errors import InvalidOption, UnknownName
from fi_workbench.core.progress import OnProgress, quiet
from fi_workbench.core.randomness import generator
from fi_workbench.parties import Dataset, Party, load_dataset
from fi_workbench.parties.partition import largest_remainder


@dataclass(frozen=True)
class Demo:
    """Demo parties, all of them determined by this.

    Parameters
    ----------
    dataset : str
        A registered name, or the path of an ``.npz`` file.
    n_parties : int
    alpha : float
        Skew of the Dirichlet partition; small is more skewed.
    seed : int
    model : str or tuple of str
        One architecture for all, or one per party.
    partition : str
    partition_options : mapping
    epochs : int, optional
    joined : tuple of str
        Architectures of parties that came after the samples were dealt. Each is trained on a share of its own, as if
        it had collected more data of the same kind: its mix of classes is drawn from Dirichlet(alpha), its size is
        that of an average share, and its samples may be those of others too.
    names : tuple of str
        What the parties are called, where not A, B, C, ...; one for each, those that joined last.
    """

    dataset: str = "digits"
    n_parties: int = 5
    alpha: float = 0.3
    seed: int = 0
    model: str | tuple[str, ...] = "mlp"
    partition: str = "dirichlet"
    partition_options: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    joined: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.names and len(self.names) != self.n_parties + len(self.joined):
            n_all = self.n_parties + len(self.joined)
            raise InvalidOption(f"A demo of {n_all} parties has {len(self.names)} names; give one for each, or none.")

    @property
    def models(self) -> tuple[str, ...]:
        """The architecture of each party."""
        dealt = (self.model,) * self.n_parties if isinstance(self.model, str) else self.model
        return (*dealt, *self.joined)

    @property
    def party_names(self) -> tuple[str, ...]:
        """What each party is called."""
        from fi_workbench.parties import party_names  # noqa: PLC0415 (torch takes seconds to import)

        return self.names or party_names(self.n_parties + len(self.joined))

    def data(self, on_progress: OnProgress = quiet) -> Dataset:
        """The data set, downloaded and cached on first use."""
        return load_dataset(self.dataset, on_progress)

    def parties(self, on_progress: OnProgress = quiet, data: Dataset | None = None) -> tuple[Party, ...]:
        """The parties, trained on first use and cached."""
        from fi_workbench.parties import demo_parties, party_names, train_party  # noqa: PLC0415 (as above)

        data = data or self.data(on_progress)
        dealt = demo_parties(
            data,
            self.n_parties,
            self.alpha,
            self.seed,
            self.model,
            partition=self.partition,
            partition_options=self.partition_options,
            epochs=self.epochs,
            on_progress=on_progress,
        )
        letters = party_names(self.n_parties + len(self.joined))
        joined = tuple(
            train_party(
                data,
                self._share(data, letter),
                letter,
                seed=self.seed,
                model=model,
                epochs=self.epochs,
                on_progress=on_progress,
            )
            for letter, model in zip(letters[self.n_parties :], self.joined, strict=True)
        )
        # a party's letter, not its name, goes into its seed: a new name is no new party
        return tuple(
            party if party.name == name else replace(party, name=name)
            for party, name in zip((*dealt, *joined), self.party_names, strict=True)
        )

    def samples_of(self, name: str, data: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Training samples of the data set that a party was trained on, and all that it holds, ascending.

        Raises
        ------
        UnknownName
            No such party.
        """
        from fi_workbench.parties.demo import demo_partition, party_names  # noqa: PLC0415 (as above)
        from fi_workbench.parties.training import training_samples  # noqa: PLC0415 (as above)

        if name not in self.party_names:
            raise UnknownName("party", name, self.party_names)
        place = self.party_names.index(name)
        letter = party_names(place + 1)[place]
        if place >= self.n_parties:
            held = np.sort(self._share(data, letter))
        else:
            options = self.partition_options
            dealt = demo_partition(
                data, self.n_parties, self.alpha, self.seed, partition=self.partition, partition_options=options
            )
            held = dealt.indices[place]
        return training_samples(held, letter, self.seed), held

    def _share(self, data: Dataset, letter: str) -> NDArray[np.int64]:
        """Training samples of a party that joined later."""
        rng = generator(self.seed, "joined", letter)
        n_samples = max(10, len(data.train_labels) // self.n_parties)
        wanted = largest_remainder(rng.dirichlet(np.full(data.n_classes, self.alpha)), n_samples)
        held = [
            rng.permutation(np.flatnonzero(data.train_labels == label))[:count] for label, count in enumerate(wanted)
        ]
        return np.concatenate(held)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Demo:
        """A demo from what :meth:`to_dict` returned; unknown fields are refused by name."""
        known = cls.__dataclass_fields__
        if unknown := sorted(set(given) - set(known)):
            raise InvalidOption(f"A demo has no {', '.join(unknown)}. Known: {', '.join(known)}.")
        fields = dict(given)
        for name in ("model", "joined", "names"):
            if isinstance(fields.get(name), list):
                fields[name] = tuple(fields[name])
        return cls(**fields)
