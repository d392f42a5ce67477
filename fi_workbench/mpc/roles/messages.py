"""What the messages of a step consist of; the same at sender, receiver and in the accounts."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fi_workbench.mpc.compare.lanes import N_LANES, N_THERMOMETER
from fi_workbench.mpc.widths import SHORT
from fi_workbench.mpc.words import Field

Phase: TypeAlias = Literal["set_up", "offline", "online"]

Name: TypeAlias = Literal[
    "masked-weight",
    "masked-product",
    "reference",
    "offset",
    "mask-parts",
    "opened",
    "opened-difference",
    "top-bits",
    "lanes",
    "remask",
    "selection",
    "difference-selection",
    "sign-selection",
]


def fields_of(message: Name, n: int, bits: int) -> tuple[Field, ...]:
    """The arrays of one message.

    Parameters
    ----------
    message : str
    n : int
        Of the value that it is about: how many entries for all queries of the lot.
    bits : {48, 64}
        As many of the value that the step makes are needed.
    """
    if message in ("masked-weight", "masked-product", "remask"):
        return (Field(message.replace("-", " "), n, bits),)
    if message == "reference":  # dealer -> evaluator: shares of the thermometers of r
        return (Field("thermometer", N_THERMOMETER * n, 8),)
    if message == "offset":  # evaluator -> owner: its share of y, plus its part of r
        return (Field("offset", n, bits),)
    if message == "mask-parts":  # dealer -> owner: shares of r >> 16, and of the top bit of r
        return (Field("high mask", n, bits), Field("top mask", n, bits - 32))
    if message == "opened":  # owner -> evaluator: c >> 16
        return (Field("opened", n, SHORT - 16),)
    if message == "opened-difference":
        return (Field("opened", n, bits),)
    if message == "top-bits":
        return (Field("top bits", n, 1),)
    if message == "lanes":  # owner, evaluator -> dealer
        return (Field("lanes", N_LANES * n, 8),)
    if message == "selection":  # dealer -> owner: shares of d, d (r >> 16) and d top(r)
        return (Field("chosen", n, bits), Field("chosen mask", n, bits), Field("chosen top", n, bits - 32))
    if message == "sign-selection":
        return (Field("chosen", n, 32),)
    return (Field("chosen", n, bits), Field("chosen mask", n, bits))
