"""Parties: owners of private models, their data, and demo parties to try the workbench with."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fi_workbench.parties.data import Dataset
from fi_workbench.parties.facts import PrivateFacts
from fi_workbench.parties.helper import helper
from fi_workbench.parties.partition import Partition, make_partition, partitions
from fi_workbench.parties.party import Party
from fi_workbench.parties.readers import datasets, load_dataset

if TYPE_CHECKING:
    from fi_workbench.parties.calibration import fit_temperature
    from fi_workbench.parties.demo import demo_parties, party_names
    from fi_workbench.parties.models import architectures
    from fi_workbench.parties.training import default_epochs, train_party

__all__ = [
    "Dataset",
    "Partition",
    "Party",
    "PrivateFacts",
    "architectures",
    "datasets",
    "default_epochs",
    "demo_parties",
    "fit_temperature",
    "helper",
    "load_dataset",
    "make_partition",
    "partitions",
    "party_names",
    "train_party",
]

# these import torch or scipy, which takes long: looked up when first used
_LAZY = {
    "architectures": "models",
    "default_epochs": "training",
    "demo_parties": "demo",
    "fit_temperature": "calibration",
    "party_names": "demo",
    "train_party": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return __all__
