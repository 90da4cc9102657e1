"""Comparing 64 bytes at once, a bit of a uint64 for each.

Numba knows no vectors, but LLVM, which compiles for it, does: these comparisons are written in its own terms and come
out as what the processor has for them (one instruction and a move of the mask with AVX-512, four with SSE2, none lost
on a processor without any). All 64 bytes from array[index] on must be readable; `within` cuts a mask short.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from autoclave.kernels.text.raw.memory import ALL_BITS, inlined, operation

BLOCK = 64
_BYTE, _BYTES = ir.IntType(8), ir.VectorType(ir.IntType(8), BLOCK)
_MASK_TYPE = types.uint64


def _load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    view = context.make_array(signature.args[0])(context, builder, arguments[0])
    address = builder.bitcast(builder.gep(view.data, [arguments[1]]), _BYTES.as_pointer())
    return builder.load(address, align=1)


def _splat(builder: Any, value: Any) -> Any:
    """Return 64 times the low byte of an integer."""
    low = value if value.type == _BYTE else builder.trunc(value, _BYTE)
    one = builder.insert_element(ir.Constant(_BYTES, ir.Undefined), low, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        one, ir.Constant(_BYTES, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), BLOCK), [0] * BLOCK)
    )


def _constant(value: int) -> Any:
    return ir.Constant(_BYTES, [value] * BLOCK)


@operation
def equal_mask(typingctx: Any, array: Any, index: Any, byte: Any) -> Any:
    """Return which of the 64 bytes equal `byte`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        same = builder.icmp_unsigned("==", _load(context, builder, signature, arguments), _splat(builder, arguments[2]))
        return builder.bitcast(same, ir.IntType(64))

    return _MASK_TYPE(array, types.int64, types.int64), codegen


@operation
def folded_equal_mask(typingctx: Any, array: Any, index: Any, byte: Any) -> Any:
    """Return which of the 64 bytes, each with the bit 0x20 set (ASCII letters in lower case), equal `byte`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        folded = builder.or_(_load(context, builder, signature, arguments), _constant(0x20))
        return builder.bitcast(builder.icmp_unsigned("==", folded, _splat(builder, arguments[2])), ir.IntType(64))

    return _MASK_TYPE(array, types.int64, types.int64), codegen


@operation
def below_mask(typingctx: Any, array: Any, index: Any, limit: Any) -> Any:
    """Return which of the 64 bytes are less than `limit`."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        less = builder.icmp_unsigned("<", _load(context, builder, signature, arguments), _splat(builder, arguments[2]))
        return builder.bitcast(less, ir.IntType(64))

    return _MASK_TYPE(array, types.int64, types.int64), codegen


@operation
def letter_mask(typingctx: Any, array: Any, index: Any) -> Any:
    """Return which of the 64 bytes are ASCII letters."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        folded = builder.or_(_load(context, builder, signature, arguments), _constant(0x20))
        rank = builder.sub(folded, _constant(0x61))
        return builder.bitcast(builder.icmp_unsigned("<", rank, _constant(26)), ir.IntType(64))

    return _MASK_TYPE(array, types.int64), codegen


@inlined
def within(mask: np.uint64, at: int, stop: int) -> np.uint64:
    """Return the mask of the 64 bytes from `at` on without those at `stop` and after it; at < stop."""
    return mask if stop - at >= BLOCK else mask & ~(ALL_BITS << np.uint64(stop - at))
