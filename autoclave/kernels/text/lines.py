"""Which lines RefinedWeb's rules drop at once, and which need a closer look."""

# mypy: disable-error-code="call-arg,arg-type,var-annotated,assignment,has-type,return-value,operator,call-overload"
# (numba, not mypy, types the bodies of kernels)

from __future__ import annotations

import numpy as np
from numba import njit

from autoclave.kernels.text.characters import DIGIT, SPACE, UPPER, character_width, decode
from autoclave.kernels.text.memory import load

KEEP, DROP, LOOK = 0, 1, 2


@njit(cache=True, nogil=True)
def judge_lines(data: np.ndarray, start: np.ndarray, end: np.ndarray, classes: np.ndarray, verdict: np.ndarray) -> None:
    """Fill verdict (uint8) of each line: DROP, KEEP, or LOOK for lines of at most ten words, which need patterns.

    Dropped: more than half upper case, or all digits.
    """
    for line in range(len(start)):
        at, stop = np.int64(start[line]), np.int64(end[line])
        chars, upper, digits, words, inside = 0, 0, 0, 0, False
        while at < stop:
            bits = np.int64(load(classes, decode(data, at)))
            chars += 1
            if bits & UPPER:
                upper += 1
            if bits & DIGIT:
                digits += 1
            if bits & SPACE:
                inside = False
            elif not inside:
                inside = True
                words += 1
            at += character_width(np.int64(load(data, at)))
        verdict[line] = KEEP
        if chars == 0:
            continue
        if 2 * upper > chars or digits > 0.999999 * chars:
            verdict[line] = DROP
        elif words <= 10:
            verdict[line] = LOOK
