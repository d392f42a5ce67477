import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import fi_workbench as fi
from fi_workbench.core.disclosure import Disclosure
from fi_workbench.core.messages import Release
from fi_workbench.privacy import mechanisms
from fi_workbench.privacy.mechanism import Mechanism
from fi_workbench.privacy.plain import SUM
from fi_workbench.widgets.desk import Desk
from tests.session.toy_link import ToyLink

CLASSES = ("cat", "dog", "owl")
N_QUERIES = 60


def eventually(holds, seconds=10.0):
    """Wait until something holds, and say whether it came to that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return False


def toy_party(name, confusion=0.2, behave=None):
    """Answers three-class queries rightly but for some confusion that is its own; `behave(queries)` comes first."""

    def model(queries):
        if behave is not None:
            behave(queries)
        rng = np.random.default_rng([len(queries), *name.encode()])
        scores = np.asarray(queries, np.float64).reshape(len(queries), -1) + confusion * rng.random((len(queries), 3))
        return scores / scores.sum(axis=1, keepdims=True)

    return fi.Party.from_callable(model, name=name, classes=CLASSES, input_shape=(3,), probe=False)


@pytest.fixture
def toy_data():
    labels = np.arange(N_QUERIES) % 3
    return np.eye(3, dtype=np.float32)[labels], labels


@pytest.fixture
def toy(request):
    """A federation of four toy parties."""
    with fi.Federation([toy_party(name, 3.0 + k) for k, name in enumerate("ABCD")], history=None) as federation:
        yield federation


@pytest.fixture(scope="session")
def demo():
    with fi.Federation.demo(n_parties=3, epochs=2, history=None) as federation:
        yield federation


@pytest.fixture
def desk(toy, toy_data):
    desk = Desk.new()
    desk.driver.take(toy, *toy_data)
    desk.state.rate = None
    desk.state.batch_size = 8
    yield desk
    desk.close()
    assert desk.wait(10)


@pytest.fixture
def only_sum():
    """A mechanism that shows the sum only; registered while the test runs."""

    @dataclass(frozen=True)
    class OnlySum(Mechanism):
        name: ClassVar[str] = "only_sum"
        explanation: ClassVar[str] = "For tests: the coordinator keeps the sum and forgets the rest."
        phases: ClassVar[tuple[str, ...]] = ("answer",)
        offers: ClassVar[str] = "sum"

        @property
        def disclosure(self):
            return Disclosure(
                {"client": frozenset({"query", "sum", "label"}), "coordinator": frozenset({"query", "sum"})}
            )

        def party_step(self, phase, state, message, context):
            if context.kind == "enrol":
                return None, {SUM + name: array for name, array in context.summand(None, None).items()}
            queries = np.asarray(message["queries"])
            summed = context.summand(queries, context.answer(queries))
            return None, {SUM + name: array for name, array in summed.items()}

        def coordinator_step(self, phase, state, replies, context):
            parts: list[Mapping[str, Any]] = [reply.body for reply in replies.values()]
            sums = {name: np.sum([part[SUM + name] for part in parts], axis=0) for name in context.components}
            return None, Release(present=tuple(replies), sums=sums or None)

    mechanisms.add("only_sum", OnlySum)
    yield "only_sum"
    mechanisms.remove("only_sum")


@pytest.fixture
def threads():
    """Names of the workbench's own threads that are alive."""
    return lambda: sorted(one.name for one in threading.enumerate() if one.name.startswith("fi-workbench"))


@pytest.fixture
def link():
    link = ToyLink()
    yield link
    link.close()


@pytest.fixture
def linked(link):
    with fi.Federation._over(link, None, None, {"history": None}) as linked:
        yield linked


@pytest.fixture
def linked_workbench(linked, toy_data):
    workbench = fi.Workbench(linked, queries=toy_data[0], labels=toy_data[1])
    workbench.state.rate, workbench.state.batch_size = None, 8
    yield workbench
    workbench.close()
    assert workbench.wait(10)
