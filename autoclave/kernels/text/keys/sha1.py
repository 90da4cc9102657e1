"""SHA-1 (FIPS 180-4) over byte buffers: the hash that datasketch uses unless told otherwise."""

import numpy as np
from numba import njit

_U = np.uint32


@njit(cache=True, nogil=True, inline="always")
def _rotate(x: np.uint32, by: int) -> np.uint32:
    return _U((x << _U(by)) | (x >> _U(32 - by)))


@njit(cache=True, nogil=True)
def _byte(data: np.ndarray, start: int, length: int, padded: int, at: int) -> np.int64:
    """Byte `at` of the padded message."""
    if at < length:
        return np.int64(data[start + at])
    if at == length:
        return np.int64(0x80)
    if at >= padded - 8:
        return np.int64(((length * 8) >> (8 * (padded - 1 - at))) & 0xFF)
    return np.int64(0)


@njit(cache=True, nogil=True)
def _compress(state: np.ndarray, words: np.ndarray) -> None:
    for t in range(16, 80):
        words[t] = _rotate(_U(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]), 1)
    a, b, c, d, e = state[0], state[1], state[2], state[3], state[4]
    for t in range(80):
        if t < 20:
            mixed = _U(((b & c) | (~b & d)) + _U(0x5A827999))
        elif t < 40:
            mixed = _U((b ^ c ^ d) + _U(0x6ED9EBA1))
        elif t < 60:
            mixed = _U(((b & c) | (b & d) | (c & d)) + _U(0x8F1BBCDC))
        else:
            mixed = _U((b ^ c ^ d) + _U(0xCA62C1D6))
        turned = _U(_rotate(a, 5) + mixed + e + words[t])
        e, d, c, b, a = d, c, _rotate(b, 30), a, turned
    state[0] = _U(state[0] + a)
    state[1] = _U(state[1] + b)
    state[2] = _U(state[2] + c)
    state[3] = _U(state[3] + d)
    state[4] = _U(state[4] + e)


@njit(cache=True, nogil=True)
def sha1_32(data: np.ndarray, start: int, end: int, words: np.ndarray) -> np.uint64:
    """The first four bytes of SHA-1 of `data[start:end]`, little-endian, as datasketch's `sha1_hash32` reads them.

    words: uint32[85], scratch: the message schedule and the state.
    """
    length = end - start
    padded = ((length + 8) // 64 + 1) * 64
    state = words[80:]
    state[0], state[1], state[2] = _U(0x67452301), _U(0xEFCDAB89), _U(0x98BADCFE)
    state[3], state[4] = _U(0x10325476), _U(0xC3D2E1F0)
    for block in range(0, padded, 64):
        for t in range(16):
            value = np.int64(0)
            for i in range(4):
                value = (value << 8) | _byte(data, start, length, padded, block + 4 * t + i)
            words[t] = _U(value)
        _compress(state, words)
    first = np.uint64(state[0])
    low = ((first & np.uint64(0xFF)) << np.uint64(24)) | ((first & np.uint64(0xFF00)) << np.uint64(8))
    return low | ((first >> np.uint64(8)) & np.uint64(0xFF00)) | (first >> np.uint64(24))
