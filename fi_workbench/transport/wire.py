"""Message bodies as Flower records: one ``ConfigRecord``, arrays in it as raw bytes.

Not an ``ArrayRecord``: over a network each array of one would be three objects and as many requests, and its numpy file
format takes longer to parse than a small answer to compute.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from flwr.app import ConfigRecord, RecordDict
from numpy.typing import NDArray

from fi_workbench.core.messages import Body

BODY, ARRAYS = "body", ":arrays"
"""The record, and the field of it that holds dtype and shape of each array, as JSON."""

_WIDER = ("i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8")
_DTYPES = frozenset({"|b1", "|i1", "|u1", *(f"{order}{kind}" for order in "<>" for kind in _WIDER)})


def encode(body: Body) -> RecordDict:
    """A body as a Flower record; object arrays are refused, so nothing is ever pickled.

    Raises
    ------
    TypeError
        For a value that does not travel.
    """
    values: dict[str, Any] = {}
    arrays: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, np.ndarray):
            if value.dtype.str not in _DTYPES:
                raise TypeError(f"{name!r} has dtype {value.dtype}, which does not travel.")
            arrays[name] = [value.dtype.str, *value.shape]
            values[name] = value.tobytes()
        else:
            values[name] = value
    values[ARRAYS] = json.dumps(arrays)
    return RecordDict({BODY: ConfigRecord(values)})


def decode(record: RecordDict) -> Body:
    """The body that :func:`encode` made a record of; arrays are read-only views of the bytes that came.

    Raises
    ------
    ValueError
        If it is no such record.
    """
    values = record.config_records.get(BODY)
    described = None if values is None else values.get(ARRAYS)
    if values is None or not isinstance(described, str):
        raise ValueError("This message has no body of a federation.")
    body: dict[str, Any] = {name: value for name, value in values.items() if name != ARRAYS}
    try:
        for name, (dtype, *shape) in json.loads(described).items():
            body[name] = _array(name, body.get(name), dtype, shape)
    except (TypeError, AttributeError, RecursionError) as error:  # JSON, but no such description
        raise ValueError("This message's arrays are described in a way that cannot be read.") from error
    return body


def size(record: RecordDict) -> int:
    """Bytes of content: array data and values with their names, without protobuf's framing."""
    # not Flower's count_bytes(), which fails on empty lists and bytes
    return sum(
        len(name.encode()) + sum(map(_size, value if isinstance(value, list) else [value]))
        for values in record.config_records.values()
        for name, value in values.items()
    )


def _size(value: Any) -> int:
    if isinstance(value, bytes | str):
        return len(value if isinstance(value, bytes) else value.encode())
    return 1 if isinstance(value, bool) else 8


def _array(name: str, content: Any, dtype: Any, shape: list[Any]) -> NDArray[Any]:
    if not isinstance(content, bytes) or dtype not in _DTYPES:
        raise ValueError(f"{name!r} came as {type(content).__name__} of dtype {dtype}, which is not taken.")
    return np.frombuffer(content, dtype=dtype).reshape(shape)
