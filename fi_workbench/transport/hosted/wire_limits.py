"""How much a protobuf message would become, looked at before it is decoded.

Two bytes of protobuf can become a hundred of memory (an empty sub-message, one number of a packed list): a body within
the size limit could still fill the host's memory. What is counted here are elements; strings and bytes cost what they
weigh.
"""

from __future__ import annotations

from functools import lru_cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from fi_workbench.core.errors import FederationError

MAX_FIELDS = 20_000
MAX_PACKED_BYTES = 2**20
MAX_DEPTH = 16

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


class TooMuch(FederationError, ValueError):
    """A message that would decode to far more than its size, or that is no protobuf."""


def check_wire(data: bytes, kind: Descriptor) -> None:
    """Nothing, if ``data`` decodes to a message of bounded size.

    Raises
    ------
    TooMuch
    """
    _Walk(memoryview(data)).through(0, len(data), kind, 0)


class _Walk:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._n_fields = self._n_packed = 0

    def through(self, at: int, end: int, kind: Descriptor, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise TooMuch(f"A message nested more than {MAX_DEPTH} deep.")
        fields = _fields(kind)
        while at < end:
            self._n_fields += 1
            if self._n_fields > MAX_FIELDS:
                raise TooMuch(f"A message of more than {MAX_FIELDS} fields.")
            tag, at = self._varint(at, end)
            wire = tag & 7
            if wire == _LENGTH:
                length, at = self._varint(at, end)
                if length > end - at:
                    raise TooMuch("A message that ends before its content does.")
                self._content(fields.get(tag >> 3), at, at + length, depth)
                at += length
            elif wire == _VARINT:
                _, at = self._varint(at, end)
            elif wire in (_FIXED64, _FIXED32):
                at += 8 if wire == _FIXED64 else 4
            else:
                raise TooMuch("A message with fields that are not in use.")
        if at != end:
            raise TooMuch("A message that ends before its content does.")

    def _content(self, field: tuple[Descriptor | None, bool] | None, at: int, end: int, depth: int) -> None:
        if field is None:
            return
        message, packed = field
        if message is not None:
            self.through(at, end, message, depth + 1)
        elif packed:
            self._n_packed += end - at
            if self._n_packed > MAX_PACKED_BYTES:
                raise TooMuch(f"Lists of more than {MAX_PACKED_BYTES} bytes of numbers; arrays travel as bytes.")

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        number = shift = 0
        while at < end and shift < 70:
            byte = self._data[at]
            at += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number, at
            shift += 7
        raise TooMuch("A message that ends before its content does.")


@lru_cache(maxsize=64)
def _fields(kind: Descriptor) -> dict[int, tuple[Descriptor | None, bool]]:
    """For each field: the kind of message that it holds, and whether it may be a packed list."""
    plain = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)
    return {field.number: (field.message_type, field.type not in plain) for field in kind.fields}
