"""A look inside secure inference in words, and as the rows that the page draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fi_workbench.session.secure_seen import Holding, Message, Phase, Player, Sample, SecureView, StepSeen
from fi_workbench.widgets.wording import seconds

LANES: tuple[Player, ...] = ("client", "owner", "evaluator", "dealer")
"""Players from left to right."""

COLUMNS = (
    {"name": "layer"},
    {"name": "step"},
    {"name": "makes"},
    {"name": "held"},
    {"name": "online", "unit": "bytes", "kind": "count"},
    {"name": "ahead", "unit": "bytes", "kind": "count"},
    {"name": "set-up", "unit": "bytes", "kind": "count"},
    {"name": "hops", "kind": "count"},
    {"name": "secure", "unit": "ms", "kind": "number"},
    {"name": "plain", "unit": "ms", "kind": "number"},
)
"""Of the table of all steps."""

VALUE_COLUMNS = (
    {"name": "entry", "kind": "count"},
    {"name": "in the clear", "kind": "number"},
    {"name": "from the shares", "kind": "number"},
)

ABOUT = (
    "Simulation view: one query goes through one model with all three roles as threads of this kernel, in a session of "
    "its own with fresh keys. In a real federation nobody could look at more than one column."
)
EMPTY = "Press Look inside: one query goes through the model of the party, and every message is recorded."
NOT_IN_FORCE = (
    "This page looks inside secure inference, under which nobody sees the query, an answer or another's model. Another "
    "mechanism is in force."
)
NOBODY = "No model was made by this kernel: those of other owners are private, and cannot be looked into."

_GROUPS: dict[Phase, str] = {
    "set_up": "once a session",
    "offline": "ahead of the question",
    "online": "with the question",
}

_KINDS = {
    "Dense": "linear",
    "Conv": "convolution",
    "Relu": "truncate and ReLU",
    "Truncate": "truncate",
    "Maximum": "maximum",
    "SumPool": "sum of windows",
    "Reshape": "reshape",
    "Lift": "scale",
    "Add": "add",
}

_WHAT = {
    "Dense": "The owner multiplies what it has, W (v - B); M B and A B were made ahead, so nothing is sent.",
    "Conv": "The owner convolves what it has, W (v - B); M B and A B were made ahead, so nothing is sent.",
    "Relu": "Owner and evaluator open the value under a mask; the dealer compares blinded lanes, and knows not what.",
    "Truncate": "Owner and evaluator open the value under a mask, and cut its lower half off.",
    "Maximum": "Pairs are compared as in a ReLU, and the winners go on, level by level.",
    "SumPool": "Each role sums what it has: sums of shares are shares of the sum.",
    "Reshape": "Each role puts what it has into another shape.",
    "Lift": "Owner and evaluator multiply what they have by a public number.",
    "Add": "Owner and evaluator add what they have.",
}


def size(n_bytes: int) -> str:
    """Bytes with a unit.

    >>> size(512), size(49_152), size(3_000_000)
    ('512 B', '49.2 kB', '3 MB')
    """
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} B"


def title(view: SecureView, number: int) -> str:
    """Which step is looked at."""
    step = view.steps[number]
    where = f" at {step.path}" if step.path else ""
    return f"Step {number + 1} of {len(view.steps)}: {_KINDS.get(step.kind, step.kind.lower())}{where}"


def about(step: StepSeen) -> str:
    """What happens in a step."""
    return _WHAT.get(step.kind, "")


def players(view: SecureView, colours: Mapping[str, int]) -> dict[str, Sequence[Any]]:
    """Who stands in which lane, for a flow of messages."""
    names = [view.player.get(role, "you") for role in LANES]
    return {"players": names, "roles": list(LANES), "colours": [colours.get(name) for name in names]}


def sent(step: StepSeen) -> list[dict[str, Any]]:
    """The messages of a step, one line for each array."""
    found = []
    for message in step.messages:
        for place, array in enumerate(message.arrays):
            found.append(_sent(message, array, first=place == 0))
    return found


def _sent(message: Message, array: Sample, first: bool) -> dict[str, Any]:
    more = f": {array.name}" if len(message.arrays) > 1 else ""
    told = f"{message.name}{more}" if first else f"and {array.name}"
    if array.name == "sealed":
        told = f"{message.name} (sealed)"
    return {
        "group": _GROUPS[message.phase],
        "sender": LANES.index(message.sender),
        "receiver": LANES.index(message.receiver),
        "name": told,
        "size": size(message.n_bytes) if first else "",
        **_looks(array),
    }


def holds(step: StepSeen) -> list[dict[str, Any]]:
    """What each role holds after a step, one line each, lane by lane."""
    ordered = sorted(step.holdings, key=lambda one: (list(_GROUPS).index(one.phase), LANES.index(one.role)))
    return [_held(one) for one in ordered]


def _held(one: Holding) -> dict[str, Any]:
    lane, array = LANES.index(one.role), one.array
    looks = _looks(array)
    if array.name == "weight":  # the one thing in the clear, and its owner's
        looks |= {"said": "its own", "fair": None}
    return {"group": _GROUPS[one.phase], "sender": lane, "receiver": lane, "name": array.name,
            "size": f"{array.n} x {array.bits} bit", **looks}  # fmt: skip


def _looks(array: Sample) -> dict[str, Any]:
    said = {True: "uniform", False: "not uniform", None: "too few to tell"}[array.uniform]
    return {"first": " ".join(array.first), "counts": array.counts, "said": said, "fair": array.uniform}


def compared(step: StepSeen) -> list[tuple[int, float, float]]:
    """The first values of a step, in the clear and as put together."""
    return [(k + 1, plain, secure) for k, (plain, secure) in enumerate(zip(step.plain, step.secure, strict=True))]


def compared_note(step: StepSeen) -> str:
    """How far both are apart, and what each took."""
    return (
        f"Simulation view: only here are both shares in one place. The largest difference over all values is "
        f"{step.difference:.2g}. In the clear {seconds(step.plain_seconds)}, secure {seconds(step.secure_seconds)}."
    )


def table_rows(view: SecureView) -> list[tuple[Any, ...]]:
    """One row a step."""
    return [
        (step.path or "-", _KINDS.get(step.kind, step.kind), " x ".join(map(str, step.shape)), step.held,
         step.n_bytes("online"), step.n_bytes("offline"), step.n_bytes("set_up"), step.hops,
         1000 * step.secure_seconds, 1000 * step.plain_seconds)
        for step in view.steps
    ]  # fmt: skip


def totals(view: SecureView) -> str:
    """The whole model in a sentence."""
    hops = sum(step.hops for step in view.steps)
    return (
        f"One query through {view.party}'s model: {size(view.n_bytes('online'))} online in {hops} hops between the "
        f"roles and {seconds(view.online_seconds)}, {size(view.n_bytes('offline'))} ahead of it in "
        f"{seconds(view.offline_seconds)}, {size(view.n_bytes('set_up'))} once a session in "
        f"{seconds(view.set_up_seconds)}. The model in the clear takes {seconds(view.plain_seconds)}; the answers "
        f"differ by at most {view.difference:.2g}."
    )
