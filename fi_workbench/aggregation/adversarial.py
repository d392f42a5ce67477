"""Training a deep set among attackers, in torch.

``deep_set`` follows DeepSet-TM (arXiv:2510.00310 and its released settings): mean instead of trimmed mean in training,
subsets of n-f to n parties, f < n/2 of them corrupt, Adam, batches of 256. It differs in what the corrupt parties send
(one of :data:`ATTACKS` a batch, where the paper's inner maximisation is by projected gradients alone), in how many are
corrupt (0 to f for each query, so that honest queries are learned too), and in the loss (cross-entropy for the margin
loss). Attackers collude and see the honest answers, the label and the network.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from fi_workbench.core.arrays import TINY, Answers, Labels
from fi_workbench.core.errors import InvalidOption, UnknownName
from fi_workbench.core.options import Between
from fi_workbench.core.randomness import derive_seed

Weights: TypeAlias = dict[str, Tensor]
Roles: TypeAlias = tuple[Tensor, Tensor]
"""(query, party) booleans: which parties are corrupt, and which are present."""

Tick: TypeAlias = Callable[[int, int, str], None]
"""(done, total, unit): reports progress, and raises where the work is to stop."""

ATTACKS = ("confident", "flip", "collude", "gradient")
"""What corrupt parties send in training: certainty of a random class each; their own answer upside down (softmax of
-log p); certainty, all together, of the wrong class that the honest parties hold likeliest; and what steps up the
gradient of the loss, all together, find."""


def fit_deep_set(
    answers: Answers,
    labels: Labels,
    seed: int,
    tick: Tick,
    *,
    epochs: Annotated[int, Between(1, 10_000)] = 60,
    n_byzantine: Annotated[int, Between(-1, 1_000)] = -1,
    width: Annotated[int, Between(1, 4_096)] = 128,
    learning_rate: Annotated[float, Between(1e-6, 1)] = 5e-3,
    batch_size: Annotated[int, Between(1, 1_000_000)] = 256,
    attacks: str = ", ".join(ATTACKS),
) -> tuple[Weights, dict[str, Any]]:
    """Train encoder and decoder on labelled proxy queries, for :func:`~fi_workbench.aggregation.fitting.fit_combiner`.

    Parameters
    ----------
    answers : array (party, query, class)
        Probabilities.
    labels : array (query,)
    seed : int
    tick : callable
        Called before each epoch, and once after the last.
    epochs, batch_size, width, learning_rate
        Passes over the queries, queries a step, width of every hidden layer, Adam's first step size (it falls to 0
        along a cosine).
    n_byzantine : int
        At most so many parties are corrupt in a query, and as many others absent; -1: a quarter of the parties,
        rounded down.
    attacks : str
        Names in :data:`ATTACKS` with commas between; one is drawn for each step.

    Returns
    -------
    weights : dict of str to tensor
        As :func:`fi_workbench.aggregation.combiner.weight_shapes` says.
    used : dict
        Options that were settled here.

    Raises
    ------
    InvalidOption
        Half of the parties or more corrupt.
    UnknownName
        No such attack.
    """
    n_parties, n_queries, n_classes = answers.shape
    n_corrupt = n_parties // 4 if n_byzantine < 0 else n_byzantine
    if 2 * n_corrupt >= n_parties:
        raise InvalidOption(f"n_byzantine must be less than half of the {n_parties} parties, not {n_corrupt}.")
    known = [name for name in map(str.strip, attacks.split(",")) if name]
    if unknown := [name for name in known if name not in ATTACKS]:
        raise UnknownName("attack", unknown[0], ATTACKS)
    rng = torch.Generator().manual_seed(derive_seed(seed, "deep set") % 2**63)
    weights = _initial((n_classes, width, width, width, n_classes), rng)
    x = torch.from_numpy(answers.transpose(1, 0, 2).astype(np.float32).copy())  # (query, party, class)
    y = torch.from_numpy(labels)
    optimiser = torch.optim.Adam(weights.values(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for epoch in range(epochs):
        tick(epoch, epochs, "epochs")
        for batch in torch.split(torch.randperm(n_queries, generator=rng), batch_size):
            # a random rank of the parties for each query: the first are corrupt, the last are absent
            rank = torch.rand(len(batch), n_parties, generator=rng, dtype=torch.float32).argsort(dim=1)
            few = torch.randint(n_corrupt + 1, (2, len(batch), 1), generator=rng)
            corrupt, present = rank < few[0], rank < n_parties - few[1]
            sent = x[batch]
            if known and n_corrupt:
                attack = known[int(torch.randint(len(known), (), generator=rng))]
                sent = attacked(attack, sent, y[batch], (corrupt, present), weights, rng)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(cross_entropy(_forward(weights, sent, present), y[batch]))
            optimiser.step()
        schedule.step()
    tick(epochs, epochs, "epochs")
    return weights, {"n_byzantine": n_corrupt}


def _initial(sizes: tuple[int, ...], rng: torch.Generator) -> Weights:
    """Dense layers with uniform initial values of He's variance, and biases of 0."""
    weights: Weights = {}
    for layer, (n_in, n_out) in enumerate(pairwise(sizes), start=1):
        limit = (6.0 / n_in) ** 0.5
        weights[f"weight_{layer}"] = torch.empty(n_in, n_out, dtype=torch.float32).uniform_(
            -limit, limit, generator=rng
        )
        weights[f"bias_{layer}"] = torch.zeros(n_out, dtype=torch.float32)
    return {name: value.requires_grad_() for name, value in weights.items()}


def _forward(weights: Weights, sent: Tensor, present: Tensor) -> Tensor:
    """Class logits (query, class) from probabilities (query, party, class): the mean of those present, decoded."""

    def through(values: Tensor, layer: int) -> Tensor:
        hidden = torch.relu(values @ weights[f"weight_{layer}"] + weights[f"bias_{layer}"])
        return hidden @ weights[f"weight_{layer + 1}"] + weights[f"bias_{layer + 1}"]

    share = present.float() / present.sum(dim=1, keepdim=True)
    return through((through(sent, 1) * share[:, :, None]).sum(dim=1), 3)


def attacked(
    attack: str, honest: Tensor, labels: Tensor, roles: Roles, weights: Weights, rng: torch.Generator
) -> Tensor:
    """What arrives where the corrupt parties send what the attack says.

    Parameters
    ----------
    attack : str
        A name in :data:`ATTACKS`.
    honest : tensor (query, party, class)
        Probabilities.
    labels : tensor (query,)
    roles : pair of tensors (query, party)
        Who is corrupt, and who is present.
    weights : dict of str to tensor
        The network as it is; its gradients are left alone.
    rng : torch.Generator

    Returns
    -------
    tensor (query, party, class)
        Probabilities; the rows of honest parties as they were.
    """
    n_queries, n_parties, n_classes = honest.shape
    if attack == "confident":
        lies = one_hot(torch.randint(n_classes, (n_queries, n_parties), generator=rng), n_classes).float()
    elif attack == "flip":
        lies = torch.softmax(-torch.log(honest.clamp_min(TINY)), dim=-1)
    elif attack == "collude":
        likely = (honest * (~roles[0] & roles[1])[:, :, None]).sum(dim=1)
        wrong = likely.scatter(1, labels[:, None], -1.0).argmax(dim=1)
        lies = one_hot(wrong, n_classes).float()[:, None].expand_as(honest)
    else:
        lies = _steepest(honest, labels, roles, weights)
    return torch.where(roles[0][:, :, None], lies, honest)


def _steepest(honest: Tensor, labels: Tensor, roles: Roles, weights: Weights) -> Tensor:
    """Five signed steps up the loss in the logarithms of the answers, which stay distributions."""
    frozen = {name: value.detach() for name, value in weights.items()}
    logs = torch.log(honest.clamp_min(1e-3))
    for _ in range(5):
        logs = logs.detach().requires_grad_()
        sent = torch.where(roles[0][:, :, None], torch.softmax(logs, dim=-1), honest)
        (slope,) = torch.autograd.grad(cross_entropy(_forward(frozen, sent, roles[1]), labels, reduction="sum"), logs)
        logs = logs.detach() + 2.0 * slope.sign()
    return torch.softmax(logs, dim=-1)
