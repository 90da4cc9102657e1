"""XXH3 (64 bits, seed 0) over byte buffers, callable from other kernels.

The algorithm is Yann Collet's XXH3_64bits as specified in the xxHash repository (doc/xxhash_spec.md); the tests hold
every length class equal to `xxhash.xxh3_64_intdigest`. It is here, and not called through the xxhash package, because
a shingle is a slice of a buffer that never becomes a Python object.
"""

from typing import Any

import numpy as np
from numba import njit

from autoclave.kernels.text.raw.memory import load32, load64, multiply_fold

_SECRET = np.frombuffer(
    bytes.fromhex(
        "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
        "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
        "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
        "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
    ),
    dtype=np.uint8,
)

_U = np.uint64
_PRIME32_1 = _U(0x9E3779B1)
_PRIME32_2 = _U(0x85EBCA77)
_PRIME32_3 = _U(0xC2B2AE3D)
_PRIME64_1 = _U(0x9E3779B185EBCA87)
_PRIME64_2 = _U(0xC2B2AE3D27D4EB4F)
_PRIME64_3 = _U(0x165667B19E3779F9)
_PRIME64_4 = _U(0x85EBCA77C2B2AE63)
_PRIME64_5 = _U(0x27D4EB2F165667C5)
_PRIME_MX1 = _U(0x165667919E3779F9)
_PRIME_MX2 = _U(0x9FB21C651E98DF25)
_LOW32 = _U(0xFFFFFFFF)
_LANES = (_PRIME32_3, _PRIME64_1, _PRIME64_2, _PRIME64_3, _PRIME64_4, _PRIME32_2, _PRIME64_5, _PRIME32_1)


def _key(offset: int) -> np.uint64:
    return np.uint64(int.from_bytes(_SECRET[offset : offset + 8].tobytes(), "little"))


_KEYS = tuple(_key(8 * i) for i in range(16))
_FLIP_EMPTY = _U(int(_key(56)) ^ int(_key(64)))
_FLIP_1_3 = _U((int(_key(0)) ^ (int(_key(0)) >> 32)) & 0xFFFFFFFF)
_FLIP_4_8 = _U(int(_key(8)) ^ int(_key(16)))
_FLIP_9_16_LOW = _U(int(_key(24)) ^ int(_key(32)))
_FLIP_9_16_HIGH = _U(int(_key(40)) ^ int(_key(48)))


@njit(cache=True, nogil=True, inline="always")
def _avalanche64(h: np.uint64) -> np.uint64:
    h ^= h >> _U(33)
    h *= _PRIME64_2
    h ^= h >> _U(29)
    h *= _PRIME64_3
    return h ^ (h >> _U(32))


@njit(cache=True, nogil=True, inline="always")
def _avalanche(h: np.uint64) -> np.uint64:
    h ^= h >> _U(37)
    h *= _PRIME_MX1
    return h ^ (h >> _U(32))


@njit(cache=True, nogil=True, inline="always")
def _byteswap(x: np.uint64) -> np.uint64:
    x = ((x & _U(0x00FF00FF00FF00FF)) << _U(8)) | ((x >> _U(8)) & _U(0x00FF00FF00FF00FF))
    x = ((x & _U(0x0000FFFF0000FFFF)) << _U(16)) | ((x >> _U(16)) & _U(0x0000FFFF0000FFFF))
    return (x << _U(32)) | (x >> _U(32))


@njit(cache=True, nogil=True, inline="always")
def _mix16(data: np.ndarray, at: int, key_low: np.uint64, key_high: np.uint64) -> np.uint64:
    return multiply_fold(load64(data, at) ^ key_low, load64(data, at + 8) ^ key_high)


@njit(cache=True, nogil=True)
def _hash_up_to_16(data: np.ndarray, start: int, length: int) -> np.uint64:
    if length > 8:
        low = load64(data, start) ^ _FLIP_9_16_LOW
        high = load64(data, start + length - 8) ^ _FLIP_9_16_HIGH
        return _avalanche(_U(length) + _byteswap(low) + high + multiply_fold(low, high))
    if length >= 4:
        h = (load32(data, start + length - 4) + (load32(data, start) << _U(32))) ^ _FLIP_4_8
        h ^= ((h << _U(49)) | (h >> _U(15))) ^ ((h << _U(24)) | (h >> _U(40)))
        h *= _PRIME_MX2
        h ^= (h >> _U(35)) + _U(length)
        h *= _PRIME_MX2
        return h ^ (h >> _U(28))
    if length > 0:
        first = _U(data[start])
        middle = _U(data[start + (length >> 1)])
        last = _U(data[start + length - 1])
        combined = (first << _U(16)) | (middle << _U(24)) | last | (_U(length) << _U(8))
        return _avalanche64(combined ^ _FLIP_1_3)
    return _avalanche64(_FLIP_EMPTY)


@njit(cache=True, nogil=True, inline="always")
def _hash_17_to_128(data: np.ndarray, start: int, end: int) -> np.uint64:
    length = end - start
    h = _U(length) * _PRIME64_1
    h += _mix16(data, start, _KEYS[0], _KEYS[1]) + _mix16(data, end - 16, _KEYS[2], _KEYS[3])
    if length > 32:
        h += _mix16(data, start + 16, _KEYS[4], _KEYS[5]) + _mix16(data, end - 32, _KEYS[6], _KEYS[7])
    if length > 64:
        h += _mix16(data, start + 32, _KEYS[8], _KEYS[9]) + _mix16(data, end - 48, _KEYS[10], _KEYS[11])
    if length > 96:
        h += _mix16(data, start + 48, _KEYS[12], _KEYS[13]) + _mix16(data, end - 64, _KEYS[14], _KEYS[15])
    return _avalanche(h)


@njit(cache=True, nogil=True)
def _hash_129_to_240(data: np.ndarray, start: int, length: int) -> np.uint64:
    h = _U(length) * _PRIME64_1
    for i in range(8):
        h += _mix16(data, start + 16 * i, load64(_SECRET, 16 * i), load64(_SECRET, 16 * i + 8))
    h = _avalanche(h)
    for i in range(8, length // 16):
        key_at = 16 * (i - 8) + 3
        h += _mix16(data, start + 16 * i, load64(_SECRET, key_at), load64(_SECRET, key_at + 8))
    h += _mix16(data, start + length - 16, load64(_SECRET, 119), load64(_SECRET, 127))
    return _avalanche(h)


@njit(cache=True, nogil=True, inline="always")
def _product(keyed: np.uint64) -> np.uint64:
    return (keyed & _LOW32) * (keyed >> _U(32))


@njit(cache=True, nogil=True)
def _lane_pair(data: np.ndarray, start: int, length: int, pair: int) -> np.uint64:
    """Run one of the four pairs of lanes over a long input (lanes mix only within a pair) and fold it."""
    even: Any = _LANES[2 * pair]
    odd: Any = _LANES[2 * pair + 1]
    stripes = (length - 1) // 64
    at = start + 16 * pair
    for stripe in range(stripes + 1):
        if stripe > 0 and stripe % 16 == 0:  # the end of a block of 1,024 bytes
            even = ((even ^ (even >> _U(47))) ^ load64(_SECRET, 128 + 16 * pair)) * _PRIME32_1
            odd = ((odd ^ (odd >> _U(47))) ^ load64(_SECRET, 136 + 16 * pair)) * _PRIME32_1
        key_at = 8 * (stripe % 16) + 16 * pair
        if stripe == stripes:  # the last stripe ends with the input
            at = start + length - 64 + 16 * pair
            key_at = 121 + 16 * pair
        first, second = load64(data, at), load64(data, at + 8)
        even += _product(first ^ load64(_SECRET, key_at)) + second
        odd += _product(second ^ load64(_SECRET, key_at + 8)) + first
        at += 64
    return multiply_fold(even ^ load64(_SECRET, 11 + 16 * pair), odd ^ load64(_SECRET, 19 + 16 * pair))


@njit(cache=True, nogil=True)
def _hash_long(data: np.ndarray, start: int, length: int) -> np.uint64:
    h = _U(length) * _PRIME64_1
    for pair in range(4):
        h += _lane_pair(data, start, length, pair)
    return _avalanche(h)


@njit(cache=True, nogil=True)
def _hash_other(data: np.ndarray, start: int, length: int) -> np.uint64:
    if length <= 16:
        return _hash_up_to_16(data, start, length)
    if length <= 240:
        return _hash_129_to_240(data, start, length)
    return _hash_long(data, start, length)


@njit(cache=True, nogil=True, inline="always")
def xxh3_64(data: np.ndarray, start: int, end: int) -> np.uint64:
    """XXH3_64bits, seed 0, of the bytes `data[start:end]` (uint8[bytes], contiguous).

    The length of most shingles, 17 to 128 bytes, is computed in the caller's loop; the call costs more than the hash.
    """
    if 16 < end - start <= 128:
        h = _hash_17_to_128(data, start, end)
    else:
        h = _hash_other(data, start, end - start)
    return h


@njit(cache=True, nogil=True)
def hash_slices(data: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """XXH3 of each slice `data[starts[i]:ends[i]]`: int64[n], int64[n] -> uint64[n]."""
    hashes = np.empty(starts.size, np.uint64)
    for i in range(starts.size):
        hashes[i] = xxh3_64(data, starts[i], ends[i])
    return hashes
