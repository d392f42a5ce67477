"""What leaks to one role about one party: the meters of leakage, on what real rounds show.

The role's eyes are those of the mechanism in force: where it sees each answer, the meters get each answer of the
target; where it sees a sum, the released scores of all; where it sees the label, that. The attacker is otherwise given
much: labelled samples of the same kind, and the very samples whose membership is asked about. A figure at its baseline
says that this attacker found nothing, not that none could.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.core.arrays import Queries, to_simplex
from fi_workbench.core.errors import InvalidData, InvalidOption
from fi_workbench.core.progress import OnProgress, quiet
from fi_workbench.parties import Party
from fi_workbench.privacy.meters import Meter, Sight
from fi_workbench.privacy.meters import meters as all_meters
from fi_workbench.session.leaking.asking import Eyes, Seen, look
from fi_workbench.session.leaking.measuring import Measuring
from fi_workbench.session.leaking.result import AttackerRole, Leakage
from fi_workbench.session.leaking.samples import Labelled, Samples, choose_samples

if TYPE_CHECKING:
    from fi_workbench.session.federation import Federation

_ASKED: tuple[str, ...] = ("members", "non_members", "reference", "probes")

_UNKNOWN_MEMBERS = (
    "What {target} was trained on is known only where this kernel trained it; give members=(queries, labels)."
)

_WAYS_OUT = {
    "members": _UNKNOWN_MEMBERS,
    "non_members": _UNKNOWN_MEMBERS,
    "prior": "The class shares of {target} are private; they are known where this kernel made it, or give prior=....",
    "held_out": "The model of {target} is elsewhere and its answers are hidden: there is nothing to judge a copy by.",
}


def leakage(
    federation: Federation,
    role: AttackerRole = "coordinator",
    target: str | None = None,
    *,
    members: Labelled | None = None,
    non_members: Labelled | None = None,
    own: Labelled | None = None,
    prior: ArrayLike | None = None,
    meters: Iterable[str] | None = None,
    meter_options: Mapping[str, Mapping[str, Any]] | None = None,
    n_samples: int = 500,
    n_probes: int = 400,
    batch_size: int = 256,
    seed: int = 0,
    on_progress: OnProgress = quiet,
    cancelled: threading.Event | None = None,
) -> Leakage:
    """Measure what one role can find out about one party under the present settings.

    The federation is asked in real rounds, without pay: they are in its history, and every query counts against the
    parties' budgets; :func:`n_leakage_queries` says how many beforehand. A role that sees nothing of the answers costs
    no round: its figures are those of chance.

    Parameters
    ----------
    federation : Federation
    role : {"coordinator", "client", "other_parties", "wire"}
    target : str, optional
        Name of the party; the first one otherwise.
    members : (queries, labels), optional
        Samples that the target was trained on; where this kernel trained it, known. Without them, membership is left
        out.
    non_members : (queries, labels), optional
        Samples that no party was trained on; the federation's test set otherwise. Four in ten are the attacker's own.
    own : (queries, labels), optional
        Samples that the attacker trains models on and spends on copying; where the parties are demo parties, what the
        target does not hold. The attacker's part of ``non_members`` otherwise.
    prior : array (class,), optional
        The true class shares of the target; known where this kernel made it.
    meters : iterable of str, optional
        Names in :data:`fi_workbench.privacy.meters.meters`; all that can be run otherwise.
    meter_options : mapping of str to mapping, optional
        Options of meters, by name.
    n_samples, n_probes : int
        At most so many members (and as many non-members), and queries spent on copying.
    batch_size : int
        Queries of a round.
    seed : int
        Of every choice and every model that the attacker trains; equal seeds on equal answers give equal figures.
    on_progress : callable
        Told of each round and each step of a meter.
    cancelled : Event, optional
        Set it from another thread to stop: what is measured by then is returned.

    Raises
    ------
    UnknownName, InvalidOption
        A role, party, meter or option that there is not.
    InvalidData
        A meter asked for by name that needs what is not there.
    MissingData
        No samples that nobody was trained on.
    NotDisclosed
        The role sees each answer and the client does not, so that it cannot be measured from here.
    NoAnswer
        The target answered nothing.
    """
    if batch_size < 1:
        raise InvalidOption(f"batch_size must be 1 or more, not {batch_size!r}.")
    began, stop = time.perf_counter(), cancelled or threading.Event()
    eyes = Eyes.of(federation, role, target)
    samples = choose_samples(
        federation, eyes.target, members=members, non_members=non_members, own=own, n_samples=n_samples,
        n_probes=n_probes, seed=seed,
    )  # fmt: skip
    shares = _class_shares(eyes.target, prior)
    chosen = [all_meters[name] for name in (all_meters if meters is None else dict.fromkeys(meters))]
    fitting, left_out = _fitting(federation, eyes, chosen, samples, shares is not None)
    if meters is not None and left_out:
        name, why = next(iter(left_out.items()))
        raise InvalidData(f"Meter {name!r} cannot be run. {why}")
    work = Measuring(eyes, fitting, meter_options or {}, left_out, on_progress, stop)
    seen = Seen({})
    if eyes.sees == "nothing":
        work.by_chance(len(federation.classes), shares)
    else:
        parts = samples.asked(_parts(federation, fitting))
        work.n_rounds = -(-sum(len(held[1]) for held in parts.values()) // batch_size)
        seen = look(
            federation, eyes, parts, batch_size=batch_size, seed=seed, cancelled=stop, on_round=work.round_begins
        )
        work.measure(_sight(federation, eyes, fitting, samples, seen, shares), seed)
    settings = federation.settings
    n_members, n_non_members, n_reference, n_probes = map(seen.size, _ASKED)
    return Leakage(
        role=role,
        target=eyes.target.name,
        rule=settings.rule,
        mechanism=settings.mechanism.name,
        sees=eyes.sees,
        seen=eyes.words,
        rows=tuple(work.rows),
        curves=work.curves,
        left_out=work.left_out,
        n_members=n_members,
        n_non_members=n_non_members,
        n_reference=n_reference,
        n_probes=n_probes,
        n_rounds=seen.n_rounds,
        n_queries=seen.n_queries,
        seconds=time.perf_counter() - began,
        complete=seen.complete and not work.stopped,
    )


def n_leakage_queries(
    federation: Federation,
    role: AttackerRole = "coordinator",
    target: str | None = None,
    *,
    meters: Iterable[str] | None = None,
    prior: ArrayLike | None = None,
    **samples: Any,
) -> int:
    """How many queries :func:`leakage` would ask, so that the price can be weighed before.

    Parameters
    ----------
    federation, role, target, meters, prior
        As there.
    **samples
        ``members``, ``non_members``, ``own``, ``n_samples``, ``n_probes`` and ``seed``, as there.
    """
    eyes = Eyes.of(federation, role, target)
    if eyes.sees == "nothing":
        return 0
    chosen = choose_samples(federation, eyes.target, **samples)
    named = [all_meters[name] for name in (all_meters if meters is None else meters)]
    fitting, _ = _fitting(federation, eyes, named, chosen, _class_shares(eyes.target, prior) is not None)
    return sum(len(held[1]) for held in chosen.asked(_parts(federation, fitting)).values())


def _fitting(
    federation: Federation, eyes: Eyes, chosen: Iterable[Meter], samples: Samples, knows_prior: bool
) -> tuple[list[Meter], dict[str, str]]:
    """The meters that have what they need, and why the others have not; before anybody is asked."""
    missing = {part for part in ("members", "non_members") if getattr(samples, part) is None}
    if not knows_prior:
        missing.add("prior")
    if federation.link is not None and eyes.sees not in ("answers", "votes"):
        missing.add("held_out")
    if eyes.sees == "nothing":
        missing = set()  # chance needs nothing
    left_out = {
        meter.name: _WAYS_OUT[min(lacking)].format(target=eyes.target.name)
        for meter in chosen
        if (lacking := meter.needs & missing)
    }
    return [meter for meter in chosen if meter.name not in left_out], left_out


def _parts(federation: Federation, chosen: Iterable[Meter]) -> list[str]:
    """The uses of samples that must be asked about, for these meters."""
    needed = {part for meter in chosen for part in meter.needs}
    parts: list[str] = [part for part in _ASKED if part in needed]
    # where the target's model is not at hand, its answers are the truth, as far as they are seen
    return [*parts, "held_out"] if "held_out" in needed and federation.link is not None else parts


def _sight(
    federation: Federation,
    eyes: Eyes,
    chosen: Iterable[Meter],
    samples: Samples,
    seen: Seen,
    prior: NDArray[np.float64] | None,
) -> Sight:
    parts = {part: seen.samples.get(part) for part in _ASKED}
    truth: tuple[Queries, NDArray[Any]] | None = None
    if "held_out" in seen.samples:
        truth = seen.samples["held_out"].queries, seen.samples["held_out"].scores
    elif federation.link is None and any("held_out" in meter.needs for meter in chosen):
        queries = samples.held_out[0]
        truth = queries, to_simplex(eyes.target.predict(queries), eyes.target.outputs)
    return Sight(**parts, own=samples.own, held_out=truth, prior=prior)


def _class_shares(target: Party, prior: ArrayLike | None) -> NDArray[np.float64] | None:
    counts = target.facts.class_counts if prior is None and target.made_here else prior
    if counts is None:
        return None
    shares = np.asarray(counts, dtype=np.float64)
    if shares.shape != (target.n_classes,) or not np.isfinite(shares).all() or (shares < 0).any() or shares.sum() <= 0:
        raise InvalidOption(f"prior must be {target.n_classes} class shares: none negative, one of them positive.")
    return np.asarray(shares / shares.sum())
