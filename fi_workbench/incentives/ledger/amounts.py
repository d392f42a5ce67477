"""Amounts: whole micro-units, as a ledger counts, and units with six decimals, as people write."""

from __future__ import annotations

import operator
from decimal import Decimal, InvalidOperation

from fi_workbench.core.errors import InvalidAmount

MICRO = 1_000_000
"""Micro-units in a unit."""

MAX_AMOUNT = 2**53
"""The largest amount of one transaction: every JSON reader has whole numbers up to here."""

MAX_TOTAL = 2**62
"""The most that a ledger holds altogether; SQLite's integers go to 2**63 - 1."""


def checked_amount(amount: object, least: int = 1) -> int:
    """``amount`` as an int of micro-units.

    Raises
    ------
    InvalidAmount
        If it is no whole number (a float or a bool is none), less than ``least`` or more than ``MAX_AMOUNT``.
    """
    if type(amount) is int and least <= amount <= MAX_AMOUNT:
        return amount  # a ledger of a million rounds has ten million of them
    try:
        if isinstance(amount, bool):
            raise TypeError
        whole = operator.index(amount)  # type: ignore[arg-type]  # what has no index raises
    except TypeError:
        raise InvalidAmount(
            f"An amount of {amount!r:.40} is no whole number of micro-units (a unit is {MICRO})."
        ) from None
    if not least <= whole <= MAX_AMOUNT:
        raise InvalidAmount(f"An amount of {whole} micro-units cannot be booked; it goes from {least} to {MAX_AMOUNT}.")
    return whole


def units(amount: int) -> str:
    """Micro-units as units, with all six decimals.

    >>> units(1_500_000), units(-1)
    ('1.500000', '-0.000001')
    """
    whole, rest = divmod(abs(amount), MICRO)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:06d}"


def parse_units(text: str) -> int:
    """Units as people write them, in micro-units, exactly.

    Raises
    ------
    InvalidAmount
        If it is no number, has more than six decimals, or is no amount that can be booked.

    >>> parse_units("1.5")
    1500000
    """
    try:
        number = Decimal(text.strip())
        if not number.is_finite() or number.adjusted() > 18:
            raise InvalidOperation
        scaled = number.scaleb(6)
        micro = int(scaled)
    except InvalidOperation:
        raise InvalidAmount(f"{text!r:.40} is no amount; write units such as 1.5.") from None
    if micro != scaled or len(number.as_tuple().digits) > 24:
        raise InvalidAmount(f"{text!r:.40} has more than six decimals; the smallest amount is 0.000001.")
    return checked_amount(micro)
