"""Whole sessions: what comes out, what is made ahead, what is used once, and who is refused."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from fi_workbench.core.peers import PeerFault
from fi_workbench.mpc.lots import LotUsed
from fi_workbench.mpc.sealing import AskedLot, SealBroken
from fi_workbench.mpc.session import BadSession, SessionEnded
from fi_workbench.mpc.streams import Lot
from tests.mpc.session.rig import (
    LINEAR,
    N_IN,
    N_OUT,
    Rig,
    at_once,
    first_error,
    queries_of,
    soon,
    wait_for,
)


@pytest.mark.parametrize(("n_owners", "n_helpers"), [(1, 2), (2, 1), (3, 0), (4, 0), (5, 0), (2, 2)])
def test_the_client_gets_the_sum_of_all_models_outputs(n_owners: int, n_helpers: int) -> None:
    with Rig(n_owners, n_helpers) as rig:
        for n in (1, 7, 1):
            queries = queries_of(n, seed=n)
            np.testing.assert_allclose(rig.ask(queries), rig.plain(queries), atol=1e-3)


def test_models_without_any_comparison_work_too() -> None:
    with Rig(3, plan=LINEAR) as rig:
        queries = queries_of(2)
        np.testing.assert_allclose(rig.ask(queries), rig.plain(queries), atol=1e-3)


def test_the_pool_fills_before_the_first_question_and_again_after_each() -> None:
    with Rig(3, pool_size=3, first_size=1) as rig:
        parties = rig.parties.values()
        for number in range(5):
            wait_for(lambda: all(party.ready == party.capacity == 3 for party in parties), f"a full pool, {number}")
            assert not any(party.producing for party in parties)
            queries = queries_of(1, number)
            np.testing.assert_allclose(rig.ask(queries), rig.plain(queries), atol=1e-3)
        rig.ask(queries_of(7))
        wait_for(lambda: all(party.ready == 3 for party in parties), "a pool for the other size")


def test_a_lot_that_is_ready_needs_nothing_from_the_offline_phase() -> None:
    with Rig(3, pool_size=1, first_size=1) as rig:
        wait_for(lambda: all(party.ready == 1 for party in rig.parties.values()), "a full pool")
        # from here on nothing offline arrives
        rig.board.tamper = lambda sender, to, tag, message: None if "/offline/" in tag else message
        queries = queries_of(1)
        np.testing.assert_allclose(rig.ask(queries), rig.plain(queries), atol=1e-3)


def test_fifty_questions_of_changing_sizes_never_draw_a_mask_twice() -> None:
    """A stream raises where a place is drawn again, which would end the session."""
    sizes = np.random.default_rng(0).choice([1, 2, 3, 4, 5], size=50)
    with Rig(3, pool_size=2) as rig:
        for number, n in enumerate(sizes):
            queries = queries_of(int(n), number)
            np.testing.assert_allclose(rig.ask(queries), rig.plain(queries), atol=1e-3)
        assert not any(party.ended for party in rig.parties.values())
        places = [(sender, to, tag) for sender, to, tag, _ in rig.board.log]
    assert len(set(places)) == len(places)


def test_a_size_that_was_not_asked_for_longest_makes_room_for_a_fourth() -> None:
    with Rig(3, pool_size=2) as rig:
        for n in (1, 2, 3, 4):
            rig.ask(queries_of(n))
        party = rig.parties["owner0"]
        wait_for(lambda: party.ready == 2 and not party.producing, "a full pool")
        made = {size: sorted(line.made) for size, line in party._pool._lines.items()}
        assert made == {1: [], 2: [1, 2], 3: [1, 2], 4: [1, 2]}
        # what was made for it, and dropped, is used up, even if the client asked for it
        lot = Lot(1, 1)
        asked = AskedLot(0, np.zeros((1, N_IN), np.uint64))
        with pytest.raises(LotUsed, match="the next that may be used is 3"):
            party.answer(lot, rig.client._seals["owner0"].question(lot, asked), soon())
        queries = queries_of(1)
        np.testing.assert_allclose(rig.ask(queries), rig.plain(queries), atol=1e-3)


def test_equal_queries_give_unrelated_transcripts() -> None:
    queries = queries_of(2)
    with Rig(3, pool_size=0) as rig:
        rig.board.log.clear()
        rig.ask(queries)
        one = {(sender, to, tag.replace("2.0", "2.x")): message for sender, to, tag, message in rig.board.log}
        rig.board.log.clear()
        rig.ask(queries)
        other = {(sender, to, tag.replace("2.1", "2.x")): message for sender, to, tag, message in rig.board.log}
    assert one.keys() == other.keys()
    words = [(np.frombuffer(one[place], np.uint8), np.frombuffer(other[place], np.uint8)) for place in one]
    for place, (first, second) in zip(one, words, strict=True):
        assert len(first) == len(second)
        if "lanes" not in place[2] and len(first) >= 16:
            assert not np.array_equal(first, second), place
    same = np.concatenate([first == second for first, second in words])
    assert same.mean() < 0.05  # 1/256 of bytes, 1/127 of residues, 1/2 of the few bits


def test_questions_at_once_are_answered_each() -> None:
    with Rig(3, pool_size=2) as rig:
        asked = [(queries_of(n, n), *rig.client.ask(queries_of(n, n))) for n in (1, 2, 3)]
        results = at_once({str(n): lambda item=item: rig.answers(*item[1:]) for n, item in enumerate(asked)})
        for number, (queries, lot, _) in enumerate(asked):
            np.testing.assert_allclose(rig.client.open(lot, results[str(number)]), rig.plain(queries), atol=1e-3)


def test_a_lot_is_answered_once() -> None:
    with Rig(3) as rig:
        lot, sealed = rig.client.ask(queries_of(1))
        rig.answers(lot, sealed)
        n_sent = len([tag for _, _, tag, _ in rig.board.log if "online" in tag])
        for name, party in rig.parties.items():
            with pytest.raises(LotUsed, match="Lot 0 of 1 queries is used up"):
                party.answer(lot, sealed[name], soon())
        assert len([tag for _, _, tag, _ in rig.board.log if "online" in tag]) == n_sent
        queries = queries_of(1, 5)
        np.testing.assert_allclose(rig.ask(queries), rig.plain(queries), atol=1e-3)


def test_a_question_that_cannot_be_opened_uses_nothing_up() -> None:
    with Rig(3) as rig:
        lot, sealed = rig.client.ask(queries_of(1))
        n_sent = len(rig.board.log)
        party = rig.parties["owner0"]
        for wrong in (b"", sealed["owner1"], sealed["owner0"][:-1], bytes(len(sealed["owner0"]))):
            with pytest.raises(SealBroken):
                party.answer(lot, wrong, soon())
        with pytest.raises(SealBroken):
            party.answer(Lot(1, 1), sealed["owner0"], soon())
        assert len(rig.board.log) == n_sent
        assert first_error(rig.answers(lot, sealed)) is None


def test_a_party_is_set_up_once_and_before_it_answers() -> None:
    rig = Rig(3)
    lot, sealed = rig.client.ask(queries_of(1))
    for name, party in rig.parties.items():
        with pytest.raises(BadSession, match="set_up first"):
            party.answer(lot, sealed[name], soon())
    assert not rig.board.log
    with rig:
        assert first_error(rig.answers(lot, sealed)) is None
        with pytest.raises(BadSession, match="done once"):
            rig.parties["owner0"].set_up(soon())


def test_a_fault_while_lots_are_made_ahead_ends_the_session_and_is_told_at_once() -> None:
    with Rig(3, pool_size=4) as rig:
        rig.board.tamper = lambda sender, to, tag, message: (
            message[1:] if "/offline/1.2/" in tag and sender == "owner1" else message
        )
        queries = queries_of(1)
        np.testing.assert_allclose(rig.ask(queries), rig.plain(queries), atol=1e-3)  # lot 0; lot 2 is made ahead
        wait_for(lambda: all(party.ended for party in rig.parties.values()), "the end of the session everywhere")
        lot, sealed = rig.client.ask(queries)
        began = time.monotonic()
        results = rig.answers(lot, sealed)
        assert time.monotonic() - began < 10
        assert all(isinstance(error, SessionEnded) for error in results.values())
        assert any("owner1 sent" in str(error) and "/offline/1.2/" in str(error) for error in results.values())


def test_an_error_of_ones_own_comes_out_as_it_is_and_ends_the_session_for_all() -> None:
    def fail(seen: object) -> None:
        if seen.role == "dealer" and seen.phase == "online" and seen.number == 0:
            raise ZeroDivisionError("mine")

    with Rig(3, pool_size=0, observer=fail) as rig:
        lot, sealed = rig.client.ask(queries_of(1))
        results = rig.answers(lot, sealed)
        assert isinstance(results["owner2"], ZeroDivisionError)
        assert isinstance(results["owner0"], PeerFault)  # owner1 may have all that it waits for by then
        with pytest.raises(SessionEnded, match="ZeroDivisionError: mine"):
            rig.parties["owner2"].answer(lot, sealed["owner2"], soon())


def test_a_party_that_is_closed_says_so_and_stops_within_a_second() -> None:
    rig = Rig(3, pool_size=4, first_size=1)
    board = rig.board
    board.tamper = lambda sender, to, tag, message: None if "/offline/" in tag else message  # all producers hang
    with rig:
        party = rig.parties["owner1"]
        wait_for(lambda: party.producing, "a lot begun")
        began = time.monotonic()
        party.close()
        assert time.monotonic() - began < 1.0
        wait_for(lambda: not any(t.name.endswith("owner1") for t in threading.enumerate()), "no thread left", 2)
        assert "closed" in party.ended
        lot, sealed = rig.client.ask(queries_of(1))
        with pytest.raises(SessionEnded, match=r"closed.*start a new session"):
            party.answer(lot, sealed["owner1"], soon())
        with pytest.raises(SessionEnded):
            party.set_up(soon())


def test_a_lot_that_is_not_made_in_time_is_blamed_on_whom_it_waits_for() -> None:
    with Rig(3, pool_size=0) as rig:
        rig.board.tamper = lambda sender, to, tag, message: (
            None if "/offline/" in tag and sender == "owner2" and tag.startswith("0/") else message
        )
        lot, sealed = rig.client.ask(queries_of(1))
        results = rig.answers(lot, sealed, seconds=0.4)
        faults = [error for error in results.values() if isinstance(error, PeerFault)]
        assert faults
        assert any(fault.peer == "owner2" and "/offline/1.0/" in str(fault) for fault in faults)


def test_the_numbers_of_one_answer_are_seen_by_who_observes() -> None:
    seen: list[object] = []
    with Rig(1, 2, observer=seen.append) as rig:
        rig.ask(queries_of(1))
    assert {item.role for item in seen} == {"owner", "evaluator", "dealer"}
    assert {item.phase for item in seen} == {"set_up", "offline", "online"}


def test_what_is_sealed_has_no_more_bytes_than_it_needs() -> None:
    with Rig(3) as rig:
        lot, sealed = rig.client.ask(queries_of(2))
        answers = rig.answers(lot, sealed)
        assert {len(text) for text in sealed.values()} == {28 + 4 + 6 * 2 * N_IN}
        assert {len(text) for text in answers.values()} == {28 + 8 * 2 * N_OUT}
