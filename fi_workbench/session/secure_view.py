"""A look inside secure inference: one query through one model of a federation, recorded at all three roles.

Real sessions cannot be looked into like this: the three roles are different parties. Here all of them are threads of
this process, in a session of its own with fresh keys, so that what each sends and holds can be shown side by side.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.aggregation import rules
from fi_workbench.aggregation.affine import affine_part
from fi_workbench.core.affine import Affine
from fi_workbench.core.arrays import check_queries
from fi_workbench.core.errors import DoesNotFit, InvalidQuery, UnknownName
from fi_workbench.core.peers import Buffer, Peers
from fi_workbench.mpc.assignment import Triple, triples_of
from fi_workbench.mpc.client import SecureClient
from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.compiler import compile_module
from fi_workbench.mpc.costs import cost
from fi_workbench.mpc.crew import Crew
from fi_workbench.mpc.evaluating import in_the_clear
from fi_workbench.mpc.keys import SessionKey, channel_secrets
from fi_workbench.mpc.party import SecureParty
from fi_workbench.mpc.plan import FRACTION_BITS, Plan
from fi_workbench.mpc.roles import Seen
from fi_workbench.mpc.roles.messages import Name, fields_of
from fi_workbench.mpc.session import Session
from fi_workbench.mpc.streams import Lot
from fi_workbench.mpc.watched import WatchedPeers
from fi_workbench.mpc.widths import value_bits
from fi_workbench.parties.helper import owners_of
from fi_workbench.parties.party import Party
from fi_workbench.session.federation import Federation
from fi_workbench.session.secure_seen import (
    N_FIRST,
    Holding,
    Message,
    Phase,
    Player,
    Sample,
    SecureView,
    StepSeen,
    can_be_viewed,
)
from fi_workbench.transport.peers.in_process import InProcessNetwork, Switchboard

LIMIT_SECONDS = 120.0

INPUT_BOUND = 8.0
"""Of a query, where the federation's mechanism says nothing of it."""


def secure_view(federation: Federation, party: str | None = None, query: ArrayLike | None = None) -> SecureView:
    r"""Send one query through one party's model under secure inference, and record what each role sees of it.

    Parameters
    ----------
    federation : Federation
        Its party must have been made by this kernel; the mechanism in force does not matter.
    party : str, optional
        Whose model; the first that can be shown.
    query : array (\*input_shape), optional
        The first of the federation's test set where not given.

    Returns
    -------
    SecureView

    Raises
    ------
    UnknownName
        No party of that name.
    DoesNotFit
        Its model is not here, or cannot be computed with; its layer is named.
    InvalidQuery
        A query of the wrong shape, or out of range, or none where the federation has no data set.
    """
    owner = _owner(federation, party)
    carrier = federation.settings.mechanism.carrier
    bound = float(getattr(carrier, "input_bound", INPUT_BOUND))
    asked = check_queries(_query(federation, query)[None], owner.input_shape)
    output, module = _output(federation, owner), owner.module
    assert module is not None  # noqa: S101 (for the type checker: _owner has looked)
    compiled = compile_module(
        module, owner.input_shape, input_bound=bound, sample=owner.sample, output=output, name=owner.name
    )
    clock = time.perf_counter()
    logits = np.asarray(owner.predict(asked), np.float64)
    plain_seconds = time.perf_counter() - clock
    expected = logits if output is None else logits @ output.matrix.T + output.offset
    with _Rehearsal(_triple(federation, owner), compiled) as rehearsal:
        first, opened = rehearsal.ask(asked)
        second, _ = rehearsal.ask(asked)  # timed: looking at it has cost nothing
    return SecureView(
        party=owner.name,
        players=tuple(vars(rehearsal.triple).items()),
        steps=_steps(compiled, asked, rehearsal, first, second),
        plain_seconds=plain_seconds,
        set_up_seconds=rehearsal.set_up_seconds,
        offline_seconds=rehearsal.offline_seconds(first.lot),
        online_seconds=second.seconds,
        difference=float(np.abs(opened - expected).max()),
    )


def _owner(federation: Federation, name: str | None) -> Party:
    known = {one.name: one for one in owners_of(federation.parties)}
    if name is not None and name not in known:
        raise UnknownName("party", name, known)
    for party in known.values():
        if name in (None, party.name) and can_be_viewed(party):
            return party
    whose = f"The model of {name!r}" if name else "Every model"
    raise DoesNotFit(
        f"{whose} is private, or no torch module that returns logits: only models that this kernel made can be shown. "
        "Look at a demo: fi.secure_view(fi.Federation.demo())."
    )


def _query(federation: Federation, query: ArrayLike | None) -> NDArray[Any]:
    if query is not None:
        return np.asarray(query)
    if federation.dataset is None:
        raise InvalidQuery("This federation has no data set to take a query from: give one.")
    return np.asarray(federation.dataset.test_images[0])


def _output(federation: Federation, owner: Party) -> Affine | None:
    """What the rule takes of the logits, where that needs no sum over all parties first."""
    rule = rules[federation.settings.rule]
    if rule.affine is None or rule.enrolment is not None:
        return None
    claimed = {name: getattr(owner.facts, name) for name in rule.facts}
    summand = affine_part(rule, claimed, {}, owner.n_classes, dict(federation.settings.rule_options))
    return Affine.stacked(summand.maps)


def _triple(federation: Federation, owner: Party) -> Triple:
    """Who would play the roles for this model; helpers where the federation is too small."""
    owners = [one.name for one in owners_of(federation.parties)]
    helpers = [one.name for one in federation.parties if one.is_helper]
    while len(owners) + len(helpers) < 3:
        helpers.append(f"helper {len(helpers) + 1}")
    return next(one for one in triples_of(owners, helpers) if one.owner == owner.name)


# recording


@dataclass(frozen=True, eq=False)
class _Held:
    when: float
    seen: Seen


@dataclass(frozen=True, eq=False)
class _Sent:
    when: float
    place: tuple[Phase, int, int, int]  # phase, n_queries, lot, step
    sender: str
    receiver: str
    name: str
    n_bytes: int
    arrays: tuple[tuple[str, NDArray[Any]], ...]


@dataclass(frozen=True, eq=False)
class _Asked:
    lot: Lot
    sealed: Mapping[str, bytes]
    answers: Mapping[str, bytes]
    seconds: float


class _Recorder:
    """What was sent and held, in its order; arrays of the first lot and the set-up, times of all."""

    def __init__(self) -> None:
        self.held: list[_Held] = []
        self.sent: list[_Sent] = []
        self._sending = threading.local()

    def see(self, seen: Seen) -> None:
        if seen.act == "holds":
            self.held.append(_Held(time.perf_counter(), seen))
        elif seen.act == "sends":
            self._sending.arrays = [*getattr(self._sending, "arrays", []), (seen.name, seen.array)]

    def send(self, sender: str, receiver: str, tag: str, parts: tuple[Buffer, ...]) -> None:
        arrays, self._sending.arrays = tuple(getattr(self._sending, "arrays", ())), []
        _, phase, *rest = tag.split("/")
        if len(rest) != 3:  # the root of the query masks, which no role's step sends
            return
        lot, step, name = rest
        n_queries, index = map(int, lot.split("."))
        n_bytes = sum(memoryview(part).nbytes for part in parts)
        self.sent.append(
            _Sent(time.perf_counter(), (phase, n_queries, index, int(step)), sender, receiver, name, n_bytes, arrays)  # type: ignore[arg-type]
        )


class _RecordedPeers(WatchedPeers):
    def __init__(self, peers: Peers, recorder: _Recorder) -> None:
        super().__init__(peers)
        self._recorder = recorder

    def send(self, to: str, tag: str, *parts: Buffer) -> None:
        self._recorder.send(self.me, to, tag, parts)
        super().send(to, tag, *parts)


class _Rehearsal:
    """One session of one model, its three roles in this process; a context manager that sets it up and ends it."""

    def __init__(self, triple: Triple, compiled: Compiled) -> None:
        self.triple, self.compiled, self.recorder = triple, compiled, _Recorder()
        names = (triple.owner, triple.evaluator, triple.dealer)
        keys, client_key = {name: SessionKey() for name in names}, SessionKey()
        self.session = Session(
            binding=secrets.token_bytes(32),
            client_public=client_key.public,
            triples=(triple,),
            plans={triple.owner: compiled.plan},
            versions={triple.owner: secrets.token_hex(16)},
            publics={name: key.public for name, key in keys.items()},
            pool_size=1,
            first_size=1,
        )
        self._keys, self.client = keys, SecureClient(self.session, client_key)
        self._crew, self._switchboard = Crew("fi secure view"), Switchboard()
        self._parties: dict[str, SecureParty] = {}
        self.set_up_seconds = 0.0

    def __enter__(self) -> _Rehearsal:
        try:
            clock = time.perf_counter()
            self._parties = self._all(self._joined)
            self._all(lambda name, end: self._parties[name].set_up(end))
            self.set_up_seconds = time.perf_counter() - clock
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for party in self._parties.values():
            party.close()
        self._crew.close()

    def ask(self, queries: NDArray[Any]) -> tuple[_Asked, NDArray[np.float64]]:
        """One question, and what the client opens."""
        clock = time.perf_counter()
        lot, sealed = self.client.ask(queries)
        answers = self._all(lambda name, end: self._parties[name].answer(lot, sealed[name], end))
        opened = self.client.open(lot, answers)
        return _Asked(lot, sealed, answers, time.perf_counter() - clock), opened

    def offline_seconds(self, lot: Lot) -> float:
        """From the first thing that was made ahead for a lot to the last."""
        whens = [one.when for one in self.recorder.held if one.seen.lot == lot and one.seen.phase == "offline"]
        whens += [one.when for one in self.recorder.sent if one.place[:3] == ("offline", lot.n_queries, lot.index)]
        return max(whens) - min(whens) if whens else 0.0

    def role_of(self, name: str) -> Player:
        role = self.triple.role_of(name)
        if role is None:
            raise UnknownName("member", name, self.session.members)
        return role

    def _joined(self, name: str, end: float) -> SecureParty:
        session, key = self.session, self._keys[name]
        near = dict.fromkeys(session.peers_of(name), b"")
        network = InProcessNetwork(self._switchboard, name)
        peers = network.connect(session.id, name, near, channel_secrets(session, name, key), end)
        compiled = self.compiled if name == self.triple.owner else None
        return SecureParty(
            session, name, key, _RecordedPeers(peers, self.recorder), compiled, observer=self.recorder.see
        )

    def _all(self, call: Callable[[str, float], Any]) -> dict[str, Any]:
        """The same of all three, at the same time."""
        end = time.monotonic() + LIMIT_SECONDS
        names = self.session.members
        results = self._crew.run([lambda name=name: call(name, end) for name in names], end)  # type: ignore[misc]
        return dict(zip(names, results, strict=True))


# what came of it


def _steps(
    compiled: Compiled, asked: NDArray[Any], rehearsal: _Rehearsal, first: _Asked, second: _Asked
) -> tuple[StepSeen, ...]:
    plan, bits = compiled.plan, value_bits(compiled.plan)
    costs = cost(plan, len(asked)).steps
    ends = _ends(rehearsal.recorder, second.lot)
    clear = _in_the_clear(compiled, asked)
    steps = []
    for number, step in enumerate(plan.steps):
        held = [
            one.seen for one in rehearsal.recorder.held if one.seen.step == number and one.seen.lot in (None, first.lot)
        ]
        together = _together(held, step.held, bits[number + 1])
        value, seconds = clear[number]
        steps.append(
            StepSeen(
                number, step.path, type(step.operation).__name__, step.shape, step.held,
                _messages(plan, number, rehearsal, first, bits[number + 1]),
                tuple(Holding(one.role, one.phase, _held_sample(one, bits, number)) for one in held),
                costs[number].hops, seconds, ends[number + 1] - ends[number],
                _some(value), _some(together), float(np.abs(value.reshape(-1) - together).max()),
            )
        )  # fmt: skip
    return tuple(steps)


def _ends(recorder: _Recorder, lot: Lot) -> list[float]:
    """When the owner had the question, and each step's value."""
    return [
        one.when
        for one in recorder.held
        if one.seen.role == "owner" and one.seen.phase == "online" and one.seen.lot == lot
    ]


def _in_the_clear(compiled: Compiled, asked: NDArray[Any]) -> list[tuple[NDArray[np.float64], float]]:
    """Each step's value in real numbers, and how long it took."""
    found, clock = [], time.perf_counter()
    for value in in_the_clear(compiled, asked):
        now = time.perf_counter()
        found.append((value, now - clock))
        clock = now
    return found


def _together(held: list[Seen], kind: str, bits: int) -> NDArray[np.float64]:
    """The value itself, which nobody has: what the owner holds of it plus what the evaluator does."""
    name = {"masked": ("masked value", "mask"), "shared": ("share", "share")}[kind]
    parts = [
        next(one.array for one in held if one.role == role and one.name == part and one.phase == phase)
        for role, part, phase in zip(("owner", "evaluator"), name, ("online", "offline"), strict=True)
    ]
    words = (parts[0].astype(np.uint64) + parts[1].astype(np.uint64)).reshape(-1)
    above = np.uint64(64 - bits)
    signed = (words << above).view(np.int64) >> np.int64(64 - bits)
    return signed / 2.0 ** (FRACTION_BITS if kind == "masked" else 2 * FRACTION_BITS)


def _held_sample(seen: Seen, bits: tuple[int, ...], number: int) -> Sample:
    if seen.phase == "set_up":
        return Sample.of(seen.name, seen.array, 64)
    return Sample.of(seen.name, seen.array, bits[0] if seen.name == "masked query" else bits[number + 1])


def _messages(plan: Plan, number: int, rehearsal: _Rehearsal, asked: _Asked, bits: int) -> tuple[Message, ...]:
    lot = (asked.lot.n_queries, asked.lot.index)
    found = []
    for sent in sorted(rehearsal.recorder.sent, key=lambda one: one.when):
        phase, n_queries, index, step = sent.place
        if step != number or not (phase == "set_up" or (n_queries, index) == lot):
            continue
        arrays = tuple(
            Sample.of(label, array, n_bits)
            for (label, array), n_bits in zip(sent.arrays, _sent_bits(sent, bits), strict=True)
        )
        sender, receiver = rehearsal.role_of(sent.sender), rehearsal.role_of(sent.receiver)
        found.append(Message(phase, number, sender, receiver, sent.name.replace("-", " "), sent.n_bytes, arrays))
    before, after = [], []
    if number == 0:
        before = [_sealed(rehearsal.role_of(to), True, data) for to, data in asked.sealed.items()]
    if number == len(plan.steps) - 1:
        senders = {name: asked.answers[name] for name in rehearsal.session.senders}
        after = [_sealed(rehearsal.role_of(who), False, data, number) for who, data in senders.items()]
    phases = ("set_up", "offline")
    ahead = [one for one in found if one.phase in phases]
    return (*sorted(ahead, key=lambda one: phases.index(one.phase)), *before,
            *(one for one in found if one.phase == "online"), *after)  # fmt: skip


def _sent_bits(sent: _Sent, bits: int) -> list[int]:
    """Of each array of a message, the bits of an entry that were sent."""
    name: Name = sent.name.split(".")[0]  # type: ignore[assignment]  # tags are made of these
    if name == "offset":  # as wide as what is opened with it, which is not always as wide as the value
        return [8 * sent.n_bytes // sent.arrays[0][1].size]
    return [field.bits for field in fields_of(name, 1, bits)]


def _sealed(role: Player, asks: bool, data: bytes, step: int = 0) -> Message:
    array = Sample.of("sealed", np.frombuffer(data, np.uint8), 8)
    if asks:
        return Message(
            "online", step, "client", role, "masked query" if role == "owner" else "which lot", len(data), (array,)
        )
    return Message("online", step, role, "client", "share of the output", len(data), (array,))


def _some(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(value) for value in values.reshape(-1)[:N_FIRST])
