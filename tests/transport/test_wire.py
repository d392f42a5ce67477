"""Bodies on the wire: every value comes out as it went in, and nothing that could run code goes in."""

import pickle
import sys

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from fi_workbench.transport import wire
from fi_workbench.transport.flower_internals import new_message, through_protobuf
from fi_workbench.transport.wire import decode, encode, size

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.arange(24.0).reshape(2, 3, 4),
    np.array(3.5),
    np.array(3.5, np.float16),
    np.zeros((0, 3), np.float32),
    np.zeros((2, 0), np.int8),
    np.array([True, False]),
    np.array([-(2**63), 2**63 - 1]),
    np.array([2**64 - 1], np.uint64),
    np.array([1, 2], ">i4"),
    np.array([np.nan, np.inf, -0.0]),
    np.arange(12).reshape(3, 4)[:, ::2],
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.zeros((1, 1, 1, 1, 1), np.uint8),
]  # fmt: skip

VALUES = [
    True, False, 0, 1, -1, 2**62, -(2**63), 2**63 - 1, 0.0, -0.0, 1e300, float("inf"), "", "ä€𝄞\n\x00", b"",
    bytes(range(256)),
    [1, 2], [1.0, 2.0], ["a", ""], [b"", b"\xff"], [True, False], [],
]  # fmt: skip


def passed(body, protobuf):
    record = encode(body)
    if protobuf:
        message = new_message(record, "query.answer", 1, 1, "", 10.0, "m" * 32)
        record = through_protobuf(message).content
    return decode(record)


@pytest.mark.parametrize("protobuf", [False, True], ids=["local", "protobuf"])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype.str}{a.shape}")
def test_an_array_comes_out_as_it_went_in(array, protobuf):
    came = passed({"x": array}, protobuf)["x"]
    assert came.dtype == array.dtype
    assert came.shape == array.shape
    np.testing.assert_array_equal(came, array)
    assert not came.flags.writeable, "parties of one process share it"
    with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
        came.setflags(write=True)


@pytest.mark.parametrize("protobuf", [False, True], ids=["local", "protobuf"])
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_out_as_it_went_in(value, protobuf):
    came = passed({"x": value}, protobuf)["x"]
    assert came == value
    assert type(came) is type(value)
    if isinstance(value, list):
        assert [type(item) for item in came] == [type(item) for item in value]


def test_names_may_be_any_text_and_bodies_of_any_length():
    body = {f"sealed.{name}": b"x" for name in ("Ada", "ä", "a.b", " ", "*", "totals.x")} | {"": 1}
    assert passed(body, True) == body
    assert passed({}, True) == {}


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]), np.array([None]), np.array(["text"]), np.array([b"bytes"]), np.array([1j]),
        np.array(["2020-01-01"], "datetime64[D]"), np.zeros(2, [("a", "f4")]), np.zeros(1, np.longdouble),
        None, {"a": 1}, [[1]], [1, "a"], {1}, object(),
    ],
    ids=[
        "objects", "Nones", "texts", "bytes", "complex", "dates", "records", "longdouble",
        "None", "dict", "list in list", "mixed list", "set", "object",
    ],
)  # fmt: skip
def test_what_is_no_plain_value_does_not_travel(value):
    with pytest.raises((TypeError, ValueError)):
        encode({"x": value})


class Bomb:
    def __reduce__(self):
        return (sys.exit, (42,))


def foreign_records():
    honest = encode({"x": np.arange(3.0)})
    described = wire.ARRAYS
    for text in (
        "", "nothing", "[]", "null", '{"x": []}', '{"x": ["|O", 1]}', '{"x": ["<f8", 4]}', '{"x": ["<f8", 2]}',
        '{"x": ["<f8", 99999999999999]}', '{"x": ["<f8", "3"]}', '{"x": ["<f8", 1.5]}', '{"x": [["<f8"], 3]}',
        '{"x": ["<U3", 1]}', '{"x": ["<c16", 1]}', '{"x": ["f8", 3]}', '{"y": ["<f8", 3]}', '{"x": ["<M8[s]", 3]}',
        '{"x": ["<f4,<f4", 3]}', '{"x": {"dtype": "O"}}', "[" * 100_000,
    ):  # fmt: skip
        values = dict(honest.config_records[wire.BODY])
        yield RecordDict({wire.BODY: ConfigRecord(values | {described: text})})
    yield RecordDict({})
    yield RecordDict({wire.BODY: ConfigRecord({})})
    yield RecordDict({wire.BODY: ConfigRecord({"x": 1})})
    yield RecordDict({wire.BODY: ConfigRecord({described: 7})})
    yield RecordDict({"other": ConfigRecord({"x": 1})})
    payload = pickle.dumps(Bomb())
    yield RecordDict({wire.BODY: ArrayRecord({"x": Array("object", (1,), "numpy.ndarray", payload)})})
    yield RecordDict({wire.BODY: ConfigRecord({"x": payload, described: '{"x": ["|O", 1]}'})})


@pytest.mark.parametrize("record", list(foreign_records()), ids=lambda record: "")
def test_a_record_that_is_no_body_is_refused_and_never_unpickled(record):
    with pytest.raises(Exception) as refusal:  # noqa: PT011 - the link takes every kind; see test_round
        decode(record)
    assert isinstance(refusal.value, Exception)
    assert not isinstance(refusal.value, MemoryError)


def test_size_counts_content_and_names():
    assert size(encode({})) == size(encode({}))
    empty = size(encode({}))
    assert size(encode({"ab": b"12345"})) - empty == 7
    assert size(encode({"ab": "ä"})) - empty == 4
    assert size(encode({"ab": [1, 2]})) - empty == 18
    grown = size(encode({"x": np.zeros(1000, np.float32)})) - size(encode({"x": np.zeros(0, np.float32)}))
    assert 4000 <= grown < 4010
