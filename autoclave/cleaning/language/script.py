"""Which writing systems a text uses, counted in UTF-8 bytes of letters."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

# Ranges of letters (first, last) by ISO 15924 code; Unicode 16 blocks. Kana stands for Hiragana and Katakana.
SCRIPT_RANGES: dict[str, tuple[tuple[int, int], ...]] = {
    "Latn": ((0x41, 0x5A), (0x61, 0x7A), (0xC0, 0xD6), (0xD8, 0xF6), (0xF8, 0x24F), (0x250, 0x2AF), (0x1E00, 0x1EFF),
             (0xA720, 0xA7FF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A)),
    "Grek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "Cyrl": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    "Armn": ((0x531, 0x587),),
    "Hebr": ((0x5D0, 0x5F2), (0xFB1D, 0xFB4F)),
    "Arab": ((0x620, 0x65F), (0x66E, 0x6D5), (0x6EE, 0x6EF), (0x6FA, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF),
             (0xFB50, 0xFDFB), (0xFE70, 0xFEFC)),
    "Syrc": ((0x700, 0x74F),),
    "Thaa": ((0x780, 0x7BF),),
    "Deva": ((0x900, 0x963), (0x970, 0x97F), (0xA8E0, 0xA8FF)),
    "Beng": ((0x980, 0x9E3), (0x9F0, 0x9F1)),
    "Guru": ((0xA00, 0xA65), (0xA70, 0xA7F)),
    "Gujr": ((0xA80, 0xAE3),),
    "Orya": ((0xB00, 0xB65),),
    "Taml": ((0xB80, 0xBE5),),
    "Telu": ((0xC00, 0xC65),),
    "Knda": ((0xC80, 0xCE5),),
    "Mlym": ((0xD00, 0xD65),),
    "Sinh": ((0xD80, 0xDDF),),
    "Thai": ((0xE01, 0xE4E),),
    "Laoo": ((0xE81, 0xECE), (0xEDC, 0xEDF)),
    "Tibt": ((0xF00, 0xF17), (0xF40, 0xFBC)),
    "Mymr": ((0x1000, 0x103F), (0x1050, 0x108F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    "Geor": ((0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F)),
    "Hang": ((0x1100, 0x11FF), (0x3131, 0x318E), (0xA960, 0xA97F), (0xAC00, 0xD7A3)),
    "Ethi": ((0x1200, 0x135A), (0x1380, 0x139F), (0x2D80, 0x2DDF)),
    "Cher": ((0x13A0, 0x13FD), (0xAB70, 0xABBF)),
    "Cans": ((0x1401, 0x167F), (0x18B0, 0x18FF)),
    "Khmr": ((0x1780, 0x17D3),),
    "Mong": ((0x1820, 0x18AA),),
    "Tfng": ((0x2D30, 0x2D7F),),
    "Kana": ((0x3041, 0x3096), (0x309D, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D)),
    "Bopo": ((0x3105, 0x312F),),
    "Hani": ((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF),
             (0x20000, 0x323AF)),
    "Yiii": ((0xA000, 0xA48C),),
}  # fmt: skip
SCRIPTS: tuple[str, ...] = tuple(SCRIPT_RANGES)
_TABLE_SIZE = 0x323B0


def _make_table() -> np.ndarray:
    table = np.zeros(_TABLE_SIZE, dtype=np.uint8)
    for number, ranges in enumerate(SCRIPT_RANGES.values(), 1):
        for first, last in ranges:
            table[first : last + 1] = number
    return table


_TABLE = _make_table()


@njit(cache=True, nogil=True)
def _count(data: np.ndarray, offsets: np.ndarray, table: np.ndarray, counts: np.ndarray) -> None:
    for row in range(offsets.shape[0] - 1):
        at = offsets[row]
        end = offsets[row + 1]
        while at < end:
            byte = data[at]
            if byte < 0x80:
                point, width = np.int64(byte), 1
            elif byte < 0xE0:
                width = 2
                point = np.int64(byte & 0x1F) << 6
                if at + 1 < end:
                    point |= np.int64(data[at + 1] & 0x3F)
            elif byte < 0xF0:
                width = 3
                point = np.int64(0)
                if at + 2 < end:
                    point = np.int64(byte & 0x0F) << 12 | np.int64(data[at + 1] & 0x3F) << 6
                    point |= np.int64(data[at + 2] & 0x3F)
            else:
                width = 4
                point = np.int64(0)
                if at + 3 < end:
                    point = np.int64(byte & 0x07) << 18 | np.int64(data[at + 1] & 0x3F) << 12
                    point |= np.int64(data[at + 2] & 0x3F) << 6 | np.int64(data[at + 3] & 0x3F)
            if point < table.shape[0]:
                script = table[point]
                if script:
                    counts[row, script - 1] += width
            at += width


def string_buffers(text: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return (bytes as uint8, offsets as int32[rows + 1]) of an Arrow string array without copying."""
    _, offsets, data = text.buffers()
    rows = np.frombuffer(offsets, dtype=np.int32)[text.offset : text.offset + len(text) + 1] if offsets else None
    values = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(0, dtype=np.uint8)
    return values, np.zeros(1, dtype=np.int32) if rows is None else rows


def script_bytes(text: pa.StringArray) -> np.ndarray:
    """Count letters by script.

    Returns int32 [rows, len(SCRIPTS)]: UTF-8 bytes of letters of each script. Bytes rather than characters, because a
    Chinese character says as much as several Latin letters. Digits, punctuation and symbols count nowhere.
    """
    values, offsets = string_buffers(text)
    counts = np.zeros((len(text), len(SCRIPTS)), dtype=np.int32)
    if len(text):
        _count(values, offsets, _TABLE, counts)
    return counts
