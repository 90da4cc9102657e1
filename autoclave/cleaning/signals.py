"""Measuring a batch: filters run over its slices and their signals come back as Arrow columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from autoclave.cleaning.dialects import DEFAULT_DIALECT
from autoclave.cleaning.filters.base import Columns, Filter, Measurement
from autoclave.cleaning.filters.registry import load_filter
from autoclave.cleaning.language.words import Scan, borrowed_workspace, scans

ARROW_TYPES = {"float32": pa.float32(), "int32": pa.int32(), "int64": pa.int64(), "bool": pa.bool_()}
"""Types that a signal may have in the ledger."""


def run_filters(
    text: pa.StringArray, filters: Sequence[Filter], languages: Sequence[str | None]
) -> tuple[pa.StringArray, dict[str, pa.Array]]:
    """Return (text after the edits of the filters, all their signals), every document through every filter.

    A filter sees the text as the filters before it left it, their views of it (`Filter.rewrites`) included; a filter
    that rewrites starts from the text itself. Signals are one of ARROW_TYPES, one value a document, whose dtype is the
    filter's own; of documents in a language that a filter does not apply to they are null.
    """
    slices: list[Columns] = []
    sink, sizes = pa.BufferOutputStream(), [np.zeros(1, dtype=np.int64)]
    edits = any(chosen.edit is not None and chosen.rewrites for chosen in filters)
    row = 0
    with borrowed_workspace() as workspace:
        for scan in scans(text, workspace):
            codes = languages[row : row + len(scan)]
            row += len(scan)
            columns, scan = _run_slice(scan, filters, codes)
            slices.append(columns)
            if edits:
                sink.write(pa.py_buffer(np.ascontiguousarray(scan.data[: scan.offsets[-1]])))
                sizes.append(np.diff(scan.offsets))
        values = {
            name: np.ma.concatenate([columns[name] for columns in slices]) for name in (slices[0] if slices else ())
        }
    if not slices:
        values = dict.fromkeys(signal_names(filters), np.zeros(0, dtype=np.float32))
    signals = {name: _arrow(column) for name, column in values.items()}
    if edits and slices:
        offsets = np.cumsum(np.concatenate(sizes)).astype(np.int32)
        text = pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), sink.getvalue())
    return text, _mask(signals, filters, languages)


def _arrow(column: np.ndarray) -> pa.Array:
    """Return a column of values as Arrow has it, null where a masked array is masked: what was not measured."""
    mask = np.ma.getmask(column)
    return pa.array(np.ma.getdata(column), ARROW_TYPES[column.dtype.name], mask=None if mask is np.ma.nomask else mask)


def _run_slice(scan: Scan, filters: Sequence[Filter], codes: Sequence[str | None]) -> tuple[Columns, Scan]:
    """Return (all signals, the slice as the rewriting filters leave it)."""
    columns: Columns = {}
    view = scan
    for chosen in filters:
        rewrites = chosen.edit is not None and chosen.rewrites
        measurement = Measurement(codes, chosen.languages)
        concerned = chosen.languages is None or len(scan) == 0 or measurement.applies.any()
        seen = scan if rewrites else view
        seen = seen if concerned else _empty_scan(len(scan))  # what is measured there is masked (`_mask`)
        if chosen.edit is not None:
            edited = chosen.edit(seen, measurement)
            columns.update(edited.signals)
            seen = edited.scan
            view = seen if concerned else view
            scan = seen if concerned and rewrites else scan
        if chosen.measure is not None:
            columns.update(chosen.measure(seen, measurement))
    return columns, scan


def signal_names(filters: Sequence[Filter]) -> list[str]:
    """Return the names of the signals that the filters measure, from a run over an empty document."""
    return list(_run_slice(_empty_scan(1), filters, [None])[0])


def _empty_scan(documents: int) -> Scan:
    return Scan(np.zeros(0, dtype=np.uint8), np.zeros(documents + 1, dtype=np.int64))


def _mask(
    signals: dict[str, pa.Array], filters: Sequence[Filter], languages: Sequence[str | None]
) -> dict[str, pa.Array]:
    for chosen in filters:
        if chosen.languages is None:
            continue
        outside = ~Measurement(languages, chosen.languages).applies
        for name in signal_names([chosen]) if outside.any() else ():
            signals[name] = pc.if_else(pa.array(outside), pa.scalar(None, signals[name].type), signals[name])
    return signals


def measure(
    text: pa.StringArray,
    families: Sequence[str] | Mapping[str, Mapping[str, object]],
    *,
    dialect: str = DEFAULT_DIALECT,
    languages: Sequence[str | None] | pa.StringArray | None = None,
) -> dict[str, pa.Array]:
    """Return the signals of some families over a batch of documents, one Arrow column each, as long as the batch.

    text: Arrow string array; families: names as recipes have them, or a mapping name -> options; languages: code per
    document (default: none known, which counts as English). Raises RecipeError for unknown families or options.
    """
    options = families if isinstance(families, Mapping) else dict.fromkeys(families)
    filters = [load_filter(name, given, dialect, "measure") for name, given in options.items()]
    codes = languages.to_pylist() if isinstance(languages, pa.Array) else languages
    return run_filters(text, filters, codes if codes is not None else [None] * len(text))[1]
