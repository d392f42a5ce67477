"""A whole demo federation in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fi_workbench.core.errors import InvalidOption
from fi_workbench.core.options import options_of
from fi_workbench.core.progress import OnProgress, quiet
from fi_workbench.parties.data import Dataset
from fi_workbench.parties.models import architectures
from fi_workbench.parties.partition import Partition, make_partition, partitions
from fi_workbench.parties.party import Party
from fi_workbench.parties.readers import load_dataset
from fi_workbench.parties.training import train_party


def demo_parties(
    dataset: str | Path | Dataset = "digits",
    n_parties: int = 5,
    alpha: float = 0.3,
    seed: int = 0,
    model: str | Sequence[str] = "mlp",
    *,
    partition: str = "dirichlet",
    partition_options: Mapping[str, Any] | None = None,
    epochs: int | None = None,
    device: str = "auto",
    cache: bool = True,
    on_progress: OnProgress = quiet,
) -> tuple[Party, ...]:
    """Parties A, B, C, ... with models of their own, each trained on its share of a data set.

    Parameters
    ----------
    dataset : str, Path or Dataset
        See :func:`fi_workbench.parties.readers.load_dataset`.
    n_parties : int
    alpha : float
        Skew, for partition kinds that have this option: small is more skewed.
    seed : int
        Equal seeds give equal parties, bit for bit.
    model : str or sequence of str
        One architecture for all, or one per party; see :data:`fi_workbench.parties.models.architectures`.
    partition : str
        How samples are dealt; see :data:`fi_workbench.parties.partition.partitions`.
    partition_options : mapping, optional
        Further options of the partition kind; an ``alpha`` in here goes before ``alpha``.
    epochs : int, optional
        See :func:`fi_workbench.parties.training.default_epochs`: seconds on digits, minutes on FashionMNIST with lenet.
    device, cache, on_progress
        See :func:`fi_workbench.parties.training.train_party`.

    Raises
    ------
    UnknownName, InvalidOption, InvalidData, MissingData
        Before anything is trained.
    """
    data = dataset if isinstance(dataset, Dataset) else load_dataset(dataset, on_progress)
    dealt = demo_partition(data, n_parties, alpha, seed, partition=partition, partition_options=partition_options)
    models = [model] * n_parties if isinstance(model, str) else list(model)
    if len(models) != n_parties:
        raise InvalidOption(
            f"model lists {len(models)} models for {n_parties} parties; give one name, or one per party."
        )
    for each in models:
        architectures[each]
    return tuple(
        train_party(
            data,
            indices,
            name,
            seed=seed,
            model=each,
            epochs=epochs,
            device=device,
            cache=cache,
            on_progress=on_progress,
        )
        for name, indices, each in zip(party_names(n_parties), dealt.indices, models, strict=True)
    )


def demo_partition(
    data: Dataset,
    n_parties: int,
    alpha: float,
    seed: int,
    *,
    partition: str = "dirichlet",
    partition_options: Mapping[str, Any] | None = None,
) -> Partition:
    """Which training samples :func:`demo_parties` deals to whom; parameters and errors as there."""
    options = dict(partition_options or {})
    if any(option.name == "alpha" for option in options_of(partitions[partition])):
        options.setdefault("alpha", alpha)
    return make_partition(partition, data.train_labels, n_parties, seed, **options)


def party_names(n_parties: int) -> tuple[str, ...]:
    """A, B, ..., Z, AA, AB, ..., as columns of a spreadsheet.

    >>> party_names(28)[-3:]
    ('Z', 'AA', 'AB')
    """
    return tuple(_letters(number) for number in range(1, n_parties + 1))


def _letters(number: int) -> str:
    letters = ""
    while number > 0:
        number, last = divmod(number - 1, 26)
        letters = chr(ord("A") + last) + letters
    return letters
