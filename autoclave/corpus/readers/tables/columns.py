"""Arrow columns of any type as JSON values, one a row: whatever a column holds, it costs no other column and no row."""

from __future__ import annotations

import base64
import itertools
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from autoclave.corpus.batches import list_values
from autoclave.corpus.readers.fields import as_text

FAULTS = (pa.ArrowException, ValueError, OverflowError, TypeError, LookupError, RuntimeError)
"""What odd data make libraries raise; a recursion or a missing implementation is a RuntimeError."""


def plain_values(array: pa.Array) -> tuple[list[Any], list[int]]:
    """Return (the values of an array [rows] of any dtype as what JSON knows, one a row; the numbers of the rows whose
    value cannot be expressed and is None instead).

    Numbers and booleans as they are; text and decimals as strings, malformed UTF-8 as U+FFFD; bytes as text where they
    are UTF-8, else base64; dates and times in ISO 8601 (of zones in UTC, whether the zone is known or not), those
    beyond year 32767 as the number and unit that is stored; durations as ISO 8601 seconds; lists as lists, structs
    and maps as dictionaries.
    """
    try:
        return _values(array), []
    except FAULTS:
        pass
    values: list[Any] = []
    lost: list[int] = []
    for row, there in enumerate(array.is_valid().to_pylist()):
        try:
            values += _values(array.slice(row, 1)) if there else [None]
        except FAULTS:
            values.append(None)
            lost.append(row)
    return values, lost


def _values(array: pa.Array) -> list[Any]:
    kind, types = array.type, pa.types
    if isinstance(array, pa.ExtensionArray):
        return _extension(array)
    if types.is_dictionary(kind):
        known = dict(enumerate(_values(array.dictionary)))
        return [None if index is None else known[index] for index in array.indices.to_pylist()]
    if _is_string(kind):
        return _strings(array)
    if _is_binary(kind):
        return [_bytes(value) for value in array.to_pylist()]
    if types.is_decimal(kind):
        return pc.cast(array, pa.string()).to_pylist()
    if types.is_duration(kind):
        return _durations(array)
    if types.is_temporal(kind):
        return _moments(array)
    if types.is_struct(kind):
        return _structs(array)
    if types.is_nested(kind):
        return _lists(array)
    return array.to_pylist()


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_binary(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def texts(array: pa.Array) -> list[str | None]:
    """Return the texts of an array [rows] of dtype string or binary, malformed UTF-8 as U+FFFD; None a row for any
    other dtype."""
    if isinstance(array, pa.ExtensionArray):
        return texts(array.storage)
    if pa.types.is_dictionary(array.type):
        known = dict(enumerate(texts(array.dictionary)))
        return [known.get(index) for index in array.indices.to_pylist()]  # damage may point to no value
    if _is_binary(array.type):
        return [None if value is None else value.decode("utf-8", "replace") for value in array.to_pylist()]
    return _strings(array) if _is_string(array.type) else [None] * len(array)


def _strings(array: pa.Array) -> list[str | None]:
    """Return the strings of a column, malformed UTF-8 (which Parquet does not rule out) as U+FFFD."""
    try:
        return array.to_pylist()
    except UnicodeDecodeError:
        stored = array.cast(pa.large_binary()).to_pylist()
        return [None if value is None else value.decode("utf-8", "replace") for value in stored]


def _bytes(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode()


def _extension(array: pa.ExtensionArray) -> list[Any]:
    if array.type.extension_name == "arrow.uuid":
        stored = array.storage.to_pylist()
        return [None if value is None else str(uuid.UUID(bytes=value)) for value in stored]
    return _values(array.storage)


def _durations(array: pa.Array) -> list[str | None]:
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[array.type.unit]
    counts = array.cast(pa.int64()).to_pylist()
    return [None if count is None else f"PT{_decimal(count, digits)}S" for count in counts]


def _decimal(count: int, digits: int) -> str:
    """Write count x 10^-digits without zeros at the end: (1500, 3) is 1.5."""
    whole, part = divmod(abs(count), 10**digits)
    tail = f"{part:0{digits}d}".rstrip("0") if digits else ""
    return f"{'-' if count < 0 else ''}{whole}{'.' if tail else ''}{tail}"


def _moments(array: pa.Array) -> list[str | None]:
    """Dates, times and timestamps; written by Arrow, whose years reach beyond those of `datetime`."""
    kind = array.type
    zone = "Z" if pa.types.is_timestamp(kind) and kind.tz is not None else ""
    if zone:
        array = array.view(pa.timestamp(kind.unit))
    unit = kind.unit if hasattr(kind, "unit") else "days" if kind.bit_width == 32 else "ms"
    numbers = pa.int32() if kind.bit_width == 32 else pa.int64()
    written = pc.cast(array, pa.string()).to_pylist()
    return [
        value if value is None else f"{number} {unit}" if value.startswith("<") else _iso(value) + zone
        for value, number in zip(written, array.view(numbers).to_pylist(), strict=True)
    ]


def _iso(written: str) -> str:
    written = written.replace(" ", "T")
    return written.rstrip("0").rstrip(".") if "." in written else written


def _structs(array: pa.StructArray) -> list[Any]:
    names = unique_names([field.name for field in array.type])
    rows = zip(*(_values(child) for child in array.flatten()), strict=True) if names else iter([()] * len(array))
    valid = array.is_valid().to_pylist()
    return [dict(zip(names, row, strict=True)) if there else None for row, there in zip(rows, valid, strict=True)]


def _lists(array: pa.Array) -> list[Any]:
    """Lists of all kinds as lists, maps as dictionaries (of two equal keys the later one)."""
    inner, ends = list_values(array)
    whole: type = list
    if pa.types.is_map(array.type):
        keys, items = (_values(child) for child in inner.flatten())
        values: list[Any] = list(zip(map(as_text, keys), items, strict=True))
        whole = dict
    else:
        values = _values(inner)
    valid = array.is_valid().to_pylist()
    spans = itertools.pairwise(ends.tolist())
    return [whole(values[start:stop]) if there else None for (start, stop), there in zip(spans, valid, strict=True)]


def unique_names(names: list[str]) -> list[str]:
    """Return the names, those that stand there already with a number: a, a_2."""
    chosen: list[str] = []
    for name in names:
        number, new = 1, name
        while new in chosen or (number > 1 and new in names):
            number += 1
            new = f"{name}_{number}"
        chosen.append(new)
    return chosen
