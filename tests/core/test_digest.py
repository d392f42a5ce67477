"""The canonical form: equal exactly when the values are."""

import hashlib
import itertools

import numpy as np
import pytest

from fi_workbench.core.digest import canonical, sha256

DISTINCT = [
    None, True, False, 0, 1, -1, 2**80, 0.0, 1.0, 1.5, float("inf"), "", "1", "a", b"", b"a", b"1",
    [], [[]], [1], [1, 2], [2, 1], [[1], 2], [[1, 2]], ["ab"], ["a", "b"],
    {}, {"a": 1}, {"a": 2}, {"b": 1}, {"a": {"b": 1}}, {1: "x"}, {"1": "x"},
    frozenset(), frozenset({1}), frozenset({"1"}),
    np.zeros(()), np.zeros(1), np.zeros((1, 1)), np.zeros(2), np.zeros((2, 0)), np.zeros((0, 2)), np.ones(()),
    np.zeros(1, np.float32), np.zeros(1, np.float16), np.zeros(1, np.int64), np.zeros(1, np.uint64), np.zeros(1, bool),
    np.arange(6).reshape(2, 3), np.arange(6).reshape(3, 2), np.arange(6).reshape(2, 3).T,
]  # fmt: skip


def test_distinct_values_have_distinct_forms():
    forms = [canonical(value) for value in DISTINCT]
    same = [(DISTINCT[i], DISTINCT[j]) for i, j in itertools.combinations(range(len(forms)), 2) if forms[i] == forms[j]]
    assert same == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1, 2], (1, 2)),
        ({"x": {2, 1}}, {"x": frozenset([1, 2])}),
        (0.0, -0.0),
        (1, np.int32(1)),
        (True, np.bool_(True)),
        (0.5, np.float32(0.5)),
        (np.frombuffer(np.arange(6.0).tobytes()).reshape(2, 3), np.arange(6.0).reshape(2, 3)),
        (np.frombuffer(np.arange(6.0).tobytes()).reshape(2, 3).T, np.arange(6.0).reshape(2, 3).T.copy()),
        (np.frombuffer(np.arange(6.0).tobytes())[::-1], np.arange(6.0)[::-1].copy()),
        (np.frombuffer(np.arange(6.0).tobytes())[1:], np.arange(1.0, 6.0)),
        (np.frombuffer(np.arange(6, dtype=">i4").tobytes(), ">i4"), np.arange(6, dtype="<i4")),
        (np.array([1.0, 2.0], "<f4"), np.array([1.0, 2.0], ">f4")),
        (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
        (np.arange(4), np.arange(8)[::2] // 2),
    ],
)
def test_equal_values_have_one_form(one, other):
    assert canonical(one) == canonical(other)


def test_arrays_are_compared_bit_by_bit():
    assert canonical(np.array([0.0])) != canonical(np.array([-0.0]))
    assert canonical(np.array([np.nan])) == canonical(np.array([np.nan]))


def test_an_element_cannot_slip_into_its_neighbour():
    assert canonical(["a", "bc"]) != canonical(["ab", "c"])
    assert canonical({"a": "b", "c": "d"}) != canonical({"a": "bc", "": "d"})
    assert canonical(b"i\x01") != canonical(["i", 1])


def test_what_has_no_canonical_form_is_refused():
    for value in (object(), {1, object()}, np.array([object()]), np.array(["text"]), np.array([1j]), 1j):
        with pytest.raises(TypeError, match="no canonical form"):
            canonical(value)


def test_the_form_does_not_change_between_versions():
    # digests stand in people's histories and papers: whoever changes the form must mean to
    value = {"rule": "soft_vote", "n": 3, "x": np.arange(3, dtype=np.float32), "deep": [None, True, 0.5, b"\x00"]}
    assert sha256(value) == hashlib.sha256(canonical(value)).hexdigest()
    assert sha256(value) == "1fab3ba1db0a3d02f414ed153b0fa8d244ae6263f96f16b54723c9f6280f76a2"
