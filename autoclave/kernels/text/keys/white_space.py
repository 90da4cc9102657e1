"""White space in UTF-8 buffers: the characters that Python's `str.isspace` names, found in the bytes."""

import numpy as np
from numba import njit

from autoclave.kernels.text.code_points import FILE_SEPARATOR, RETURN, SPACE, TAB


@njit(cache=True, nogil=True)
def _wide_space(data: np.ndarray, at: int, end: int) -> int:
    """Bytes of the white space character beyond ASCII at `at`; 0 where another one stands there."""
    byte = data[at]
    if byte == 0xC2 and at + 1 < end:
        return 2 if data[at + 1] == 0x85 or data[at + 1] == 0xA0 else 0
    if at + 2 >= end:
        return 0
    middle, last = data[at + 1], data[at + 2]
    if byte == 0xE2:
        thin = middle == 0x80 and (last <= 0x8A or last == 0xA8 or last == 0xA9 or last == 0xAF)
        return 3 if thin or (middle == 0x81 and last == 0x9F) else 0
    ogham = byte == 0xE1 and middle == 0x9A and last == 0x80
    ideographic = byte == 0xE3 and middle == 0x80 and last == 0x80
    return 3 if ogham or ideographic else 0


@njit(cache=True, nogil=True)
def collapse_white_space(data: np.ndarray, start: int, end: int, out: np.ndarray, size: int) -> int:
    """Append `data[start:end]` to `out` at `size` with each run of white space as one space, and none at either end.

    data: uint8[bytes], UTF-8; out: uint8[at least size + end - start], since what is appended is never longer than what
    was read. Returns the new size.
    """
    begin = size
    pending = False
    at = start
    while at < end:
        byte = np.int64(data[at])
        width = 0
        if byte <= SPACE:
            width = 1 if byte == SPACE or TAB <= byte <= RETURN or byte >= FILE_SEPARATOR else 0
        elif byte == 0xC2 or 0xE1 <= byte <= 0xE3:
            width = _wide_space(data, at, end)
        if width > 0:
            pending = size > begin
            at += width
            continue
        if pending:
            out[size] = SPACE
            size += 1
            pending = False
        out[size] = byte
        size += 1
        at += 1
    return size
