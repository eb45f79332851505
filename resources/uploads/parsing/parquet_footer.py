"""What the footer of a Parquet file says of its size, read without a library that would decode more than that.

The footer is a Thrift structure in the compact protocol. It comes from a stranger: every length is held against the
bytes that are there, and structures in structures are followed only so deep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_FOOTER_BYTES = 16 * 1024 * 1024
_MARK = b"PAR1"
_TAIL = 8
_MAX_DEPTH = 12
_MAX_VARINT_BYTES = 10
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(1, 14)
_INTEGERS = (_I16, _I32, _I64)
# Numbers of the fields in parquet.thrift.
_SCHEMA, _ROW_GROUPS = 2, 4
_NUM_CHILDREN = 5
_COLUMNS, _TOTAL_BYTE_SIZE, _NUM_ROWS = 1, 2, 3
_META_DATA = 3
_TOTAL_UNCOMPRESSED_SIZE = 6


class BadFooter(ValueError):
    """The file does not end as a Parquet file does."""


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of a row group, and the bytes that its columns take uncompressed."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Footer:
    """Number of columns with values, and the row groups in file order."""

    columns: int
    row_groups: tuple[RowGroup, ...]

    @property
    def rows(self) -> int:
        """Rows of the file."""
        return sum(group.rows for group in self.row_groups)

    @property
    def bytes(self) -> int:
        """Bytes that all columns take uncompressed."""
        return sum(group.bytes for group in self.row_groups)


def read_footer(stream: BinaryIO, *, size: int) -> Footer:
    """Read the footer of a file of `size` bytes.

    Raises:
        BadFooter: there is none, it is longer than `MAX_FOOTER_BYTES`, or it is not well-formed.
    """
    if size < len(_MARK) + _TAIL:
        raise BadFooter("the file is too short")
    stream.seek(size - _TAIL)
    tail = stream.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != _MARK or length > size - len(_MARK) - _TAIL:
        raise BadFooter("the file is cut off")
    if length > MAX_FOOTER_BYTES:
        raise BadFooter(f"its footer takes {length:,} bytes, at most {MAX_FOOTER_BYTES:,} are read")
    stream.seek(size - _TAIL - length)
    return _footer(_Thrift(stream.read(length)))


def _footer(thrift: _Thrift) -> Footer:
    columns = 0
    groups: tuple[RowGroup, ...] = ()
    for field, kind in thrift.fields():
        if field == _SCHEMA and kind == _LIST:
            columns = sum(_is_leaf(thrift) for _ in thrift.structs())
        elif field == _ROW_GROUPS and kind == _LIST:
            groups = tuple(_row_group(thrift) for _ in thrift.structs())
        else:
            thrift.skip(kind)
    return Footer(columns, groups)


def _is_leaf(thrift: _Thrift) -> bool:
    children = 0
    for field, kind in thrift.fields():
        if field == _NUM_CHILDREN:
            children = thrift.integer(kind)
        else:
            thrift.skip(kind)
    return children == 0


def _row_group(thrift: _Thrift) -> RowGroup:
    rows, total, of_columns = 0, 0, 0
    for field, kind in thrift.fields():
        if field == _NUM_ROWS:
            rows = thrift.size(kind)
        elif field == _TOTAL_BYTE_SIZE:
            total = thrift.size(kind)
        elif field == _COLUMNS and kind == _LIST:
            of_columns = sum(_column_bytes(thrift) for _ in thrift.structs())
        else:
            thrift.skip(kind)
    return RowGroup(rows, max(total, of_columns))


def _column_bytes(thrift: _Thrift) -> int:
    length = 0
    for field, kind in thrift.fields():
        if field != _META_DATA or kind != _STRUCT:
            thrift.skip(kind)
            continue
        for inner, inner_kind in thrift.fields():
            if inner == _TOTAL_UNCOMPRESSED_SIZE:
                length = thrift.size(inner_kind)
            else:
                thrift.skip(inner_kind)
    return length


class _Thrift:
    """A place in bytes of the compact protocol, from which values are read one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield the number and the type of every field of a structure; whoever asks reads its value or skips it."""
        number = 0
        while head := self._byte():
            delta, kind = head >> 4, head & 0x0F
            number = number + delta if delta else self._zigzag()
            yield number, kind

    def structs(self) -> Iterator[None]:
        """Yield at the start of every structure of a list."""
        length, kind = self._list_head()
        if length and kind != _STRUCT:
            raise BadFooter("a list holds something else than structures")
        for _ in range(length):
            yield

    def integer(self, kind: int) -> int:
        """Read an integer."""
        if kind not in _INTEGERS:
            raise BadFooter("a number is none")
        return self._zigzag()

    def size(self, kind: int) -> int:
        """Read an integer that is not negative."""
        value = self.integer(kind)
        if value < 0:
            raise BadFooter("a size is negative")
        return value

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over a value."""
        if depth > _MAX_DEPTH:
            raise BadFooter("it is nested too deep")
        if kind in _INTEGERS:
            self._varint()
        elif kind == _BINARY:
            self._pass(self._varint())
        elif kind in (_LIST, _SET):
            length, of = self._list_head()
            for _ in range(length):
                self._skip_element(of, depth)
        elif kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind == _MAP:
            self._skip_map(depth)
        elif kind in (_BYTE, _DOUBLE, _UUID):
            self._pass({_BYTE: 1, _DOUBLE: 8, _UUID: 16}[kind])
        elif kind not in (_TRUE, _FALSE):  # these are in the head of their field
            raise BadFooter("a value has no type")

    def _skip_element(self, kind: int, depth: int) -> None:
        if kind in (_TRUE, _FALSE):  # in a collection it takes a byte
            self._pass(1)
        else:
            self.skip(kind, depth + 1)

    def _skip_map(self, depth: int) -> None:
        length = self._length()
        if not length:
            return
        kinds = self._byte()
        for _ in range(length):
            self._skip_element(kinds >> 4, depth)
            self._skip_element(kinds & 0x0F, depth)

    def _list_head(self) -> tuple[int, int]:
        head = self._byte()
        length = head >> 4
        return (self._length() if length == 15 else length), head & 0x0F

    def _length(self) -> int:
        """Read the length of a collection; each of its elements takes a byte or more."""
        length = self._varint()
        if length > len(self._data) - self._at:
            raise BadFooter("a list is longer than the file")
        return length

    def _pass(self, length: int) -> None:
        self._at += length
        if self._at > len(self._data):
            raise BadFooter("it is cut off")

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise BadFooter("it is cut off")
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                return value
        raise BadFooter("a number is too long")

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
