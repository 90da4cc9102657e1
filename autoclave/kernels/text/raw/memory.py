"""Raw loads and stores for hot loops, and machine operations that numba has no name for.

Nothing here checks an index: it must be in range, and never negative. Words are little-endian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

operation: Any = intrinsic
"""Numba's decorator for what is written in LLVM's terms; Any, as mypy would ask callers for the typing context too."""


def kernel(function: Any) -> Any:
    """Compile a function that makes no array: numba then counts no references, which costs small functions dearly."""
    options: Any = {"cache": True, "nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
    return njit(**options)(function)


def inlined(function: Any) -> Any:
    """Compile a part of a kernel into each of its callers: a call hands over seven machine words for every array."""
    options: Any = {"nogil": True, "_nrt": False, "forceinline": True, "no_cfunc_wrapper": True}
    options["no_cpython_wrapper"] = True
    return njit(**options)(function)


@operation
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Return array[index] of a contiguous array for an index that is known to be in range (never negative)."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(view.data, [arguments[1]])
        return context.unpack_value(builder, signature.return_type, address)

    return array.dtype(array, types.int64), codegen


@operation
def load64(typingctx: Any, array: Any, index: Any) -> Any:
    """Return the eight bytes from array[index] on as a little-endian uint64; all eight must be in range."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(view.data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(address, align=1)

    return types.uint64(array, types.int64), codegen


@operation
def load32(typingctx: Any, array: Any, index: Any) -> Any:
    """Return the four bytes from array[index] on as a little-endian uint64; all four must be in range."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(view.data, [arguments[1]]), ir.IntType(32).as_pointer())
        return builder.zext(builder.load(address, align=1), ir.IntType(64))

    return types.uint64(array, types.int64), codegen


@operation
def store64(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Write a uint64, little-endian, to the eight bytes from array[index] on; all eight must be in range."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(view.data, [arguments[1]]), ir.IntType(64).as_pointer())
        builder.store(arguments[2], address, align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), codegen


@operation
def trailing_zeros(typingctx: Any, value: Any) -> Any:
    """Return the number of zero bits below the lowest set bit of a uint64, as int64; 64 for 0."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), codegen


@operation
def count_bits(typingctx: Any, value: Any) -> Any:
    """Return the number of set bits of a uint64, as int64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), codegen


@operation
def multiply_fold(typingctx: Any, left: Any, right: Any) -> Any:
    """Return the low half XOR the high half of the 128-bit product of two uint64: numba has no integers that wide."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        high = builder.lshr(product, ir.Constant(wide, 64))
        return builder.trunc(builder.xor(product, high), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


TOP_BITS, ALL_BITS = np.uint64(0x8080808080808080), np.uint64(0xFFFFFFFFFFFFFFFF)
"""The top bit of each of eight bytes; all their bits."""

_LOW = np.uint64(0x7F7F7F7F7F7F7F7F)
_ONES = np.uint64(0x0101010101010101)
_CASE = np.uint64(0x2020202020202020)
_ABOVE_BELOW_A, _ABOVE_Z = (np.uint64(0x0101010101010101 * byte) for byte in (0x80 - 0x61, 0x7F - 0x7A))


@inlined
def bytes_equal(eight: np.uint64, byte: int) -> np.uint64:
    """Return the top bit of each of eight bytes that equals `byte`, all other bits 0."""
    rest = eight ^ (_ONES * np.uint64(byte))
    return ~(((rest & _LOW) + _LOW) | rest | _LOW)


@inlined
def bytes_below(eight: np.uint64, limit: int) -> np.uint64:
    """Return the top bit of each of eight bytes that is less than `limit` (at most 128), all other bits 0."""
    return ~(((eight & _LOW) + (TOP_BITS - _ONES * np.uint64(limit))) | eight | _LOW)


@inlined
def ascii_letters(eight: np.uint64) -> np.uint64:
    """Return the top bit of each of eight bytes that is an ASCII letter, all other bits 0."""
    low = (eight | _CASE) & _LOW
    return (low + _ABOVE_BELOW_A) & ~(low + _ABOVE_Z) & ~eight & TOP_BITS


@inlined
def copy_bytes(data: np.ndarray, first: int, last: int, out: np.ndarray, place: int) -> None:
    """Copy data[first:last] to out[place:], both uint8[bytes], eight at a time; the last eight may be written twice."""
    if last - first >= 8:
        final = place + last - first - 8
        while place < final:
            store64(out, place, load64(data, first))
            first += 8
            place += 8
        store64(out, final, load64(data, last - 8))
        return
    while first < last:
        out[place] = load(data, first)
        first += 1
        place += 1
