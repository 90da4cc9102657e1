"""MinHash signatures of Arrow text columns, bit-identical to datasketch 2.0, without a Python object per document.

A document becomes normalised units (`normalisation.py`), each run of `ngram` units one shingle: a slice of
the normalised buffer, hashed to 32 bits where it lies. A text with fewer units is one shingle; a text without units
has none, and its signature is all ones (datasketch's empty MinHash).

Permutations are datasketch's (minhash.py of 2.0.0): `affine32` is a * fmix32(h) + b modulo 2^32 with odd a, `legacy`
is (a * h + b) modulo 2^64, then modulo the Mersenne prime 2^61 - 1, then the low 32 bits.
"""

import itertools
from typing import Any, Literal, NamedTuple

import numpy as np
from numba import njit

from autoclave.kernels.text.keys.normalisation import (
    Normalisation,
    Normalised,
    character_table,
    normalise,
    room_for,
)
from autoclave.kernels.text.keys.sha1 import sha1_32
from autoclave.kernels.text.keys.xxh3 import xxh3_64
from autoclave.kernels.text.texts import Texts

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
def _permute_affine32(
    hashes: np.ndarray, starts: np.ndarray, ends: np.ndarray, a: np.ndarray, b: np.ndarray, signatures: np.ndarray
) -> None:
    """signatures[i, k] = min over the hashes h of set i of a[k] * fmix32(h) + b[k]; overwrites `hashes` (uint32)."""
    for j in range(hashes.size):
        h = hashes[j]
        h = _U32(h ^ (h >> _U32(16)))
        h = _U32(h * _U32(0x85EBCA6B))
        h = _U32(h ^ (h >> _U32(13)))
        h = _U32(h * _U32(0xC2B2AE35))
        hashes[j] = _U32(h ^ (h >> _U32(16)))
    for i in range(starts.size):
        own = hashes[starts[i] : ends[i]]
        for k in range(a.size):
            factor, addend = a[k], b[k]
            lowest = _U32(0xFFFFFFFF)
            for j in range(own.size):
                lowest = min(lowest, _U32(factor * own[j] + addend))
            signatures[i, k] = lowest


@njit(cache=True, nogil=True)
def _permute_legacy(
    hashes: np.ndarray, starts: np.ndarray, ends: np.ndarray, a: np.ndarray, b: np.ndarray, signatures: np.ndarray
) -> None:
    """As `_permute_affine32`, with the permutations of datasketch before 2.0; a, b: uint64."""
    for i in range(starts.size):
        own = hashes[starts[i] : ends[i]]
        for k in range(a.size):
            factor, addend = a[k], b[k]
            lowest = _LOW32
            for j in range(own.size):
                x = factor * np.uint64(own[j]) + addend
                x = (x & _PRIME) + (x >> np.uint64(61))
                if x >= _PRIME:
                    x -= _PRIME
                lowest = min(lowest, x & _LOW32)
            signatures[i, k] = _U32(lowest)


class Shingles(NamedTuple):
    """Room for the shingles of some texts.

    hashes: uint32[m], of each shingle in order, text after text; bounds: int64[n + 1], those of text i are
    hashes[bounds[i]:bounds[i + 1]]; units: int32[n], the words (or characters) of each text, 0 for one that has
    nothing to compare.
    """

    hashes: np.ndarray
    bounds: np.ndarray
    units: np.ndarray


@njit(cache=True, nogil=True)
def _characters(size: int, units: Normalised) -> int:
    """Replace the units by the single characters of the normalised text; returns their number."""
    out, starts, ends = units.out, units.starts, units.ends
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
def _hash_windows(units: Normalised, width: int, count: int, hashes: np.ndarray) -> None:
    out, starts, ends = units.out, units.starts, units.ends
    for j in range(count):
        hashes[j] = _U32(xxh3_64(out, starts[j], ends[j + width - 1]) & _LOW32)


@njit(cache=True, nogil=True)
def _hash_windows_sha1(units: Normalised, width: int, count: int, hashes: np.ndarray) -> None:
    scratch = np.empty(85, np.uint32)
    for j in range(count):
        hashes[j] = _U32(sha1_32(units.out, units.starts[j], units.ends[j + width - 1], scratch))


@njit(cache=True, nogil=True, inline="always")
def _units(data: np.ndarray, start: int, end: int, table: np.ndarray, by_character: bool, into: Normalised) -> Any:
    """Normalise one text; returns the units to shingle."""
    size, units = normalise(data, start, end, table, not by_character, into)
    return _characters(size, into) if by_character else units


@njit(cache=True, nogil=True)
def _hash_texts(
    texts: Texts, table: np.ndarray, ngram: int, by_character: bool, sha1: bool, shingles: Shingles
) -> None:
    offsets, bounds, units, into = texts.offsets, shingles.bounds, shingles.units, room_for(texts.offsets)
    for i in range(offsets.size - 1):
        units[i] = _units(texts.data, offsets[i], offsets[i + 1], table, by_character, into)
        width = min(ngram, units[i])
        count = units[i] - width + 1 if units[i] > 0 else 0
        if sha1:
            _hash_windows_sha1(into, width, count, shingles.hashes[bounds[i] :])
        else:
            _hash_windows(into, width, count, shingles.hashes[bounds[i] :])
        bounds[i + 1] = bounds[i] + count


def shingle_hashes(
    data: np.ndarray,
    offsets: np.ndarray,
    *,
    ngram: int,
    shingle: ShingleKind = "word",
    hash_name: HashName = "xxh3",
    normalisation: Normalisation = "words",
) -> Shingles:
    """Return the shingles of the texts in a UTF-8 buffer.

    data: uint8[bytes]; offsets: int64[n + 1] (`text_buffers`).
    """
    shingles = Shingles(
        np.empty(int(offsets[-1] - offsets[0]) + 1, np.uint32),  # no more shingles than bytes
        np.zeros(offsets.size, np.int64),
        np.zeros(offsets.size - 1, np.int32),
    )
    table = character_table(normalisation)
    _hash_texts(Texts(data, offsets), table, ngram, shingle == "character", hash_name == "sha1", shingles)
    return shingles._replace(hashes=shingles.hashes[: shingles.bounds[-1]])


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
    normalisation: Normalisation = "words",
) -> tuple[np.ndarray, np.ndarray]:
    """Return (signatures uint32[n, num_perm], units int32[n]) of the texts in a UTF-8 buffer.

    a, b: `permutations(...)` of the same scheme; the rest as for `shingle_hashes`.
    """
    hashes, bounds, units = shingle_hashes(
        data, offsets, ngram=ngram, shingle=shingle, hash_name=hash_name, normalisation=normalisation
    )
    return _permute(hashes, bounds[:-1], bounds[1:], a, b, scheme), units


def _permute(
    hashes: np.ndarray, starts: np.ndarray, ends: np.ndarray, a: np.ndarray, b: np.ndarray, scheme: Scheme
) -> np.ndarray:
    signatures = np.empty((starts.size, a.size), np.uint32)
    kernel = _permute_affine32 if scheme == "affine32" else _permute_legacy
    kernel(hashes, starts, ends, a, b, signatures)
    return signatures


@njit(cache=True, nogil=True)
def _drop_repeats(hashes: np.ndarray, bounds: np.ndarray, distinct: np.ndarray) -> None:
    """Keep the first of equal neighbours of each sorted set, in place; distinct: int64[n + 1], the new bounds."""
    size = 0
    for i in range(bounds.size - 1):
        for j in range(bounds[i], bounds[i + 1]):
            if j == bounds[i] or hashes[j] != hashes[j - 1]:
                hashes[size] = hashes[j]
                size += 1
        distinct[i + 1] = size


def shingle_sets(
    data: np.ndarray,
    offsets: np.ndarray,
    *,
    ngram: int,
    shingle: ShingleKind = "word",
    hash_name: HashName = "xxh3",
    normalisation: Normalisation = "words",
) -> tuple[np.ndarray, np.ndarray]:
    """Return (hashes uint32, bounds int64[n + 1]): the sorted distinct shingle hashes of each text, one after another.

    Two 32-bit hashes of different shingles meet with probability m / 2^32 for a text of m shingles: the Jaccard
    similarity of two such sets is exact but for that.
    """
    hashes, bounds, _ = shingle_hashes(
        data, offsets, ngram=ngram, shingle=shingle, hash_name=hash_name, normalisation=normalisation
    )
    for start, end in itertools.pairwise(bounds.tolist()):
        hashes[start:end].sort()
    distinct = np.zeros(bounds.size, np.int64)
    _drop_repeats(hashes, bounds, distinct)
    return hashes[: distinct[-1]], distinct


def sign_hash_sets(
    hashes: np.ndarray, starts: np.ndarray, ends: np.ndarray, a: np.ndarray, b: np.ndarray, *, scheme: Scheme
) -> np.ndarray:
    """Return uint32[n, num_perm]: signatures of sets of shingle hashes, the same as of the texts they came from."""
    low, high = (int(starts.min()), int(ends.max())) if starts.size else (0, 0)
    return _permute(hashes[low:high].copy(), starts - low, ends - low, a, b, scheme)
