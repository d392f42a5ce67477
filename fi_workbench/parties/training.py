"""Training one demo party: small, on one torch thread, the same bit for bit from equal seeds.

The user's global random generators and torch settings are left alone: parameters, batch order and initial values come
from a generator of the party's own.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fi_workbench.core.errors import InvalidData, InvalidOption
from fi_workbench.core.progress import OnProgress, Progress, quiet
from fi_workbench.core.randomness import derive_seed
from fi_workbench.parties.cache import Parameters, cached_parameters
from fi_workbench.parties.calibration import fit_temperature
from fi_workbench.parties.data import Dataset
from fi_workbench.parties.facts import PrivateFacts
from fi_workbench.parties.models import architectures, build_model
from fi_workbench.parties.party import Party
from fi_workbench.parties.threads import one_torch_thread
from fi_workbench.parties.torch_model import TorchModel, choose_device

CODE_VERSION = 2
"""Raised whenever the same inputs would train to other parameters: architectures, initial values, the loop."""

MIN_SAMPLES = 2
"""Batch norm has no variance over one sample."""

HELD_OUT = 0.1
"""Share of its samples that a party keeps from training, to fit its temperature on."""

N_SAMPLE = 256
"""So many of its own images a demo party keeps, to measure on them how large values get within its model."""


@dataclass(frozen=True)
class Recipe:
    """How a demo party is trained, with Adam on the cross-entropy.

    Parameters
    ----------
    epochs : int
        Passes over the party's samples.
    batch_size : int
    learning_rate : float
    """

    epochs: int
    batch_size: int = 32
    learning_rate: float = 3e-3


def default_epochs(dataset: Dataset, model: str) -> int:
    """Epochs that train a demo party decently in a coffee break.

    About 60,000 samples seen per federation, but 3 to 30 epochs: 30 on digits, 12 on PneumoniaMNIST, 3 on
    FashionMNIST; ``resnet`` takes half, for each of its steps costs several of the others'.
    """
    epochs = min(30, max(3, 60_000 // len(dataset.train_labels)))
    return max(2, epochs // 2) if model == "resnet" else epochs


def train_party(
    dataset: Dataset,
    indices: Any,
    name: str,
    *,
    seed: int = 0,
    model: str = "mlp",
    epochs: int | None = None,
    device: str = "auto",
    cache: bool = True,
    on_progress: OnProgress = quiet,
) -> Party:
    """A demo party, trained on its share of a data set.

    Parameters
    ----------
    dataset : Dataset
    indices : array (sample,)
        Which training samples it holds, each once.
    name : str
        Also distinguishes its seed from the other parties'.
    seed : int
        Of the whole federation.
    model : str
        A name in :data:`fi_workbench.parties.models.architectures`.
    epochs : int, optional
        See :func:`default_epochs`.
    device : str
        ``"auto"``, or a torch device. Equal seeds give equal bits on the same kind of device and torch version.
    cache : bool
        Keep the trained parameters on this computer, and take them from there.
    on_progress : callable
        Hears of every epoch; an exception raised in it stops the training, and nothing is kept.

    Returns
    -------
    Party
        With its private facts (counts of what it was trained on; the temperature fitted on the tenth of its samples
        that it held out) and ``made_here=True``; answers with logits, on one torch thread.

    Raises
    ------
    UnknownName, InvalidOption
        No such model; epochs below 1.
    InvalidData
        Indices that are not distinct positions in the training data, or fewer than two.
    InvalidParty
        A name, device or model that does not fit.
    """
    samples = _check_indices(indices, len(dataset.train_labels), name)
    architectures[model]  # refused by name before any work
    if epochs is not None and (epochs < 1 or epochs != int(epochs)):
        raise InvalidOption(f"epochs must be a whole number from 1, not {epochs!r}.")
    recipe = Recipe(epochs=default_epochs(dataset, model) if epochs is None else epochs)
    chosen = choose_device(device)
    party_seed = derive_seed(seed, "party", name)
    samples, held_out = _split(samples, derive_seed(seed, "held out", name))
    rng = torch.Generator().manual_seed(party_seed % 2**63)
    with torch.inference_mode(False):  # parameters made in a caller's inference mode could not be trained
        module = build_model(model, dataset.input_shape, dataset.n_classes, rng)
        function = TorchModel(module, device=str(chosen), one_thread=True)
    counts = np.bincount(dataset.train_labels[samples], minlength=dataset.n_classes)
    party = Party(
        name=name,
        classes=dataset.classes,
        input_shape=dataset.input_shape,
        outputs="logits",
        function=function,
        facts=PrivateFacts(class_counts=counts),
        model=model,
        made_here=True,
        sample=dataset.train_images[samples[:N_SAMPLE]],
    )
    task = f"training party {name}"

    def report(epoch: int) -> None:
        on_progress(Progress(task, epoch, recipe.epochs, "epochs"))

    def train() -> Parameters:
        with _deterministic(chosen):
            images = torch.from_numpy(dataset.train_images[samples]).to(chosen)
            labels = torch.from_numpy(dataset.train_labels[samples]).to(chosen)
            _fit(module, images, labels, recipe=recipe, rng=rng, report=report)
        return {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}

    if not cache:
        train()
    else:
        inputs = {
            "code": CODE_VERSION,
            "data": dataset.digest,
            "indices": samples,
            "model": model,
            "architecture": str(module),
            "seed": party_seed,
            "torch": torch.__version__,
            "device": chosen.type,
            "machine": platform.machine(),
            **asdict(recipe),
        }
        module.load_state_dict(cached_parameters(inputs, train, task=task, on_progress=on_progress))
    module.eval()
    report(recipe.epochs)
    temperature = 1.0  # a party too small to hold anything out has nothing to fit it on
    if len(held_out):
        temperature = fit_temperature(function(dataset.train_images[held_out]), dataset.train_labels[held_out])
    return replace(party, facts=replace(party.facts, temperature=temperature))


def training_samples(indices: Any, name: str, seed: int = 0) -> NDArray[np.int64]:
    """Those of a demo party's samples that :func:`train_party` trains it on, ascending; the others are held out.

    Parameters
    ----------
    indices : array (sample,)
        Which training samples it holds.
    name, seed
        As :func:`train_party` was given them.
    """
    return _split(np.unique(np.asarray(indices, dtype=np.int64)), derive_seed(seed, "held out", name))[0]


def _split(samples: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Samples to train on and those held out, both ascending; a party of fewer than ten trains on all."""
    shuffled = np.random.default_rng(seed).permutation(samples)
    n_held_out = int(HELD_OUT * len(samples))
    return np.sort(shuffled[n_held_out:]), np.sort(shuffled[:n_held_out])


def _fit(
    module: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    recipe: Recipe,
    rng: torch.Generator,
    report: Callable[[int], None],
) -> None:
    optimiser = torch.optim.Adam(module.parameters(), lr=recipe.learning_rate)
    module.train()
    for epoch in range(recipe.epochs):
        report(epoch)
        order = torch.randperm(len(labels), generator=rng, device="cpu").to(labels.device)
        for batch in _batches(order, recipe.batch_size):
            with one_torch_thread():
                optimiser.zero_grad(set_to_none=True)
                loss = nn.functional.cross_entropy(module(images[batch]), labels[batch])
                torch.autograd.backward(loss)
                optimiser.step()


def _batches(order: torch.Tensor, size: int) -> Iterator[torch.Tensor]:
    """Slices of ``size``; a last one of a single sample joins the one before, for batch norm."""
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) < MIN_SAMPLES:
        batches[-2:] = [torch.cat(batches[-2:])]
    return iter(batches)


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Gradients on, whatever the caller's mode; on CUDA, cuDNN's reproducible kernels in full precision."""
    cudnn = torch.backends.cudnn
    exact = cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.inference_mode(False), torch.enable_grad(), exact if device.type == "cuda" else nullcontext():
        yield


def _check_indices(indices: Any, n_samples: int, name: str) -> NDArray[np.int64]:
    array = np.asarray(indices)
    if array.ndim != 1 or array.dtype.kind not in "iu" or len(array) < MIN_SAMPLES:
        raise InvalidData(f"Party {name!r} needs one row of at least {MIN_SAMPLES} sample indices, not {array.shape}.")
    if array.min() < 0 or array.max() >= n_samples:
        raise InvalidData(f"The samples of party {name!r} lie outside the {n_samples} training samples.")
    samples = np.unique(array.astype(np.int64))
    if len(samples) < len(array):
        raise InvalidData(f"Party {name!r} is given some training samples twice.")
    return samples
