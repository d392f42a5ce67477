"""The labels that were released, told to the parties, and what they say: each lie and each nonsense is refused."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from fi_workbench.core.identity import Identity
from fi_workbench.core.messages import Reply
from fi_workbench.parties.behaviours import Dishonest, behaviours
from fi_workbench.protocol import released
from fi_workbench.protocol.engine import run_round
from fi_workbench.protocol.policy import Policy
from fi_workbench.protocol.ports import ABSENT_KIND, ABSENT_REASON, RELEASED, ROUND_ID, Sent
from fi_workbench.protocol.released import AGREED, BY_CLIENT, BY_PARTY, LABELS, gathered, telling
from tests.harness import Table, linear_party, queries

ASKED = queries(12)
NAMES = ("Ada", "Bo", "Cy")


@pytest.fixture
def table():
    table = Table([linear_party(name) for name in NAMES])
    yield table
    table.close()


def played(table, mechanism="plain", asked=ASKED):
    """The header of a round that was answered, and the labels that came of it."""
    settings = table.settings(mechanism)
    question = table.protect(asked, settings)
    for name, side in table.sides.items():
        reply = side.handle("answer", question.messages[name])
        assert ABSENT_KIND not in reply
    return question.header, np.arange(len(asked)) % 3


def said(table, message, name="Ada"):
    return table.sides[name].handle(RELEASED, message)


def own_labels(table, name):
    return table.sides[name].party.predict(ASKED).argmax(axis=1)


def test_a_party_says_how_often_it_had_given_them_once(table):
    header, labels = played(table)
    message = telling(table.client.identity, header, labels)
    reply = said(table, message)
    assert reply[AGREED] == int((own_labels(table, "Ada") == labels).sum())
    assert set(reply) == {AGREED, BY_PARTY}
    again = said(table, message)
    assert again[ABSENT_KIND] == "refused"
    assert "told before" in again[ABSENT_REASON]
    assert AGREED in said(table, message, "Bo")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({BY_CLIENT: b"x" * 64}, "not signed by the client"),
        ({BY_CLIENT: "no bytes"}, "not signed by the client"),
        ({LABELS: np.zeros(12, np.int32)}, "not signed by the client"),
        ({LABELS: np.zeros(11, np.int32)}, "one whole number a query"),
        ({LABELS: np.zeros(12)}, "one whole number a query"),
        ({LABELS: [0] * 12}, "one whole number a query"),
        ({ROUND_ID: "0" * 32}, "no labels are held"),
        ({ROUND_ID: 7}, "no labels are held"),
    ],
)
def test_what_is_no_word_of_the_client_is_refused_and_uses_nothing_up(table, change, reason):
    header, labels = played(table)
    message = telling(table.client.identity, header, labels + (labels == 0))
    reply = said(table, {**message, **change})
    assert reply[ABSENT_KIND] == "refused"
    assert reason in reply[ABSENT_REASON]
    assert AGREED in said(table, message)


def test_another_client_or_impossible_labels_are_refused(table):
    header, labels = played(table)
    for message, reason in (
        (telling(Identity("other"), header, labels), "not signed by the client"),
        (telling(table.client.identity, header, labels + 1), "a class that there is not"),
        (telling(table.client.identity, header, labels - 1), "a class that there is not"),
    ):
        assert reason in said(table, message)[ABSENT_REASON]


def vote_read_off(mechanism_names, tells):
    """Whether a client that asks one query twelve times, and makes up labels to match, knows Ada's vote; or None."""
    asked = np.repeat(ASKED[:1], 12, axis=0)
    policy = Policy(mechanisms=mechanism_names, tells_agreement=tells)
    table = Table([linear_party(name) for name in NAMES], policies={"Ada": policy})
    try:
        question = table.protect(asked, table.settings("secure_sum"))
        outcome = run_round(table.link, question.header, question.messages, table.settings("secure_sum"))
        assert outcome.release.present == NAMES
        made_up = np.array([0] * 1 + [1] * 4 + [2] * 7, np.int32)
        reply = said(table, telling(table.client.identity, question.header, made_up))
        vote = int(table.sides["Ada"].party.predict(asked[:1]).argmax())
        return None if ABSENT_KIND in reply else {1: 0, 4: 1, 7: 2}[reply[AGREED]] == vote
    finally:
        table.close()


@pytest.mark.parametrize(
    ("mechanism_names", "tells", "read"),
    [
        ({"secure_sum"}, None, None),
        ({"secure_sum", "laplace"}, None, None),
        ({"secure_sum"}, True, True),
        ({"secure_sum", "plain"}, None, True),
        (None, None, True),
        (None, False, None),
    ],
)
def test_a_vote_that_is_hidden_cannot_be_read_off_made_up_labels(mechanism_names, tells, read):
    """It could, where the owner shows votes anyway or has it tell."""
    assert vote_read_off(mechanism_names, tells) is read


def test_few_queries_would_tell_single_answers(table):
    header, labels = played(table, asked=queries(7))
    assert "single answers" in said(table, telling(table.client.identity, header, labels))[ABSENT_REASON]


def test_what_is_held_is_bounded_and_the_oldest_give_way(table, monkeypatch):
    rounds = [played(table) for _ in range(4)]
    monkeypatch.setattr(released, "MAX_LABELS", 30)
    rounds.append(played(table))
    held = [AGREED in said(table, telling(table.client.identity, *one)) for one in rounds]
    assert held == [False, False, False, True, True]
    monkeypatch.setattr(released, "MAX_HELD", 1)
    rounds = [played(table) for _ in range(2)]
    assert [AGREED in said(table, telling(table.client.identity, *one)) for one in rounds] == [False, True]
    monkeypatch.setattr(released, "HELD_SECONDS", 0.0)
    assert "no labels are held" in said(table, telling(table.client.identity, *played(table)))[ABSENT_REASON]


def test_a_party_that_stopped_holds_nothing(table):
    header, labels = played(table)
    table.sides["Ada"].stop()
    assert "no labels are held" in said(table, telling(table.client.identity, header, labels))[ABSENT_REASON]


class Carrying:
    """A link to sides in the open, on which `change` may alter what each replies."""

    def __init__(self, table, change):
        self.table, self.change = table, change

    def exchange(self, phase, messages, *, round_id, seconds, cancelled):
        yield Sent(len(messages), 100)
        for name, message in messages.items():
            yield Reply(name, self.change.get(name, dict)(said(self.table, message, name)), 0.1, 10)


def test_a_word_that_is_not_its_partys_own_or_cannot_be_is_none(table):
    header, labels = played(table)
    message = telling(table.client.identity, header, labels)
    ada = said(table, message)  # she has spoken: a later message is refused
    change = {
        "Bo": lambda reply: {**reply, AGREED: (reply[AGREED] + 1) % 13},
        "Cy": lambda _: dict(ada),  # another's word
    }
    heard = gathered(Carrying(table, change), header, message, NAMES, 20.0, threading.Event())
    assert heard.counts == {}
    assert {one.party: one.reason.split(":")[0] for one in heard.absent} == {
        "Ada": "it says nothing",
        "Bo": "Bo did not sign how often it agrees.",
        "Cy": "Cy did not sign how often it agrees.",
    }
    assert (heard.cost.messages_out, heard.cost.messages_in, heard.cost.bytes_in) == (3, 3, 30)

    for lie in (-1, 13, True, 2.5, None, "all"):
        header, labels = played(table)
        message = telling(table.client.identity, header, labels)
        claims = {name: (lambda reply, lie=lie: {**reply, AGREED: lie}) for name in NAMES[1:]}
        heard = gathered(Carrying(table, claims), header, message, NAMES, 20.0, threading.Event())
        assert set(heard.counts) == {"Ada"}

    # a party that signs what cannot be
    header, labels = played(table)
    table.sides["Ada"].behave(Dishonest(replace(behaviours["over_claimed_agreement"], agreed=lambda n, _: 13), {}))
    message = telling(table.client.identity, header, labels)
    heard = gathered(Carrying(table, {}), header, message, NAMES, 20.0, threading.Event())
    assert set(heard.counts) == {"Bo", "Cy"}
    assert heard.absent[0].reason == "Ada says that it agrees 13 times of 12."
