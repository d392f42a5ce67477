"""Which lots are used up, and which are owed: the same at the client and at all parties."""

from __future__ import annotations

import random

import pytest

from fi_workbench.mpc.lots import MAX_LIVE_SIZES, LotBook, LotUsed
from fi_workbench.mpc.streams import Lot


def test_a_lot_is_used_once_and_an_earlier_one_never_after_it() -> None:
    book = LotBook(pool_size=2)
    assert list(book.burn(Lot(1, 0))) == [0, 1, 2]
    assert list(book.burn(Lot(1, 1))) == [3]
    for index in (0, 1):
        with pytest.raises(LotUsed, match=f"Lot {index} of 1 queries is used up; the next that may be used is 2"):
            book.burn(Lot(1, index))
    assert list(book.burn(Lot(7, 0))) == [0, 1, 2]
    assert list(book.burn(Lot(1, 2))) == [4]


def test_skipped_lots_are_owed_by_nobody_unless_they_were_before() -> None:
    book = LotBook(pool_size=2)
    book.burn(Lot(1, 0))
    assert list(book.burn(Lot(1, 9))) == [9, 10, 11]
    with pytest.raises(LotUsed):
        book.burn(Lot(1, 8))


def test_without_a_pool_only_what_is_asked_for_is_made() -> None:
    book = LotBook(pool_size=0)
    assert [list(book.burn(Lot(1, index))) for index in range(3)] == [[0], [1], [2]]


def test_lots_of_the_first_size_are_owed_before_the_first_question() -> None:
    book = LotBook(pool_size=3, first_size=1)
    assert list(book.burn(Lot(1, 0))) == [3]


@pytest.mark.parametrize("lot", [Lot(0, 0), Lot(-1, 0), Lot(1, -1), Lot(1, 1 << 32), Lot(1 << 17, 0)])
def test_what_is_no_lot_is_refused(lot: Lot) -> None:
    with pytest.raises(LotUsed, match="There is no lot"):
        LotBook(1).burn(lot)


def test_client_and_parties_agree_whatever_sizes_are_asked_in_whatever_order() -> None:
    chooser = random.Random(3)
    client, parties = LotBook(3, 1), [LotBook(3, 1), LotBook(3, 1)]
    seen: set[Lot] = set()
    owed: list[set[Lot]] = [set(), set()]
    n_retired = 0
    for _ in range(500):
        lot, retired = client.choose(chooser.choice((1, 2, 5, 7, 30)))
        assert lot not in seen
        seen.add(lot)
        n_retired += retired != 0
        for number, party in enumerate(parties):
            new = {Lot(lot.n_queries, index) for index in party.burn(lot)}
            assert not new & owed[number]  # nothing is made twice
            owed[number] |= new
            assert lot in owed[number] or lot.index < 3  # made ahead for the first size
            party.retire(retired)
            assert retired == 0 or party.floor(retired) == client.floor(retired)
    assert n_retired > 50
    assert owed[0] == owed[1]


def test_no_more_than_a_few_sizes_are_live() -> None:
    book = LotBook(2)
    retired = [book.choose(size)[1] for size in range(1, 8)]
    assert retired[:MAX_LIVE_SIZES] == [0] * MAX_LIVE_SIZES
    assert retired[MAX_LIVE_SIZES:] == [1, 2, 3, 4]
    again, _ = book.choose(1)
    assert again == Lot(1, 3), "what was owed of a retired size is skipped"
