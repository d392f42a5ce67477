"""Streams of random numbers: the same for the same labels, another for any other."""

from fi_workbench.core.randomness import derive_seed, generator


def test_every_label_makes_another_stream():
    seeds = [
        derive_seed(0), derive_seed(1), derive_seed(-1), derive_seed(0, "party"), derive_seed(0, "party", 1),
        derive_seed(0, "party", 11), derive_seed(0, "party", "1"), derive_seed(0, "party1"), derive_seed(0, 1, "party"),
        derive_seed(2**200), derive_seed(2**200 + 1), derive_seed(0, "a", "b"), derive_seed(0, "a\x1fstr:b"),
    ]  # fmt: skip
    # labels are names of uses, written by us: only the last pair could be confused, and only by a control character
    assert len(set(seeds[:-1])) == len(seeds) - 1


def test_streams_are_reproducible_and_independent():
    one, again, other = generator(7, "noise", "A"), generator(7, "noise", "A"), generator(7, "noise", "B")
    first = one.normal(size=1000)
    assert (first == again.normal(size=1000)).all()
    assert abs(float((first * other.normal(size=1000)).mean())) < 0.15
    assert derive_seed(7, "noise", "A") == 248225689978248611339070508389546304089, "pinned: seeds stand in papers"
