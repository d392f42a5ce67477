"""The gaming matrix: what each way to be dishonest brings one party, and what it costs all.

Computed on arrays, by the behaviours' own functions. Without protection the cheater hears its peers before it answers;
under commit-reveal it does not. Rewards are of all queries at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.aggregation import rules as all_rules
from fi_workbench.core.arrays import Outputs
from fi_workbench.core.disclosure import satisfies
from fi_workbench.core.errors import FederationError, NotDisclosed
from fi_workbench.core.progress import OnProgress, Progress, quiet
from fi_workbench.incentives import contribution_methods
from fi_workbench.parties.behaviours import Dishonest, make_behaviour
from fi_workbench.parties.behaviours import behaviours as all_behaviours
from fi_workbench.session.cheating import Cheating, Played
from fi_workbench.session.gaming_result import GamingMatrix, Protection

if TYPE_CHECKING:
    from fi_workbench.session.federation import Federation


def gaming_matrix(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    class_counts: ArrayLike | None = None,
    outputs: Outputs = "logits",
    parties: Sequence[str] | None = None,
    cheater: str | int | None = None,
    behaviours: Iterable[str | Dishonest] | None = None,
    rewards: Iterable[str] | None = None,
    rules: Iterable[str] | None = None,
    payout: str = "proportional",
    commit_reveal: bool | Literal["both"] = "both",
    labelled: bool = False,
    seed: int = 0,
    on_progress: OnProgress = quiet,
    cancelled: threading.Event | None = None,
) -> GamingMatrix:
    """Let one party be dishonest in every way, and see what it gains under each reward and costs under each rule.

    Parameters
    ----------
    logits : array (party, query, class)
        Everybody's honest answers.
    labels : array (query,)
        True labels: they value the damage, tell the best peer, and are known to attackers who know the truth.
    class_counts : array (party, class), optional
        True training samples, for rules that use them; the audit needs them too.
    outputs : {"logits", "probabilities"}
        What ``logits`` are.
    parties : sequence of str, optional
        Names in the order of the party axis; ``party 0``, ``party 1``, ... otherwise.
    cheater : str or int, optional
        Name or index; the least accurate party otherwise.
    behaviours, rewards, rules : iterable of str, optional
        All that there are, otherwise; rewards and rules only as far as they fit.
    payout : str
        With its default options.
    commit_reveal : bool or "both"
    labelled : bool
        Whether rewards that may use labels are given them; those that cannot do without always are.
    seed : int
        Of behaviours that draw at random.
    on_progress : callable
        Told of each cell.
    cancelled : Event, optional
        Set it from another thread to stop: what is done by then is returned.

    Raises
    ------
    UnknownName
        A party, behaviour, reward, rule or payout that there is not.
    DoesNotFit
        A reward or rule asked for by name that needs what was not given.
    InvalidAnswer, InvalidQuery, InvalidParty
        Arrays of the wrong shape, NaN, labels outside the classes, or fewer than two parties.
    """
    table = Cheating.of(logits, labels, class_counts, outputs, parties, cheater, payout, labelled, seed)
    chosen = all_behaviours if behaviours is None else behaviours
    dishonest = [one if isinstance(one, Dishonest) else make_behaviour(one) for one in chosen]
    work = _Work(cancelled or threading.Event(), on_progress)
    honest = Played(table.answers, table.counts)
    left_out: dict[str, str] = {}
    paid = _fitting(rewards, contribution_methods, lambda name: table.share(honest, name), left_out, work)
    right = _fitting(rules, all_rules, lambda name: table.accuracy(honest, name), left_out, work)
    protections: tuple[Protection, ...] = (
        ("plain", "commit_reveal") if commit_reveal == "both" else ("commit_reveal",) if commit_reveal else ("plain",)
    )
    shape = (len(protections), len(dishonest))
    share, accuracy = np.full((*shape, len(paid)), np.nan), np.full((*shape, len(right)), np.nan)
    absent, flagged = np.zeros(shape, dtype=bool), np.full(shape, np.nan)
    work.n_cells = share.size + accuracy.size
    for i, protection in enumerate(protections):
        for j, one in enumerate(dishonest):
            if i and "peers" not in one.behaviour.sees:  # who listens to nobody does the same under both
                for array in (share, accuracy, absent, flagged):
                    array[i, j] = array[0, j]
                work.done += len(paid) + len(right)
                continue
            if work.stopped:
                break
            played = table.played(one, hears=protection == "plain")
            absent[i, j], flagged[i, j] = played.answers is None, table.flagged(played)
            what = f"{one.name}, {protection}"
            work.fill(share[i, j], paid, partial(table.share, played), what)
            work.fill(accuracy[i, j], right, partial(table.accuracy, played), what)
    names = tuple(one.name for one in dishonest)
    return GamingMatrix(
        table.names[table.cheater], protections, names, tuple(paid), tuple(right), payout,
        np.array(list(paid.values())), np.array(list(right.values())), share, accuracy, absent, flagged, left_out,
        work.done == work.n_cells and not work.skipped,
    )  # fmt: skip


def gaming_matrix_of(federation: Federation, queries: Any, labels: Any, **options: Any) -> GamingMatrix:
    """The gaming matrix of a federation: it is asked once, without pay; the rest is computed.

    What protects the answers stays on: under noise on answers, these are what is computed with.

    The one round is in the history. Answers come as probabilities, so rules that use raw logits are left out.

    Parameters
    ----------
    federation : Federation
        Its parties as they are set to behave now count as honest; those that do not answer are left out.
    queries, labels
        As for :meth:`Federation.ask`.
    **options
        As for :func:`gaming_matrix`. Class counts are those of the parties, if this kernel made them all.

    Raises
    ------
    NoAnswer
        Nobody answered.
    NotDisclosed
        The mechanism does not show each answer; nobody was asked then.
    """
    carrier = federation.settings.mechanism.carrier
    if not satisfies(carrier.offers, "each"):
        raise NotDisclosed(
            f"The gaming matrix needs each party's answer, which {carrier.name!r} does not show; "
            "take the protection off yourself with federation.with_(mechanism='plain')."
        )
    record = federation.with_(contribution="equal", rule="soft_vote", budget_micro=0).ask(
        queries, labels, cancelled=options.get("cancelled")
    )
    if record.answers is None or record.truth is None:
        raise NotDisclosed("The gaming matrix needs each party's answer and true labels; ask with labels.")
    rows = [record.parties.index(name) for name in record.present]
    members = [party for party in federation.parties if party.name in record.present]
    counts = [party.facts.class_counts for party in members if party.made_here]
    if len(counts) == len(rows) and all(one is not None for one in counts):
        options.setdefault("class_counts", np.stack([np.asarray(one) for one in counts]))
    return gaming_matrix(record.answers[rows], record.truth, outputs="probabilities", parties=record.present, **options)


@dataclass(eq=False)
class _Work:
    """Cells done of how many, whether methods were skipped, and whether to go on."""

    cancelled: threading.Event
    on_progress: OnProgress
    n_cells: int = 0
    done: int = 0
    skipped: bool = False

    @property
    def stopped(self) -> bool:
        """Whether somebody asked to stop."""
        return self.cancelled.is_set()

    def fill(self, row: NDArray[np.float64], names: Iterable[str], value: Callable[[str], float], what: str) -> None:
        """One value per name; NaN where the method does not take what is left."""
        for column, name in enumerate(names):
            if self.stopped:
                return
            with suppress(FederationError):
                row[column] = value(name)
            self.done += 1
            self.on_progress(Progress(f"{what}: {name}", self.done, self.n_cells, "cells"))


def _fitting(
    asked: Iterable[str] | None,
    known: Iterable[str],
    value: Callable[[str], float],
    left_out: dict[str, str],
    work: _Work,
) -> dict[str, float]:
    """The value of each method with everybody honest; what was not asked for by name may be left out."""
    fitting: dict[str, float] = {}
    for name in known if asked is None else asked:
        if work.stopped:
            work.skipped = True
            break
        try:
            fitting[name] = value(name)
        except FederationError as error:
            if asked is not None:
                raise
            left_out[name] = str(error)
    return fitting
