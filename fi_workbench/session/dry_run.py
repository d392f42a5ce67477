"""What a party would do if it joined, without joining: its model asked, its card shown, who would see what."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fi_workbench.core.arrays import Queries, to_simplex
from fi_workbench.core.disclosure import ITEMS, ROLES, Item
from fi_workbench.core.errors import FederationError, InvalidQuery
from fi_workbench.core.identity import Identity
from fi_workbench.parties.behaviours import Dishonest
from fi_workbench.parties.party import Party
from fi_workbench.privacy import mechanisms
from fi_workbench.privacy.mechanism import Mechanism
from fi_workbench.privacy.stack import make_mechanism
from fi_workbench.protocol.journal import Journal
from fi_workbench.protocol.party_side import PartySide
from fi_workbench.protocol.policy import Policy
from fi_workbench.session.allowance import accounts, affordable
from fi_workbench.session.budget import PartyBudget

MAX_SAMPLE_BYTES = 2**30
BATCHES = (1, 16, 64)
_N_REPEATS = 5
_MEASURING_SECONDS = 0.5


@dataclass(frozen=True)
class Latency:
    """How long the model takes for a batch.

    Parameters
    ----------
    n_queries : int
    milliseconds_per_query : float
        Median of up to five calls.
    """

    n_queries: int
    milliseconds_per_query: float


@dataclass(frozen=True)
class Shown:
    """Who would see what under one mechanism.

    Parameters
    ----------
    mechanism, explanation : str
    sees : mapping of str to tuple of str
        For each item (query, answers, ...), the roles that see it.
    assumptions : tuple of str
    """

    mechanism: str
    explanation: str
    sees: Mapping[Item, tuple[str, ...]]
    assumptions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DryRun:
    """What was found.

    Parameters
    ----------
    card : mapping
        What would be announced, as plain data.
    sample : str
        What the model was asked.
    latencies : tuple of Latency
    label_counts : tuple of int
        How often each class was the model's first choice on the sample; in the order of the classes.
    mean_confidence : float
        Mean of the highest probability.
    shown : tuple of Shown
        One for each mechanism that is accepted.
    unserved : mapping of str to str
        Mechanisms that the owner does not accept, and why.
    limits : mapping
    behaviour : str
        Empty for an honest party.
    affordable : mapping of str to int
        Where the limits have an epsilon: how many queries in all one client may ask under each mechanism with its usual
        options; 0 where it has no privacy guarantee.
    accounts : tuple of PartyBudget
        What each client was told so far, where the party has a journal.
    """

    card: Mapping[str, Any]
    sample: str
    latencies: tuple[Latency, ...]
    label_counts: tuple[int, ...]
    mean_confidence: float
    shown: tuple[Shown, ...]
    unserved: Mapping[str, str]
    limits: Mapping[str, Any]
    behaviour: str = ""
    affordable: Mapping[str, int] = field(default_factory=dict)
    accounts: tuple[PartyBudget, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data that ``json`` takes; what is infinite is None."""
        plain = asdict(self)
        for row in plain["accounts"]:
            row["epsilon"] = row["epsilon"] if row["epsilon"] < math.inf else None
        return plain


def dry_run(
    party: Party,
    policy: Policy | None = None,
    *,
    identity: Identity | None = None,
    behaviour: Dishonest | None = None,
    sample: Queries | None = None,
    journal: Journal | None = None,
) -> DryRun:
    """Ask a party's model as a federation would, and say what it would disclose; nothing leaves this process.

    Parameters
    ----------
    party : Party
    policy : Policy, optional
    identity : Identity, optional
        Its keys; fresh ones when None.
    behaviour : Dishonest, optional
    sample : array (query, *input_shape), optional
        Standard normal noise and zeros when None.
    journal : Journal, optional
        What the party remembers of its clients.

    Raises
    ------
    InvalidQuery, InvalidAnswer
        The model does not take the sample, or does not answer as declared.
    """
    policy = policy or Policy()
    asked = _usual_sample(party) if sample is None else np.asarray(sample)
    try:
        scores = to_simplex(party.predict(asked), party.outputs)
        latencies = tuple(_latency(party, asked, n_queries) for n_queries in BATCHES)
    except FederationError:
        raise
    except Exception as error:
        raise InvalidQuery(
            f"Party {party.name!r} could not answer {len(asked)} queries of shape {party.input_shape}: "
            f"{type(error).__name__}: {error}"
        ) from error
    borne = affordable(policy, party.n_classes)
    shown, unserved = _disclosures(party, policy, borne)
    side = PartySide(party, identity, policy)
    try:
        card = _plain(side)
    finally:
        side.stop()
    return DryRun(
        card=card,
        sample=f"{len(asked)} queries of noise" if sample is None else f"{len(asked)} queries of yours",
        latencies=latencies,
        label_counts=tuple(int(n) for n in np.bincount(scores.argmax(axis=1), minlength=party.n_classes)),
        mean_confidence=float(scores.max(axis=1).mean()),
        shown=shown,
        unserved=unserved,
        limits=policy.to_dict(),
        behaviour="" if behaviour is None else behaviour.name,
        affordable=borne,
        accounts=() if journal is None else accounts(party.name, journal, policy),
    )


def read_sample(path: Path, party: Party) -> NDArray[Any]:
    """Queries from an ``.npy`` file, (query, *input_shape); a single query is taken as a batch of one.

    Raises
    ------
    InvalidQuery
        No such file, or no array of numbers in it.
    """
    try:
        if path.stat().st_size > MAX_SAMPLE_BYTES:
            raise InvalidQuery(f"{path} has more than {MAX_SAMPLE_BYTES} bytes; a few dozen queries are enough.")
        array = np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, InvalidQuery):
            raise
        raise InvalidQuery(f"The sample {path} cannot be read: {error}. numpy.save writes one.") from error
    return array[None] if array.shape == party.input_shape else array


def _usual_sample(party: Party) -> NDArray[np.float32]:
    noise = np.random.default_rng(0).normal(size=(max(BATCHES), *party.input_shape)).astype(np.float32)
    noise[0] = 0.0
    return noise


def _latency(party: Party, asked: Queries, n_queries: int) -> Latency:
    batch = np.resize(asked, (n_queries, *party.input_shape))
    times: list[float] = []
    while len(times) < _N_REPEATS and sum(times) < _MEASURING_SECONDS:
        began = time.perf_counter()
        party.predict(batch)
        times.append(time.perf_counter() - began)
    return Latency(n_queries, statistics.median(times) / n_queries * 1e3)


def _disclosures(party: Party, policy: Policy, borne: Mapping[str, int]) -> tuple[tuple[Shown, ...], dict[str, str]]:
    shown, unserved = list[Shown](), dict[str, str]()
    for name, kind in mechanisms.items():
        if policy.mechanisms is not None and name not in policy.mechanisms:
            unserved[name] = "not accepted"
            continue
        if borne.get(name) == 0:
            unserved[name] = "no privacy guarantee, or more with one query than the budget holds"
            continue
        if not issubclass(kind, Mechanism):
            continue  # noise stands before a carrier, and shows nothing more
        stack = make_mechanism(name)
        stated = stack.disclosure if "class_counts" in party.facts.names() else stack.disclosure.without("class_counts")
        sees = {item: tuple(role for role in ROLES if stated.allows(role, item)) for item in ITEMS}
        shown.append(Shown(name, kind.explanation, sees, stated.assumptions))
    return tuple(shown), unserved


def _plain(side: PartySide) -> dict[str, Any]:
    card = side.card
    return {
        "name": card.name,
        "classes": list(card.classes),
        "input_shape": list(card.input_shape),
        "outputs": card.outputs,
        "model": card.model,
        "facts": sorted(card.facts),
        "capabilities": sorted(card.capabilities),
        "key": card.identity.verify_key.hex(),
    }
