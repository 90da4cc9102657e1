"""MinHash signatures of Arrow text columns, bit-identical to datasketch 2.0, without a Python object per document.

A document becomes normalised units (`kernels.text.normalisation`), each run of `ngram` units one shingle: a slice of
the normalised buffer, hashed to 32 bits where it lies. A text with fewer units is one shingle; a text without units
has none, and its signature is all ones (datasketch's empty MinHash).

Permutations are datasketch's (minhash.py of 2.0.0): `affine32` is a * fmix32(h) + b modulo 2^32 with odd a, `legacy`
is (a * h + b) modulo 2^64, then modulo the Mersenne prime 2^61 - 1, then the low 32 bits.
"""

from typing import Literal

import numpy as np
from numba import njit

from autoclave.kernels.text.normalisation import character_table, normalise
from autoclave.kernels.text.sha1 import sha1_32
from autoclave.kernels.text.xxh3 import xxh3_64

Scheme = Literal["affine32", "legacy"]
HashName = Literal["xxh3", "sha1"]
ShingleKind = Literal["word", "character"]

_PRIME = np.uint64((1 << 61) - 1)
_LOW32 = np.uint64(0xFFFFFFFF)
_U32 = np.uint32


def permutations(num_perm: int, seed: int, scheme: Scheme) -> tuple[np.ndarray, np.ndarray]:
    """Return datasketch's permutation parameters (a, b): uint32[num_perm] for affine32, uint64 for legacy."""
    generator = np.random.RandomState(seed)
    if scheme == "affine32":
        odd = generator.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
        return odd, generator.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    pairs = [
        (generator.randint(1, _PRIME, dtype=np.uint64), generator.randint(0, _PRIME, dtype=np.uint64))
        for _ in range(num_perm)
    ]
    a, b = np.array(pairs, np.uint64).T
    return np.ascontiguousarray(a), np.ascontiguousarray(b)


@njit(cache=True, nogil=True)
def permute_affine32(hashes: np.ndarray, count: int, a: np.ndarray, b: np.ndarray, signature: np.ndarray) -> None:
    """signature[k] = min over the first `count` hashes of a[k] * fmix32(h) + b[k]; `hashes` (uint32) is overwritten."""
    for j in range(count):
        h = hashes[j]
        h = _U32(h ^ (h >> _U32(16)))
        h = _U32(h * _U32(0x85EBCA6B))
        h = _U32(h ^ (h >> _U32(13)))
        h = _U32(h * _U32(0xC2B2AE35))
        hashes[j] = _U32(h ^ (h >> _U32(16)))
    for k in range(a.size):
        factor, addend = a[k], b[k]
        lowest = _U32(0xFFFFFFFF)
        for j in range(count):
            lowest = min(lowest, _U32(factor * hashes[j] + addend))
        signature[k] = lowest


@njit(cache=True, nogil=True)
def permute_legacy(hashes: np.ndarray, count: int, a: np.ndarray, b: np.ndarray, signature: np.ndarray) -> None:
    """As `permute_affine32`, with the permutations of datasketch before 2.0; a, b: uint64."""
    for k in range(a.size):
        factor, addend = a[k], b[k]
        lowest = _LOW32
        for j in range(count):
            x = factor * np.uint64(hashes[j]) + addend
            x = (x & _PRIME) + (x >> np.uint64(61))
            if x >= _PRIME:
                x -= _PRIME
            lowest = min(lowest, x & _LOW32)
        signature[k] = _U32(lowest)


@njit(cache=True, nogil=True)
def _characters(out: np.ndarray, size: int, starts: np.ndarray, ends: np.ndarray) -> int:
    """Replace the units by the single characters of the normalised text; returns their number."""
    count = 0
    for i in range(size):
        if out[i] & 0xC0 != 0x80:
            if count > 0:
                ends[count - 1] = i
            starts[count] = i
            count += 1
    if count > 0:
        ends[count - 1] = size
    return count


@njit(cache=True, nogil=True)
def _hash_windows(
    out: np.ndarray, starts: np.ndarray, ends: np.ndarray, width: int, count: int, hashes: np.ndarray
) -> None:
    for j in range(count):
        hashes[j] = _U32(xxh3_64(out, starts[j], ends[j + width - 1]) & _LOW32)


@njit(cache=True, nogil=True)
def shingle_hashes(
    data: np.ndarray,
    start: int,
    end: int,
    table: np.ndarray,
    ngram: int,
    by_character: bool,
    use_sha1: bool,
    out: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    hashes: np.ndarray,
) -> tuple[int, int]:
    """Fill `hashes` (uint32) with the 32-bit hash of each shingle of one text; returns (shingles, words)."""
    size, words = normalise(data, start, end, table, not by_character, out, starts, ends)
    units = _characters(out, size, starts, ends) if by_character else words
    if units == 0:
        return 0, 0
    width = min(ngram, units)
    count = units - width + 1
    if use_sha1:
        scratch = np.empty(80, np.uint32)
        for j in range(count):
            hashes[j] = _U32(sha1_32(out, starts[j], ends[j + width - 1], scratch))
    else:
        _hash_windows(out, starts, ends, width, count, hashes)
    return count, words


@njit(cache=True, nogil=True)
def _longest(offsets: np.ndarray) -> int:
    longest = 0
    for i in range(offsets.size - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    return longest


@njit(cache=True, nogil=True)
def _sign(
    data: np.ndarray,
    offsets: np.ndarray,
    table: np.ndarray,
    ngram: int,
    by_character: bool,
    use_sha1: bool,
    permute: int,
    a32: np.ndarray,
    b32: np.ndarray,
    a64: np.ndarray,
    b64: np.ndarray,
    signatures: np.ndarray,
    words: np.ndarray,
) -> None:
    longest = _longest(offsets)
    out = np.empty(2 * longest + 8, np.uint8)
    starts = np.empty(2 * longest + 8, np.int64)
    ends = np.empty(2 * longest + 8, np.int64)
    hashes = np.empty(2 * longest + 8, np.uint32)
    for i in range(offsets.size - 1):
        count, words[i] = shingle_hashes(
            data, offsets[i], offsets[i + 1], table, ngram, by_character, use_sha1, out, starts, ends, hashes
        )
        if permute == 0:
            permute_affine32(hashes, count, a32, b32, signatures[i])
        else:
            permute_legacy(hashes, count, a64, b64, signatures[i])


def sign_texts(
    data: np.ndarray,
    offsets: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    *,
    ngram: int,
    shingle: ShingleKind = "word",
    hash_name: HashName = "xxh3",
    scheme: Scheme = "affine32",
) -> tuple[np.ndarray, np.ndarray]:
    """Return (signatures uint32[n, num_perm], words int32[n]) of the texts in a UTF-8 buffer.

    data: uint8; offsets: int64[n + 1] (`text_buffers`); a, b: `permutations(...)` of the same scheme. words counts the
    units of each text: 0 marks a text that has nothing to compare.
    """
    none32, none64 = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    affine = scheme == "affine32"
    signatures = np.empty((offsets.size - 1, a.size), np.uint32)
    words = np.zeros(offsets.size - 1, np.int32)
    _sign(
        data,
        offsets,
        character_table(),
        ngram,
        shingle == "character",
        hash_name == "sha1",
        0 if affine else 1,
        a if affine else none32,
        b if affine else none32,
        none64 if affine else a,
        none64 if affine else b,
        signatures,
        words,
    )
    return signatures, words


@njit(cache=True, nogil=True)
def _shingle_sets(
    data: np.ndarray,
    offsets: np.ndarray,
    table: np.ndarray,
    ngram: int,
    by_character: bool,
    use_sha1: bool,
    bounds: np.ndarray,
) -> np.ndarray:
    longest = _longest(offsets)
    out = np.empty(2 * longest + 8, np.uint8)
    starts = np.empty(2 * longest + 8, np.int64)
    ends = np.empty(2 * longest + 8, np.int64)
    hashes = np.empty(2 * longest + 8, np.uint32)
    sets = np.empty(1024, np.uint32)
    size = 0
    for i in range(offsets.size - 1):
        count, _ = shingle_hashes(
            data, offsets[i], offsets[i + 1], table, ngram, by_character, use_sha1, out, starts, ends, hashes
        )
        if size + count > sets.size:
            grown = np.empty(2 * (size + count), np.uint32)
            grown[:size] = sets[:size]
            sets = grown
        ordered = np.sort(hashes[:count])
        for j in range(count):
            if j == 0 or ordered[j] != ordered[j - 1]:
                sets[size] = ordered[j]
                size += 1
        bounds[i + 1] = size
    return sets[:size]


def shingle_sets(
    data: np.ndarray, offsets: np.ndarray, *, ngram: int, shingle: ShingleKind = "word", hash_name: HashName = "xxh3"
) -> tuple[np.ndarray, np.ndarray]:
    """Return (hashes uint32, bounds int64[n + 1]): the sorted distinct shingle hashes of each text, one after another.

    Two 32-bit hashes of different shingles meet with probability m / 2^32 for a text of m shingles: the Jaccard
    similarity of two such sets is exact but for that.
    """
    bounds = np.zeros(offsets.size, np.int64)
    sets = _shingle_sets(data, offsets, character_table(), ngram, shingle == "character", hash_name == "sha1", bounds)
    return sets, bounds


@njit(cache=True, nogil=True)
def _sign_sets(
    hashes: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    permute: int,
    a32: np.ndarray,
    b32: np.ndarray,
    a64: np.ndarray,
    b64: np.ndarray,
    signatures: np.ndarray,
) -> None:
    for i in range(starts.size):
        own = hashes[starts[i] : ends[i]].copy()
        if permute == 0:
            permute_affine32(own, own.size, a32, b32, signatures[i])
        else:
            permute_legacy(own, own.size, a64, b64, signatures[i])


def sign_hash_sets(
    hashes: np.ndarray, starts: np.ndarray, ends: np.ndarray, a: np.ndarray, b: np.ndarray, *, scheme: Scheme
) -> np.ndarray:
    """Return uint32[n, num_perm]: signatures of sets of shingle hashes, the same as of the texts they came from."""
    none32, none64 = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    signatures = np.empty((starts.size, a.size), np.uint32)
    if scheme == "affine32":
        _sign_sets(hashes, starts, ends, 0, a, b, none64, none64, signatures)
    else:
        _sign_sets(hashes, starts, ends, 1, none32, none32, a, b, signatures)
    return signatures
