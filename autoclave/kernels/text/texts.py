"""Texts as kernels take them: one UTF-8 buffer and where each text begins, and what lines become of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa


class Texts(NamedTuple):
    """Texts one after another.

    data: uint8[bytes], valid UTF-8; offsets: int64[texts + 1], text i is data[offsets[i]:offsets[i + 1]].
    """

    data: np.ndarray
    offsets: np.ndarray


class SegmentSpans(NamedTuple):
    """Lines or paragraphs of texts, in order.

    start, end: int32[segments], byte spans; offsets: int64[texts + 1], segments of text i are
    offsets[i]:offsets[i + 1].
    """

    start: np.ndarray
    end: np.ndarray
    offsets: np.ndarray


class LineEdit(NamedTuple):
    """What an edit made of lines.

    applies: bool[texts], whether it looked at a text, or left it as it was; lines: before the edit; places, sizes:
    int32[lines], where each lies after the edit and its bytes there; place -1 where it is gone, or its text was left.
    """

    applies: np.ndarray
    lines: SegmentSpans
    places: np.ndarray
    sizes: np.ndarray


def text_buffers(column: pa.Array) -> Texts:
    """Return the texts of a string array, one a row, without copying them; a null is an empty text.

    TypeError where the array is neither string nor large_string.
    """
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise TypeError(f"texts must be an Arrow string array, not {column.type}")
    kind = np.int64 if pa.types.is_large_string(column.type) else np.int32
    _, places, values = column.buffers()
    if places is None or len(column) == 0:
        return Texts(np.zeros(0, np.uint8), np.zeros(len(column) + 1, np.int64))
    if column.null_count:
        return text_buffers(column.fill_null(""))
    offsets = np.frombuffer(places, kind)[column.offset : column.offset + len(column) + 1].astype(np.int64)
    data = np.zeros(0, np.uint8) if values is None or values.size == 0 else np.frombuffer(values, np.uint8)
    return Texts(data[: offsets[-1]], offsets)
