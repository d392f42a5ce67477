import threading

import numpy as np
import pytest

import fi_workbench as fi
from tests.harness import CLASSES, HANG, SHAPE, linear_party, registered
from tests.session.toys import Fresh, Laplace, Rounded, SumsOnly

NAMES = ("Ada", "Bo", "Cy")


@pytest.fixture
def make():
    """Federations of linear parties, closed at the end."""
    made = []

    def federation(names=NAMES, *, parties=None, history=None, **settings):
        parties = [linear_party(name) for name in names] if parties is None else parties
        made.append(fi.Federation(parties, history=history, **settings))
        return made[-1]

    yield federation
    for one in made:
        one.close()


@pytest.fixture
def toys():
    kinds = (SumsOnly, Laplace, Rounded, Fresh)
    stack = [registered(kind) for kind in kinds]
    for one in stack:
        one.__enter__()
    yield kinds
    for one in stack:
        one.__exit__(None, None, None)


class Troubled:
    """A party that does as it is told: answers, raises, hangs, or returns rubbish."""

    def __init__(self, name="Bo"):
        self.mood, self.n_asked, self.go_on = "well", 0, threading.Event()
        self._party = linear_party(name)
        self.party = fi.Party.from_callable(
            self, name=name, classes=CLASSES, input_shape=SHAPE, outputs="logits", class_counts=[1, 2, 3], probe=False
        )

    def __call__(self, asked):
        self.n_asked += 1
        mood = self.mood(self.n_asked) if callable(self.mood) else self.mood
        if mood == "raises":
            raise RuntimeError("as told")
        if mood == "hangs":
            self.go_on.wait(HANG)
        answer = self._party.function(asked)
        if mood == "garbage":
            return answer[:, :2]
        return answer * np.nan if mood == "nan" else answer


@pytest.fixture
def troubled():
    party = Troubled()
    yield party
    party.go_on.set()
