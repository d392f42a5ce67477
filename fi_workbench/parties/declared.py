"""What a party declares of itself, checked: its name, its classes, the shape of its queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fi_workbench.core.errors import InvalidParty

LONGEST_NAME = 40


def check_name(name: object) -> None:
    """Nothing, if it is short printable text; raises ``InvalidParty`` otherwise."""
    if not isinstance(name, str) or not name.isprintable() or name.strip() != name or not 0 < len(name) <= LONGEST_NAME:
        raise InvalidParty(f"A party is named by 1 to {LONGEST_NAME} printable characters, not {name!r:.80}.")


def check_classes(name: str, classes: object) -> tuple[str, ...]:
    """Names of at least two different classes; raises ``InvalidParty`` otherwise."""
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not all(isinstance(c, str) for c in classes):
        raise InvalidParty(f'Party {name!r} needs its classes as names, e.g. ("normal", "pneumonia").')
    names = tuple(map(str, classes))
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise InvalidParty(f"Party {name!r} needs at least two classes with different names, not {names}.")
    return names


def check_shape(name: str, shape: object) -> tuple[int, ...]:
    """Positive whole numbers; raises ``InvalidParty`` otherwise."""
    whole = isinstance(shape, Sequence) and all(isinstance(n, int | np.integer) and n > 0 for n in shape)
    if not isinstance(shape, Sequence) or isinstance(shape, str) or not whole or len(shape) == 0:
        raise InvalidParty(
            f"Party {name!r} needs input_shape as positive whole numbers without the batch axis, e.g. (1, 28, 28), "
            f"not {shape!r}."
        )
    return tuple(int(n) for n in shape)
