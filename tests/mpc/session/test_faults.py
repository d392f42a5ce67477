"""A peer that dies, is silent, or sends the wrong length, at every message of the protocol."""

from __future__ import annotations

import time
from functools import cache

import pytest

from fi_workbench.core.peers import PeerFault
from fi_workbench.mpc.lots import LotUsed
from fi_workbench.mpc.session import SessionEnded
from tests.mpc.session.rig import Board, Rig, first_error, queries_of

SECONDS, SILENCE_SECONDS = 20.0, 0.4
"""What is noticed at once does not wait for its deadline; silence is noticed at it."""

N_MESSAGES_ALONE, N_MESSAGES_ROTATING, N_MESSAGES_LABEL = 13, 39, 16

KINDS = ("dies", "is silent", "sends too little", "sends too much", "sends nothing")


@cache
def messages(n_owners: int, n_helpers: int, opens: str = "sum") -> tuple[tuple[str, str, str], ...]:
    """All of a session's first question: from whom, to whom, tag; in one fixed order."""
    with Rig(n_owners, n_helpers, opens=opens, pool_size=0) as rig:
        rig.ask(queries_of(1))
        return tuple(sorted({(sender, to, tag) for sender, to, tag, _ in rig.board.log}))


@cache
def label_messages() -> tuple[tuple[str, str, str], ...]:
    """Those of three models' first question that are about the label."""
    with Rig(3, opens="label", pool_size=0) as rig:
        number = rig.session.label_number
    return tuple(place for place in messages(3, 0, "label") if place[2].startswith(f"{number}/"))


def board_with(place: tuple[str, str, str], kind: str) -> Board:
    board = Board()

    def tamper(sender: str, to: str, tag: str, message: bytes) -> bytes | None:
        if (sender, to, tag) != place:
            return message
        if kind == "dies":
            board.peers(sender).close()
        changed = {"sends too little": message[:-1], "sends too much": message + b"\0", "sends nothing": b""}
        return changed.get(kind)

    board.tamper = tamper
    return board


def check_fault(n_owners: int, n_helpers: int, place: tuple[str, str, str], kind: str, opens: str = "sum") -> None:
    sender, to, tag = place
    rig = Rig(n_owners, n_helpers, opens=opens, pool_size=0, board=board_with(place, kind))
    seconds = SILENCE_SECONDS if kind == "is silent" else SECONDS
    try:
        began = time.monotonic()
        results = rig.set_up(seconds if "/set_up/" in tag else SECONDS)
        lot, sealed = rig.client.ask(queries_of(1))
        if first_error(results) is None:
            began = time.monotonic()
            results = rig.answers(lot, sealed, seconds)
        took = time.monotonic() - began
        faults = {name: error for name, error in results.items() if isinstance(error, Exception)}
        assert all(isinstance(error, PeerFault) for error in faults.values()), faults
        assert took < (seconds + 1.0 if kind == "is silent" else SECONDS / 2)
        # somebody names who failed and in which message; one that is dead may be missed in another message first
        blamed = [error for name, error in faults.items() if name != sender and error.peer == sender]
        assert any(kind == "dies" or tag in str(error) for error in blamed), f"{place}: {faults}"
        assert to in faults
        for name, party in rig.parties.items():
            if name in faults:
                with pytest.raises(SessionEnded, match="start a new session"):
                    party.answer(lot, sealed[name], time.monotonic() + 5)
            elif isinstance(results[name], bytes):
                with pytest.raises(LotUsed):
                    party.answer(lot, sealed[name], time.monotonic() + 5)
        online = [(one, other, what) for one, other, what, _ in rig.board.log if "/online/" in what]
        assert len(set(online)) == len(online), "a message was sent twice"
    finally:
        rig.close()


def test_the_messages_are_as_many_as_are_tampered_with_below() -> None:
    assert len(messages(1, 2)) == N_MESSAGES_ALONE
    assert len(messages(3, 0)) == N_MESSAGES_ROTATING
    assert len(label_messages()) == N_MESSAGES_LABEL


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", range(N_MESSAGES_ALONE))
def test_each_message_of_one_model(number: int, kind: str) -> None:
    check_fault(1, 2, messages(1, 2)[number], kind)


@pytest.mark.parametrize("number", range(0, N_MESSAGES_ROTATING, 3))
def test_a_death_at_a_message_of_three_models(number: int) -> None:
    check_fault(3, 0, messages(3, 0)[number], "dies")


@pytest.mark.parametrize("kind", ["dies", "sends too little"])
@pytest.mark.parametrize("number", range(N_MESSAGES_LABEL))
def test_each_message_of_the_label(number: int, kind: str) -> None:
    check_fault(3, 0, label_messages()[number], kind, "label")


def test_a_new_session_of_the_same_parties_answers() -> None:
    check_fault(3, 0, messages(3, 0)[-1], "sends nothing")
    with Rig(3) as rig:
        queries = queries_of(1)
        assert abs(rig.ask(queries) - rig.plain(queries)).max() < 1e-3


def test_the_fault_of_one_role_ends_those_beside_it_long_before_the_deadline() -> None:
    """owner0 waits as owner of the first model, in vain, when its message as dealer of the second comes cut short."""
    with Rig(3, pool_size=0) as rig:

        def tamper(sender: str, to: str, tag: str, message: bytes) -> bytes | None:
            if to != "owner0" or "/online/" not in tag:
                return message
            return None if tag.startswith("0/") else message[:-1] if tag.startswith("1/") else message

        rig.board.tamper = tamper
        lot, sealed = rig.client.ask(queries_of(1))
        began = time.monotonic()
        results = rig.answers(lot, sealed, seconds=20)
        assert time.monotonic() - began < 10
        assert "1/online/1.0/1/lanes" in str(results["owner0"])
