"""What a plan costs to evaluate: bytes, messages and hops of each step, known before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fi_workbench.core.peers import Traffic
from fi_workbench.mpc.assignment import Role
from fi_workbench.mpc.plan import Conv, Dense, Maximum, Plan, Relu, Sign, Truncate
from fi_workbench.mpc.roles.messages import Name, Phase, fields_of
from fi_workbench.mpc.roles.tournament import Tournament
from fi_workbench.mpc.roles.weights import weight_shape
from fi_workbench.mpc.widths import SHORT, value_bits


@dataclass(frozen=True)
class Message:
    """One message of one step.

    Parameters
    ----------
    phase : {"set_up", "offline", "online"}
    sender, receiver : {"owner", "evaluator", "dealer"}
    name : str
    n_bytes : int
        Of its payload.
    """

    phase: Phase
    sender: Role
    receiver: Role
    name: str
    n_bytes: int


@dataclass(frozen=True)
class StepCost:
    """What one step costs.

    Parameters
    ----------
    step : int
        Its place in the plan.
    path : str
        Where it is in the model.
    messages : tuple of Message
    hops : int
        Messages online of which each waits for the one before.
    """

    step: int
    path: str
    messages: tuple[Message, ...]
    hops: int

    def traffic(self, phase: Phase, sender: Role | None = None, receiver: Role | None = None) -> Traffic:
        """What is sent in a phase: by and to whom, or by and to all."""
        found = [
            message.n_bytes
            for message in self.messages
            if message.phase == phase and sender in (None, message.sender) and receiver in (None, message.receiver)
        ]
        return Traffic(len(found), sum(found))


@dataclass(frozen=True)
class PlanCost:
    """What a plan costs for one lot, and its set-up once a session.

    Parameters
    ----------
    n_queries : int
    steps : tuple of StepCost
    """

    n_queries: int
    steps: tuple[StepCost, ...]

    @property
    def hops(self) -> int:
        """Messages online of which each waits for the one before; the client's question and answer are two more."""
        return sum(step.hops for step in self.steps)

    def traffic(self, phase: Phase, sender: Role | None = None, receiver: Role | None = None) -> Traffic:
        """What is sent in a phase: by and to whom, or by and to all."""
        found = [step.traffic(phase, sender, receiver) for step in self.steps]
        return Traffic(sum(part.n_messages for part in found), sum(part.n_bytes for part in found))


def cost(plan: Plan, n_queries: int) -> PlanCost:
    """What one lot of so many queries costs.

    Parameters
    ----------
    plan : Plan
    n_queries : int
    """
    bits = value_bits(plan)
    return PlanCost(
        n_queries,
        tuple(
            StepCost(place, step.path, tuple(_messages(plan, place, n_queries, bits[place + 1])), _hops(step.operation))
            for place, step in enumerate(plan.steps)
        ),
    )


def _hops(operation: object) -> int:
    if isinstance(operation, Maximum):
        return 3 * len(Tournament.of(operation).n_pairs)
    return 3 if isinstance(operation, Relu | Sign) else 2 if isinstance(operation, Truncate) else 0


def _messages(plan: Plan, place: int, n_queries: int, bits: int) -> Iterator[Message]:
    operation = plan.steps[place].operation
    n = n_queries * math.prod(plan.shape_of(place + 1))
    if isinstance(operation, Dense | Conv):
        yield _message("set_up", "owner", "evaluator", "masked-weight", math.prod(weight_shape(operation)), bits)
        yield _message("offline", "dealer", "evaluator", "masked-product", n, bits)
    elif isinstance(operation, Relu | Truncate):
        yield _message("offline", "evaluator", "owner", "offset", n, SHORT)
        yield _message("offline", "dealer", "owner", "mask-parts", n, bits)
        if isinstance(operation, Relu):
            yield _message("online", "owner", "evaluator", "opened", n, bits)
            yield from _comparison(n, bits)
            yield _message("online", "dealer", "owner", "selection", n, bits)
        else:
            yield _message("online", "owner", "evaluator", "top-bits", n, bits)
        yield _message("online", "evaluator", "owner", "remask", n, bits)
    elif isinstance(operation, Sign):
        yield _message("offline", "evaluator", "owner", "offset", n, SHORT)
        yield _message("online", "owner", "evaluator", "opened", n, bits)
        yield from _comparison(n, bits)
        yield _message("online", "dealer", "owner", "sign-selection", n, bits)
        yield _message("online", "evaluator", "owner", "remask", n, bits)
    elif isinstance(operation, Maximum):
        for n_pairs in Tournament.of(operation).n_pairs:
            yield _message("offline", "evaluator", "owner", "offset", n_pairs * n, bits)
            yield _message("online", "owner", "evaluator", "opened-difference", n_pairs * n, bits)
            yield from _comparison(n_pairs * n, bits)
            yield _message("online", "dealer", "owner", "difference-selection", n_pairs * n, bits)
            yield _message("online", "evaluator", "owner", "remask", n_pairs * n, bits)


def _comparison(n: int, bits: int) -> Iterator[Message]:
    yield _message("offline", "dealer", "evaluator", "reference", n, bits)
    yield _message("online", "owner", "dealer", "lanes", n, bits)
    yield _message("online", "evaluator", "dealer", "lanes", n, bits)


def _message(phase: Phase, sender: Role, receiver: Role, name: Name, n: int, bits: int) -> Message:
    return Message(phase, sender, receiver, name, sum(field.n_bytes for field in fields_of(name, n, bits)))
