"""Masks: each place of its own, the same at both ends, uniform, and never twice."""

import struct

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy import stats

from fi_workbench.mpc.streams import (
    MODULUS,
    SET_UP,
    Lot,
    LotSet,
    MaskReused,
    MaskSource,
    TripleKeys,
    purpose_key,
    query_mask,
    query_source,
)

KEY = bytes(range(32))


class TestPlaces:
    def test_two_ends_draw_the_same(self):
        one, two = MaskSource(KEY).at(Lot(2, 3), 4, 5), MaskSource(KEY).at(Lot(2, 3), 4, 5)
        assert np.array_equal(one.words(9), two.words(9))
        assert np.array_equal(one.mod127(1000, nonzero=True), two.mod127(1000, nonzero=True))

    def test_the_counter_block_says_the_place(self):
        nonce = struct.pack(">IIHHI", 2, 3, 4, 5, 0)
        expected = Cipher(algorithms.AES(KEY), modes.CTR(nonce)).encryptor().update(bytes(80))
        draws = MaskSource(KEY).at(Lot(2, 3), 4, 5)
        assert draws.words(4).tobytes() + draws.octets(48).tobytes() == expected

    def test_places_and_purposes_do_not_overlap(self):
        source = MaskSource(KEY)
        places = [(Lot(a, b), c, d) for a in (1, 2) for b in (0, 1) for c in (0, 1) for d in (0, 1)]
        drawn = [source.at(*place).words(64) for place in places]
        drawn += [MaskSource.of(KEY, purpose).at(Lot(1, 0), 0).words(64) for purpose in ("one", "two", "one ")]
        together = np.concatenate(drawn)
        assert len(np.unique(together)) == together.size

    def test_a_long_purpose_counts_to_its_last_letter(self):
        long = "x" * 100
        assert purpose_key(KEY, long + "a") != purpose_key(KEY, long + "b")

    def test_a_place_is_drawn_once(self):
        source = MaskSource(KEY)
        source.at(Lot(1, 0), 0)
        source.at(Lot(1, 0), 0, call=1)
        with pytest.raises(MaskReused, match="step 0, call 0 in lot 0 of 1 queries"):
            source.at(Lot(1, 0), 0)

    def test_nothing_is_drawn_from_a_closed_lot(self):
        source = MaskSource(KEY)
        source.at(Lot(1, 7), 0)
        source.close_lot(Lot(1, 7))
        for step in (0, 1):
            with pytest.raises(MaskReused, match="next lot"):
                source.at(Lot(1, 7), step)
        source.at(Lot(1, 6), 0)
        source.at(Lot(2, 7), 0)

    @pytest.mark.parametrize("place", [(Lot(1, 2**32), 0), (Lot(2**32, 0), 0), (Lot(1, 0), 2**16), (Lot(1, -1), 0)])
    def test_what_a_counter_block_cannot_tell_apart_is_refused(self, place):
        with pytest.raises(ValueError, match="another session"):
            MaskSource(KEY).at(*place)

    def test_a_refused_draw_leaves_nothing_behind(self):
        source = MaskSource(KEY)
        source.close_lot(Lot(1, 0))
        with pytest.raises(MaskReused):
            source.at(Lot(1, 0), 0)
        assert not source._drawn

    def test_keys_of_another_length_are_refused(self):
        for short in (b"", bytes(16), bytes(31)):
            with pytest.raises(ValueError, match="32 bytes"):
                MaskSource(short)
            with pytest.raises(ValueError, match="32 bytes"):
                purpose_key(short, "queries")

    def test_keys_are_not_shown(self):
        assert "\\x" not in repr(TripleKeys(KEY, KEY, KEY, KEY))

    def test_the_mask_of_a_query_is_the_same_at_all_three(self):
        masks = [query_mask(query_source(KEY), Lot(2, 1), (3, 4)) for _ in range(3)]
        assert masks[0].shape == (2, 3, 4)
        assert np.array_equal(masks[0], masks[1])
        assert np.array_equal(masks[0], masks[2])

    def test_one_place_does_not_run_into_the_next(self):
        draws = MaskSource(KEY).at(SET_UP, 0)
        draws._n_left = 16
        draws.words(2)
        with pytest.raises(ValueError, match="no step needs more"):
            draws.words(1)


class TestLotSet:
    def test_it_stays_small_when_lots_come_in_order(self):
        lots = LotSet()
        for index in (1, 0, 2, 3, 5):
            lots.add(Lot(1, index))
        assert lots._above == {Lot(1, 5)}
        assert [Lot(1, index) in lots for index in range(7)] == [True, True, True, True, False, True, False]
        assert Lot(2, 0) not in lots


class TestDraws:
    def test_residues_are_uniform_and_in_range(self):
        draws = MaskSource(KEY).at(Lot(1, 0), 0)
        for nonzero in (False, True):
            drawn = draws.mod127(MODULUS * 500, nonzero)
            counts = np.bincount(drawn, minlength=MODULUS)[1 if nonzero else 0 :]
            assert len(counts) == (MODULUS - 1 if nonzero else MODULUS)
            assert stats.chisquare(counts).pvalue > 1e-4
            assert nonzero == (0 not in drawn)

    def test_small_numbers_and_coins_are_uniform(self):
        draws = MaskSource(KEY).at(Lot(1, 0), 0)
        for drawn, n in ((draws.small(16000, 4), 16), (draws.bits(16000), 2), (draws.octets(32000), 256)):
            assert stats.chisquare(np.bincount(drawn, minlength=n)).pvalue > 1e-4

    def test_no_draws_are_none(self):
        draws = MaskSource(KEY).at(Lot(1, 0), 0)
        assert draws.words(0).size == draws.mod127(0).size == 0
