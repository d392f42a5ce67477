"""A look inside secure inference: one query through one model of a federation, recorded at all three roles.

Real sessions cannot be looked into like this: the three roles are different parties. Here all of them are threads of
this process, in a session of its own with fresh keys, so that what each sends and holds can be shown side by side.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fi_workbench.aggregation import rules
from fi_workbench.aggregation.affine import affine_part
from fi_workbench.core.affine import Affine
from fi_workbench.core.arrays import check_queries
from fi_workbench.core.errors import DoesNotFit, InvalidQuery, UnknownName
from fi_workbench.mpc.assignment import Triple, triples_of
from fi_workbench.mpc.compiled import Compiled
from fi_workbench.mpc.compiler import compile_module
from fi_workbench.mpc.costs import cost
from fi_workbench.mpc.evaluating import in_the_clear
from fi_workbench.mpc.plan import FRACTION_BITS, Plan
from fi_workbench.mpc.roles import Seen
from fi_workbench.mpc.roles.messages import Name, fields_of
from fi_workbench.mpc.streams import Lot
from fi_workbench.mpc.widths import value_bits
from fi_workbench.parties.helper import owners_of
from fi_workbench.parties.party import Party
from fi_workbench.session.federation import Federation
from fi_workbench.session.rehearsal import Asked, Recorder, Rehearsal, Sent
from fi_workbench.session.secure_seen import (
    N_FIRST,
    Holding,
    Message,
    Player,
    Sample,
    SecureView,
    StepSeen,
    can_be_viewed,
)

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
    with Rehearsal(_triple(federation, owner), compiled) as rehearsal:
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


def _steps(
    compiled: Compiled, asked: NDArray[Any], rehearsal: Rehearsal, first: Asked, second: Asked
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


def _ends(recorder: Recorder, lot: Lot) -> list[float]:
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


def _messages(plan: Plan, number: int, rehearsal: Rehearsal, asked: Asked, bits: int) -> tuple[Message, ...]:
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


def _sent_bits(sent: Sent, bits: int) -> list[int]:
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
