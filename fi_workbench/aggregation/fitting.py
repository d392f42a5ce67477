"""Fitting a combiner on labelled proxy queries. It needs torch, so nothing in this room imports it.

Computed on one torch thread from a generator of its own: equal seeds give equal bits, the user's torch is left alone.

``stacked`` is multinomial logistic regression with an L2 penalty on the weights, chosen on an inner fold by the
cross-entropy. Beside the proxy queries it sees one made-up query per class on which all parties are certain of that
class: so a class that the proxy queries lack is still learned as what it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from threadpoolctl import ThreadpoolController
from torch import Tensor
from torch.nn.functional import cross_entropy

from fi_workbench.aggregation.adversarial import Tick, Weights, fit_deep_set
from fi_workbench.aggregation.apply import named
from fi_workbench.aggregation.bounds import checked_answers
from fi_workbench.aggregation.combiner import KINDS, Combiner, Kind, Training
from fi_workbench.aggregation.learned import FLOOR, centred_logs, scores_of
from fi_workbench.core.arrays import Answers, Labels, Outputs, check_labels
from fi_workbench.core.errors import InvalidData, InvalidOption, UnknownName
from fi_workbench.core.options import Between, check_options, options_of
from fi_workbench.core.progress import OnProgress, Progress, quiet
from fi_workbench.core.randomness import generator

MIN_QUERIES = 20

STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 1e-4, 1e-5)
"""L2 penalties tried, from the strongest, each starting where the one before ended."""


def fit_combiner(
    kind: Kind,
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    outputs: Outputs = "logits",
    parties: Sequence[str] | None = None,
    seed: int = 0,
    held_out: float = 0.2,
    on_progress: OnProgress = quiet,
    cancelled: threading.Event | None = None,
    **options: Any,
) -> Combiner:
    """Learn from labelled proxy queries how to combine the parties' answers.

    Parameters
    ----------
    kind : {"stacked", "deep_set"}
        See the rules of these names in :mod:`fi_workbench.aggregation.learned`.
    logits : array (party, query, class)
        The parties' answers to at least 20 proxy queries: numpy, torch or nested lists.
    labels : array (query,)
        True class indices, of at least two classes.
    outputs : {"logits", "probabilities"}
        What ``logits`` are.
    parties : sequence of str, optional
        Their names; ``"party 0"``, ``"party 1"``, ... where not given.
    seed : int
        Equal seeds give equal combiners.
    held_out : float
        Share of the queries, 0 to 0.5, that is not fitted on and gives the combiner's ``training.accuracy``.
    on_progress : callable
        Hears of each epoch or fit, from the calling thread; an exception raised in it stops the work.
    cancelled : threading.Event, optional
        Once set, the work stops with :class:`InterruptedError`.
    **options
        ``stacked``: ``l2`` (0: chosen on a fold). ``deep_set``: ``epochs``, ``n_byzantine`` (-1: a quarter of the
        parties, rounded down), ``width``, ``learning_rate``, ``batch_size``, ``attacks``.

    Returns
    -------
    Combiner
        ``combiners.add(combiner)`` gives the name under which the rules find it.

    Raises
    ------
    UnknownName
        No such kind or attack.
    InvalidOption
        An option that this kind does not have or that is out of range.
    InvalidAnswer
        Answers that are not (party, query, class) with at least one of each, or break their contract.
    InvalidQuery
        Labels of the wrong length, not integers, or outside the classes.
    InvalidData
        Fewer than 20 queries, or labels of one class only.
    InvalidParty
        Not one name per party, or a name twice.
    """
    if kind not in KINDS:
        raise UnknownName("kind of combiner", kind, KINDS)
    fit: Callable[..., tuple[Weights, dict[str, Any]]] = _fit_stacked if kind == "stacked" else fit_deep_set
    settings = check_options(f"Combiner {kind!r}", options_of(fit), options)
    if not 0.0 <= held_out <= 0.5:
        raise InvalidOption(f"held_out must be a share from 0 to 0.5, not {held_out!r}.")
    answers = checked_answers(logits, outputs)
    truth = check_labels(labels, *answers.shape[1:])
    names = named(len(answers), parties)
    if len(truth) < MIN_QUERIES:
        raise InvalidData(f"{len(truth)} labelled queries were given; at least {MIN_QUERIES} are needed to learn from.")
    if len(np.unique(truth)) < 2:
        raise InvalidData(f"All labels are {truth[0]}; queries of at least two classes are needed to learn from.")

    def tick(done: int, total: int, unit: str) -> None:
        if cancelled is not None and cancelled.is_set():
            raise InterruptedError(f"Fitting the {kind} combiner was cancelled.")
        on_progress(Progress(f"fitting the {kind} combiner", done, total, unit))

    started = time.perf_counter()
    order = generator(seed, "held out").permutation(len(truth))
    n_held_out = int(held_out * len(truth))
    kept, tested = np.sort(order[n_held_out:]), np.sort(order[:n_held_out])
    with _one_thread():
        weights, used = fit(answers[:, kept], truth[kept], seed, tick, **settings)
    arrays = {name: value.detach().numpy().astype(np.float32) for name, value in weights.items()}
    combiner = Combiner(kind, names, answers.shape[-1], arrays, {**settings, **used, "seed": int(seed)})
    right = scores_of(combiner, answers[:, tested]).argmax(axis=1) == truth[tested]
    accuracy = float(right.mean()) if n_held_out else None
    return replace(combiner, training=Training(len(truth), accuracy, time.perf_counter() - started))


def _fit_stacked(
    answers: Answers, labels: Labels, seed: int, tick: Tick, *, l2: Annotated[float, Between(0, 1000)] = 0.0
) -> tuple[Weights, dict[str, Any]]:
    """Weights (party, class, class) and bias (class,), from probabilities (party, query, class)."""
    n_parties, n_queries, n_classes = answers.shape
    strengths = (l2,) if l2 else STRENGTHS
    total = len(strengths) + (0 if l2 else 1)
    chosen = l2
    if not l2:
        order = generator(seed, "strength").permutation(n_queries)
        (x, y), rest = (_features(answers[:, part], labels[part]) for part in np.split(order, [n_queries // 5]))
        losses, weights = [], None
        for done, strength in enumerate(strengths):
            tick(done, total, "fits")
            weights = _logistic(*rest, strength, weights)
            losses.append(float(cross_entropy(x @ weights["weight"] + weights["bias"], y)))
            if len(losses) > 2 and losses[-1] > losses[-2] > losses[-3]:
                break  # weaker penalties cost the most steps, and the loss is past its lowest
        chosen = strengths[int(np.argmin(losses))]
    tick(total - 1, total, "fits")
    fitted = _logistic(*_features(answers, labels), chosen, None)
    tick(total, total, "fits")
    fitted["weight"] = fitted["weight"].reshape(n_parties, n_classes, n_classes)
    return fitted, {"l2": chosen, "floor": FLOOR}


def _features(answers: Answers, labels: Labels) -> tuple[Tensor, Tensor]:
    """(query + class, party * class) features and labels: the proxy queries, and one made-up query per class."""
    n_parties, _, n_classes = answers.shape
    certain = np.broadcast_to(np.eye(n_classes), (n_parties, n_classes, n_classes))
    logs = centred_logs(np.concatenate([answers.astype(np.float64), certain], axis=1), FLOOR)
    flat = logs.transpose(1, 0, 2).reshape(-1, n_parties * n_classes)
    return torch.from_numpy(flat.copy()), torch.from_numpy(np.concatenate([labels, np.arange(n_classes)]))


def _logistic(x: Tensor, y: Tensor, l2: float, start: Weights | None) -> Weights:
    """Minimise mean cross-entropy + l2/2 |weight|^2; the bias is free. Convex, so the start only saves steps."""
    n_classes = int(y.max()) + 1
    new = {"weight": torch.zeros(x.shape[1], n_classes).to(x), "bias": torch.zeros(n_classes).to(x)}
    weight, bias = (value.clone().requires_grad_() for value in (start or new).values())
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=500, tolerance_grad=1e-5, tolerance_change=1e-9, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss: Tensor = cross_entropy(x @ weight + bias, y) + 0.5 * l2 * (weight**2).sum()
        torch.autograd.backward(loss)
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return {"weight": weight.detach(), "bias": bias.detach()}


_openmp = cache(ThreadpoolController)  # looking for the loaded libraries takes milliseconds


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread in this thread alone, on the CPU, with gradients, whatever the caller's mode."""
    torch.get_num_threads()  # torch's first look in a new thread would overwrite the limit
    one = _openmp().limit(limits=1, user_api="openmp")
    with one, torch.device("cpu"), torch.inference_mode(False), torch.enable_grad():
        yield
