"""Fields inside structs and maps, reached by dotted names, as columns of their own."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc


def lift_columns(table: pa.RecordBatch, paths: Iterable[str]) -> pa.RecordBatch:
    """Return the table with the fields that dotted names reach as columns, named so and gone from their structs.

    A name that a column has is that column's, whatever dots are in it; one that reaches nothing changes nothing.
    Columns keep their types, whatever dtypes these are. A struct that is left without fields goes; a map keeps its
    entries.
    """
    for path in paths:
        if path in table.schema.names:
            continue
        found = _take(table.schema.names, table.columns, path)
        if found is not None:
            value, names, columns = found
            table = pa.RecordBatch.from_arrays([*columns, value], names=[*names, path])
    return table


def lifted_names(schema: pa.Schema, paths: Iterable[str]) -> list[str]:
    """Return the names of the columns that tables of a schema have after `lift_columns`."""
    return lift_columns(pa.RecordBatch.from_pylist([], schema), paths).schema.names


Taken = tuple[pa.Array, list[str], list[pa.Array]]


def _take(names: list[str], columns: list[pa.Array], path: str) -> Taken | None:
    """Return (the field at `path`, names and arrays of what is left beside it); None where there is none."""
    if path in names:
        at = names.index(path)
        return columns[at], names[:at] + names[at + 1 :], columns[:at] + columns[at + 1 :]
    for end in (end for end, sign in enumerate(path) if sign == "."):
        if path[:end] not in names:
            continue
        at = names.index(path[:end])
        found = _take_inside(columns[at], path[end + 1 :])
        if found is not None:
            value, rest = found
            kept = [] if rest is None else [rest]
            return (
                value,
                names[:at] + names[at : at + len(kept)] + names[at + 1 :],
                columns[:at] + kept + columns[at + 1 :],
            )
    return None


def _take_inside(array: pa.Array, path: str) -> tuple[pa.Array, pa.Array | None] | None:
    """Return (the field at `path` of a struct or a map, the array without it or None where nothing is left)."""
    kind = array.type
    if pa.types.is_map(kind) and pa.types.is_string(kind.key_type):
        return pc.map_lookup(array, pa.scalar(path, kind.key_type), "first"), array
    if not pa.types.is_struct(kind):
        return None
    found = _take([field.name for field in kind], array.flatten(), path)
    if found is None:
        return None
    value, names, rest = found
    return value, pa.StructArray.from_arrays(rest, names=names, mask=array.is_null()) if rest else None
